"""What a page is made of. Builders make these; the template lays them out and knows nothing of stages."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """A plot. alt: the figures that it shows, in words, for who cannot see it. caption: what to look for."""

    title: str
    svg: Markup
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """A table whose first column names the row. rows: cells as text."""

    caption: str
    head: list[str]
    rows: list[list[str]]
    note: str = ""


Piece = tuple[str, str]
"""("same" | "gone" | "new", text): a stretch of an answer, beside the answer it is compared with."""


@dataclass(frozen=True)
class Answer:
    """One model's answer. note: its score, or what else is known of it."""

    who: str
    pieces: list[Piece]
    note: str = ""


@dataclass(frozen=True)
class Exchange:
    """A prompt and the answers to it, side by side."""

    prompt: str
    answers: list[Answer]


@dataclass(frozen=True)
class Answers:
    """Prompts with their answers. rule: how the prompts were chosen."""

    title: str
    rule: str
    exchanges: list[Exchange]


@dataclass(frozen=True)
class Section:
    """A part of the page. verdict: sentences, with the key figures in bold."""

    anchor: str
    title: str
    verdict: list[Markup] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    answers: list[Answers] = field(default_factory=list)


@dataclass(frozen=True)
class Step:
    """A stage in the flow; href: where on the page it is told, "" for nowhere."""

    title: str
    detail: str
    href: str = ""


@dataclass(frozen=True)
class Page:
    """A whole page. kind: what it is a report of, in two or three words."""

    title: str
    kind: str
    facts: list[str]
    verdict: list[Markup]
    flow: list[Step] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)


def say(text: str, *values: object) -> Markup:
    """A sentence with its key figures in bold: say("It won **{}** of {}.", "87 %", "400 prompts"). Values are escaped."""
    return Markup(re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", text)).format(*values)
