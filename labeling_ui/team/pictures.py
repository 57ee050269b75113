"""A section as the page gets it. A plot travels as an SVG document of its own, for an <img>: there, nothing in it can run."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any

from alignment.report.document import Figure, Section

PAGE_COLOURS = ":root{--paper:var(--sheet);--muted:var(--ink-soft);--grid:var(--line);font-family:var(--text)}"
"""Plots name the reports' colours; here they lie on the page's own ground."""


def plain_section(section: Section) -> dict[str, Any]:
    """verdict: HTML of `document.say`, which escapes what it puts in."""
    return {
        "title": section.title,
        "verdict": [str(one) for one in section.verdict],
        "figures": [_figure(one) for one in section.figures],
        "tables": [vars(one) for one in section.tables],
        "answers": [asdict(one) for one in section.answers],
    }


def _figure(figure: Figure) -> dict[str, str]:
    return {"title": figure.title, "svg": standing_alone(str(figure.svg)), "alt": figure.alt, "caption": figure.caption}


def standing_alone(svg: str) -> str:
    """With the colours of the page, light and dark, which a part of the page would have from its surroundings."""
    head, _, rest = svg.partition(">")
    return f"{head}><style>{_colours()}</style>{rest}"


@cache
def _colours() -> str:
    reports = files("alignment.report").joinpath("colors.css").read_text(encoding="utf-8")
    page = files("labeling_ui").joinpath("static/tokens.css").read_text(encoding="utf-8")
    return f"{reports}{page}{PAGE_COLOURS}"
