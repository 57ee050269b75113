"""Kills `align label` again and again while people label, and compares what they were told with what the store holds.

    python benchmarks/chaos.py [--labels N] [--kills N] [--people N] [--store sqlite|postgresql|both] [--folder DIR]

A real server in team mode, on SQLite in a file in DIR (a disk, not memory) and on a fresh PostgreSQL cluster. Simulated
annotators (`busy.py`), each with a login of their own, answer --labels tasks' places, and also keep drafts, skip, undo, correct
and repeat; whatever gets no answer is sent again under the same key. Meanwhile SIGKILL hits the server at --kills moments, drawn
from --seed between 2 % and 95 % of the labels, with nothing to warn it, and it is started again; once, in the middle, every
process of PostgreSQL too. --copies times `align store snapshot`, `backup`, `restore` and `verify` run under that load.

What must come out (exit code 1 else): every fault of `acknowledged.FAULTS` 0 times, no request refused or answered with an
error but 503, `align store verify` without a fault, SQLite's journal as promised. Of each copy: the backup holds all that was
acknowledged before it began; the snapshot that was taken just before is in it; the restored store verifies; a snapshot of
it has the name that the backup printed as its digest; each event in it is, to its digest, an event of the store in the end.

Takes 2 to 3 minutes a store for 10,000 labels and 20 kills on an idle machine of 2 cores. Prints a line for each kill and copy,
ends with one JSON line and leaves it in `benchmarks/results/chaos.json`, where a run of one store keeps the other's figures.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from labeling_server import Process  # noqa: E402
from nursery import quiet_port  # noqa: E402
from postgres import REASON, Cluster, binaries  # noqa: E402
from store import machine  # noqa: E402
from storm import Storm, over, people_file, prepare  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "chaos.json"
STORES = ("sqlite", "postgresql")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, value in vars(Storm()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--store", choices=(*STORES, "both"), default="both")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    storm = Storm(**{name: getattr(options, name) for name in vars(Storm())})
    chosen = STORES if options.store == "both" else (options.store,)
    if "postgresql" in chosen and binaries() is None:
        print(REASON, file=sys.stderr)
        return 2
    result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}
    for name in chosen:
        result[name] = {"machine": machine(), "storm": vars(storm), **run(storm, name, options.folder)}
        RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: result[name] for name in chosen}))
    return 0 if all(result[name]["passed"] for name in chosen) else 1


class Command(Process):
    """`align label` as a user starts it, on a port that no outgoing connection can be given."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(folder, *arguments)
        self.port = quiet_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        seconds = super().start()
        threading.Thread(target=shutil.copyfileobj, args=(self.child.stdout, sys.stderr), daemon=True).start()
        return seconds


def run(storm: Storm, name: str, where: Path) -> dict[str, Any]:
    """The storm over the command itself."""
    cluster = Cluster(fast=False) if name == "postgresql" else None
    try:
        with tempfile.TemporaryDirectory(dir=where) as made:
            folder = Path(made)
            url = str(folder / "labels.db") if cluster is None else cluster.new_database()
            auth = people_file(folder, storm.people)
            server = Command(folder, "--store", url, "--auth", str(auth))
            prepare(url, storm)
            return asyncio.run(over(storm, server, url, folder, cluster))
    finally:
        if cluster is not None:
            cluster.stop()


if __name__ == "__main__":
    sys.exit(main())
