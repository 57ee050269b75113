"""The log in plain words. It says what was done, never what a response is called or where it really stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from alignment.preferences.overview import AuditEntry
from alignment.preferences.store import Store

Body = dict[str, Any]

SETTING = ("quarantine", "release")


def in_words(entry: AuditEntry) -> dict[str, Any]:
    """An event for the page: {event, at, by, kind, said}."""
    said = SAID.get(entry.kind, lambda _: entry.kind)(entry.body)
    task = f" (task {entry.task[:8]})" if entry.task else ""
    replaced = f", in place of event {entry.supersedes}" if entry.supersedes and entry.kind == "label" else ""
    return {"event": entry.event, "at": entry.at, "by": entry.by, "kind": entry.kind, "said": said + replaced + task}


def people(store: Store) -> list[dict[str, Any]]:
    """Everybody who may label, and whoever is set aside: [{name, role, quarantined, reason, by, at}], the last three of the
    newest quarantine or release."""
    newest: dict[str, AuditEntry] = {}
    for entry in sorted(
        (one for kind in SETTING for one in store.trail(limit=10_000, kind=kind)), key=lambda one: one.event
    ):
        newest[entry.body["name"]] = entry
    return [
        {"name": one.name, "role": one.role, "quarantined": one.quarantined, **_why(newest.get(one.name))}
        for one in store.annotators()
        if one.role != "imported" or one.name in newest
    ]


def _why(entry: AuditEntry | None) -> dict[str, str | None]:
    if entry is None:
        return {"reason": None, "by": None, "at": None}
    return {"reason": entry.body["reason"], "by": entry.by, "at": entry.at}


def _label(body: Body) -> str:
    if "imported" in body:
        return "brought in a label"
    return (
        _answer(body)
        + (f", in {body['seconds']:g} seconds" if "seconds" in body else "")
        + (", after its time: it does not count" if body.get("late") else "")
    )


def _answer(body: Body) -> str:
    if "ranks" in body:
        cards = [body["ranks"][position] for position in body["shown"]]  # identical responses share one
        compared = [rank for rank in cards if rank is not None]
        ties = len(compared) - len(set(compared))
        return f"ranked {len(compared)} responses" + (", with ties" if ties else "")
    if "verdict" in body:
        return f"judged a response: {body['verdict']}"
    return "edited a response" if "position" in body else "wrote a response"


def _tasks(body: Body) -> str:
    return (
        f"added {body['new']:,} tasks ({body['kind']}, {body['overlap']:,} labels each); {body['known']:,} were there"
    )


def _gold(body: Body) -> str:
    return f"added {body['new']:,} {'practice' if body['practice'] else 'gold'} items"


def _snapshot(body: Body) -> str:
    held = ", ".join(f"{count:,} {kind}" for kind, count in body["counts"].items() if count)
    return f"took the snapshot {body['digest'][:12]}: {held}"


SAID: dict[str, Callable[[Body], str]] = {
    "label": _label,
    "skip": lambda body: f"skipped: {body['reason'] or 'no reason given'}",
    "undo": lambda _: "took an answer back",
    "adjudicate": lambda _: "took up a disagreement",
    "tasks": _tasks,
    "gold": _gold,
    "annotator": lambda body: f"{body['name']} is {body['role']} from now on",
    "quarantine": lambda body: f"set {body['name']} aside: {body['reason']}",
    "release": lambda body: f"released {body['name']}: {body['reason']}",
    "snapshot": _snapshot,
    "reward_change": lambda body: f"compared the reward model {body['new']['model']} with {body['old']['model']}",
    "import": lambda body: f"brought in {body['new']:,} labels; {body['known']:,} were there",
}
"""Kind of event → what it says."""
