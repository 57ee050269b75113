"""Runs as they lie on disk. A run is known by its `run.json`; what else it left is read when it is asked for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from alignment.config import yaml_problem
from alignment.errors import UserError
from alignment.history import HISTORY

RECORD = "run.json"
CHANGES = "changes.json"


@dataclass(frozen=True)
class Run:
    """One run: of a stage (`folder` is its output) or of a command that wrote a single file (then the files beside it).

    name: what the page calls it, the folder's or the file's name."""

    folder: Path
    name: str
    prefix: str = ""

    @cached_property
    def record(self) -> dict[str, Any]:
        return self._json(RECORD)

    @cached_property
    def metrics(self) -> dict[str, Any]:
        return self._json("metrics.json")

    @cached_property
    def config(self) -> dict[str, Any]:
        path = self._path("config.yaml")
        try:
            return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UserError(
                f"{path}: cannot be read ({yaml_problem(error)}); a run leaves it, so run the command again"
            ) from error

    @cached_property
    def change(self) -> dict[str, Any]:
        """What `align reward changes` found."""
        return self._json(CHANGES)

    @property
    def command(self) -> str:
        return str(self.record.get("command", "unknown"))

    @property
    def seeds(self) -> int:
        return int(self.record.get("seeds", 1))

    @property
    def anchor(self) -> str:
        """Its id on the page."""
        return "run-" + "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in self.name)

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """A dict a logged step, {"step": …, "family/quantity": number or None}; [] where the run keeps none."""
        return self.lines(HISTORY)

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The objects of a JSONL file that the run left; [] where it left none."""
        path = self._path(name)
        if not path.is_file():
            return []
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read ({error}); remove it, or run the command again") from error

    def curve(self, metric: str) -> tuple[list[float], list[float]]:
        """(steps, values) of a logged metric, without the steps at which it is missing or was not finite."""
        points = [(line["step"], line[metric]) for line in self.history if line.get(metric) is not None]
        return [float(step) for step, _ in points], [float(value) for _, value in points]

    def _path(self, name: str) -> Path:
        return self.folder / f"{self.prefix}{name}"

    def _json(self, name: str) -> dict[str, Any]:
        path = self._path(name)
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read ({error}); a run leaves it, so run the command again") from error
        if not isinstance(value, dict):
            raise UserError(f"{path}: holds no JSON object; a run leaves one, so run the command again")
        return value


@dataclass(frozen=True)
class Found:
    """What a directory holds: a run of its own, and runs in the folders and files below it, in the order they started."""

    folder: Path
    own: Run | None
    stages: list[Run]
    files: list[Run]


def find(folder: str | Path, name: str | None = None) -> Found:
    """The runs in a directory; UserError where there is none. name: what it is called, where not as on disk."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such directory; give a directory that a stage wrote, or a folder of several")
    name = name or folder.resolve().name
    own = Run(folder, name) if (folder / RECORD).is_file() else None
    stages = [Run(path.parent, path.parent.name) for path in folder.glob(f"[!.]*/{RECORD}")]
    files = [
        Run(folder, path.name[: -len(RECORD) - 1], path.name[: -len(RECORD)]) for path in folder.glob(f"*.{RECORD}")
    ]
    if own is None and not stages:
        raise UserError(
            f"{folder}: holds no run (no {RECORD} in it or in a folder below); give a directory that a stage wrote, "
            "or a folder of several"
        )
    return Found(folder, own, sorted(stages, key=started), sorted(files, key=started))


def started(run: Run) -> tuple[str, str]:
    """The order of a page: when runs started, in UTC."""
    return str(run.record.get("started", "")), run.name
