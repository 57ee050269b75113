"""McNemar's test: whether two rules are right equally often on the same pairs, with pairs of a prompt as one observation."""

from __future__ import annotations

from typing import Any

import numpy

from alignment.tails import chi_square_above


def mcnemar(first: numpy.ndarray, second: numpy.ndarray, cluster: numpy.ndarray) -> dict[str, Any]:
    """Whether two rules order the same pairs equally often right: χ² = (Σ_c d_c)² / Σ_c d_c², d_c = Σ first − second over
    the pairs of cluster c, with one degree of freedom; p = P(χ²₁ ≥ χ²).

    first, second: (M,) 1, ½ or 0 a pair. With clusters of one pair it is McNemar's (b − c)² / (b + c).
    Returns the difference of the two shares, χ² and p; p = 1 where the rules never differ.
    Source: McNemar 1947; by clusters Obuchowski 1998, "On the comparison of correlated proportions for clustered data"."""
    _, places = numpy.unique(cluster, return_inverse=True)
    differences = numpy.bincount(places, first - second)
    spread = float((differences**2).sum())
    square = float(differences.sum()) ** 2 / spread if spread else 0.0
    return {
        "difference": float((first - second).mean()),
        "chi_square": square,
        "p": chi_square_above(square, 1),
    }
