"""Who gets which task next. A task is leased for a while; what is not answered by then goes to somebody else.

The count of taken labels lives in the task's own row and is changed under that row's lock. A condition that counts other
rows would be checked against the state before a lock was waited for, and hand out one label too many."""

from __future__ import annotations

import json
import random
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, Row, insert, select, update

from alignment.preferences.annotators import locked
from alignment.preferences.answers import distinct
from alignment.preferences.errors import Refused
from alignment.preferences.schema import ASSIGNMENTS, AUTHORS, TASK_RESPONSES, TASKS
from alignment.preferences.views import TaskView, assignment, members, view

CLOCK_TOLERANCE_MS = 60_000
"""Clocks of several servers may differ by this much. A lease that begins later than that from now was given before the
clock was set back: it counts as run out, or it would last for as long as the clock went back."""

RECLAIMED_AT_ONCE = 50


@dataclass(frozen=True)
class Terms:
    """lease_ms: how long an annotator has. gold_share: share of turns at which a gold item is given if there is one.
    draw: shuffles the cards and takes the turns for gold."""

    lease_ms: int
    gold_share: float
    draw: random.Random


def next_task(connection: Connection, now: int, name: str, terms: Terms, practice: bool) -> TaskView | None:
    """The task that the annotator holds already, or the next one; None where there is none for them."""
    who = locked(connection, name)
    if who.quarantined or who.role == "imported":
        what = "is quarantined; a reviewer must release them first" if who.quarantined else "is only known from imports"
        raise Refused("closed", f"annotator {name!r} {what}")
    reclaim(connection, now)
    held = _held(connection, name, practice)
    task = held if held is not None else _find(connection, name, terms, practice)
    if task is None:
        return None
    lease = _lease(connection, now, name, task, terms) if held is None else _renew(connection, now, name, task, terms)
    found = assignment(connection, name, lease)
    assert found is not None
    return view(connection, found)


def reclaim(connection: Connection, now: int) -> None:
    """Leases that have run out give their place back."""
    own = ASSIGNMENTS.c
    due = (own.expires <= now) | (own.leased > now + CLOCK_TOLERANCE_MS)
    wanted = (
        select(own.task, own.annotator)
        .where(own.state == "leased", due)
        .order_by(own.task)
        .limit(RECLAIMED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    for task, annotator in connection.execute(wanted).all():
        mine = update(ASSIGNMENTS).where(own.task == task, own.annotator == annotator)
        connection.execute(mine.values(state="expired"))
        give_back(connection, task)


def take(connection: Connection, task: int) -> bool:
    """One of the task's places, where one is left."""
    free = update(TASKS).where(TASKS.c.number == task, TASKS.c.taken < TASKS.c.overlap)
    return connection.execute(free.values(taken=TASKS.c.taken + 1)).rowcount == 1


def give_back(connection: Connection, task: int) -> None:
    connection.execute(update(TASKS).where(TASKS.c.number == task).values(taken=TASKS.c.taken - 1))


def _held(connection: Connection, name: str, practice: bool) -> int | None:
    own = ASSIGNMENTS.c
    purposes = ("practice",) if practice else ("label", "gold")
    wanted = select(own.task).join(TASKS, TASKS.c.number == own.task)
    wanted = wanted.where(own.annotator == name, own.state == "leased", TASKS.c.purpose.in_(purposes))
    return connection.execute(wanted.order_by(own.leased).limit(1)).scalar()


def _find(connection: Connection, name: str, terms: Terms, practice: bool) -> int | None:
    if practice:
        return _open_task(connection, name, "practice")
    expired = _own_expired(connection, name)
    if expired is not None:
        return expired
    if terms.draw.random() < terms.gold_share:
        gold = _open_task(connection, name, "gold")
        if gold is not None:
            return gold
    return _open_task(connection, name, "label")


def _own_expired(connection: Connection, name: str) -> int | None:
    """A task that the annotator had begun, still free: its draft may be there."""
    own = ASSIGNMENTS.c
    wanted = (
        select(own.task)
        .join(TASKS, TASKS.c.number == own.task)
        .where(own.annotator == name, own.state == "expired", TASKS.c.taken < TASKS.c.overlap)
        .where(TASKS.c.purpose != "practice")
        .order_by(own.expires.desc())
        .limit(1)
        .with_for_update(of=TASKS, skip_locked=True)
    )
    found = connection.execute(wanted).scalar()
    return found if found is not None and take(connection, found) else None


def _open_task(connection: Connection, name: str, purpose: str) -> int | None:
    """The first task of the queue with a free place that this annotator neither had nor wrote a text of; a place is taken."""
    had = select(ASSIGNMENTS.c.task).where(ASSIGNMENTS.c.task == TASKS.c.number, ASSIGNMENTS.c.annotator == name)
    wrote = (
        select(TASK_RESPONSES.c.task)
        .join(AUTHORS, AUTHORS.c.response_id == TASK_RESPONSES.c.response_id)
        .where(TASK_RESPONSES.c.task == TASKS.c.number, AUTHORS.c.annotator == name)
    )
    wanted = (
        select(TASKS.c.number)
        .where(TASKS.c.purpose == purpose, TASKS.c.taken < TASKS.c.overlap, ~had.exists(), ~wrote.exists())
        .order_by(TASKS.c.priority.desc(), TASKS.c.number)
        .limit(1)
        .with_for_update(of=TASKS, skip_locked=True)
    )
    found = connection.execute(wanted).scalar()
    return found if found is not None and take(connection, found) else None


def _lease(connection: Connection, now: int, name: str, task: int, terms: Terms) -> str:
    own = ASSIGNMENTS.c
    before = connection.execute(select(ASSIGNMENTS).where(own.task == task, own.annotator == name)).one_or_none()
    if before is not None:
        return _renew(connection, now, name, task, terms)
    shown = distinct([row.response_id for row in members(connection, task)])
    terms.draw.shuffle(shown)
    lease = secrets.token_hex(16)
    row = {"task": task, "annotator": name, "lease": lease, "shown": json.dumps(shown)}
    row |= {"state": "leased", "leased": now, "expires": now + terms.lease_ms}
    connection.execute(insert(ASSIGNMENTS).values(row))
    return lease


def _renew(connection: Connection, now: int, name: str, task: int, terms: Terms) -> str:
    """The same lease and the same order for longer."""
    mine = update(ASSIGNMENTS).where(ASSIGNMENTS.c.task == task, ASSIGNMENTS.c.annotator == name)
    again = mine.values(state="leased", leased=now, expires=now + terms.lease_ms)
    return connection.execute(again.returning(ASSIGNMENTS.c.lease)).scalar_one()


def own_assignment(connection: Connection, name: str, lease: str) -> Row:
    """Refused where the lease is not this annotator's."""
    found = assignment(connection, name, lease)
    if found is None:
        raise Refused("unknown", f"task {lease!r} is not known, or not {name!r}'s; ask for the next task")
    return found
