"""The append-only log: everything that anybody did, one row each. A correction is a new row that names the old one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, insert, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.elements import ColumnElement

from alignment.labeling import iso_time
from alignment.preferences.errors import Refused
from alignment.preferences.ids import canonical, digest_of, event_digest
from alignment.preferences.schema import EVENTS, TASKS

LABEL, SKIP, UNDO = "label", "skip", "undo"
"""What an annotator does. All other kinds are of the team: tasks, gold, annotator, quarantine, release, snapshot, import,
reward_change."""

LONGEST_KEY = 200

APPEND = insert(EVENTS).returning(EVENTS.c.number)
EARLIER = select(EVENTS).where(EVENTS.c.annotator == bindparam("of_annotator"), EVENTS.c.key == bindparam("of_key"))


@dataclass(frozen=True)
class Receipt:
    """What has been saved. repeated: it was there already, under the same key. counted: False where the lease had run out
    and others had filled the task meanwhile; the label is kept, and records leave it out."""

    event: int
    saved: str
    repeated: bool = False
    counted: bool = True


def append(connection: Connection, now: int, annotator: str, kind: str, body: Any, **fields: Any) -> int:
    """One more event; returns its number. fields: key (drawn where there is none), request, task, supersedes."""
    row = {
        "key": fields.get("key") or secrets.token_hex(16),
        "annotator": annotator,
        "kind": kind,
        "body": canonical(body),
        "request": fields.get("request") or digest_of(body),
        "created": now,
        "task": fields.get("task"),
        "supersedes": fields.get("supersedes"),
    }
    row["digest"] = event_digest(row, fields.get("task_id"), fields.get("superseded_digest"))
    return connection.execute(APPEND, row).scalar_one()


def earlier(connection: Connection, annotator: str, key: str, request: str) -> Row | None:
    """The event that this key made already; Refused where it was made with another content."""
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY or "\0" in key:
        raise Refused("invalid", f"key must be a text of 1 to {LONGEST_KEY} characters, new for each label")
    found = connection.execute(EARLIER, {"of_annotator": annotator, "of_key": key}).one_or_none()
    if found is not None and found.request != request:
        raise Refused("conflict", f"key {key!r} has saved another answer before (event {found.number}); draw a new key")
    return found


def receipt(event: Row, body: dict[str, Any], repeated: bool) -> Receipt:
    return Receipt(event.number, iso_time(event.created), repeated, not body.get("late", False))


def live() -> ColumnElement[bool]:
    """Whether a label still stands: no later event replaces or undoes it."""
    later = EVENTS.alias("later")
    return ~select(later.c.number).where(later.c.supersedes == EVENTS.c.number).exists()


def digest_at(connection: Connection, number: int) -> str:
    return connection.execute(select(EVENTS.c.digest).where(EVENTS.c.number == number)).scalar_one()


def id_of_task(connection: Connection, number: int) -> str:
    return connection.execute(select(TASKS.c.id).where(TASKS.c.number == number)).scalar_one()


def insert_new(connection: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    """The rows whose keys are not there yet."""
    if rows:
        made = sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)
        connection.execute(made.on_conflict_do_nothing(), rows)
