"""McNemar's test by clusters.

Mutations seen to fail (alignment/mcnemar.py): squares summed by pair instead of cluster (test_mcnemar_by_clusters), p of two
degrees of freedom (test_mcnemar_is_the_classic...).
"""

from __future__ import annotations

import numpy
import pytest

from alignment.mcnemar import mcnemar


def test_mcnemar_is_the_classic_one_for_clusters_of_one():
    first = numpy.array([1.0] * 15 + [0.0] * 5 + [1.0] * 30)
    second = numpy.array([0.0] * 15 + [1.0] * 5 + [1.0] * 30)
    found = mcnemar(first, second, numpy.arange(50))
    assert found["chi_square"] == pytest.approx((15 - 5) ** 2 / (15 + 5))
    assert found["p"] == pytest.approx(0.025347, abs=1e-6)  # P(χ²₁ ≥ 5), from tables
    assert found["difference"] == pytest.approx(10 / 50)
    assert mcnemar(first, first, numpy.arange(50)) == {"difference": 0.0, "chi_square": 0.0, "p": 1.0}


def test_mcnemar_by_clusters():
    """Four prompts whose five pairs all move together are four observations, not twenty."""
    first, second = numpy.array([1.0] * 15 + [0.0] * 5), numpy.array([0.0] * 15 + [1.0] * 5)
    assert mcnemar(first, second, numpy.arange(20) // 5)["chi_square"] == pytest.approx((3 - 1) ** 2 / 4)
