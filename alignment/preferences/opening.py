"""Opening a store: making it where there is none, and refusing what this version cannot read."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, Engine, exc, inspect, select

from alignment.errors import UserError
from alignment.preferences.engine import SCHEMA, store_url
from alignment.preferences.errors import unavailable
from alignment.preferences.migrations import MIGRATIONS
from alignment.preferences.schema import VERSIONS

ADVISORY_LOCK = 7_221_417_303
"""PostgreSQL's lock that one migration holds at a time: any number that nobody else uses."""


def open_database(engine: Engine, shown: str, create: bool) -> None:
    """The tables are there, in the newest version, when this returns. UserError where they cannot be."""
    sqlite_file = Path(str(engine.url.database)) if engine.dialect.name == "sqlite" else None
    if sqlite_file is not None and not sqlite_file.exists() and not create:
        raise UserError(f"STORE {shown}: there is no store; make one with `align store import`")
    found = found_version(engine, shown)
    if found == 0 and not create:
        raise UserError(f"STORE {shown}: holds no store; make one with `align store import`")
    if found == 0:
        migrate(engine, shown)
    elif found < len(MIGRATIONS):
        raise UserError(
            f"STORE {shown}: is of version {found}, this program needs {len(MIGRATIONS)}; back it up, then "
            "`align store migrate`"
        )


def found_version(engine: Engine, shown: str) -> int:
    """0 where there is no store yet. UserError where the database is something else's, or a newer program's."""
    try:
        with engine.connect().execution_options(reads=True) as connection, connection.begin():
            found = version(connection)
            strangers = found == 0 and engine.dialect.name == "sqlite" and inspect(connection).get_table_names()
    except exc.SQLAlchemyError as error:
        raise unavailable(error, shown) from error
    if strangers:
        raise UserError(f"STORE {shown}: is a database of something else; give another path")
    if found > len(MIGRATIONS):
        raise UserError(
            f"STORE {shown}: is of version {found}, newer than this program knows ({len(MIGRATIONS)}); update the program"
        )
    return found


def version(connection: Connection) -> int:
    """0 where there is no store."""
    schema = SCHEMA if connection.dialect.name == "postgresql" else None
    if not inspect(connection).has_table("store_versions", schema=schema):
        return 0
    versions = connection.execute(select(VERSIONS.c.version).order_by(VERSIONS.c.version)).scalars().all()
    return versions[-1] if versions else 0


def migrate(engine: Engine, shown: str) -> tuple[int, int]:
    """(version before, version now). All missing migrations in one transaction: all or none."""
    try:
        with engine.begin() as connection:
            return _migrated(connection)
    except exc.SQLAlchemyError as error:
        raise unavailable(error, shown) from error


def _migrated(connection: Connection) -> tuple[int, int]:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
    before = version(connection)
    if before == 0:
        VERSIONS.create(connection, checkfirst=True)
    for number, step in enumerate(MIGRATIONS[before:], start=before + 1):
        step(connection)
        connection.execute(VERSIONS.insert().values(version=number, applied=int(time.time() * 1000)))
    return before, max(before, len(MIGRATIONS))


@contextlib.contextmanager
def made_or_gone(name: str) -> Iterator[None]:
    """A file that was not there before is not there afterwards either, where nothing came of it."""
    url = store_url(name)
    path = Path(str(url.database)) if url.drivername == "sqlite" else None
    new = path is not None and not path.exists()
    try:
        yield
    except BaseException:
        if path is not None and new:
            path.unlink(missing_ok=True)
        raise
