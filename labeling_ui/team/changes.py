"""What the latest rankings changed in the reward model: the newest result of `align reward changes` that the store keeps."""

from __future__ import annotations

from typing import Any

from alignment.preferences.overview import AuditEntry
from alignment.report import changes, words
from alignment.report.document import Section, Table, say
from labeling_ui.team.material import Material
from labeling_ui.team.pictures import plain_section

TITLE = "Reward model"

EARLIER = 10
"""Comparisons before the newest that have a line."""


def section(material: Material) -> dict[str, Any]:
    """With its own `basis`: it is computed from no label here."""
    found = material.store.reward_changes(1 + EARLIER)
    if not found:
        return {**plain_section(_nothing()), "basis": ""}
    change = found[0].body
    made = Section(
        "changes",
        TITLE,
        verdict=changes.verdict(change),
        figures=changes.figures(change),
        tables=[*changes.tables(change), *_earlier(found[1:])],
        answers=[changes.most_changed(change)],
    )
    return {**plain_section(made), "basis": f"Compared by align reward changes at {_when(found[0])}."}


def _nothing() -> Section:
    lead = say(
        "No two reward models are compared yet. After training on a new snapshot, {} tells what the new rankings changed, and keeps "
        "it in this store.",
        "align reward changes NEW --against OLD --output DIRECTORY",
    )
    return Section("changes", TITLE, [lead])


def _earlier(entries: list[AuditEntry]) -> list[Table]:
    rows = []
    for entry in entries:
        old, new = changes.names(entry.body)
        found = entry.body["parts"]["new"]
        shares = [words.percent(found[name]["value"]) for name in ("accuracy_old", "accuracy_new")]
        rows.append([_when(entry), new, old, f"{entry.body['n_new']:,}", *shares])
    head = ["kept", "newer", "older", "new rankings", "older right", "newer right"]
    return [Table("Earlier comparisons", head, rows)] if rows else []


def _when(entry: AuditEntry) -> str:
    return f"{entry.at[:16].replace('T', ' ')} UTC"
