"""What the team looks at: progress, gold items, the audit trail."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, select

from alignment.labeling import iso_time
from alignment.preferences.events import LABEL
from alignment.preferences.reading import labels
from alignment.preferences.schema import ASSIGNMENTS, EVENTS, GOLD, PROMPTS, RESPONSES, TASKS


@dataclass(frozen=True)
class Progress:
    """done, skipped: the annotator's, or everybody's. wanted: labels that all tasks ask for. labels: how many of those are
    there. out: on somebody's screen now. Gold and practice items are left out."""

    done: int
    skipped: int
    wanted: int
    labels: int
    out: int


@dataclass(frozen=True)
class GoldResult:
    """An annotator's answer to a gold item. right, pairs: how many of the known strict pairs were ordered so."""

    annotator: str
    event: int
    right: int
    pairs: int


@dataclass(frozen=True)
class AuditEntry:
    """One event as people read it. by: "" where a program did it and nobody is named."""

    event: int
    at: str
    by: str
    kind: str
    task: str | None
    supersedes: int | None
    body: dict[str, Any]


def progress(connection: Connection, annotator: str | None) -> Progress:
    """Reads every task: keep what it says for a few seconds where many ask."""
    own = ASSIGNMENTS.c
    states = select(own.state, func.count()).join(TASKS, TASKS.c.number == own.task).where(TASKS.c.purpose == "label")
    counts: dict[str, int] = dict(connection.execute(states.group_by(own.state)).tuples().all())
    wanted = connection.execute(select(func.sum(TASKS.c.overlap)).where(TASKS.c.purpose == "label")).scalar() or 0
    mine = counts
    if annotator is not None:
        chosen = states.where(own.annotator == annotator)
        mine = dict(connection.execute(chosen.group_by(own.state)).tuples().all())
    done = mine.get("done", 0) + mine.get("late", 0)
    return Progress(done, mine.get("skipped", 0), int(wanted), counts.get("done", 0), counts.get("leased", 0))


def gold_results(connection: Connection, practice: bool) -> list[GoldResult]:
    """Every standing answer to a gold item (or a practice item), of quarantined annotators too."""
    known = {row.task: json.loads(row.ranks) for row in connection.execute(select(GOLD))}
    made = []
    for label in labels(connection, purpose="practice" if practice else "gold", quarantined=True):
        true, said = known[label.task], label.body["ranks"]
        pairs = [(i, j) for i, a in enumerate(true) for j, b in enumerate(true) if a and b and a < b]
        right = sum(bool(said[i] and said[j] and said[i] < said[j]) for i, j in pairs)
        made.append(GoldResult(label.annotator, label.event, right, len(pairs)))
    return made


def audit(connection: Connection, after: int, limit: int) -> list[AuditEntry]:
    """Events with a number above `after`, oldest first."""
    wanted = select(EVENTS, TASKS.c.id.label("task_id")).outerjoin(TASKS, TASKS.c.number == EVENTS.c.task)
    rows = connection.execute(wanted.where(EVENTS.c.number > after).order_by(EVENTS.c.number).limit(limit))
    return [
        AuditEntry(
            row.number,
            iso_time(row.created),
            row.annotator,
            row.kind,
            row.task_id,
            row.supersedes,
            json.loads(row.body),
        )
        for row in rows
    ]


def counts(connection: Connection) -> dict[str, int]:
    """How much the store holds."""
    label = case((EVENTS.c.kind == LABEL, 1))
    return {
        "prompts": connection.execute(select(func.count()).select_from(PROMPTS)).scalar_one(),
        "responses": connection.execute(select(func.count()).select_from(RESPONSES)).scalar_one(),
        "tasks": connection.execute(select(func.count()).select_from(TASKS)).scalar_one(),
        "labels": connection.execute(select(func.count(label)).select_from(EVENTS)).scalar_one(),
        "events": connection.execute(select(func.count()).select_from(EVENTS)).scalar_one(),
    }
