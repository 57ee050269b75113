"""The one table of formats, and the page that is made from it."""

from __future__ import annotations

from alignment.formats import alpaca, argilla, columns, hh, kto, oasst, own, sharegpt, trl
from alignment.formats.format import Format

FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        own.FORMAT,
        trl.FORMAT,
        hh.FORMAT,
        alpaca.FORMAT,
        alpaca.SELF_INSTRUCT,
        sharegpt.FORMAT,
        kto.FORMAT,
        oasst.FORMAT,
        argilla.FORMAT,
        columns.FORMAT,
    )
}


BARE = "bare pairs"
"""Stands in the table for what no format of pairs holds."""


def formats_table() -> str:
    """A Markdown table: name, what a row looks like, what it is read as and written from, and what it cannot hold."""
    head = ("`--format`", "a row looks like", "import gives", "export takes", "left out on export", "lost on export")
    rows = [head, ("---",) * len(head), *map(_line, FORMATS.values())]
    table = "".join("| " + " | ".join(row) + " |\n" for row in rows)
    return f"{table}\n¹ {BARE}: no {', '.join(sorted(trl.PAIR_DROPS))}.\n"


def _line(one: Format) -> tuple[str, ...]:
    look = f"{one.title}: `{one.example}`" + (f", {one.remark}" if one.remark else "")
    bare = [f"{BARE}¹"] if one.drops >= trl.PAIR_DROPS else []
    lost = bare + sorted(one.drops - trl.PAIR_DROPS if bare else one.drops)
    row = (", ".join(one.read), ", ".join(one.write), "; ".join(sorted(one.refuses)), "; ".join(lost))
    return (f"`{one.name}`", look, *(cell.replace("|", "\\|") or "–" for cell in row))
