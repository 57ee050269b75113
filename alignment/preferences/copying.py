"""Whole stores from one database to another: backup while people label, restore into what is empty."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Table, func, insert, select

from alignment.durable import sync_one
from alignment.errors import UserError
from alignment.preferences import tallies
from alignment.preferences.engine import SCHEMA, make_engine, store_url
from alignment.preferences.opening import migrate
from alignment.preferences.schema import IN_ORDER
from alignment.preferences.store import Store

AT_ONCE = 500
"""Rows of one insert."""


def back_up(store: Store, target: Path) -> None:
    """A consistent copy as one SQLite file, which is a store itself. Labels may be saved meanwhile."""
    if store.engine.dialect.name == "sqlite":
        copy_file(Path(str(store.engine.url.database)), target)
    else:
        engine = make_engine(store_url(str(target)))
        migrate(engine, str(target))
        with engine.begin() as into:
            store.read(lambda source: copy_rows(source, into))
        engine.dispose()
    sync_one(target)
    sync_one(target.parent)


def restore(backup: Store, into: Store) -> None:
    """All of a backup into a store that holds nothing; all or none."""
    into.write(lambda target: backup.read(lambda source: _into_empty(source, target, into.shown)))


def copy_file(source: Path, target: Path) -> None:
    """SQLite's own online backup: what is committed when it begins, in one go."""
    with (
        contextlib.closing(sqlite3.connect(source, timeout=30)) as old,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)


def copy_rows(source: Connection, target: Connection) -> None:
    """Every row of every table, numbers included."""
    for table in IN_ORDER:
        for rows in _rows(source, table):
            target.execute(insert(table), rows)
        if target.dialect.name == "postgresql" and "number" in table.c:
            _go_on_counting(target, table)
    tallies.fill(target)


def _into_empty(source: Connection, target: Connection, shown: str) -> None:
    if any(target.execute(select(func.count()).select_from(table)).scalar_one() for table in IN_ORDER):
        raise UserError(f"STORE {shown}: holds something already; a backup is restored only into a new or empty store")
    copy_rows(source, target)


def _rows(source: Connection, table: Table) -> Iterator[list[dict]]:
    found = source.execute(select(table).order_by(*table.primary_key.columns).execution_options(yield_per=AT_ONCE))
    for rows in found.mappings().partitions(AT_ONCE):
        yield [dict(row) for row in rows]


def _go_on_counting(target: Connection, table: Table) -> None:
    """The database's next number comes after those that were copied."""
    highest = target.execute(select(func.max(table.c.number))).scalar()
    if highest is not None:
        name = f"{SCHEMA}.{table.name}"
        target.exec_driver_sql("SELECT setval(pg_get_serial_sequence(%s, 'number'), %s)", (name, highest))
