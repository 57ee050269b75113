"""Intervals of shares and other statistics; those of the bootstrap treat all that is measured on one prompt as one
observation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy

from alignment.tails import binomial_at_most


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval. n: how many things it was counted over; clusters: on how many tasks or prompts,
    which is what the interval resamples. With one cluster low = value = high: nothing is known of its spread."""

    value: float
    low: float
    high: float
    n: int
    clusters: int


def clustered_mean(
    values: Sequence[float] | numpy.ndarray, clusters: Sequence[str] | numpy.ndarray, seed: int = 0, level: float = 0.95
) -> Estimate | None:
    """Mean of the values with a bootstrap interval over clusters; None where there is no value.

    values: (n,), for example 1 = agreed, 0 = not. clusters: (n,) the task or prompt of each.
    level: mass of the interval."""
    if not len(values):
        return None
    names, rows = numpy.unique(clusters, return_inverse=True)
    mean, low, high = bootstrap_ratio(
        numpy.bincount(rows, weights=values), numpy.bincount(rows), seed=seed, level=level
    )
    return Estimate(mean, low, high, len(values), len(names))


def bootstrap_ratio(
    numerators: numpy.ndarray, denominators: numpy.ndarray, *, seed: int = 0, draws: int = 2000, level: float = 0.95
) -> tuple[float, float, float]:
    """Σ_c n_c / Σ_c d_c with its percentile interval when whole clusters are drawn with replacement.

    Pairs of one prompt share its responses, so they are not independent; clusters (prompts, or groups of prompts) are.
    A cluster with d_c = 0 measures nothing and is left out.

    numerators, denominators: (clusters,) sums over each cluster, for example pairs ordered right and pairs, d_c ≥ 0.
    level: mass between the bounds. draws: resamples; 2,000 place a bound to within about .003 of its level.
    Returns (estimate, low, high); with one cluster the three are equal, since nothing is known about its spread.
    Raises ValueError when shapes differ, or when no cluster measures anything.
    Source: Efron & Tibshirani 1993, "An Introduction to the Bootstrap", ch. 13; clusters: Cameron et al. 2008.
    """
    numerators, denominators = numpy.asarray(numerators, dtype=float), numpy.asarray(denominators, dtype=float)
    if numerators.shape != denominators.shape or numerators.ndim != 1:
        raise ValueError(f"numerators {numerators.shape} and denominators {denominators.shape} must be equal vectors")
    counts = denominators > 0
    if not counts.any():
        raise ValueError("no cluster has a positive denominator, so there is nothing to measure")
    sums = numpy.stack([numerators[counts], denominators[counts]], axis=1)
    return bootstrap_of_sums(sums, lambda total: total[0] / total[1], seed=seed, draws=draws, level=level)


def bootstrap_of_sums(
    sums: numpy.ndarray,
    statistic: Callable[[numpy.ndarray], float],
    *,
    seed: int = 0,
    draws: int = 2000,
    level: float = 0.95,
) -> tuple[float, float, float]:
    """f(Σ_c s_c) with its percentile interval when whole clusters are drawn with replacement.

    sums: (clusters, M) what each cluster adds. statistic: f, from (M,) totals to a number; resamples in which it is not
    defined (NaN) are left out. Returns (estimate, low, high). Source: as `bootstrap_ratio`."""
    count = len(sums)
    generator = numpy.random.default_rng(seed)
    values = numpy.empty(draws)
    for draw in range(draws):  # one resample at a time: memory does not grow with draws · clusters
        times = numpy.bincount(generator.integers(count, size=count), minlength=count)
        values[draw] = statistic(times @ sums)
    estimate = float(statistic(sums.sum(axis=0)))
    values = values[~numpy.isnan(values)]
    if not len(values):
        return estimate, estimate, estimate
    low, high = numpy.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return estimate, float(low), float(high)


def clopper_pearson(right: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share of independent trials: low solves P(X ≥ right | low) = (1 − level) / 2, high solves
    P(X ≤ right | high) = (1 − level) / 2.

    Whatever the true share, each bound lies on the wrong side of it in at most (1 − level) / 2 of draws.
    right: 0 … count; count ≥ 1, else ValueError. Source: Clopper & Pearson 1934, Biometrika 26."""
    if not 0 <= right <= count or count < 1:
        raise ValueError(f"{right} right of {count}: count must be at least 1 and right lie in 0 … count")
    tail = (1 - level) / 2
    low = 0.0 if right == 0 else _crossing(lambda p: binomial_at_most(right - 1, count, p), 1 - tail)
    high = 1.0 if right == count else _crossing(lambda p: binomial_at_most(right, count, p), tail)
    return low, high


def _crossing(falling: Callable[[float], float], level: float) -> float:
    """The p in 0 … 1 at which a falling function passes the level, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > level else (low, middle)
    return (low + high) / 2
