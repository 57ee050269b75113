"""What stages learn from: a file of records, or `store:URL@SNAPSHOT`, a snapshot of the preference store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from alignment import records
from alignment.records import Demonstration, Ranking, Verdict

SNAPSHOTS: dict[str, str] = {}
"""`store:URL` as a setting named it → `store:URL@SNAPSHOT`, which was its newest when this process read it; `run.json` keeps it."""


def read_demonstrations(path: str | Path, name: str = "--data") -> list[Demonstration]:
    """`records.read_demonstrations`, or those of a snapshot. A UserError speaks of the setting `name`."""
    if _in_a_store(path):
        return _from_store(path, name, "demonstrations")
    return records.read_demonstrations(path, name)


def read_rankings(
    path: str | Path, name: str = "--rankings", group_fields: tuple[str, ...] = ("group",)
) -> list[Ranking]:
    """`records.read_rankings`, or those of a snapshot, whose group counts where `group_fields` has "group"."""
    if _in_a_store(path):
        return _grouped(_from_store(path, name, "rankings"), group_fields)
    return records.read_rankings(path, name, group_fields)


def read_verdicts(path: str | Path, group_fields: tuple[str, ...] = ("group",)) -> list[Verdict]:
    """`records.read_verdicts`, or those of a snapshot, as `read_rankings`."""
    if _in_a_store(path):
        return _grouped(_from_store(path, "--verdicts", "verdicts"), group_fields)
    return records.read_verdicts(path, group_fields)


def _in_a_store(path: str | Path) -> bool:
    return str(path).startswith("store:")


def _from_store(path: str | Path, name: str, kind: str) -> list[Any]:
    from alignment.preferences.references import records_at  # loads a database, which most runs need not

    return records_at(str(path), name, kind)


def _grouped(found: list[Any], group_fields: tuple[str, ...]) -> list[Any]:
    return found if "group" in group_fields else [replace(one, group=None) for one in found]
