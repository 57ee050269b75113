"""Position bias: exact chance, scipy's tests, SIMULATED annotators with and without bias.

Mutations seen to fail (alignment/agreement/position.py):
- q^m left out of the q-binomial, tiers ignored -> test_chance_is_every_arrangement
- one side's 1 % in place of ½ % -> test_band_is_exact
- the later slot counted as winner -> test_left_wins_by_hand
- nulls take part -> test_nulls_take_no_part
- spread / k in place of / (k − 1), the zeros of V kept -> test_slots_are_friedmans_test
- losses added in place of taken off -> test_two_slots_are_the_sign_test
- (tails.py) i + ½ for i − ½, one term too many or too few -> test_tails_are_scipys
"""

from __future__ import annotations

import itertools
from collections import Counter

import numpy
import pytest
from labels import label, simulated
from scipy.stats import binom, chi2, friedmanchisquare

from alignment.agreement.label import Label
from alignment.agreement.position import _earlier_by_chance, left_wins, slot_wins
from alignment.tails import binomial_at_most, chi_square_above


@pytest.mark.parametrize("several", [[(1, 2, 3)], [(1, 1, 2)], [(1, 2, 2, 1, 3)], [(1, 2), (1, 1, 2), (1, 2, 3, 4)]])
def test_chance_is_every_arrangement(several):
    """Count all arrangements of all labels' ranks over their slots."""
    counts: Counter[int] = Counter()
    for orders in itertools.product(*(itertools.permutations(ranks) for ranks in several)):
        counts[sum(a < b for order in orders for a, b in itertools.combinations(order, 2))] += 1
    pairs = max(counts)
    tiers = [tuple(sorted(Counter(ranks).values())) for ranks in several]
    expected = [counts[number] / counts.total() for number in range(pairs + 1)]
    assert _earlier_by_chance(tiers, pairs) == pytest.approx(expected, abs=1e-12)


def test_band_is_exact():
    """K = 2: W is binomial(n, ½); the band's ends are its ½ % points."""
    labels = [label("x", f"{n}", (1, 2), slots=(0, 1)) for n in range(200)]
    found = left_wins(labels)
    assert found.low == binom.ppf(0.005, 200, 0.5) / 200
    assert (found.low, found.high, found.pairs) == (82 / 200, 118 / 200, 200)
    assert left_wins(labels[:7]).outside is False  # 2⁻⁷ > .005: seven say nothing
    assert left_wins(labels[:8]).outside is True


def test_left_wins_by_hand():
    """Slots: c a b. Won by the earlier: a over b; not: a over c, b over c (c is first). A tie and a label without slots are nothing."""
    labels = [
        label("x", "t", (1, 2, 3), slots=(1, 2, 0)),
        label("x", "u", (1, 1), slots=(0, 1)),
        label("x", "v", (1, 2)),
    ]
    found = left_wins(labels)
    assert (found.share, found.pairs, found.low, found.high) == (pytest.approx(1 / 3), 3, 0, 1)
    assert left_wins(labels[1:]) is None
    assert slot_wins(labels[1:]) is None
    assert slot_wins(labels).wins.tolist() == [[0, 0, 0], [1, 0, 1], [1, 0, 0]]
    assert slot_wins(labels).share.tolist() == [0, 1, 0.5]


def test_nulls_take_no_part():
    generator = numpy.random.default_rng(6)
    slots = [tuple(generator.permutation(3).tolist()) for _ in range(29)]
    labels = [label("x", f"{n}", (2, None, 1), slots=shown) for n, shown in enumerate(slots)]
    without = [Label("x", o.task, ("a", "c"), (2, 1), slots=(o.slots[0], o.slots[2])) for o in labels]
    assert left_wins(labels) == left_wins(without)
    one, other = slot_wins(labels), slot_wins(without)
    assert (one.wins.tolist(), one.chi_square, one.p) == (other.wins.tolist(), other.chi_square, other.p)


@pytest.mark.parametrize(("responses", "step"), [(3, 0), (4, 0.8), (9, 0.8)])
def test_slots_are_friedmans_test(responses, step):
    labels = simulated(numpy.random.default_rng(5), 40, responses=responses, step=step)
    by_slot = [[rank for _, rank in sorted(zip(one.slots, one.ranks, strict=True))] for one in labels]
    expected = friedmanchisquare(*zip(*by_slot, strict=True))
    found = slot_wins([one for one in labels if len(set(one.ranks)) > 1])
    assert (found.chi_square, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert found.df == responses - 1


def test_two_slots_are_the_sign_test():
    labels = [label("x", f"{n}", (1, 2), slots=(0, 1) if n < 26 else (1, 0)) for n in range(40)]
    found = slot_wins(labels)
    assert (found.chi_square, found.df) == (pytest.approx((26 - 14) ** 2 / 40), 1)
    assert found.band == pytest.approx([2.5758 * 40**0.5 / 80] * 2, abs=1e-5)
    assert found.share.tolist() == [26 / 40, 14 / 40]


def test_labels_of_unlike_k():
    """Tasks of two (sign test) and of three at once: the covariances add, slot 2 is in one of them only."""
    labels = simulated(numpy.random.default_rng(0), 30, responses=2) + simulated(
        numpy.random.default_rng(1), 30, responses=3
    )
    found = slot_wins(labels)
    covariance = 30 * (numpy.array([[1, -1, 0], [-1, 1, 0], [0, 0, 0]]) + 4 * (numpy.eye(3) - 1 / 3))
    net = (found.wins.sum(axis=1) - found.wins.sum(axis=0))[:2]
    assert found.chi_square == pytest.approx(net @ numpy.linalg.inv(covariance[:2, :2]) @ net)
    assert found.df == 2


@pytest.mark.parametrize("responses", [2, 4])
def test_who_prefers_the_first_slot_is_found(responses):
    """The first card is put first whatever it says, the rest in honest order: by chance the first card wins half."""
    for seed in range(20):
        found = simulated(
            numpy.random.default_rng(seed), 40, responses=responses, sway=lambda slot: 100.0 if slot == 0 else 0.0
        )
        left, slots = left_wins(found), slot_wins(found)
        assert left.outside
        assert left.share > left.high
        assert slots.p < 1e-6
        assert slots.share[0] == 1
        assert abs(slots.share[0] - 0.5) > slots.band[0]


def test_who_prefers_the_middle_is_found_by_the_slots_alone():
    made = simulated(numpy.random.default_rng(0), 60, responses=3, sway=lambda slot: 3.0 if slot == 1 else 0.0)
    assert not left_wins(made).outside
    assert slot_wins(made).p < 1e-6


@pytest.mark.parametrize(("tasks", "responses", "step"), [(12, 2, 0), (40, 4, 0.8)])
def test_the_honest_are_left_alone(tasks, responses, step):
    """At most 1 % of seeds outside of the exact band. Bounds: the 99.9 % point of binomial(1000, .01) is 21."""
    outside, rejected = 0, 0
    for seed in range(1000 if responses == 2 else 300):
        made = simulated(numpy.random.default_rng(seed), tasks, responses=responses, step=step)
        outside += left_wins(made).outside
        if responses == 4:
            rejected += slot_wins(made).p < 0.01
    assert outside <= (10 if responses == 2 else 7)
    assert rejected <= 10  # the 99.9 % point of binomial(300, .01)


def test_tails_are_scipys():
    for df in range(1, 9):
        for value in (0.0, 0.3, 4.0, 30.0):
            assert chi_square_above(value, df) == pytest.approx(chi2.sf(value, df), rel=1e-10)
    for right, count, p in (
        (0, 5, 0.3),
        (3, 5, 0.3),
        (140, 200, 0.75),
        (5, 5, 0.9),
        (2, 5, 0.0),
        (2, 5, 1.0),
        (5, 5, 1.0),
    ):
        assert binomial_at_most(right, count, p) == pytest.approx(binom.cdf(right, count, p), rel=1e-10)
