"""Tail probabilities in closed form, so that no page needs scipy: binomial, chi-square."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy


def binomial_at_most(right: int, count: int, p: float) -> float:
    """P(X ≤ right) = Σ_{i ≤ right} C(n, i) p^i (1 − p)^{n − i}, X the number of successes in n = count trials.

    right: 0 … count. 0 ≤ p ≤ 1."""
    if p in (0.0, 1.0):
        return float(p == 0 or right == count)
    return min(float(numpy.exp(_log_binomial(right, count, p)).sum()), 1.0)


def log_binomial_tails(count: int, p: float) -> numpy.ndarray:
    """(count + 1,) log P(X ≤ right) for right = 0 … count; also where the probability itself is below what a float holds.

    0 < p < 1."""
    return numpy.minimum(numpy.logaddexp.accumulate(_log_binomial(count, count, p)), 0.0)


def chi_square_above(value: float, df: int) -> float:
    """P(χ²_df ≥ value), value ≥ 0, df ≥ 1. With h = value / 2:

    even df: e^{−h} Σ_{i < df/2} h^i / i!;   odd df: erfc(√h) + e^{−h} Σ_{i=1}^{(df−1)/2} h^{i−½} / Γ(i + ½)

    Source: Abramowitz & Stegun 1964, 26.4.4 and 26.4.5."""
    half = value / 2
    if df % 2:
        terms = (half ** (i - 0.5) / math.gamma(i + 0.5) for i in range(1, (df + 1) // 2))
        return math.erfc(math.sqrt(half)) + math.exp(-half) * sum(terms)
    return math.exp(-half) * sum(half**i / math.factorial(i) for i in range(df // 2))


def _log_binomial(right: int, count: int, p: float) -> numpy.ndarray:
    """(right + 1,) log P(X = i), i = 0 … right."""
    wins, losses = numpy.arange(right + 1), count - numpy.arange(right + 1)
    return log_choose(count)[: right + 1] + wins * math.log(p) + losses * math.log1p(-p)


@lru_cache(maxsize=2048)
def log_choose(count: int) -> numpy.ndarray:
    """(count + 1,) log of count! / (i! (count − i)!), i = 0 … count."""
    factorials = numpy.array([math.lgamma(i + 1) for i in range(count + 1)])
    return factorials[-1] - factorials - factorials[::-1]
