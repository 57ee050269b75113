"""Krippendorff's α against published figures, hand-worked cases and an independent library.

Mutations seen to fail (alignment/agreement/krippendorff.py):
- 1/(m_u − 1) left out -> test_published
- n in place of n − 1 -> test_opposite_annotators
- the halves of n_c and n_k left out of the ordinal difference -> test_published
- each unit its own cluster -> test_interval_resamples_tasks (ranks), test_agreement_of_all_is_one (pairs)
- only one way round of a pair -> test_pairs_do_not_depend_on_names
- ranks in place of places -> test_ranks_of_unlike_tasks
- ties left out of pairs -> test_pairs_against_library
"""

from __future__ import annotations

import itertools

import krippendorff as library
import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labels import label, simulated

from alignment.agreement.krippendorff import alpha, alpha_of_pairs, alpha_of_ranks, nominal, ordinal
from alignment.agreement.label import Label, opinions

N = None
PUBLISHED = [  # Krippendorff 2011, example C: four observers, twelve units, missing data
    [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
    [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
]


def by_library(units, level: str) -> float:
    longest = max(map(len, units))
    rows = [[numpy.nan if v is None else v for v in unit] + [numpy.nan] * (longest - len(unit)) for unit in units]
    return library.alpha(reliability_data=numpy.array(rows, dtype=float).T, level_of_measurement=level)


def test_published():
    units = list(zip(*PUBLISHED, strict=True))
    assert alpha(units, nominal).value == pytest.approx(0.743, abs=5e-4)
    assert alpha(units, ordinal).value == pytest.approx(0.815, abs=5e-4)
    assert alpha(units, ordinal).n == 40  # as the paper counts: the value given alone to unit 12 pairs with none
    assert alpha(units, ordinal).clusters == 11


def test_published_nominal_of_two_observers():
    """Krippendorff 2011, example A: ten units, two observers, binary: α = .095."""
    one, other = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    assert alpha(list(zip(one, other, strict=True)), nominal).value == pytest.approx(0.095, abs=5e-4)


@pytest.mark.parametrize("count", [1, 2, 10])
def test_opposite_annotators(count):
    """Always the reverse: D_o = 1, D_e = 2 N² / (2N (2N − 1)), so that α = 1 − (2N − 1)/N = 1/N − 1."""
    units = [[0, 1]] * count
    assert alpha(units, nominal).value == pytest.approx(1 / count - 1)
    reversed_orders = [one for t in range(count) for one in (label("x", f"{t}", [1, 2]), label("y", f"{t}", [2, 1]))]
    assert alpha_of_pairs(reversed_orders).value == pytest.approx(1 / (2 * count) - 1)
    assert alpha_of_ranks(reversed_orders).value == pytest.approx(1 / (2 * count) - 1)
    if count == 10:
        assert alpha(units, nominal).high < 0


def test_agreement_of_all_is_one():
    labels = [label(name, str(task), [1, 3, 2, 2]) for task in range(3) for name in "xyz"]
    for found in (alpha_of_pairs(labels), alpha_of_ranks(labels)):
        assert (found.value, found.low, found.high, found.clusters) == (1, 1, 1, 3)


def test_nothing_to_agree_on():
    assert alpha([[1, N], [2]], nominal) is None
    assert alpha([[1, 1], [1, 1]], ordinal) is None
    assert alpha_of_ranks([label("x", "t", [1, 2])]) is None
    assert alpha_of_pairs([]) is None


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.integers(2, 12), st.integers(2, 6))
def test_library(seed, annotators, count, values):
    generator = numpy.random.default_rng(seed)
    drawn = generator.integers(1, values + 1, (count, annotators))
    gone = generator.random((count, annotators)) < 0.3
    units = [[None if out else int(v) for v, out in zip(*rows, strict=True)] for rows in zip(drawn, gone, strict=True)]
    paired = [value for unit in units for value in unit if sum(v is not None for v in unit) > 1 and value is not None]
    if len(set(paired)) < 2:
        assert alpha(units, nominal) is None
        return
    for difference, level in ((nominal, "nominal"), (ordinal, "ordinal")):
        assert alpha(units, difference, draws=1).value == pytest.approx(by_library(units, level), abs=1e-12)


def test_ranks_against_library():
    """With one K and no ties, places are ranks to an ordinal measure."""
    labels = simulated(numpy.random.default_rng(0), 30, annotators=3)
    grouped = [list(several) for _, several in itertools.groupby(labels, key=lambda one: one.task)]
    units = [ranks for several in grouped for ranks in zip(*(one.ranks for one in several), strict=True)]
    assert alpha_of_ranks(labels).value == pytest.approx(by_library(units, "ordinal"), abs=1e-12)


def test_pairs_against_library():
    labels = simulated(numpy.random.default_rng(1), 30, annotators=3, step=0.8)
    units = [list(verdicts.values()) for verdicts in opinions(labels).values()]
    assert any(0 in unit for unit in units)
    both = units + [[-verdict for verdict in unit] for unit in units]
    assert alpha_of_pairs(labels).value == pytest.approx(by_library(both, "nominal"), abs=1e-12)


def test_pairs_do_not_depend_on_names():
    labels = simulated(numpy.random.default_rng(2), 12, annotators=3, step=0.8)
    names = dict(zip("abcd", "dabc", strict=True))
    renamed = [Label(o.annotator, o.task, tuple(map(names.get, o.responses)), o.ranks) for o in labels]
    assert alpha_of_pairs(renamed).value == pytest.approx(alpha_of_pairs(labels).value, abs=1e-12)


def test_ranks_of_unlike_tasks():
    """Rank 2 is last of two and near the top of nine. Two annotators who agree but for neighbours in one task of nine agree
    nearly perfectly; how a tie is written changes nothing."""
    nine, swapped = tuple(range(1, 10)), (2, 1, *range(3, 10))
    labels = [label("x", "t", nine), label("y", "t", swapped), label("x", "u", (1, 2)), label("y", "u", (1, 2))]
    units = [[(a - 0.5) / 9, (b - 0.5) / 9] for a, b in zip(nine, swapped, strict=True)] + [[0.25, 0.25], [0.75, 0.75]]
    assert alpha_of_ranks(labels).value == pytest.approx(by_library(units, "ordinal"), abs=1e-12)
    dense = [label("x", "t", (1, 1, 2)), label("y", "t", (1, 2, 3))]
    assert alpha_of_ranks(dense) == alpha_of_ranks([label("x", "t", (1, 1, 3)), dense[1]])


def test_interval_resamples_tasks():
    """Every task four times over, in its own group, says no more than once."""
    labels = simulated(numpy.random.default_rng(3), 15, annotators=2)
    copies = [Label(o.annotator, f"{o.task}/{n}", o.responses, o.ranks, group=o.task) for n in range(4) for o in labels]
    once, often = alpha_of_ranks(labels), alpha_of_ranks(copies)
    assert (often.clusters, often.n) == (once.clusters, 4 * once.n)
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high), abs=0.02)


def test_interval_covers_as_often_as_it_says():
    """Two annotators, binary, each unit agreed on with probability .8: α → 1 − .2 / .5 = .6."""
    generator, covered = numpy.random.default_rng(4), 0
    for trial in range(100):
        first = generator.integers(0, 2, 60)
        second = numpy.where(generator.random(60) < 0.8, first, 1 - first)
        found = alpha(list(zip(first.tolist(), second.tolist(), strict=True)), nominal, seed=trial, draws=200)
        covered += found.low <= 0.6 <= found.high
    assert 88 <= covered <= 99
