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


def formats_table() -> str:
    """A Markdown table: name, what a row looks like, what it is read as and written from, and what it cannot hold."""
    head = (
        "`--format`",
        "a row looks like",
        "import gives",
        "export takes",
        "cannot hold: left out",
        "cannot hold: lost",
    )
    rows = [head, ("---",) * len(head), *map(_line, FORMATS.values())]
    return "".join("| " + " | ".join(row) + " |\n" for row in rows)


def _line(one: Format) -> tuple[str, ...]:
    row = (
        ", ".join(one.read),
        ", ".join(one.write) or "–",
        "; ".join(sorted(one.refuses)),
        "; ".join(sorted(one.drops)),
    )
    return (f"`{one.name}`", f"{one.title}: `{one.example}`", *(cell.replace("|", "\\|") or "–" for cell in row))
