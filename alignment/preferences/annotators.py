"""Who labels, in which role; quarantine, which hides somebody's labels from snapshots and deletes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from alignment.preferences.errors import Refused
from alignment.preferences.events import append, insert_new
from alignment.preferences.schema import ANNOTATORS

ROLES = ("annotator", "reviewer", "admin", "imported")
"""imported: named by records that were brought in; takes no tasks until it is given another role."""

LONGEST_NAME = 100

LOCK = select(ANNOTATORS).where(ANNOTATORS.c.name == bindparam("of_name")).with_for_update(key_share=True)


@dataclass(frozen=True)
class Annotator:
    name: str
    role: str
    quarantined: bool


def add(connection: Connection, now: int, name: str, role: str, by: str) -> None:
    """Nothing happens where the annotator is there in that role already."""
    if role not in ROLES:
        raise Refused("invalid", f"role is {role!r}; it must be one of {', '.join(ROLES)}")
    there = connection.execute(select(ANNOTATORS).where(ANNOTATORS.c.name == checked_name(name))).one_or_none()
    if there is None:
        connection.execute(insert(ANNOTATORS).values(name=name, role=role, quarantined=False))
    elif there.role != role:
        connection.execute(update(ANNOTATORS).where(ANNOTATORS.c.name == name).values(role=role))
    else:
        return
    append(connection, now, by, "annotator", {"name": name, "role": role})


def add_imported(connection: Connection, names: set[str]) -> None:
    rows = [{"name": checked_name(name), "role": "imported", "quarantined": False} for name in sorted(names)]
    insert_new(connection, ANNOTATORS, rows)


def quarantine(connection: Connection, now: int, name: str, on: bool, reason: str, by: str) -> None:
    """Hides the annotator's labels from snapshots made from now on, or shows them again."""
    found = connection.execute(update(ANNOTATORS).where(ANNOTATORS.c.name == name).values(quarantined=on)).rowcount
    if not found:
        raise _unknown(name)
    append(connection, now, by, "quarantine" if on else "release", {"name": name, "reason": reason})


def everyone(connection: Connection) -> list[Annotator]:
    rows = connection.execute(select(ANNOTATORS).order_by(ANNOTATORS.c.name))
    return [Annotator(row.name, row.role, row.quarantined) for row in rows]


def locked(connection: Connection, name: str) -> Row:
    """The annotator's row, held until the transaction ends: whatever one annotator does happens one after the other."""
    usable = isinstance(name, str) and "\0" not in name
    found = connection.execute(LOCK, {"of_name": name}).one_or_none() if usable else None
    if found is None:
        raise _unknown(name)
    return found


def checked_name(name: str) -> str:
    """An empty name means nobody, and what cannot be printed would deceive whoever reads it."""
    if not isinstance(name, str) or not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise Refused("invalid", f"annotator is {name!r}; it must be 1 to {LONGEST_NAME} printable characters")
    return name


def _unknown(name: object) -> Refused:
    return Refused("unknown", f"annotator {name!r} is not known; add them first")
