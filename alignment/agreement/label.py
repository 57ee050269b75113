"""A label as the statistics see it: who ordered which responses how, in which order they were shown, how long it took."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from alignment.records import Ranking, content_id, strict_pairs, tied_pairs

Ranks = tuple[int | None, ...]


@dataclass(frozen=True)
class Label:
    """One annotator's order of K responses. Labels are given in the order in which they were saved.

    annotator: "" where nobody is named: such a label counts in bias, never in agreement.
    task: what two labels must share to be compared. responses: K different ids. ranks: 1 = best, equal ranks tie, None =
    shown but not compared; all None where skipped. slots: where each response was shown, 0 = first; None: not known.
    sources: the model behind each response. lengths: characters of each. expected: ranks that are known to be right (a
    gold item); leave a response None where its place is not certain. guideline: the version that was read.
    group: what tasks are resampled together (None: the task alone).
    Raises ValueError where lengths differ or ids or slots repeat.

    Example: `Label("ann", "t7", ("a", "b", "c"), (2, 1, 2), slots=(2, 0, 1))`: b first, a and c tied, shown b, c, a."""

    annotator: str
    task: str
    responses: tuple[str, ...]
    ranks: Ranks
    slots: tuple[int, ...] | None = None
    seconds: float | None = None
    sources: tuple[str | None, ...] | None = None
    lengths: tuple[int, ...] | None = None
    expected: Ranks | None = None
    skipped: bool = False
    guideline: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        count = len(self.responses)
        for name in ("ranks", "slots", "sources", "lengths", "expected"):
            value = getattr(self, name)
            if value is not None and len(value) != count:
                raise ValueError(f"task {self.task}: {name} has {len(value)} entries for {count} responses")
        for name in ("responses", "slots"):
            value = getattr(self, name)
            if value is not None and len(set(value)) < count:
                raise ValueError(f"task {self.task}: {name} {value} names one twice")
        if self.skipped and any(rank is not None for rank in self.ranks):
            raise ValueError(f"task {self.task}: skipped, but ranks are {self.ranks}; they must all be None")

    @property
    def cluster(self) -> str:
        return self.task if self.group is None else self.group

    @property
    def compared(self) -> int:
        """How many responses have a rank."""
        return sum(rank is not None for rank in self.ranks)


class Pair(NamedTuple):
    """Two responses of a task, ids in alphabetical order."""

    cluster: str
    task: str
    first: str
    second: str


def from_ranking(ranking: Ranking, seconds: float | None = None, slots: tuple[int, ...] | None = None) -> Label:
    """The task is the prompt's content id, a response the digest of its text; of equal texts only the first is kept.

    slots: where each response was shown; None: as listed, which is all that a record tells."""
    texts = [response.text for response in ranking.responses]
    kept = [i for i, text in enumerate(texts) if text not in texts[:i]]
    shown = tuple(range(len(texts))) if slots is None else slots
    return Label(
        annotator=ranking.annotator or "",
        task=content_id(ranking.prompt),
        responses=tuple(hashlib.sha256(texts[i].encode("utf-8")).hexdigest()[:16] for i in kept),
        ranks=tuple(ranking.ranks[i] for i in kept),
        slots=tuple(shown[i] for i in kept),
        seconds=seconds,
        sources=tuple(ranking.responses[i].model for i in kept),
        lengths=tuple(len(texts[i]) for i in kept),
        group=ranking.group,
    )


def verdicts(label: Label) -> dict[Pair, int]:
    """Every pair that the label compares: 1 the first is better, −1 the second is, 0 they tie."""
    found = {}
    for i, j in strict_pairs(label.ranks) + tied_pairs(label.ranks):
        better, other = label.responses[i], label.responses[j]
        tie = label.ranks[i] == label.ranks[j]
        found[_pair(label, better, other)] = 0 if tie else 1 if better < other else -1
    return found


def opinions(labels: Iterable[Label]) -> dict[Pair, dict[str, int]]:
    """Pair → annotator → verdict, of named annotators. Who labelled a pair more than once: the first time counts."""
    found: dict[Pair, dict[str, int]] = defaultdict(dict)
    for label in labels:
        if label.annotator:
            for pair, verdict in verdicts(label).items():
                found[pair].setdefault(label.annotator, verdict)
    return found


def by_task(labels: Iterable[Label]) -> dict[str, dict[str, Label]]:
    """Task → annotator → their first label of it, of named annotators; skips are left out."""
    found: dict[str, dict[str, Label]] = defaultdict(dict)
    for label in labels:
        if label.annotator and label.compared:
            found[label.task].setdefault(label.annotator, label)
    return found


def places(ranks: Ranks) -> list[float | None]:
    """How far down each response stands, 0 < place < 1: (midrank − ½) / k among the k compared responses; None as in
    ranks. The midrank is 1 + (how many are better) + ½ (how many others tie).

    The same for every way to write tied ranks (1, 1, 2 or 1, 1, 3), and one scale for tasks of any k.
    Example: (2, 1, 2) → [2/3, 1/6, 2/3]; midranks 2½, 1, 2½. Source: Kendall 1945, midranks; the scale is Hazen 1914's."""
    known = [rank for rank in ranks if rank is not None]
    return [
        None
        if rank is None
        else (0.5 + sum(r < rank for r in known) + (sum(r == rank for r in known) - 1) / 2) / len(known)
        for rank in ranks
    ]


def _pair(label: Label, one: str, other: str) -> Pair:
    first, second = sorted((one, other))
    return Pair(label.cluster, label.task, first, second)
