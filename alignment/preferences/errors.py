"""What a store cannot do, in one sentence: refused for good, or not possible just now."""

from __future__ import annotations

import re
from typing import Literal

from sqlalchemy import exc

from alignment.errors import UserError

Reason = Literal["unknown", "invalid", "conflict", "closed"]


class Refused(UserError):
    """The store will not do this, however often it is asked; nothing was changed.

    reason: unknown (no such annotator, task, snapshot), invalid (an answer that says too little or too much), conflict
    (against what is stored already), closed (the annotator may not)."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Unavailable(UserError):
    """The database could not do it just now, and nothing was acknowledged: the same call, with the same key, may be
    repeated until it succeeds, and is carried out once."""


SQLITE = (
    ("database is locked", "another process holds it; wait for that one to end and repeat"),
    ("disk is full", "the disk is full; make room and repeat, nothing that was acknowledged is lost"),
    ("readonly database", "it may not be written here; give another place, or the right to write"),
    ("unable to open", "it cannot be opened; its folder must exist and be writable"),
    ("not a database", "is no SQLite database; give the path of a store, or one that does not exist yet"),
    ("malformed", "the file is damaged; restore a backup with `align store restore`"),
    ("disk I/O error", "the disk reports an error; make room or choose another disk, then repeat"),
)
"""What SQLite says → what to do."""

POSTGRESQL = (
    ("53100", "the server's disk is full; make room and repeat, nothing that was acknowledged is lost"),
    ("25006", "the server takes no writes (read-only); give the URL of one that does"),
    ("42501", "this user may not do that in this database; grant it, or give another user"),
)
"""SQLSTATE → what to do."""

CONNECTING = (
    ("authentication failed", "the server refuses this user or password; check the URL, PGPASSWORD or ~/.pgpass"),
    ("no password supplied", "the server wants a password; give it in PGPASSWORD or ~/.pgpass"),
    ("does not exist", "the server has no such database or user; make it with `createdb` or `createuser`"),
)
"""What PostgreSQL says before there is a connection, and so without a SQLSTATE → what to do."""


def unavailable(error: exc.SQLAlchemyError, shown: str) -> Unavailable:
    """The one sentence for what a database says. shown: the store as the user named it, without a password."""
    original = getattr(error, "orig", None) or error
    said = " ".join(str(original).split())
    state = getattr(original, "sqlstate", None) or ""
    phrases = POSTGRESQL if state else (*SQLITE, *CONNECTING)
    advice = next((what for phrase, what in phrases if phrase in (state or said)), None)
    if advice is None:
        return Unavailable(f"STORE {shown}: cannot be reached ({without_password(said)[:160]}); check that it runs")
    return Unavailable(f"STORE {shown}: {advice}")


def without_password(text: str) -> str:
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
