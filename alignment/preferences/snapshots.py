"""Snapshots: the labels of a moment under a name made of their content. They never change, and reading one checks it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Row, insert, select

from alignment.labeling import iso_time
from alignment.preferences.errors import Refused
from alignment.preferences.events import append
from alignment.preferences.ids import canonical
from alignment.preferences.reading import KINDS, Label, Records, labels, records
from alignment.preferences.schema import SNAPSHOT_EVENTS, SNAPSHOTS
from alignment.records import plain

SHORTEST = 8
"""Digits of a snapshot's name that must be given at least."""


@dataclass(frozen=True)
class Snapshot:
    """digest: its name. counts: how many records of each kind. created: UTC."""

    digest: str
    counts: dict[str, int]
    created: str


@dataclass(frozen=True)
class Prepared:
    """A snapshot before it is kept; events: the numbers of its labels."""

    digest: str
    counts: dict[str, int]
    events: list[int]


def records_digest(made: Records) -> str:
    """SHA-256 over the canonical lines of all records, sorted: the same wherever, and in whatever order, they are stored."""
    lines = sorted(canonical([kind, plain(one)]) for kind in KINDS for one in made.of(kind))
    return hashlib.sha256("\n".join(lines).encode("utf-8")).hexdigest()


def in_order(made: Records) -> Records:
    """The records in an order that only their content decides, so that training on a snapshot is the same everywhere."""
    return Records(*(sorted(made.of(kind), key=lambda one: canonical(plain(one))) for kind in KINDS))


def prepared(found: Sequence[Label]) -> Prepared:
    """What a snapshot of these labels is called and holds. Refused where there is none."""
    if not found:
        raise Refused("unknown", "the store holds no label yet; label or import some before a snapshot")
    made = records(iter(found))
    counts: dict[str, int] = {kind: len(made.of(kind)) for kind in KINDS}
    return Prepared(records_digest(made), counts, [label.event for label in found])


def keep(connection: Connection, now: int, by: str, made: Prepared) -> Snapshot:
    """The same labels again are the same snapshot."""
    there = connection.execute(select(SNAPSHOTS).where(SNAPSHOTS.c.digest == made.digest)).one_or_none()
    if there is not None:
        return _snapshot(there)
    row = {"digest": made.digest, "counts": canonical(made.counts), "created": now}
    number = connection.execute(insert(SNAPSHOTS).values(row).returning(SNAPSHOTS.c.number)).scalar_one()
    connection.execute(insert(SNAPSHOT_EVENTS), [{"snapshot": number, "event": event} for event in made.events])
    append(connection, now, by, "snapshot", {"digest": made.digest, "counts": made.counts})
    return Snapshot(made.digest, made.counts, iso_time(now))


def every(connection: Connection) -> list[Snapshot]:
    """All snapshots, oldest first."""
    return [_snapshot(row) for row in connection.execute(select(SNAPSHOTS).order_by(SNAPSHOTS.c.number))]


def find(connection: Connection, name: str | None) -> Row:
    """By its name or how it begins; None: the newest. Refused where there is none, or more than one."""
    wanted = select(SNAPSHOTS).order_by(SNAPSHOTS.c.number.desc())
    if name is None:
        newest = connection.execute(wanted.limit(1)).one_or_none()
        if newest is None:
            raise Refused("unknown", "the store has no snapshot yet; make one with `align store snapshot`")
        return newest
    if len(name) < SHORTEST or set(name) - set("0123456789abcdef"):
        raise Refused("unknown", f"snapshot {name!r} is no name of one; it must be {SHORTEST} to 64 digits 0-9, a-f")
    found = connection.execute(wanted.where(SNAPSHOTS.c.digest.startswith(name))).all()
    if len(found) != 1:
        what = (
            "is not in this store; `align store info` lists them"
            if not found
            else "is short for several; give more digits"
        )
        raise Refused("unknown", f"snapshot {name!r} {what}")
    return found[0]


def read(connection: Connection, row: Row) -> Records:
    """The records of a snapshot, in the order of their content. Refused where they are no longer what its name says."""
    made = records(labels(connection, snapshot=row.number))
    if records_digest(made) != row.digest:
        raise Refused(
            "conflict",
            f"snapshot {row.digest[:12]} no longer holds what its name says: the store is damaged; "
            "`align store verify` finds where, `align store restore` brings a backup back",
        )
    return in_order(made)


def _snapshot(row: Row) -> Snapshot:
    return Snapshot(row.digest, json.loads(row.counts), iso_time(row.created))
