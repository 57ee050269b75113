"""Each annotator against the consensus of the others; and what such agreement says of a task or a guideline."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy

from alignment.agreement.label import Label, Pair, opinions
from alignment.intervals import Estimate, bootstrap_of_sums, clustered_mean
from alignment.winrates import outcome

FEWEST = 3
"""With two annotators a task's correlation is 1 or −1 whatever they do."""


@dataclass(frozen=True)
class Discrimination:
    """r of a task or a guideline. low, high: 95 %, None where one task (or group of tasks) is all there is.
    labels: how many annotators' scores it is over, each task's counted."""

    key: str
    r: float
    low: float | None
    high: float | None
    tasks: int
    labels: int


class Against(NamedTuple):
    """right: 1 where the annotator's verdict is the consensus of the others, 0 where it is the reverse, ½ a tie."""

    annotator: str
    pair: Pair
    right: float


def against_consensus(labels: Iterable[Label]) -> Iterator[Against]:
    """Every annotator on every pair against the majority of all others: sign(Σ_{b ≠ a} v_b), v = 1, 0, −1.

    Pairs on which the others are split evenly, tie, or are nobody have no consensus and are left out. By pairs and not by
    mean ranks, since a mean rank changes with which responses an annotator compared.
    Source: leave-one-out, Snow et al. 2008 (EMNLP, "Cheap and fast – but is it good?"), §4; majority by pairs: Condorcet."""
    for pair, verdicts in opinions(labels).items():
        total = sum(verdicts.values())
        for annotator, verdict in verdicts.items():
            consensus = total - verdict
            if consensus:
                yield Against(annotator, pair, outcome(verdict * consensus))


def with_consensus(labels: Iterable[Label], seed: int = 0) -> dict[str, Estimate]:
    """Annotator → share of pairs on which they order as the majority of the others, ties a half; interval by tasks."""
    by_name: dict[str, list[Against]] = defaultdict(list)
    for one in against_consensus(labels):
        by_name[one.annotator].append(one)
    found = {
        name: clustered_mean([one.right for one in several], [one.pair.cluster for one in several], seed)
        for name, several in sorted(by_name.items())
    }
    return {name: estimate for name, estimate in found.items() if estimate}


def discrimination(labels: Sequence[Label], by: Callable[[Label], str | None], seed: int = 0) -> list[Discrimination]:
    """Do the better annotators do better here? For each key, lowest r first:

        r = Σ (x_at − x̄_t)(y_at − ȳ_t) / √(Σ (x_at − x̄_t)² · Σ (y_at − ȳ_t)²)

    over the tasks t of the key and the annotators a of each; x_at: a's share of right pairs on t against the consensus of
    the others; y_at: the same over all of a's OTHER tasks; means within a task. r < 0: who agrees elsewhere disagrees
    here, which points at the task (a wrong majority) or, over many tasks, at the guideline rather than at people.
    by: the key of a label's task, for example `lambda label: label.task` or `lambda label: label.guideline`; None leaves
    the task out.
    Tasks with fewer than 3 such annotators, or on which x or y is the same for all, are left out. A few annotators say little: r of one
    task is a reason to read it, no proof. Source: the corrected item–total correlation of classical test theory, Henrysson
    1963, Psychometrika 28; pooled within tasks (ours)."""
    scores = _scores(labels)
    totals: dict[str, numpy.ndarray] = defaultdict(lambda: numpy.zeros(2))
    for several in scores.values():
        for annotator, score in several.items():
            totals[annotator] += score
    keys = {label.task: by(label) for label in labels}
    clusters = {label.task: label.cluster for label in labels}
    sums: dict[str, dict[str, numpy.ndarray]] = defaultdict(lambda: defaultdict(lambda: numpy.zeros(5)))
    for task, several in scores.items():
        rows = [
            (score[0] / score[1], (totals[name] - score)[0] / (totals[name] - score)[1])
            for name, score in several.items()
            if totals[name][1] > score[1]
        ]
        key = keys[task]
        if key is not None and len(rows) >= FEWEST:
            products = _products(numpy.array(rows))
            if not numpy.isnan(_correlation(products)):  # else all are equally right, which says nothing of the task
                sums[key][clusters[task]] += products
    found = [_discrimination(key, numpy.stack(list(groups.values())), seed) for key, groups in sums.items()]
    return sorted(found, key=lambda one: (one.r, one.key))


def _scores(labels: Iterable[Label]) -> dict[str, dict[str, numpy.ndarray]]:
    """Task → annotator → (pairs right, pairs) against the consensus of the others."""
    found: dict[str, dict[str, numpy.ndarray]] = defaultdict(lambda: defaultdict(lambda: numpy.zeros(2)))
    for one in against_consensus(labels):
        found[one.pair.task][one.annotator] += (one.right, 1)
    return found


def _products(rows: numpy.ndarray) -> numpy.ndarray:
    """(Σxy, Σxx, Σyy, annotators, 1) of a task; x, y less their means."""
    x, y = (rows - rows.mean(axis=0)).T
    return numpy.array([x @ y, x @ x, y @ y, len(rows), 1])


def _discrimination(key: str, sums: numpy.ndarray, seed: int) -> Discrimination:
    total = sums.sum(axis=0)
    tasks, annotators = int(total[4]), int(total[3])
    if len(sums) == 1:
        return Discrimination(key, _correlation(total), None, None, tasks, annotators)
    return Discrimination(key, *bootstrap_of_sums(sums, _correlation, seed=seed), tasks, annotators)


def _correlation(total: numpy.ndarray) -> float:
    spread = math.sqrt(total[1] * total[2])
    return float(total[0] / spread) if spread > 1e-12 else math.nan
