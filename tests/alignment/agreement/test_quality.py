"""Each annotator's work, who is set aside, what kind of response wins.

Mutations seen to fail (alignment/agreement/quality.py, wins.py; alignment/intervals.py):
- one expected pair suffices, the second answer counts, skips count as wrong -> test_gold_by_hand
- the estimate or the lower bound against the floor -> test_quarantine_by_gold
- FEWEST_ANNOTATORS 4, `>=` LARGEST_SHARE -> test_quarantine_by_share
- a label compared with the first in place of the one before -> test_self_consistency_by_hand
- nulls not looked at -> test_unchanged_by_hand
- the mean in place of the median, skips among the labels -> test_quality_by_hand
- the shorter as winner, like lengths not asked -> test_longer_wins_by_hand
- wins against the own source counted -> test_source_wins_by_hand
- (1 − level) in place of half of it -> test_clopper_pearson_is_scipys
"""

from __future__ import annotations

import numpy
import pytest
from labels import label, simulated
from scipy.stats import binom, binomtest

from alignment.agreement.quality import (
    GOLD_FLOOR,
    gold_accuracy,
    qualities,
    quarantine,
    self_consistency,
    unchanged,
)
from alignment.agreement.wins import longer_wins, source_wins
from alignment.intervals import clopper_pearson


def gold(right: int, count: int, annotator: str = "ann") -> list:
    slots = [(0, 1), (1, 0)]
    return [
        label(annotator, f"g{n}", (1, 2) if n < right else (2, 1), expected=(1, 2), slots=slots[n % 2])
        for n in range(count)
    ]


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (14, 20), (0, 30), (30, 30), (187, 400)])
def test_clopper_pearson_is_scipys(right, count):
    for level in (0.95, 0.9):
        expected = binomtest(right, count).proportion_ci(level, method="exact")
        assert clopper_pearson(right, count, level) == pytest.approx((expected.low, expected.high), abs=1e-9)
    with pytest.raises(ValueError, match="at least 1"):
        clopper_pearson(0, 0)
    with pytest.raises(ValueError, match="lie in"):
        clopper_pearson(3, 2)


def test_gold_by_hand():
    open_ended = {"expected": (1, 2, None)}  # a over b; c is not asked
    labels = [
        label("x", "g1", (2, 3, 1), **open_ended),  # right
        label("x", "g2", (1, 1, 2), **open_ended),  # a tie
        label("x", "g3", (1, None, 2), **open_ended),  # not compared
        label("x", "g4", (1, 3, 2), expected=(1, 2, 3)),  # one of three pairs is wrong
        label("x", "g1", (2, 1, 3), **open_ended),  # a second time
        label("x", "g5", (None, None), expected=(1, 2), skipped=True),
        label("x", "g6", (1, 2), expected=(1, 1)),  # nothing asked
        label("x", "t", (1, 2)),
    ]
    found = gold_accuracy(labels)
    assert (found.value, found.n) == (0.25, 4)
    assert (found.low, found.high) == clopper_pearson(1, 4)
    assert gold_accuracy(labels[5:]) is None


def test_quarantine_by_gold():
    """14 of 20 stays: an honest annotator at 75 % has that or less in a fifth of draws. 10 of 20 goes: 1.4 % of draws."""
    assert quarantine(qualities(gold(14, 20))) == {}
    assert quarantine(qualities(gold(11, 20))) == {}
    (reason,) = quarantine(qualities(gold(10, 20)))["ann"]
    assert reason == "gold: 50% of 20 items right, at most 72.8% (95 % interval), below 75%"


def test_at_most_a_fortieth_of_the_honest_is_set_aside():
    """Exactly, from the binomial: the share of draws at accuracy .75 that the rule sets aside, for each number of items."""
    for count in (1, 5, 10, 20, 50, 200):
        out = [right for right in range(count + 1) if clopper_pearson(right, count)[1] < GOLD_FLOOR]
        assert binom.pmf(out, count, GOLD_FLOOR).sum() <= 0.025
        if count >= 50:  # and who tosses a coin is found
            assert binom.pmf(out, count, 0.5).sum() >= 0.9


def test_quarantine_by_place():
    always = [label("ann", f"{n}", (1, 2) if n % 2 else (2, 1), slots=(0, 1) if n % 2 else (1, 0)) for n in range(10)]
    (reason,) = quarantine(qualities(always))["ann"]
    assert reason == "left wins: the response shown earlier wins 100.0% of 10 pairs; by chance 10.0% to 90.0% (99 %)"
    assert quarantine(qualities(always[:7])) == {}


def test_quarantine_by_share():
    def shares(*counts: int) -> list:
        return [label(f"a{who}", f"{who}/{n}", (1, 2)) for who, count in enumerate(counts) for n in range(count)]

    assert quarantine(qualities(shares(1, 1, 1, 1, 1))) == {}  # a fifth each is not more than a fifth
    assert quarantine(qualities(shares(3, 1, 1, 1))) == {}  # four label
    assert quarantine(qualities(shares(3, 2, 2, 2, 1))) == {"a0": ["share: 30.0% of the labels, more than 20%"]}
    idle = label("idle", "t", (None, None), skipped=True)
    assert quarantine(qualities([*shares(3, 1, 1, 1), idle])) == {}


def test_self_consistency_by_hand():
    """t thrice: then (ab as before, ac turned), then all as the second time. bc is a tie, then strict."""
    labels = [
        label("x", "t", (1, 2, 2)),
        label("x", "u", (1, 2)),
        label("x", "t", (2, 3, 1)),  # ab same, ac turned, bc other: 1 of 3
        label("x", "t", (2, 3, 1)),  # 3 of 3
        label("x", "u", (1, None)),  # nothing compared both times
    ]
    found = self_consistency(labels)
    assert (found.value, found.n, found.clusters) == (pytest.approx(4 / 6), 6, 1)
    assert self_consistency(labels[:2]) is None


def test_unchanged_by_hand():
    assert unchanged(label("x", "t", (2, 1, 3), slots=(1, 0, 2))) is True
    assert unchanged(label("x", "t", (2, 1, 3), slots=(0, 1, 2))) is False
    assert unchanged(label("x", "t", (1, 1, 2), slots=(0, 1, 2))) is False
    assert unchanged(label("x", "t", (1, 2, None), slots=(0, 1, 2))) is None
    assert unchanged(label("x", "t", (1, 2))) is None


def test_quality_by_hand():
    labels = [
        label("x", "t", (1, 2, 3), slots=(0, 1, 2), seconds=10),
        label("x", "u", (1, 1), slots=(0, 1), seconds=2),
        label("x", "v", (2, 1), slots=(0, 1), seconds=90),
        label("x", "w", (None, None), skipped=True, seconds=500),
        label("y", "t", (1, 2, 3)),
        label("", "t", (1, 2, 3)),
    ]
    x, y = qualities(labels)
    assert (x.annotator, x.labels, x.share, x.skips, x.seconds) == ("x", 3, 3 / 4, 1 / 4, 10)
    assert x.ties == 1 / 5  # three pairs on t, the tie on u, one on v
    assert x.unchanged == 1 / 3
    assert x.unchanged_by_chance == pytest.approx((1 / 6 + 0 + 1 / 2) / 3)
    assert (x.left.share, x.left.pairs) == (3 / 4, 4)
    assert (x.consensus.value, x.consensus.n) == (1, 3)
    assert (x.gold, x.consistency) == (None, None)
    assert (y.seconds, y.unchanged, y.unchanged_by_chance, y.left) == (None, None, None, None)


def test_unchanged_by_chance_is_what_shuffles_give():
    made = simulated(numpy.random.default_rng(0), 2000, responses=3)
    (found,) = qualities(made)
    assert found.unchanged_by_chance == pytest.approx(1 / 6)
    assert found.unchanged == pytest.approx(1 / 6, abs=3 * (5 / 36 / 2000) ** 0.5)


def test_longer_wins_by_hand():
    labels = [
        label("x", "t", (1, 2, 3), lengths=(100, 105, 50)),  # ab no, ac yes, bc yes; like: ab
        label("x", "u", (2, 1), lengths=(100, 110)),  # yes; 10 of 110 is like
        label("x", "v", (1, 2), lengths=(7, 7)),  # equal: a half
        label("x", "w", (1, 1), lengths=(7, 8)),
        label("x", "y", (1, 2)),
    ]
    every, like = longer_wins(labels), longer_wins(labels, matched=True)
    assert (every.value, every.n, every.clusters) == (pytest.approx(3.5 / 5), 5, 3)
    assert (like.value, like.n) == (pytest.approx(1.5 / 3), 3)
    assert longer_wins(labels[3:]) is None


def test_source_wins_by_hand():
    labels = [
        label("x", "t", (1, 2, 3), sources=("old", "new", "new")),
        label("x", "u", (2, 1), sources=("old", "new")),
        label("x", "v", (1, 2), sources=("old", None)),
        label("x", "w", (1, 2)),
    ]
    found = source_wins(labels)
    assert {name: (one.value, one.n) for name, one in found.items()} == {
        "new": (pytest.approx(1 / 3), 3),
        "old": (pytest.approx(2 / 3), 3),
    }
