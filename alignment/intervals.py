"""Intervals that treat everything measured on one prompt as one observation."""

from __future__ import annotations

import numpy


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
    numerators, denominators = numerators[counts], denominators[counts]
    if not len(denominators):
        raise ValueError("no cluster has a positive denominator, so there is nothing to measure")
    generator = numpy.random.default_rng(seed)
    ratios = numpy.empty(draws)
    for draw in range(draws):  # one resample at a time: memory does not grow with draws · clusters
        rows = generator.integers(len(denominators), size=len(denominators))
        ratios[draw] = numerators[rows].sum() / denominators[rows].sum()
    low, high = numpy.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return float(numerators.sum() / denominators.sum()), float(low), float(high)
