"""Whether stated probabilities are right as often as they say: temperature, slope and intercept, expected error. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from alignment.intervals import Estimate
from alignment.logistic import bootstrap_coefficients

BINS = 10
STEEPEST = 20.0
"""A fitted temperature stays within 1/20 and 20: pairs that are all ordered right, or mostly wrong, would have none."""


@dataclass(frozen=True)
class Bin:
    """Pairs whose stated probability lies in one stretch: its mean, how many there are, how many were right (ties ½)."""

    stated: float
    right: float
    count: int

    @property
    def share(self) -> float:
        return self.right / self.count


def binned(stated: numpy.ndarray, right: numpy.ndarray, bins: int = BINS) -> list[Bin]:
    """Bins of equal width over ½ … 1; empty ones are left out.

    stated: (M,) p ≥ ½ that the higher score is the better one. right: (M,) 1, 0, or ½ for equal scores."""
    place = numpy.minimum(((stated - 0.5) * 2 * bins).astype(int), bins - 1)
    return [
        Bin(float(stated[place == number].mean()), float(right[place == number].sum()), int((place == number).sum()))
        for number in range(bins)
        if (place == number).any()
    ]


def expected_error(bins: list[Bin]) -> float:
    """ECE = Σ count · |share right − mean stated| ÷ Σ count. Source: Naeini et al. 2015."""
    return sum(one.count * abs(one.share - one.stated) for one in bins) / sum(one.count for one in bins)


def stated_and_right(gaps: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """(M,) logits of "the preferred is the better one" → (p = σ(|gap|), 1 where gap > 0, ½ where it is 0)."""
    return 1 / (1 + numpy.exp(-numpy.abs(gaps))), (numpy.sign(gaps) + 1) / 2


def error_by_chance(stated: numpy.ndarray, *, seed: int = 0, draws: int = 1000) -> tuple[float, float]:
    """(mean, 95 % point) of the ECE that a perfectly calibrated model of the same size and sureness would show.

    stated: (M,) p ≥ ½; each draw lets pair m be right with probability p_m, independently. An ECE below the second number
    is no sign of miscalibration. Source: the consistency resampling of Bröcker & Smith 2007."""
    generator = numpy.random.default_rng(seed)
    errors = [
        expected_error(binned(stated, (generator.random(len(stated)) < stated).astype(float))) for _ in range(draws)
    ]
    return float(numpy.mean(errors)), float(numpy.quantile(errors, 0.95))


def log_loss(gaps: numpy.ndarray) -> float:
    """Mean over pairs of −log σ(gap), nats a pair."""
    return float(numpy.logaddexp(0.0, -gaps).mean())


def fitted_temperature(gaps: numpy.ndarray) -> float:
    """T that minimises the mean of −log σ(gap / T), within 1/20 and 20.

    gaps: (M,) logits, the preferred response's minus the other's. The loss is convex in 1/T, so bisection on its slope
    finds the minimum. Source: Guo et al. 2017, arXiv 1706.04599."""

    def slope(inverse: float) -> float:
        return float((-gaps / (1 + numpy.exp(numpy.clip(inverse * gaps, -700, 700)))).mean())

    low, high = 1 / STEEPEST, STEEPEST
    if slope(low) >= 0:
        return 1 / low
    if slope(high) <= 0:
        return 1 / high
    for _ in range(100):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return 1 / math.sqrt(low * high)


@dataclass(frozen=True)
class CalibrationLine:
    """logit P(outcome) = intercept + slope · logit stated: 0 and 1 where what is stated is right."""

    intercept: float
    slope: float


def calibration_line(logits: numpy.ndarray, outcomes: numpy.ndarray) -> CalibrationLine | None:
    """The logistic regression of outcomes on stated logits; None where a line separates them, or the logits are all equal.

    logits, outcomes: (M,) of one side of each pair that does not depend on which was preferred (the response listed first,
    say), since otherwise every outcome would be 1. Newton's method. Source: Cox 1958, "Two further applications of a model
    for binary regression"."""
    if len(set(outcomes.tolist())) < 2 or logits.std() < 1e-12:
        return None
    design = numpy.stack([numpy.ones_like(logits), logits], axis=1)
    parameters = numpy.zeros(2)
    for _ in range(50):
        p = 1 / (1 + numpy.exp(-numpy.clip(design @ parameters, -700, 700)))
        hessian = (design * (p * (1 - p))[:, None]).T @ design
        if numpy.linalg.cond(hessian) > 1e12:
            return None
        step = numpy.linalg.solve(hessian, design.T @ (outcomes - p))
        parameters = parameters + step
        if abs(step).max() < 1e-10:
            return CalibrationLine(float(parameters[0]), float(parameters[1]))
    return None


def calibration_slope(
    logits: numpy.ndarray, outcomes: numpy.ndarray, clusters: Sequence[str] | numpy.ndarray, seed: int = 0
) -> Estimate | None:
    """The slope of `calibration_line` with its 95 % interval by clusters; None where there is no line. Below 1: surer than
    the outcomes allow; above 1: less sure.

    clusters: (M,) the prompt of each pair. Source: van Calster et al. 2016, "A calibration hierarchy for risk models"."""
    line = calibration_line(logits, outcomes)
    if line is None:
        return None
    design = numpy.stack([numpy.ones_like(logits), logits], axis=1)
    fitted = numpy.array([line.intercept, line.slope])
    _, low, high = bootstrap_coefficients(
        design, outcomes, fitted, numpy.zeros(2), clusters, lambda beta: float(beta[1]), seed
    )
    return Estimate(line.slope, low, high, len(logits), len(set(clusters)))
