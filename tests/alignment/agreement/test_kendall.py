"""Kendall's τ-b against scipy and by hand.

Mutations seen to fail (alignment/agreement/kendall.py):
- τ-a: all pairs below the line -> test_tau_is_scipys
- missing ranks taken as 0 -> test_missing_ranks_are_left_out
- τ weighted without shared − 1 -> test_mean_by_hand
- responses matched by place in the list -> test_mean_by_hand
"""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labels import label
from scipy.stats import kendalltau

from alignment.agreement.kendall import mean_tau_b, tau_b
from alignment.agreement.label import Label

RANKS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=9)


@given(RANKS)
def test_tau_is_scipys(pairs):
    first, second = zip(*pairs, strict=True)
    expected = kendalltau(first, second).statistic
    found = tau_b(first, second)
    assert found is None if numpy.isnan(expected) else found == pytest.approx(expected, abs=1e-12)


def test_tau_by_hand():
    assert tau_b((1, 2, 3), (1, 2, 3)) == 1
    assert tau_b((1, 2, 3), (3, 2, 1)) == -1
    # pairs: alike ab; tied by the first bc; the reverse ac -> (1 − 1) / √(2 · 3)
    assert tau_b((1, 2, 2), (2, 3, 1)) == 0
    assert tau_b((1, 2, 2), (1, 2, 3)) == pytest.approx(2 / 6**0.5)
    assert tau_b((1, 1), (1, 2)) is None
    assert tau_b((1,), (1,)) is None


def test_missing_ranks_are_left_out():
    assert tau_b((1, None, 2, 3), (1, 2, None, 3)) == 1
    assert tau_b((None, 1), (1, None)) is None


def test_mean_by_hand():
    """t: K = 3, τ = 1/3 (two pairs alike, one not), weight 3. u: K = 2, τ = −1, weight 1. (3 · 1/3 − 1) / 4 = 0."""
    labels = [
        label("x", "t", (1, 2, 3)),
        Label("y", "t", ("c", "b", "a"), (3, 1, 2)),  # b a c
        label("x", "u", (1, 2)),
        label("y", "u", (2, 1)),
        label("z", "u", (1, 1)),  # ties everything: no τ
        label("y", "u", (1, 2)),  # a second time: not counted
    ]
    found = mean_tau_b(labels)
    assert (found.value, found.n, found.clusters) == (pytest.approx(0), 2, 2)
    assert (found.low, found.high) == (-1, pytest.approx(1 / 3))
    assert mean_tau_b(labels[:1]) is None
