"""How each annotator works: gold items, consistency, speed, ties, skips, untouched orders; and who is set aside."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from alignment.agreement.consensus import with_consensus
from alignment.agreement.label import Label, verdicts
from alignment.agreement.position import BAND, LeftWins, left_wins
from alignment.intervals import Estimate, clopper_pearson, clustered_mean
from alignment.records import strict_pairs, tied_pairs

GOLD_FLOOR = 0.75
"""Accuracy on gold items below which an annotator surely is: quarantine. Source: ours; a bound
and not the estimate, since 14 of 20 alone would set aside a fifth of the annotators who are right 75 % of the time."""

LARGEST_SHARE = 0.20
"""The most of a snapshot that one annotator may have labelled, where at least FEWEST_ANNOTATORS label. Source: ours."""

FEWEST_ANNOTATORS = 5


@dataclass(frozen=True)
class Quality:
    """One annotator. None: nothing to measure it on.

    labels: those not skipped. share: of everybody's. gold: accuracy on gold items. ties: of compared pairs. skips: of all
    labels. seconds: the median. unchanged: labels whose order is the order shown, unchanged_by_chance what shuffles give.
    consistency: pairs ordered as before when a task came again. consensus: agreement with the majority of the others.
    left: wins of the earlier slot."""

    annotator: str
    labels: int
    share: float
    gold: Estimate | None
    ties: float | None
    skips: float
    seconds: float | None
    unchanged: float | None
    unchanged_by_chance: float | None
    consistency: Estimate | None
    consensus: Estimate | None
    left: LeftWins | None


def qualities(labels: Sequence[Label], seed: int = 0, band: float = BAND) -> list[Quality]:
    """Every named annotator, in alphabetical order. labels: all labels of a snapshot or a period, skips among them.

    band: mass of the band of left wins."""
    by_name: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        if label.annotator:
            by_name[label.annotator].append(label)
    total = sum(not label.skipped for several in by_name.values() for label in several)
    consensus = with_consensus(labels, seed)
    return [
        _quality(name, several, total, consensus.get(name), seed, band) for name, several in sorted(by_name.items())
    ]


def quarantine(
    several: Sequence[Quality],
    gold_floor: float = GOLD_FLOOR,
    largest_share: float = LARGEST_SHARE,
    fewest: int = FEWEST_ANNOTATORS,
) -> dict[str, list[str]]:
    """Annotator → the reasons to set their labels aside (never to delete them), one sentence each; who has none is absent.

    1. gold: the upper bound of the 95 % interval of the accuracy on gold items is below gold_floor. The interval is exact,
       so at one look at most 2.5 % of annotators who are just that good are set aside, and fewer of better ones.
    2. left wins: the share of pairs that the earlier slot wins lies outside of its exact band: at 99 %, at most 1 % by chance.
    3. share: more than largest_share of the labels, where at least `fewest` label.
    Each new look is a new chance of error: look once a snapshot, not after every label. Source: ours, the loop's gates."""
    working = sum(one.labels > 0 for one in several)
    share = largest_share if working >= fewest else 1.0
    found = {one.annotator: _reasons(one, gold_floor, share) for one in several}
    return {name: reasons for name, reasons in found.items() if reasons}


def gold_accuracy(labels: Iterable[Label]) -> Estimate | None:
    """Gold items answered right ÷ gold items, with the Clopper–Pearson interval; None where there is none.

    An item is right where every strict pair of `expected` is ordered so; a tie or a missing rank there is wrong, and what
    `expected` leaves open (None, or tied) is not asked. Skipped items are left out, and of an item seen twice the first
    answer counts: items are independent trials, pairs of one item are not. Source: Clopper & Pearson 1934."""
    right: dict[str, bool] = {}
    for label in labels:
        answered = answered_right(label)
        if answered is not None:
            right.setdefault(label.task, answered)
    if not right:
        return None
    low, high = clopper_pearson(sum(right.values()), len(right))
    return Estimate(sum(right.values()) / len(right), low, high, len(right), len(right))


def answered_right(label: Label) -> bool | None:
    """Whether every strict pair of `expected` is ordered so; None where there is none, or the item was skipped."""
    wanted = strict_pairs(label.expected or ())
    return set(wanted) <= set(strict_pairs(label.ranks)) if wanted and not label.skipped else None


def self_consistency(labels: Iterable[Label], seed: int = 0) -> Estimate | None:
    """One annotator's pairs ordered (or tied) as at their label of the same task before ÷ pairs compared both times;
    interval by tasks; None where no task came again. labels: of one annotator, in the order of their saving."""
    before: dict[str, Label] = {}
    same: list[tuple[str, float]] = []
    for label in labels:
        if label.compared:
            old = verdicts(before[label.task]) if label.task in before else {}
            same += [(pair.cluster, float(old[pair] == new)) for pair, new in verdicts(label).items() if pair in old]
            before[label.task] = label
    return clustered_mean([each for _, each in same], [cluster for cluster, _ in same], seed)


def unchanged(label: Label) -> bool | None:
    """Whether the order given is the order shown; None where it is not known, or not every response has a rank."""
    if label.slots is None or label.compared < len(label.ranks):
        return None
    in_order = [rank for _, rank in sorted(zip(label.slots, label.ranks))]
    return all(one < other for one, other in itertools.pairwise(in_order))  # type: ignore[operator]


def _quality(name: str, labels: list[Label], total: int, consensus: Estimate | None, seed: int, band: float) -> Quality:
    done = [label for label in labels if not label.skipped]
    tied = sum(len(tied_pairs(label.ranks)) for label in done)
    compared = tied + sum(len(strict_pairs(label.ranks)) for label in done)
    kept = [(label, unchanged(label)) for label in done]
    asked = [(label, same) for label, same in kept if same is not None]
    times = [label.seconds for label in done if label.seconds is not None]
    return Quality(
        annotator=name,
        labels=len(done),
        share=len(done) / total if total else 0.0,
        gold=gold_accuracy(done),
        ties=tied / compared if compared else None,
        skips=(len(labels) - len(done)) / len(labels),
        seconds=statistics.median(times) if times else None,
        unchanged=sum(same for _, same in asked) / len(asked) if asked else None,
        unchanged_by_chance=_untouched_by_chance([label for label, _ in asked]),
        consistency=self_consistency(done, seed),
        consensus=consensus,
        left=left_wins(done, band),
    )


def _untouched_by_chance(labels: list[Label]) -> float | None:
    """Mean of 1/K! over labels without ties; with ties an order is never the one shown."""
    chances = [0.0 if tied_pairs(label.ranks) else 1 / math.factorial(label.compared) for label in labels]
    return sum(chances) / len(chances) if chances else None


def _reasons(one: Quality, gold_floor: float, largest_share: float) -> list[str]:
    found = []
    if one.gold and one.gold.high < gold_floor:
        found.append(
            f"gold: {one.gold.value:.0%} of {one.gold.n} items right, at most {one.gold.high:.1%} (95 % interval), "
            f"below {gold_floor:.0%}"
        )
    if one.left and one.left.outside:
        found.append(
            f"left wins: the response shown earlier wins {one.left.share:.1%} of {one.left.pairs} pairs; by chance "
            f"{one.left.low:.1%} to {one.left.high:.1%} ({100 * one.left.level:g} %)"
        )
    if one.share > largest_share:
        found.append(f"share: {one.share:.1%} of the labels, more than {largest_share:.0%}")
    return found
