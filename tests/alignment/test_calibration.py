"""Temperature, calibration line, expected error and what chance makes of it.

Mutations seen to fail (alignment/calibration.py): the bisection to the other side, 1/T for T (test_the_temperature...), a
step of Newton's method doubled (test_the_line...), draws of another probability (test_chance_alone...); in logistic.py every pair
its own cluster (test_the_interval...).
"""

from __future__ import annotations

import math

import numpy
import pytest

from alignment.calibration import (
    binned,
    calibration_line,
    calibration_slope,
    error_by_chance,
    expected_error,
    fitted_temperature,
    log_loss,
    stated_and_right,
)


def test_the_temperature_is_the_minimum_of_the_log_loss_on_a_grid():
    gaps = numpy.random.default_rng(0).normal(1.0, 3.0, 400)
    grid = numpy.exp(numpy.linspace(-2.5, 2.5, 20001))
    best = min(grid, key=lambda t: log_loss(gaps / t))
    assert fitted_temperature(gaps) == pytest.approx(best, rel=3e-4)
    assert log_loss(gaps / fitted_temperature(gaps)) < log_loss(gaps)


def test_the_temperature_of_pairs_with_one_gap_by_hand():
    """7 of 10 right, all stated with logit 2: the best probability is .7, so 2 / T = log(7/3)."""
    gaps = numpy.array([2.0] * 7 + [-2.0] * 3)
    assert fitted_temperature(gaps) == pytest.approx(2 / math.log(7 / 3), abs=1e-9)


def test_a_temperature_without_a_minimum_stays_in_bounds():
    assert fitted_temperature(numpy.array([1.0, 2.0, 0.5])) == pytest.approx(1 / 20)  # all right
    assert fitted_temperature(numpy.array([1.0, -2.0, -0.5])) == pytest.approx(20)  # mostly wrong
    assert fitted_temperature(numpy.array([1e6, -1e6, 3e6])) <= 20


def test_log_loss_by_hand():
    assert log_loss(numpy.array([0.0, 1.5])) == pytest.approx((math.log(2) + math.log1p(math.exp(-1.5))) / 2, abs=1e-12)


def test_the_line_of_two_groups_by_hand():
    """Stated logits −1 and 3; 1 of 4 and 9 of 10 came true: the line goes through logit(.25) and logit(.9)."""
    logits = numpy.array([-1.0] * 4 + [3.0] * 10)
    outcomes = numpy.array([1, 0, 0, 0] + [1] * 9 + [0])
    line = calibration_line(logits, outcomes)
    slope = (math.log(9) - math.log(1 / 3)) / 4
    assert line.slope == pytest.approx(slope, abs=1e-9)
    assert line.intercept == pytest.approx(math.log(9) - 3 * slope, abs=1e-9)


def test_a_calibrated_model_has_slope_1_and_intercept_0():
    draw = numpy.random.default_rng(1)
    logits = draw.normal(0, 2, 200_000)
    line = calibration_line(logits, (draw.random(len(logits)) < 1 / (1 + numpy.exp(-logits))).astype(float))
    assert line.slope == pytest.approx(1, abs=0.02)
    assert line.intercept == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("logits", "outcomes"), [([1, 2, 3], [1, 1, 1]), ([1, 1, 1], [0, 1, 1]), ([-2, -1, 1, 2], [0, 0, 1, 1])]
)
def test_no_line_where_there_is_none(logits, outcomes):
    assert calibration_line(numpy.array(logits, dtype=float), numpy.array(outcomes)) is None


def test_expected_error_by_hand():
    stated, right = stated_and_right(numpy.array([math.log(3), math.log(3), -math.log(3), 0.0]))
    assert stated.tolist() == pytest.approx([0.75, 0.75, 0.75, 0.5])
    assert right.tolist() == [1, 1, 0, 0.5]
    assert expected_error(binned(stated, right)) == pytest.approx((3 * abs(2 / 3 - 0.75) + 0) / 4)


def test_chance_alone_makes_an_error_that_shrinks_with_the_root_of_the_pairs():
    """One bin, p = .8: the mean of |share − p| is √(2p(1−p)/(πM)) for many pairs M."""
    small, large = (error_by_chance(numpy.full(count, 0.8), draws=2000) for count in (300, 30_000))
    for (mean, high), count in ((small, 300), (large, 30_000)):
        assert mean == pytest.approx(math.sqrt(2 * 0.16 / (math.pi * count)), rel=0.05)
        assert high == pytest.approx(1.96 * math.sqrt(0.16 / count), rel=0.08)


def test_the_interval_of_the_slope_is_as_wide_as_fisher_says():
    """Half ≈ 1.96 √(I⁻¹)₂₂ with I = Σ p (1 − p) x xᵀ where pairs are independent; copies of a prompt say nothing new."""
    draw = numpy.random.default_rng(3)
    logits = draw.normal(0.3, 1.5, 3000)
    outcomes = (draw.random(3000) < 1 / (1 + numpy.exp(-0.8 * logits))).astype(float)
    found, line = calibration_slope(logits, outcomes, numpy.arange(3000)), calibration_line(logits, outcomes)
    p = 1 / (1 + numpy.exp(-(line.intercept + line.slope * logits)))
    design = numpy.stack([numpy.ones(3000), logits], axis=1)
    half = 1.96 * numpy.linalg.inv((design * (p * (1 - p))[:, None]).T @ design)[1, 1] ** 0.5
    assert (found.value, found.n, found.clusters) == (line.slope, 3000, 3000)
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.08)
    assert found.low < found.value < found.high
    twice = calibration_slope(numpy.tile(logits, 2), numpy.tile(outcomes, 2), numpy.tile(numpy.arange(3000), 2))
    assert (twice.high - twice.low) / 2 == pytest.approx(half, rel=0.08)
    assert calibration_slope(logits, numpy.ones(3000), numpy.arange(3000)) is None
