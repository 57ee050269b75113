"""Intervals by resampling whole clusters.

Mutations seen to fail:
- entries resampled as if all pairs were independent, i.e. cluster sums broken up -> test_copies_of_a_cluster_count_once
- mean of ratios in place of the ratio of sums -> test_estimate_is_the_ratio_of_sums
- quantiles at (1 - level) instead of (1 - level) / 2 -> test_interval_covers_as_often_as_it_says
- seed ignored -> test_same_seed_same_interval
"""

from __future__ import annotations

import numpy
import pytest

from alignment.intervals import bootstrap_ratio


def test_estimate_is_the_ratio_of_sums():
    estimate, low, high = bootstrap_ratio(numpy.array([1.0, 0.0, 9.0]), numpy.array([2.0, 1.0, 9.0]))
    assert estimate == 10 / 12
    assert low <= estimate <= high
    # of two clusters, half the resamples hold each once: the middle of the distribution is their ratio of sums too
    assert bootstrap_ratio(numpy.array([10.0, 0.0]), numpy.array([10.0, 1.0]), level=0.2) == (10 / 11, 10 / 11, 10 / 11)


def test_interval_covers_as_often_as_it_says():
    """Clusters of 1 to 6 correlated pairs, true accuracy .7: about 95 % of the intervals hold it, about 80 % at .8."""
    generator = numpy.random.default_rng(1)
    covered = {0.95: 0, 0.8: 0}
    for trial in range(300):
        sizes = generator.integers(1, 7, size=80)
        ease = generator.beta(2.1, 0.9, size=80)
        right = generator.binomial(sizes, ease)
        for level in covered:
            _, low, high = bootstrap_ratio(right, sizes, seed=trial, draws=300, level=level)
            covered[level] += low <= 0.7 <= high
    assert 0.91 <= covered[0.95] / 300 <= 0.975
    assert 0.74 <= covered[0.8] / 300 <= 0.86


def test_copies_of_a_cluster_count_once():
    """36 pairs of one prompt that all agree say as much as one pair of it: the interval does not shrink."""
    wins = numpy.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    assert bootstrap_ratio(36 * wins, numpy.full(8, 36.0)) == bootstrap_ratio(wins, numpy.ones(8))


def test_clusters_that_measure_nothing_change_nothing():
    some = bootstrap_ratio(numpy.array([1.0, 2.0, 0.0]), numpy.array([2.0, 2.0, 3.0]))
    assert bootstrap_ratio(numpy.array([1.0, 0.0, 2.0, 0.0]), numpy.array([2.0, 0.0, 2.0, 3.0])) == some


def test_same_seed_same_interval():
    values = numpy.random.default_rng(0).random(50)
    ones = numpy.ones(50)
    assert bootstrap_ratio(values, ones, seed=1) == bootstrap_ratio(values, ones, seed=1)
    assert bootstrap_ratio(values, ones, seed=1)[1:] != bootstrap_ratio(values, ones, seed=2)[1:]


def test_nothing_to_measure_is_an_error():
    with pytest.raises(ValueError, match="nothing to measure"):
        bootstrap_ratio(numpy.zeros(2), numpy.zeros(2))
    with pytest.raises(ValueError, match="equal vectors"):
        bootstrap_ratio(numpy.zeros(2), numpy.zeros(3))
