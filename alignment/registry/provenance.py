"""How a model was made, from what its run left beside it: settings, versions, metrics, and what its inputs were."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from alignment.durable import file_sha256
from alignment.errors import UserError
from alignment.registry.artifacts import Artifacts
from alignment.registry.errors import Damaged
from alignment.registry.manifest import Parent
from alignment.registry.model import artifact_of, directory_digest

OUTPUTS = ("output", "workspace")
"""Settings that name what a run wrote."""

Facts = dict[str, Any]


def run_facts(folder: Path) -> Facts:
    """The manifest's fields that the run's own files tell; without them, as for a model from elsewhere, they are empty."""
    run, settings = _json(folder / "run.json"), _yaml(folder / "config.yaml")
    return {
        "command": _text(run.get("command")),
        "started": _text(run.get("started")),
        "settings": settings,
        "changed": {
            name: one.get("value") for name, one in _object(run.get("changed")).items() if isinstance(one, dict)
        },
        "versions": _object(run.get("versions")),
        "metrics": _json(folder / "metrics.json"),
    }


def newest_snapshots(folder: Path) -> dict[str, Any]:
    """`store:URL` → `store:URL@SNAPSHOT`, which a run read where its settings named only the store."""
    return _object(_json(folder / "run.json").get("snapshots"))


def sources(
    settings: dict[str, Any], named: dict[str, Any], artifacts: Artifacts
) -> tuple[list[Parent], dict[str, list[dict[str, Any]]]]:
    """(parents, inputs): what the settings of a run named and what is there now. Relative paths are those of this process.

    named: what `newest_snapshots` found. A model of the registry's is a parent; another model, a file, a function's file or a snapshot of labels an input."""
    parents: list[Parent] = []
    inputs: dict[str, list[dict[str, Any]]] = {}
    for name, value in settings.items():
        for given in _parts(value) if name not in OUTPUTS else ():
            found = _source(str(named.get(given, given)), artifacts)
            if isinstance(found, str):
                parents.append(Parent(name, found))
            elif found:
                inputs.setdefault(name, []).append(found)
    return parents, inputs


def _parts(value: Any) -> list[str]:
    """The single references in a setting; several files have commas between them."""
    if not isinstance(value, str):
        return []
    return [value] if value.startswith("store:") else [part.strip() for part in value.split(",") if part.strip()]


def _source(given: str, artifacts: Artifacts) -> str | Facts | None:
    """An artifact's name, what else it is, or None where it names nothing that is there."""
    if given.startswith("store:"):
        return _labels(given)
    path = Path(given.removeprefix("reward-model:"))
    try:
        if path.is_dir():
            return _model(path, artifacts)
        file = path if path.is_file() else Path(re.sub(r":\w+$", "", given))  # opinions.py:length
        return {"given": given, "sha256": file_sha256(file)} if file.is_file() else None
    except OSError:
        return None


def _model(path: Path, artifacts: Artifacts) -> str | Facts:
    try:
        return artifact_of(path, artifacts) or {
            "given": str(path),
            "content": directory_digest(path.resolve(), str(path), artifacts),
        }
    except (UserError, Damaged):  # a directory that could not be stored: nothing of ours
        return {"given": str(path), "content": None}


def _labels(given: str) -> Facts:
    """The snapshot's name; without a password that its URL may hold."""
    from alignment.preferences.engine import reference, shown_url, store_url  # loads a database's driver

    found = reference(given)
    url, snapshot = found if found else (given.removeprefix("store:"), None)
    return {"given": f"store:{shown_url(store_url(url))}", "snapshot": snapshot}


def _json(path: Path) -> Facts:
    try:
        return _object(json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant))
    except (OSError, ValueError, RecursionError):
        return {}


def _yaml(path: Path) -> Facts:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        return _object(json.loads(json.dumps(value, default=str, allow_nan=False)))
    except (OSError, ValueError, TypeError, yaml.YAMLError, RecursionError):
        return {}


def _object(value: Any) -> Facts:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _no_constant(word: str) -> Any:
    raise ValueError(f"holds {word}")
