"""Tail probabilities in closed form, so that no page needs scipy: binomial, chi-square."""

from __future__ import annotations

import math

import numpy


def binomial_at_most(right: int, count: int, p: float) -> float:
    """P(X ≤ right) = Σ_{i ≤ right} C(n, i) p^i (1 − p)^{n − i}, X the number of successes in n = count trials.

    right: 0 … count. 0 ≤ p ≤ 1."""
    if p in (0.0, 1.0):
        return float(p == 0 or right == count)
    logs = [
        math.lgamma(count + 1) - math.lgamma(i + 1) - math.lgamma(count - i + 1) + i * math.log(p)
        + (count - i) * math.log1p(-p)
        for i in range(right + 1)
    ]  # fmt: skip
    return min(float(numpy.exp(logs).sum()), 1.0)


def chi_square_above(value: float, df: int) -> float:
    """P(χ²_df ≥ value), value ≥ 0, df ≥ 1. With h = value / 2:

    even df: e^{−h} Σ_{i < df/2} h^i / i!;   odd df: erfc(√h) + e^{−h} Σ_{i=1}^{(df−1)/2} h^{i−½} / Γ(i + ½)

    Source: Abramowitz & Stegun 1964, 26.4.4 and 26.4.5."""
    half = value / 2
    if df % 2:
        terms = (half ** (i - 0.5) / math.gamma(i + 0.5) for i in range(1, (df + 1) // 2))
        return math.erfc(math.sqrt(half)) + math.exp(-half) * sum(terms)
    return math.exp(-half) * sum(half**i / math.factorial(i) for i in range(df // 2))
