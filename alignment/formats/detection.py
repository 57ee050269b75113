"""`--format auto`: which format rows are of, by their fields; or one sentence that says what to give."""

from __future__ import annotations

from collections import Counter

from alignment.errors import UserError
from alignment.formats.format import Format, Row
from alignment.formats.table import FORMATS


def detect(rows: list[Row], source: str, kind: str | None) -> tuple[Format, str]:
    """(format, kind) that most rows are of. Where several formats fit as many rows, those that give the wanted kind count
    more; where still several do, or none does, a UserError names the fields, the formats and what to say."""
    votes = Counter(vote for row in rows for vote in fitting(row))
    if not votes:
        raise UserError(
            f"SOURCE {source}: has the fields {shown_fields(rows)}, which no known format has ({', '.join(FORMATS)}); "
            "say which column is what, for example --map prompt=NAME,response=NAME, or give --format"
        )
    best = [vote for vote, count in votes.items() if count == max(votes.values())]
    best = [vote for vote in best if vote[1] == kind] or best
    if len(best) > 1:
        could = " or ".join(f"{name} ({one})" for name, one in best)
        raise UserError(
            f"SOURCE {source}: has the fields {shown_fields(rows)}, which could be {could}; "
            f"say which with --format {best[0][0]}, or with --kind {best[0][1]}"
        )
    return FORMATS[best[0][0]], best[0][1]


def shown_fields(rows: list[Row]) -> str:
    """The field names of the rows, for a sentence."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    shown = [name if len(name) <= 40 else name[:37] + "..." for name in names[:12]]
    return ", ".join(shown) + (f" and {len(names) - 12} more" if len(names) > 12 else "") or "(none)"


def fitting(row: Row) -> list[tuple[str, str]]:
    fitting = [(one, kind) for one in FORMATS.values() if (kind := one.kind_of(row)) is not None]
    first = [(one.name, kind) for one, kind in fitting if not one.fallback]
    return first or [(one.name, kind) for one, kind in fitting]
