"""Our GAE, losses, KL estimates, whitening, adaptive kl_coef and score placement beside trl 0.11.4, trl 1.12.0 and verl.

    python benchmarks/parity.py [--cache DIR] [--write-golden]

Each peer gets an environment of its own in the cache folder (made once) and runs its OWN functions on the same ragged
tensors, in fp32 and float64, on CPU. A difference of convention is converted and named under the table. The old
releases have packages for Python 3.11 and 3.12 only.
`--write-golden` leaves the peers' outputs in tests/ppo/golden/, where `tests/ppo/test_parity.py` reads them.
Prints a table, ends with one JSON line, and writes benchmarks/results/parity.json. Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from peers import inputs as given
from peers.comparisons import COMPARISONS, NOT_IN_PEER, PEERS, TOLERANCES, Comparison
from peers.environments import default_cache, run_peer
from peers.ours import Ours
from peers.output import read_outputs

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "parity.json"
GOLDEN = ROOT / "tests" / "ppo" / "golden"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder of the peers' environments")
    parser.add_argument("--write-golden", action="store_true", help="store the peers' outputs for the test")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    ours = {name: Ours(dtype) for name, dtype in given.DTYPES.items()}
    report: dict[str, Any] = {"machine": machine(), "inputs": described(), "peers": {}, "rows": []}
    with tempfile.TemporaryDirectory() as folder:
        for peer, name in PEERS.items():
            output = Path(folder) / f"{name}.safetensors"
            try:
                run_peer(name, settings.cache.resolve(), output)
            except subprocess.CalledProcessError as error:
                print(f"{peer}: exit code {error.returncode} of {' '.join(error.cmd)}", file=sys.stderr)
                return 2
            theirs, report["peers"][peer] = read_outputs(output)
            report["rows"] += [row(line, ours, theirs) for line in COMPARISONS if line.peer == peer]
            if settings.write_golden:
                GOLDEN.mkdir(exist_ok=True)
                shutil.copyfile(output, GOLDEN / output.name)
    report["not_in_peer"] = NOT_IN_PEER
    report["agree"] = all(line["verdict"] == "agree" for line in report["rows"])
    show(report)
    RESULTS.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(report))
    return 0 if report["agree"] else 1


def row(line: Comparison, ours: dict[str, Ours], theirs: dict[str, torch.Tensor]) -> dict[str, Any]:
    differences = {name: line.difference(ours[name], theirs[f"{name}/{line.key}"]) for name in TOLERANCES}
    agrees = all(differences[name] <= tolerance for name, tolerance in TOLERANCES.items())
    return {
        "quantity": line.quantity, "peer": line.peer, "function": line.function, **differences,
        "tolerance": TOLERANCES, "verdict": "agree" if agrees else "DIFFER", "convention": line.note,
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """What the numbers may depend on; no host name, no path."""
    packages = {name: version(name) for name in ("torch", "numpy")}
    here = {"processors": os.cpu_count(), "architecture": platform.machine(), "device": "cpu", "threads": 1}
    return here | {"python": platform.python_version(), "ours": packages}


def described() -> dict[str, Any]:
    names = ("SEED", "LENGTHS", "GAMMA", "LAM", "KL_COEF", "CLIP_RANGE", "VALUE_CLIP_RANGE")
    return {name.lower(): getattr(given, name) for name in names}


def show(report: dict[str, Any]) -> None:
    print(json.dumps(report["machine"] | {"peers": report["peers"]}, indent=1))
    print(json.dumps(report["inputs"]))
    notes = list(dict.fromkeys(line["convention"] for line in report["rows"]))  # the first is "none"
    limits = "  ".join(f"{name} {tolerance:g}" for name, tolerance in TOLERANCES.items())
    print(f"\nLargest absolute difference; tolerance {limits}")
    print(f"{'quantity':26}{'peer':12}{'their function':47}{'fp32':>8}{'fp64':>9}  verdict  conversion")
    for line in report["rows"]:
        print(
            f"{line['quantity']:26}{line['peer']:12}{line['function']:47}{line['fp32']:8.1e}{line['fp64']:9.1e}", end=""
        )
        index = notes.index(line["convention"])
        print(f"  {line['verdict']:9}{f'({index})' if index else '-'}")
    print("\nConversions, made in our numbers before they are compared:")
    print("\n".join(f"  ({index}) {note}" for index, note in enumerate(notes) if index))
    print("Nothing compared, because the peer does not have it:")
    print("\n".join(f"  {peer}: {what}" for peer, what in report["not_in_peer"].items()))
    agreeing = sum(line["verdict"] == "agree" for line in report["rows"])
    print(f"{agreeing} of {len(report['rows'])} agree\n")


if __name__ == "__main__":
    sys.exit(main())
