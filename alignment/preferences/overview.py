"""What the team looks at: progress, known answers, the audit trail."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, case, func, select, text

from alignment.labeling import iso_time
from alignment.preferences.events import LABEL
from alignment.preferences.schema import ASSIGNMENTS, EVENTS, GOLD, PROMPTS, RESPONSES, TALLIES, TASKS


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


def progress(connection: Connection, annotator: str | None, wanted: int) -> Progress:
    """wanted: of `wanted`. Reads a few rows for each annotator, however many labels there are."""
    everybody, mine = _states(connection, None), _states(connection, annotator)
    # From the leases, by their partial index (which takes a literal alone): from the tasks it would read a million rows
    task = select(TASKS.c.number).where(TASKS.c.number == ASSIGNMENTS.c.task, TASKS.c.purpose == "label")
    leased = select(func.count()).select_from(ASSIGNMENTS).where(text("assignments.state = 'leased'"), task.exists())
    out = connection.execute(leased).scalar_one()
    done = mine.get("done", 0) + mine.get("late", 0)
    return Progress(done, mine.get("skipped", 0), wanted, everybody.get("done", 0), out)


def wanted(connection: Connection) -> int:
    """Labels that all tasks ask for. Reads an index over all tasks: 30 ms for a million."""
    asked = select(func.sum(TASKS.c.overlap)).where(TASKS.c.purpose == "label")
    return int(connection.execute(asked).scalar() or 0)


def _states(connection: Connection, annotator: str | None) -> dict[str, int]:
    """state → tasks, the annotator's or everybody's."""
    found = select(TALLIES.c.state, func.sum(TALLIES.c.tasks)).group_by(TALLIES.c.state)
    if annotator is not None:
        found = found.where(TALLIES.c.annotator == annotator)
    return {state: int(tasks) for state, tasks in connection.execute(found).tuples()}


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
