"""How the work goes on: by kind of task, by day, and why tasks were skipped."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from alignment.preferences.events import LABEL, SKIP, live
from alignment.preferences.schema import ASSIGNMENTS, EVENTS, TASKS

DAY_MS = 86_400_000

MOST_REASONS = 1_000
"""Different reasons that are read; they are free text."""


@dataclass(frozen=True)
class Kind:
    """A kind of task: how many there are, labels they ask for, labels there are, out on leases now, skips."""

    kind: str
    tasks: int
    wanted: int
    labels: int
    out: int
    skipped: int


@dataclass(frozen=True)
class Headway:
    """Gold and practice items are left out. days: (days since 1970 in UTC, kind of task) → labels that were given here and
    stand. brought: standing labels that were made elsewhere. reasons: of skips, most frequent first. skips: annotator →
    tasks that they skipped."""

    kinds: list[Kind]
    days: dict[tuple[int, str], int]
    brought: int
    reasons: list[tuple[str, int]]
    skips: dict[str, int]


def headway(connection: Connection) -> Headway:
    """Reads every task and every event: keep what it says for a while."""
    days = _days(connection)
    standing = select(func.count()).select_from(EVENTS).join(TASKS, TASKS.c.number == EVENTS.c.task)
    standing = standing.where(EVENTS.c.kind == LABEL, TASKS.c.purpose == "label", live())
    brought = connection.execute(standing).scalar_one() - sum(days.values())
    return Headway(_kinds(connection), days, brought, _reasons(connection), _skips(connection))


def _kinds(connection: Connection) -> list[Kind]:
    own = ASSIGNMENTS.c
    tasks = select(TASKS.c.kind, func.count(), func.sum(TASKS.c.overlap)).where(TASKS.c.purpose == "label")
    asked = {row[0]: (row[1], int(row[2])) for row in connection.execute(tasks.group_by(TASKS.c.kind))}
    states = select(TASKS.c.kind, own.state, func.count()).join(TASKS, TASKS.c.number == own.task)
    states = states.where(TASKS.c.purpose == "label").group_by(TASKS.c.kind, own.state)
    held = {(row[0], row[1]): row[2] for row in connection.execute(states)}
    return [
        Kind(kind, *asked[kind], *(held.get((kind, state), 0) for state in ("done", "leased", "skipped")))
        for kind in ("rank", "write", "edit", "judge")
        if kind in asked
    ]


def _days(connection: Connection) -> dict[tuple[int, str], int]:
    """Labels that were brought in have no assignment, and so no day."""
    day = (EVENTS.c.created // DAY_MS).label("day")
    given = (ASSIGNMENTS.c.task == EVENTS.c.task) & (ASSIGNMENTS.c.annotator == EVENTS.c.annotator)
    wanted = select(day, TASKS.c.kind, func.count()).select_from(EVENTS).join(ASSIGNMENTS, given)
    wanted = wanted.join(TASKS, TASKS.c.number == EVENTS.c.task)
    wanted = wanted.where(EVENTS.c.kind == LABEL, TASKS.c.purpose == "label", live()).group_by(day, TASKS.c.kind)
    return {(int(row[0]), row[1]): row[2] for row in connection.execute(wanted)}


def _reasons(connection: Connection) -> list[tuple[str, int]]:
    count = func.count().label("count")
    wanted = select(EVENTS.c.body, count).join(TASKS, TASKS.c.number == EVENTS.c.task)
    wanted = wanted.where(EVENTS.c.kind == SKIP, TASKS.c.purpose == "label").group_by(EVENTS.c.body)
    found: Counter[str] = Counter()
    for body, times in connection.execute(wanted.order_by(count.desc()).limit(MOST_REASONS)).tuples():
        found[json.loads(body)["reason"].strip()] += times
    return found.most_common()


def _skips(connection: Connection) -> dict[str, int]:
    own = ASSIGNMENTS.c
    wanted = select(own.annotator, func.count()).where(own.state == "skipped").group_by(own.annotator)
    return dict(connection.execute(wanted).tuples().all())
