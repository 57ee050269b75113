"""Error against the amount of labels, and what twice as many would be worth. Pure functions of what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from alignment.intervals import bootstrap_ratio

FRACTIONS = {"1/8": 1 / 8, "1/4": 1 / 4, "1/2": 1 / 2}
"""The parts of the data that `--scaling` trains on besides all of it."""

ALL = "all"


@dataclass(frozen=True)
class ScalingFit:
    """error = level + slope · log2(n / n_all). gain: −slope, what a doubling takes off the error; with its 95 % interval.

    at_twice: the error that the line says for twice all labels."""

    gain: float
    gain_low: float
    gain_high: float
    at_twice: float


def share_of(hashes: dict[int, float], fraction: float) -> set[int]:
    """The units of the lowest hashes, ⌈fraction · units⌉ of them: smaller parts lie within larger ones."""
    order = sorted(hashes, key=lambda unit: (hashes[unit], unit))
    return set(order[: max(1, int(numpy.ceil(fraction * len(order))))])


def scaling_fit(
    counts: Sequence[int], errors: numpy.ndarray, sizes: numpy.ndarray, *, seed: int = 0, draws: int = 2000
) -> ScalingFit:
    """Least squares of the error on log2 of the labels; the interval resamples clusters, the same for all points.

    counts: F numbers of labels, the last that of all. errors: (F, C) sums of errors over each of C clusters of what was
    measured; sizes: (C,) what they are sums over, so that point f's error is Σ_c errors_fc / Σ_c sizes_c. The interval is
    that of the held-out sample: what another seed would change is not in it. Raises ValueError for fewer than 2 counts.
    Source: a power law's tangent; Gao 2022, arXiv 2210.10760, §3.3 plots the same."""
    x = numpy.log2(numpy.asarray(counts, dtype=float) / counts[-1])
    if len(set(counts)) < 2:
        raise ValueError("a line needs at least two amounts of labels")
    centred = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    points = errors.sum(1) / sizes.sum()
    slope = float(centred @ points)
    generator = numpy.random.default_rng(seed)
    slopes = numpy.empty(draws)
    for draw in range(draws):
        rows = generator.integers(len(sizes), size=len(sizes))
        slopes[draw] = centred @ (errors[:, rows].sum(1) / sizes[rows].sum())
    low, high = numpy.quantile(-slopes, [0.025, 0.975])
    return ScalingFit(-slope, float(low), float(high), float(points.mean() - slope * x.mean() + slope))


def curve(
    counts: dict[str, int], errors: dict[str, numpy.ndarray], sizes: numpy.ndarray, seed: int = 0
) -> dict[str, Any]:
    """What metrics.json holds: the error of each part with its 95 % interval, what a doubling takes off it, and the error
    at twice all labels; the last two None where the parts have one size.

    counts: part → labels, all of them last. errors: part → (C,) sums over clusters; sizes: (C,), as in `scaling_fit`."""
    points = {}
    for name, count in counts.items():
        error, low, high = bootstrap_ratio(errors[name], sizes, seed=seed)
        points[name] = {"n": count, "error": error, "error_low": low, "error_high": high}
    amounts = list(counts.values())
    if len(set(amounts)) < 2:
        return {"points": points, "doubling": None, "error_at_twice": None}
    fit = scaling_fit(amounts, numpy.array([errors[name] for name in counts]), sizes, seed=seed)
    line = {"gain": fit.gain, "gain_low": fit.gain_low, "gain_high": fit.gain_high}
    return {"points": points, "doubling": line, "error_at_twice": fit.at_twice}
