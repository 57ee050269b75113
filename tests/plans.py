"""What every `--dry-run` owes: it writes nothing, draws nothing, and refuses what the run refuses."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy
import torch
from refusals import listing

from alignment.command import Command, main
from alignment.report.write import REPORT

MODEL_FILES = (".safetensors", "config.json", "tokenizer.json", "tokenizer_config.json", "README.md", ".jinja")


def states() -> tuple[str, str, list[int]]:
    return str(random.getstate()), str(numpy.random.get_state()), torch.get_rng_state().tolist()


def planned(capsys, monkeypatch, command: Command, arguments: list[str], folder: Path) -> dict[str, Any]:
    """The plan that `--dry-run --json` prints; everything below `folder` (temporary files too) and every random number
    generator is as before."""
    (folder / "temporary").mkdir(exist_ok=True)
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "temporary"))
    before, drawn = contents(folder), states()
    code = main(command, [*arguments, "--dry-run", "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert contents(folder) == before
    assert states() == drawn
    assert printed.err.count("a dry run, nothing was written") == 1
    plan = json.loads(printed.out.splitlines()[-1])
    assert plan["dry_run"]
    assert plan["seconds"] == sum(part["seconds"] for part in plan["parts"]) > 0
    assert plan["process_peak_memory_bytes"] > 10**8
    return plan


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below the folder with what is in it, and every directory, but for torch's own cache of kernels."""
    paths = {name: folder / name for name in listing(folder) if "torchinductor" not in name}
    return {name: path.read_bytes() if path.is_file() else b"" for name, path in paths.items()}


def ran(capsys, command: Command, arguments: list[str]) -> dict[str, Any]:
    """The metrics of the run itself."""
    code = main(command, [*arguments, "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out.splitlines()[-1])


def wrote_what_was_planned(plan: dict[str, Any], output: Path) -> None:
    """`writes` names all that the run has left, but for the files of a model and its tokenizer."""
    files = {str(path) for path in output.rglob("*") if path.is_file() and not path.name.endswith(MODEL_FILES)}
    state = {str(path) for path in output.rglob("state/*")}
    report = str(output / REPORT)  # tests that are not about reports draw none
    planned = [path for path in plan["writes"] if path != report]
    assert len(planned) == len(plan["writes"]) - 1
    assert {path for path in planned if Path(path).is_file()} == files | state
    assert all(Path(path).exists() for path in planned)


def refused_alike(capsys, command: Command, arguments: list[str], *phrases: str) -> None:
    """Run and dry run end with exit code 2 and the same sentence."""
    sentences = []
    for more in ([], ["--dry-run"]):
        assert main(command, [*arguments, *more]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "Traceback" not in printed.err
        sentences.append(printed.err.strip().splitlines()[-1])
    assert sentences[0] == sentences[1]
    for phrase in phrases:
        assert phrase in sentences[0], sentences[0]
