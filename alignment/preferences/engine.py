"""A store's URL → a database that keeps what it acknowledged: SQLite in a file, or PostgreSQL."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from alignment.errors import UserError
from alignment.preferences.errors import without_password

WAL_SAFE = (3, 51, 3)
"""The first SQLite without the WAL-reset bug, which can lose committed transactions (sqlite.org/wal.html, §11)."""

BUSY_SECONDS = 30
"""How long a writer waits for another process before it says so."""

SCHEMA = "align_store"
"""Of the tables in a PostgreSQL database, which may hold others too."""

KNOWN = "a path (SQLite), sqlite:///PATH or postgresql://USER@HOST/DATABASE"


def store_url(store: str) -> URL:
    """The database behind what the user wrote; UserError where it is none that we know."""
    if "://" not in store:
        return URL.create("sqlite", database=str(Path(store).expanduser()))
    try:
        url = make_url(store)
    except ArgumentError:
        raise UserError(f"STORE is {without_password(store)!r}; it must be {KNOWN}") from None
    if url.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername == "sqlite" and url.database and url.database != ":memory:":
        return url
    raise UserError(f"STORE is {without_password(store)!r}; it must be {KNOWN}")


def shown_url(url: URL) -> str:
    """As the user would write it, without a password."""
    if url.drivername == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql").render_as_string(hide_password=True)


def make_engine(url: URL) -> Engine:
    return _sqlite(url) if url.drivername == "sqlite" else _postgresql(url)


def sqlite_mode(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> tuple[str, str]:
    """(journal_mode, synchronous) that lose nothing acknowledged: WAL only where the linked SQLite is known to be safe."""
    return ("wal", "FULL") if version >= WAL_SAFE else ("delete", "EXTRA")


def durability(engine: Engine) -> str:
    """What keeps acknowledged labels through a power cut, for people."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
            level = {2: "FULL", 3: "EXTRA"}[int(connection.exec_driver_sql("PRAGMA synchronous").scalar() or 0)]
            return f"SQLite {sqlite3.sqlite_version}, journal_mode {journal}, synchronous {level}"
        names = ("server_version", "synchronous_commit", "fsync", "full_page_writes")
        found = {name: str(connection.exec_driver_sql(f"SHOW {name}").scalar()) for name in names}
    said = ", ".join(f"{name} {found[name]}" for name in names[1:])
    weak = "off" in (found["fsync"], found["full_page_writes"])
    return f"PostgreSQL {found['server_version']}, {said}" + weak * "; NOT SAFE: a power cut can lose labels"


def _sqlite(url: URL) -> Engine:
    path = Path(str(url.database))
    if path.is_dir():
        raise UserError(f"STORE {path}: is a folder; give the path of a file")
    if not path.absolute().parent.is_dir():
        raise UserError(f"STORE {path}: its folder does not exist; make it first")
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, pool_size=8, max_overflow=0, pool_timeout=120)

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing of its own; `_begin` says how
        journal, synchronous = sqlite_mode()
        cursor = connection.cursor()
        if cursor.execute("PRAGMA journal_mode").fetchone()[0] != journal:
            cursor.execute(f"PRAGMA journal_mode = {journal}")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA cache_size = -8192")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        # IMMEDIATE: a transaction that reads first and writes later could be refused halfway, whatever it waits
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: URL) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise UserError(
            "STORE names PostgreSQL, whose driver is not installed; `pip install instruct-loop[postgres]`"
        ) from None
    options = f"-c search_path={SCHEMA} -c synchronous_commit=on -c lock_timeout={BUSY_SECONDS}s"
    arguments = {"options": options, "connect_timeout": 10}
    return create_engine(url, connect_args=arguments, pool_size=16, max_overflow=0, pool_timeout=120)


REFERENCE = re.compile(r"store:(?P<url>.+?)(?:@(?P<snapshot>[0-9a-f]{8,64}))?")
"""`store:URL@SNAPSHOT` or `store:URL`: how a setting names the records of a store. A snapshot's name may be shortened."""


def reference(text: str) -> tuple[str, str | None] | None:
    """(URL, snapshot or None) where a setting names a store; None where it names a file."""
    found = REFERENCE.fullmatch(text)
    return (found["url"], found["snapshot"]) if found else None
