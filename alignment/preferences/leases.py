"""Who gets which task next. A task is leased for a while; what is not answered by then goes to somebody else.

The count of taken labels lives in the task's own row and is changed under that row's lock. A condition that counts other
rows would be checked against the state before a lock was waited for, and hand out one label too many."""

from __future__ import annotations

import json
import random
import secrets
from dataclasses import dataclass

from sqlalchemy import BindParameter, Connection, Row, Select, bindparam, insert, or_, select, text, update

from alignment.preferences.annotators import locked
from alignment.preferences.answers import distinct
from alignment.preferences.errors import Refused
from alignment.preferences.schema import ASSIGNMENTS, AUTHORS, TASK_RESPONSES, TASKS
from alignment.preferences.views import HELD_COLUMNS, Held, TaskView, assignment, members, view

CLOCK_TOLERANCE_MS = 60_000
"""Clocks of several servers may differ by this much. A lease that begins later than that from now was given before the
clock was set back: it counts as run out, or it would last for as long as the clock went back."""

RECLAIMED_AT_ONCE = 50

OFFERED = "offered"
"""State of an assignment that holds no place and does not run out: a reviewer looks at a disagreement."""


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
    held = _begun(connection, now, name, terms, practice) or _fresh(connection, now, name, terms, practice)
    return None if held is None else view(connection, held, members(connection, held.task))


def reclaim(connection: Connection, now: int) -> None:
    """Leases that have run out give their place back."""
    due = {"now": now, "ahead": now + CLOCK_TOLERANCE_MS}
    for task, annotator in connection.execute(RUN_OUT, due).all():
        connection.execute(SET_STATE, {"of_task": task, "of_annotator": annotator, "state": "expired"})
        give_back(connection, task)


def take(connection: Connection, task: int) -> bool:
    """One of the task's places, where one is left."""
    return connection.execute(TAKE, {"of_task": task}).rowcount == 1


def give_back(connection: Connection, task: int) -> None:
    connection.execute(GIVE_BACK, {"of_task": task})


def one_more(connection: Connection, task: int) -> None:
    """A place beyond those that the task asked for, taken at once."""
    connection.execute(ONE_MORE, {"of_task": task})


def own_assignment(connection: Connection, name: str, lease: str, to_change: bool = True) -> Held:
    """Refused where the lease is not this annotator's."""
    found = assignment(connection, name, lease, to_change)
    if found is None:
        raise Refused("unknown", f"task {lease!r} is not known, or not {name!r}'s; ask for the next task")
    return found


def _begun(connection: Connection, now: int, name: str, terms: Terms, practice: bool) -> Held | None:
    """What the annotator holds; else what ran out under their hands and is still free, since its draft may be there.
    The same order of the cards, for longer."""
    found = connection.execute(BEGUN[practice], {"name": name}).first()
    if found is None or (found.state == "expired" and not take(connection, found.task)):
        return None
    times = {"leased": now, "expires": now + terms.lease_ms}
    connection.execute(RENEW, {"of_task": found.task, "of_annotator": name, **times})
    return Held(**{**found._mapping, "state": "leased", **times})


def _fresh(connection: Connection, now: int, name: str, terms: Terms, practice: bool) -> Held | None:
    """A task that the annotator has not had; the order of its cards is drawn here, once."""
    task = _open_task(connection, name, terms, practice)
    if task is None:
        return None
    shown = distinct(list(connection.execute(IDS, {"of_task": task.number}).scalars()))
    terms.draw.shuffle(shown)
    row = {"task": task.number, "annotator": name, "lease": secrets.token_hex(16), "shown": json.dumps(shown)}
    row |= {"state": "leased", "leased": now, "expires": now + terms.lease_ms, "draft": None}
    connection.execute(LEASE, row)
    return Held(**row, id=task.id, kind=task.kind, prompt_id=task.prompt_id, purpose=task.purpose)


def _open_task(connection: Connection, name: str, terms: Terms, practice: bool) -> Row | None:
    """The first of the queue with a free place, which is taken."""
    purposes = ["practice"] if practice else ["label"]
    if not practice and terms.draw.random() < terms.gold_share:
        purposes = ["gold", "label"]
    for purpose in purposes:
        found = _first_open(connection, {"name": name, "purpose": purpose})
        if found is not None and take(connection, found.number):
            return found
    return None


def _first_open(connection: Connection, whose: dict[str, str]) -> Row | None:
    """What others hold locked for a moment is passed over, and waited for where nothing else is left: many take the same
    practice item at once."""
    found = connection.execute(OPEN, whose).first()
    if found is None and connection.dialect.name == "postgresql":
        found = connection.execute(OPEN_OR_WAIT, whose).first()
    return found


def _run_out() -> Select:
    own = ASSIGNMENTS.c
    # By the partial index of leases, which takes a literal alone; + 0, or the key of all assignments is read in its order
    due = or_(own.expires <= bindparam("now"), own.leased > bindparam("ahead"))
    found = select(own.task, own.annotator).where(text("assignments.state = 'leased'"), due).order_by(own.task + 0)
    return found.limit(RECLAIMED_AT_ONCE).with_for_update(skip_locked=True)


def _begun_by(practice: bool) -> Select:
    own = ASSIGNMENTS.c
    free = or_(own.state == "leased", TASKS.c.taken < TASKS.c.overlap)
    purposes = ("practice",) if practice else ("label", "gold")
    found = select(*HELD_COLUMNS).join(TASKS, TASKS.c.number == own.task)
    found = found.where(own.annotator == bindparam("name"), own.state.in_(("leased", "expired")), free)
    found = found.where(TASKS.c.purpose.in_(purposes)).order_by(own.state.desc(), own.expires.desc()).limit(1)
    return found.with_for_update(of=ASSIGNMENTS, key_share=True)


def _open_to(wait: bool) -> Select:
    """Tasks that the annotator neither had before nor wrote a text of. wait: for rows that others hold locked."""
    name: BindParameter[str] = bindparam("name")
    number = TASKS.c.number
    had = select(ASSIGNMENTS.c.task).where(ASSIGNMENTS.c.task == number, ASSIGNMENTS.c.annotator == name)
    wrote = (
        select(TASK_RESPONSES.c.task)
        .join(AUTHORS, AUTHORS.c.response_id == TASK_RESPONSES.c.response_id)
        .where(TASK_RESPONSES.c.task == number, AUTHORS.c.annotator == name)
    )
    found = select(number, TASKS.c.id, TASKS.c.kind, TASKS.c.prompt_id, TASKS.c.purpose)
    found = found.where(TASKS.c.purpose == bindparam("purpose"), TASKS.c.taken < TASKS.c.overlap)
    found = found.where(~had.exists(), ~wrote.exists()).order_by(TASKS.c.priority.desc(), number)
    return found.limit(1).with_for_update(of=TASKS, skip_locked=not wait)


# Statements of the hot path are made once: to put one together costs more than to carry it out
ONE_TASK = TASKS.c.number == bindparam("of_task")
ONE_ASSIGNMENT = (ASSIGNMENTS.c.task == bindparam("of_task"), ASSIGNMENTS.c.annotator == bindparam("of_annotator"))
RUN_OUT = _run_out()
OPEN, OPEN_OR_WAIT = _open_to(wait=False), _open_to(wait=True)
BEGUN = {practice: _begun_by(practice) for practice in (False, True)}
IDS = (
    select(TASK_RESPONSES.c.response_id)
    .where(TASK_RESPONSES.c.task == bindparam("of_task"))
    .order_by(TASK_RESPONSES.c.position)
)
TAKE = update(TASKS).where(ONE_TASK, TASKS.c.taken < TASKS.c.overlap).values(taken=TASKS.c.taken + 1)
GIVE_BACK = update(TASKS).where(ONE_TASK).values(taken=TASKS.c.taken - 1)
ONE_MORE = update(TASKS).where(ONE_TASK).values(overlap=TASKS.c.overlap + 1, taken=TASKS.c.taken + 1)
LEASE = insert(ASSIGNMENTS)
RENEW = (
    update(ASSIGNMENTS)
    .where(*ONE_ASSIGNMENT)
    .values(state="leased", leased=bindparam("leased"), expires=bindparam("expires"))
)
SET_STATE = update(ASSIGNMENTS).where(*ONE_ASSIGNMENT).values(state=bindparam("state"))
