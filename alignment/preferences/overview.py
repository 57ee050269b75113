"""What the team looks at: progress, known answers, the audit trail."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, case, func, select

from alignment.labeling import iso_time
from alignment.preferences.events import LABEL
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


def known_answers(connection: Connection) -> dict[int, tuple[int | None, ...]]:
    """Task → the known ranks by position, of gold and practice items."""
    return {row.task: tuple(json.loads(row.ranks)) for row in connection.execute(select(GOLD))}


def audit(connection: Connection, after: int, limit: int) -> list[AuditEntry]:
    """Events with a number above `after`, oldest first."""
    wanted = ENTRIES.where(EVENTS.c.number > after).order_by(EVENTS.c.number)
    return [_entry(row) for row in connection.execute(wanted.limit(limit))]


def trail(connection: Connection, before: int | None, limit: int, by: str | None, kind: str | None) -> list[AuditEntry]:
    """Events with a number below `before`, newest first. by, kind: only that person's, or of that kind."""
    wanted = ENTRIES.order_by(EVENTS.c.number.desc())
    for column, value in ((EVENTS.c.annotator, by), (EVENTS.c.kind, kind)):
        wanted = wanted if value is None else wanted.where(column == value)
    wanted = wanted if before is None else wanted.where(EVENTS.c.number < before)
    return [_entry(row) for row in connection.execute(wanted.limit(limit))]


def newest(connection: Connection) -> int:
    return connection.execute(select(func.max(EVENTS.c.number))).scalar() or 0


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


ENTRIES = select(EVENTS, TASKS.c.id.label("task_id")).outerjoin(TASKS, TASKS.c.number == EVENTS.c.task)


def _entry(row: Row) -> AuditEntry:
    at, body = iso_time(row.created), json.loads(row.body)
    return AuditEntry(row.number, at, row.annotator, row.kind, row.task_id, row.supersedes, body)
