"""Intervals of logistic regressions: a bootstrap that draws whole clusters and needs no second fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy

from alignment.intervals import bootstrap_of_sums


def bootstrap_coefficients(
    design: numpy.ndarray,
    outcomes: numpy.ndarray,
    fitted: numpy.ndarray,
    ridge: numpy.ndarray,
    clusters: Sequence[str] | numpy.ndarray,
    statistic: Callable[[numpy.ndarray], float],
    seed: int = 0,
) -> tuple[float, float, float]:
    """f(β) with its 95 % percentile interval, where each resample moves one Newton step from the fitted β:

        β* = β − H*⁻¹ g*,   g* = Σ_c w_c Σ_{i∈c} (p_i − y_i) x_i + ridge ∘ β,   H* = Σ_c w_c Σ_{i∈c} p_i (1 − p_i) x_i x_iᵀ + diag(ridge)

    with w_c how often cluster c is drawn and p = σ(x β). The fit of the resample differs from β* by terms of order 1/n.
    design: (n, 2). outcomes: (n,) 0 … 1. fitted, ridge: (2,). clusters: (n,), for example prompts.
    Returns (f(β), low, high). Source: Moulton & Zeger 1991, "Bootstrapping generalized linear models", the one-step bootstrap.
    """
    p = 1 / (1 + numpy.exp(-(design @ fitted)))
    (one, two), weight = design.T, p * (1 - p)
    columns = ((p - outcomes) * one, (p - outcomes) * two, weight * one**2, weight * one * two, weight * two**2)
    rows = numpy.unique(clusters, return_inverse=True)[1]
    sums = numpy.stack([numpy.bincount(rows, weights=column) for column in columns], axis=1)

    def moved(total: numpy.ndarray) -> float:
        g, h, i, j = total[:2] + ridge * fitted, total[2] + ridge[0], total[3], total[4] + ridge[1]
        determinant = h * j - i * i
        if determinant <= 0:  # every drawn cluster has the same x: no fit
            return numpy.nan
        return statistic(fitted - numpy.array([j * g[0] - i * g[1], h * g[1] - i * g[0]]) / determinant)

    return bootstrap_of_sums(sums, moved, seed=seed)
