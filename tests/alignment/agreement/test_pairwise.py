"""Pairwise agreement, who agrees with whom, what to adjudicate.

Mutations seen to fail (alignment/agreement/pairwise.py):
- a tie agrees with everything; ties False keeps pairs that one ties -> test_agreement_by_hand
- each pair its own cluster -> test_pairs_of_a_task_are_one_observation
- the matrix filled on one side -> test_matrix_by_hand
- sorted by number first, tasks without disagreement kept, agreements counted as disagreements -> test_to_adjudicate
"""

from __future__ import annotations

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from labels import label, simulated

from alignment.agreement.label import Label
from alignment.agreement.pairwise import matrix, pairwise_agreement, to_adjudicate

LABELS = [
    label("x", "t", (1, 2, 3)),  # ab +, ac +, bc +
    label("y", "t", (1, 3, 2)),  # ab +, ac +, bc −
    label("z", "t", (1, 1, 2)),  # ab 0, ac +, bc +
    label("x", "u", (1, 1)),
    label("z", "u", (2, 2)),
]


def test_agreement_by_hand():
    """Meetings on t: xy ++−, xz −++, yz −+−: 5 of 9; on u: a tie with a tie. Without ties: ab xy; ac all; bc xy no, xz yes, yz no."""
    found = pairwise_agreement(LABELS)
    assert (found.value, found.n, found.clusters) == (pytest.approx(6 / 10), 10, 2)
    strict = pairwise_agreement(LABELS, ties=False)
    assert (strict.value, strict.n, strict.clusters) == (pytest.approx(5 / 7), 7, 1)
    assert (strict.low, strict.high) == (strict.value, strict.value)
    assert pairwise_agreement(LABELS[:1]) is None


def test_pairs_of_a_task_are_one_observation():
    """36 pairs of nine responses, all agreed or all not, say as much as one pair."""
    generator = numpy.random.default_rng(0)
    agree = generator.random(30) < 0.7
    few, many = [], []
    for number, same in enumerate(agree):
        for several, count in ((few, 2), (many, 9)):
            order = tuple(range(1, count + 1))
            several += [label("x", f"{number}", order), label("y", f"{number}", order if same else order[::-1])]
    one, other = pairwise_agreement(few), pairwise_agreement(many)
    assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    assert other.n == 36 * one.n


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6))
def test_names_and_listing_do_not_matter(seed):
    generator = numpy.random.default_rng(seed)
    labels = simulated(generator, 4, annotators=3, step=0.8)
    turned = []
    for one in labels:
        order = generator.permutation(len(one.ranks))
        renamed = tuple("wxyz"["abcd".index(one.responses[i])] for i in order)
        turned.append(Label(one.annotator[::-1], one.task, renamed, tuple(one.ranks[i] for i in order)))
    for ties in (True, False):
        assert pairwise_agreement(turned, ties=ties) == pairwise_agreement(labels, ties=ties)


def test_matrix_by_hand():
    found = matrix([*LABELS, label("lone", "v", (1, 2))])
    assert found.annotators == ("x", "y", "z")
    assert found.meetings.tolist() == [[0, 3, 4], [3, 0, 3], [4, 3, 0]]
    expected = [[numpy.nan, 2 / 3, 3 / 4], [2 / 3, numpy.nan, 1 / 3], [3 / 4, 1 / 3, numpy.nan]]
    numpy.testing.assert_allclose(found.agreement, expected)


def test_to_adjudicate():
    labels = [
        *LABELS,
        *(label(name, "all", ranks) for name, ranks in (("x", (1, 2)), ("y", (2, 1)))),
        *(label(name, "more", ranks) for name, ranks in (("x", (1, 2, 3)), ("y", (3, 2, 1)))),
    ]
    found = to_adjudicate(labels)
    assert [(one.task, one.share, one.meetings) for one in found] == [("more", 1, 3), ("all", 1, 1), ("t", 4 / 9, 9)]
    assert found[2].annotators == ("x", "y", "z")
    assert found[2].pair == ("a", "b")  # two of three meetings disagree, as on bc: the first by name
