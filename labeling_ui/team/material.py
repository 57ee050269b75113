"""What the sections are computed from: the store's labels as the statistics take them, read in short looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from alignment.agreement.label import Label, Ranks
from alignment.preferences.answers import distinct
from alignment.preferences.headway import Headway
from alignment.preferences.reading import Choice
from alignment.preferences.reading import Label as Stored
from alignment.preferences.store import Store
from alignment.records import Prompt

MOST_LABELS = 20_000
"""Of more labels, all those of a random share of the tasks are read. Source: ours, the time of a section; docs/labeling.md."""

AT_ONCE = 2_000
"""Events of one look: while it lasts, a commit on SQLite without WAL may have to wait."""

EXCERPT = 140


@dataclass(frozen=True)
class Given:
    """An answer. ranked: of rankings. flagged: responses with a flag. adjudicates: a reviewer's, where others disagreed."""

    task: int
    kind: str
    annotator: str
    seconds: float | None
    flagged: int
    ranked: Label | None
    adjudicates: bool


class Material:
    """Of one moment. Each part is read when it is first asked for."""

    def __init__(self, store: Store, most: int = MOST_LABELS) -> None:
        self.store, self._most = store, most
        self._newest = store.newest()
        self.prompts: dict[int, str] = {}

    @cached_property
    def total(self) -> int:
        return self.store.info()["labels"]

    @property
    def share(self) -> float:
        """Of the tasks whose labels are read."""
        return min(1.0, self._most / max(self.total, 1))

    @property
    def basis(self) -> str:
        """What was read, where it is not all; a sentence for the page."""
        if self.share == 1:
            return ""
        return f"Computed from all labels of a random {self.share:.2%} of the tasks, about {self._most:,} of {self.total:,} labels."

    @cached_property
    def quarantined(self) -> set[str]:
        return {one.name for one in self.store.annotators() if one.quarantined}

    @cached_property
    def headway(self) -> Headway:
        return self.store.headway()

    @cached_property
    def given(self) -> list[Given]:
        """Every standing answer, of quarantined annotators too."""
        settled = self.store.adjudications()
        return [self._given(one, None, settled) for one in self._read("label", self.share)]

    @cached_property
    def gold(self) -> list[Given]:
        """Every standing answer to a gold item; there are few, so all are read."""
        known = self.store.known_answers()
        return [self._given(one, known[one.task], {}) for one in self._read("gold", 1.0)]

    @property
    def rankings(self) -> list[Label]:
        """What agreement and bias are computed on: rankings of annotators who are not set aside, without adjudications,
        which were asked for because people disagreed."""
        return [one for one in self.independent if one.annotator not in self.quarantined]

    @cached_property
    def independent(self) -> list[Label]:
        """The same with quarantined annotators."""
        return [one.ranked for one in self.given if one.ranked and not one.adjudicates]

    def _read(self, purpose: str, share: float) -> Iterator[Stored]:
        for first in range(1, self._newest + 1, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, self._newest + 1))
            yield from self.store.labels(Choice(purpose, quarantined=True, share=share, numbers=numbers))

    def _given(self, one: Stored, known: Ranks | None, settled: dict[int, set[str]]) -> Given:
        self.prompts.setdefault(one.task, excerpt(one.prompt))
        flagged = sum(map(bool, one.body.get("flags", ())))
        label = ranked(one, known) if one.kind == "rank" else None
        by_reviewer = one.annotator in settled.get(one.task, ())
        return Given(one.task, one.kind, one.annotator, _known_of(one).get("seconds"), flagged, label, by_reviewer)


def ranked(one: Stored, known: Ranks | None = None) -> Label:
    """A ranking of the store, for the statistics. Identical responses shared a card, so they are one response.

    known: ranks by position of a gold item, which become `Label.expected`. slots: None where nobody knows them (a label
    that was brought in)."""
    positions, shown = distinct(one.response_ids), _known_of(one).get("shown")
    slots = None
    if shown is not None and sorted(shown) == positions:
        slots = tuple(shown.index(position) for position in positions)
    return Label(
        annotator=one.annotator,
        task=str(one.task),
        responses=tuple(one.response_ids[position] for position in positions),
        ranks=tuple(one.body["ranks"][position] for position in positions),
        slots=slots,
        seconds=_known_of(one).get("seconds"),
        sources=tuple(one.responses[position].model for position in positions),
        lengths=tuple(len(one.responses[position].text) for position in positions),
        expected=None if known is None else tuple(known[position] for position in positions),
        group=one.group,
    )


def excerpt(prompt: Prompt) -> str:
    """How the last message begins, on one line."""
    last = prompt if isinstance(prompt, str) else str(prompt[-1]["content"])
    text = " ".join(last.split())
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"


def _known_of(one: Stored) -> dict[str, Any]:
    """How the label came about: of one made here, its own fields; else what its record said."""
    imported = one.body.get("imported")
    return one.body if imported is None else imported.get("labeling") or {}
