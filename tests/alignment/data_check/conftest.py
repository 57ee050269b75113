"""One way to run `align data check` in these tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from data_files import write

from alignment.command import main
from alignment.data_check.command import COMMAND


@dataclass
class Checked:
    """What a run of the command gave back."""

    code: int
    report: dict[str, Any]
    text: str

    @property
    def lines(self) -> dict[str, list[int | None]]:
        """Finding → its lines, in order."""
        return {each["finding"]: [case["line"] for case in each["cases"]] for each in self.report["findings"]}

    def detail(self, finding: str, number: int = 0) -> str:
        return next(each for each in self.report["findings"] if each["finding"] == finding)["cases"][number]["detail"]


@pytest.fixture
def check(tmp_path, capsys) -> Callable[..., Checked]:
    """check(records or path, *flags): dicts are written as JSON, text and bytes as they are, one a line."""

    def run(data: list[Any] | Path, *flags: str) -> Checked:
        path = data if isinstance(data, Path) else write(tmp_path / "data.jsonl", data)
        capsys.readouterr()
        code = main(COMMAND, [str(path), *flags, "--json"])
        printed = capsys.readouterr()
        assert code in (0, 1), printed.err
        return Checked(code, json.loads(printed.out), printed.err)

    return run
