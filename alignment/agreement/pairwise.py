"""Pairwise agreement: how often two annotators order two responses alike, over all, by annotators, by task."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy

from alignment.agreement.label import Label, Pair, opinions
from alignment.intervals import Estimate, clustered_mean


@dataclass(frozen=True)
class Meeting:
    """Two annotators who both compared the same two responses, names in alphabetical order."""

    pair: Pair
    one: str
    other: str
    agree: bool


@dataclass(frozen=True)
class Matrix:
    """agreement: (A, A) share of meetings in which two annotators agree, NaN where they never met and on the diagonal;
    meetings: (A, A) how many. Rows and columns as in annotators."""

    annotators: tuple[str, ...]
    agreement: numpy.ndarray
    meetings: numpy.ndarray


@dataclass(frozen=True)
class Disagreement:
    """A task to adjudicate. share: of its meetings that disagree. pair: the two responses they disagree on most."""

    task: str
    share: float
    meetings: int
    annotators: tuple[str, ...]
    pair: tuple[str, str]


def meetings(labels: Iterable[Label], ties: bool = True) -> Iterator[Meeting]:
    """Every two annotators on every pair. They agree where the verdicts are the same: a tie agrees with a tie alone.

    ties False: only meetings in which both have a better one."""
    for pair, verdicts in opinions(labels).items():
        for one, other in itertools.combinations(sorted(verdicts), 2):
            if ties or (verdicts[one] and verdicts[other]):
                yield Meeting(pair, one, other, verdicts[one] == verdicts[other])


def pairwise_agreement(labels: Iterable[Label], *, ties: bool = True, seed: int = 0) -> Estimate | None:
    """Meetings that agree ÷ meetings, interval by tasks; None where no two annotators met. n counts meetings.

    ties: see `meetings`. By chance it is ½ without ties, about ⅓ where ties are as frequent as either order.
    Source: InstructGPT (arXiv 2203.02155, §3.4) reports it as inter-annotator agreement (72.6 ± 1.5 %)."""
    met = list(meetings(labels, ties))
    return clustered_mean([float(one.agree) for one in met], [one.pair.cluster for one in met], seed)


def matrix(labels: Iterable[Label], *, ties: bool = True) -> Matrix:
    """Who agrees with whom."""
    met = list(meetings(labels, ties))
    names = sorted({name for one in met for name in (one.one, one.other)})
    place = {name: number for number, name in enumerate(names)}
    agree, count = numpy.zeros((2, len(names), len(names)))
    for one in met:
        for row, column in ((one.one, one.other), (one.other, one.one)):
            agree[place[row], place[column]] += one.agree
            count[place[row], place[column]] += 1
    share = numpy.divide(agree, count, out=numpy.full_like(agree, numpy.nan), where=count > 0)
    return Matrix(tuple(names), share, count.astype(int))


def to_adjudicate(labels: Sequence[Label]) -> list[Disagreement]:
    """Tasks on which annotators disagree, most first: by the share of meetings that disagree, then by their number.

    Meetings share: 1 − the observed agreement of one item, P_i of Fleiss 1971 ("Measuring nominal scale agreement among
    many raters"), over the pairs of the task. Tasks without a disagreement are left out."""
    by_task: dict[str, list[Meeting]] = defaultdict(list)
    for one in meetings(labels):
        by_task[one.pair.task].append(one)
    found = [_disagreement(task, met) for task, met in by_task.items() if not all(one.agree for one in met)]
    return sorted(found, key=lambda one: (-one.share, -one.meetings, one.task))


def _disagreement(task: str, met: list[Meeting]) -> Disagreement:
    against: dict[tuple[str, str], int] = defaultdict(int)
    for one in met:
        against[one.pair.first, one.pair.second] += not one.agree
    worst = max(sorted(against), key=lambda pair: against[pair])
    names = tuple(sorted({name for one in met for name in (one.one, one.other)}))
    return Disagreement(task, sum(against.values()) / len(met), len(met), names, worst)
