"""Every hash and every count again: what a disk, a person or a bug changed behind the store's back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from sqlalchemy import Connection, func, select

from alignment.preferences.answers import distinct
from alignment.preferences.errors import Refused
from alignment.preferences.events import LABEL, live
from alignment.preferences.ids import canonical, digest, event_digest, task_id
from alignment.preferences.schema import (
    ANNOTATORS,
    ASSIGNMENTS,
    EVENTS,
    GOLD,
    PROMPTS,
    RESPONSES,
    SNAPSHOTS,
    TALLIES,
    TASK_RESPONSES,
    TASKS,
)
from alignment.preferences.snapshots import read
from alignment.preferences.tallies import counted

AT_ONCE = 500


def faults(connection: Connection) -> Iterator[str]:
    """A sentence for each fault, in the order of the tables."""
    yield from _file(connection)
    for check in CHECKS:
        yield from check(connection)


def _file(connection: Connection) -> Iterator[str]:
    if connection.dialect.name == "sqlite":
        for said in connection.exec_driver_sql("PRAGMA integrity_check").scalars():
            if said != "ok":
                yield f"the database file is damaged: {' '.join(str(said).split())}"


def _texts(connection: Connection) -> Iterator[str]:
    for table, column in ((PROMPTS, PROMPTS.c.prompt), (RESPONSES, RESPONSES.c.text)):
        for id_, text in connection.execute(select(table.c.id, column).execution_options(yield_per=AT_ONCE)):
            if digest(text) != id_:
                yield f"{table.name[:-1]} {id_[:12]}: its text is not what its name says"


def _tasks(connection: Connection) -> Iterator[str]:
    members: dict[int, list[tuple[str, str | None, bool]]] = {}
    wanted = select(TASK_RESPONSES).order_by(TASK_RESPONSES.c.task, TASK_RESPONSES.c.position)
    for row in connection.execute(wanted.execution_options(yield_per=AT_ONCE)):
        members.setdefault(row.task, []).append((row.response_id, row.model, bool(row.finished)))
    own = ASSIGNMENTS.c
    held = select(own.task, func.count()).where(own.state.in_(("leased", "done"))).group_by(own.task)
    counts: dict[int, int] = dict(connection.execute(held).tuples().all())
    for row in connection.execute(select(TASKS).execution_options(yield_per=AT_ONCE)):
        names = ("kind", "prompt_id", "record_id", "group_name", "source", "purpose")
        if task_id({name: row._mapping[name] for name in names}, members.get(row.number, [])) != row.id:
            yield f"task {row.number}: it is not what its name says"
        if row.taken != counts.get(row.number, 0) or row.taken > row.overlap:
            yield f"task {row.number}: counts {row.taken} of {row.overlap} places, {counts.get(row.number, 0)} are held"


def _events(connection: Connection) -> Iterator[str]:
    old = EVENTS.alias("old")
    wanted = (
        select(EVENTS, TASKS.c.id.label("task_id"), old.c.digest.label("superseded"))
        .outerjoin(TASKS, TASKS.c.number == EVENTS.c.task)
        .outerjoin(old, old.c.number == EVENTS.c.supersedes)
        .order_by(EVENTS.c.number)
    )
    for row in connection.execute(wanted.execution_options(yield_per=AT_ONCE)):
        if event_digest(dict(row._mapping), row.task_id, row.superseded) != row.digest:
            yield f"event {row.number}: it is not what was saved"


def _assignments(connection: Connection) -> Iterator[str]:
    """The order shown is one of the cards there are; what is done has one standing label, and nothing else has one."""
    ids: dict[int, list[str]] = {}
    for row in connection.execute(select(TASK_RESPONSES).order_by(TASK_RESPONSES.c.task, TASK_RESPONSES.c.position)):
        ids.setdefault(row.task, []).append(row.response_id)
    standing = select(EVENTS.c.task, EVENTS.c.annotator, func.count()).where(EVENTS.c.kind == LABEL, live())
    found = {
        (row[0], row[1]): row[2] for row in connection.execute(standing.group_by(EVENTS.c.task, EVENTS.c.annotator))
    }
    for row in connection.execute(select(ASSIGNMENTS).execution_options(yield_per=AT_ONCE)):
        if sorted(json.loads(row.shown)) != distinct(ids.get(row.task, [])):
            yield f"task {row.task} of {row.annotator!r}: the order shown does not hold each card once"
        wanted = 1 if row.state in ("done", "late") else 0
        if found.get((row.task, row.annotator), 0) != wanted:
            yield f"task {row.task} of {row.annotator!r}: {row.state}, with {found.get((row.task, row.annotator), 0)} standing labels"


def _tallies(connection: Connection) -> Iterator[str]:
    kept = {row[:2]: row[2] for row in connection.execute(select(TALLIES)) if row[2]}
    true = {row[:2]: row[2] for row in connection.execute(counted())}
    for name, state in sorted(kept.keys() | true.keys()):
        said, found = kept.get((name, state), 0), true.get((name, state), 0)
        if said != found:
            yield f"annotator {name!r}: {said} tasks are counted as {state}, {found} are"


def _said(connection: Connection) -> Iterator[str]:
    """What may change must be what the log says: roles, quarantine, known answers."""
    roles: dict[str, str] = {}
    hidden: dict[str, bool] = {}
    gold: dict[str, str] = {}
    wanted = select(EVENTS.c.kind, EVENTS.c.body).where(
        EVENTS.c.kind.in_(("annotator", "quarantine", "release", "gold"))
    )
    for kind, body in connection.execute(wanted.order_by(EVENTS.c.number)).tuples():
        said = json.loads(body)
        if kind == "annotator":
            roles[said["name"]] = said["role"]
        elif kind == "gold":
            gold |= {id_: canonical(ranks) for id_, ranks in said["items"].items()}
        else:
            hidden[said["name"]] = kind == "quarantine"
    for row in connection.execute(select(ANNOTATORS)):
        if row.role != roles.get(row.name, "imported") or bool(row.quarantined) != hidden.get(row.name, False):
            yield f"annotator {row.name!r}: role or quarantine is not what the log says"
    for id_, ranks in connection.execute(
        select(TASKS.c.id, GOLD.c.ranks).join(TASKS, TASKS.c.number == GOLD.c.task)
    ).tuples():
        if gold.get(id_) != ranks:
            yield f"gold item {id_[:12]}: its answer is not what the log says"


def _snapshots(connection: Connection) -> Iterator[str]:
    for row in connection.execute(select(SNAPSHOTS).order_by(SNAPSHOTS.c.number)).all():
        try:
            read(connection, row)
        except Refused as error:
            yield str(error)


CHECKS: tuple[Callable[[Connection], Iterator[str]], ...] = (
    _texts, _tasks, _events, _assignments, _tallies, _said, _snapshots,
)  # fmt: skip
