"""Where annotators disagree, a reviewer ranks too: one more label, beside theirs. Nothing is overwritten."""

from __future__ import annotations

import json
import random
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from alignment.preferences.annotators import locked
from alignment.preferences.answers import answered, distinct
from alignment.preferences.errors import Refused
from alignment.preferences.events import LABEL, append, live
from alignment.preferences.leases import IDS, LEASE, OFFERED, own_assignment
from alignment.preferences.schema import ASSIGNMENTS, AUTHORS, EVENTS, TASKS
from alignment.preferences.views import TaskView, assignment, members, view

ADJUDICATE = "adjudicate"
"""The event of a reviewer who takes a task up. It tells their label of that task from an annotator's, through undo and edits."""


@dataclass(frozen=True)
class OthersAnswer:
    """What somebody else said, in the slots of whoever asks."""

    annotator: str
    tiers: list[list[str]]
    unranked: list[str]


def take_up(connection: Connection, now: int, name: str, task: int, draw: random.Random) -> TaskView:
    """The task with its cards in an order drawn for this reviewer, once. It holds no place until it is answered."""
    who = locked(connection, name)
    if who.quarantined or who.role not in ("reviewer", "admin"):
        raise Refused("closed", f"{name!r} is no reviewer who may adjudicate")
    found = connection.execute(select(TASKS).where(TASKS.c.number == task)).one_or_none()
    if found is None or (found.kind, found.purpose) != ("rank", "label"):
        raise Refused("unknown", f"task {task} is not known, or nothing that annotators rank")
    ids = list(connection.execute(IDS, {"of_task": task}).scalars())
    own = select(ASSIGNMENTS).where(ASSIGNMENTS.c.task == task, ASSIGNMENTS.c.annotator == name)
    there = connection.execute(own).one_or_none()
    lease = secrets.token_hex(16) if there is None else str(there.lease)
    if there is None:
        _require_neutral(connection, name, ids)
        shown = distinct(ids)
        draw.shuffle(shown)
        row = {"task": task, "annotator": name, "lease": lease, "shown": json.dumps(shown)}
        connection.execute(LEASE, row | {"state": OFFERED, "leased": now, "expires": now, "draft": None})
        append(connection, now, name, ADJUDICATE, {}, task=task, task_id=found.id)
    elif there.state != OFFERED:
        raise Refused("conflict", f"{name!r} has had this task before; another reviewer must adjudicate it")
    mine = assignment(connection, name, lease)
    assert mine is not None
    return view(connection, mine, members(connection, task))


def settled(connection: Connection) -> dict[int, set[str]]:
    """Task → the reviewers who took it up and whose answer stands."""
    found: dict[int, set[str]] = {}
    for task, name in connection.execute(SETTLED).tuples():
        found.setdefault(task, set()).add(name)
    return found


def others(connection: Connection, name: str, lease: str) -> list[OthersAnswer]:
    """Standing answers of all others to a task that this reviewer has adjudicated. Refused before that."""
    mine = own_assignment(connection, name, lease, to_change=False)
    if name not in settled(connection).get(mine.task, ()):
        raise Refused("closed", "what others said is told once you have adjudicated the task yourself")
    ids = [row.response_id for row in members(connection, mine.task)]
    wanted = select(EVENTS).where(
        EVENTS.c.task == mine.task, EVENTS.c.kind == LABEL, EVENTS.c.annotator != name, live()
    )
    made = []
    for row in connection.execute(wanted.order_by(EVENTS.c.number)):
        told: dict[str, Any] = answered(mine.kind, json.loads(row.body), json.loads(mine.shown), ids)
        made.append(OthersAnswer(row.annotator, told["tiers"], told["unranked"]))
    return made


def _require_neutral(connection: Connection, name: str, ids: list[str]) -> None:
    wrote = select(AUTHORS).where(AUTHORS.c.annotator == name, AUTHORS.c.response_id.in_(ids)).limit(1)
    if connection.execute(wrote).first() is not None:
        raise Refused("conflict", f"{name!r} wrote one of the responses; another reviewer must adjudicate the task")


_LABEL = EVENTS.alias("label")
_LATER = EVENTS.alias("later")
SETTLED = (
    select(EVENTS.c.task, EVENTS.c.annotator)
    .join(_LABEL, (_LABEL.c.task == EVENTS.c.task) & (_LABEL.c.annotator == EVENTS.c.annotator))
    .where(EVENTS.c.kind == ADJUDICATE, _LABEL.c.kind == LABEL)
    .where(~select(_LATER.c.number).where(_LATER.c.supersedes == _LABEL.c.number).exists())
    .distinct()
)
