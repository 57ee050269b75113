"""What a format is: how its rows are known, read into our records and written from them, and what it cannot hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
"""One object of a foreign file: a line of JSONL, an element of a JSON array, a row of a table. Absent values are left out."""

Place = str
"""Where a row stands, for sentences: "line 3", "row 3", "record 3"."""

WHO = ("id", "group", "annotator", "source")
"""Fields of our records that are read wherever a row has them, whatever its format."""


@dataclass(frozen=True)
class Format:
    """One format. example: how a row looks; remark: what else there is to say of its look.

    kind_of: row → the kind of record that it is in this format, or None where it is not of this format.
    read: kind → row → our records as plain objects (not checked yet); ValueError says what is wrong with the row.
    write: kind → record → rows. fields: the names that reading looks at (None: all). fallback: taken only where no other fits.
    several: one row can be read as several kinds, so that a kind that is asked for is read and not derived.
    refuses: details (see details.py) that keep a record out; drops: details that are lost while the record is written.
    gather: for formats whose records are spread over rows: all rows → one row a record."""

    name: str
    title: str
    example: str
    fields: frozenset[str] | None
    kind_of: Callable[[Row], str | None]
    read: dict[str, Callable[[Row], list[Row]]]
    write: dict[str, Callable[[Any], list[Row]]] = field(default_factory=dict)
    refuses: frozenset[str] = frozenset()
    drops: frozenset[str] = frozenset()
    gather: Callable[[list[tuple[Place, Row]]], list[tuple[Place, Row]]] | None = None
    remark: str = ""
    fallback: bool = False
    several: bool = False


def who(row: Row) -> Row:
    """The fields that say which record it is and whose."""
    return {name: row[name] for name in WHO if row.get(name) is not None}
