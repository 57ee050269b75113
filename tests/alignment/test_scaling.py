"""What more labels are worth.

Mutations seen to fail (alignment/scaling.py): log for log2, the slope's sign, clusters drawn anew for each point (the
interval of a common shift is then not 0), at_twice = the level at all labels, parts drawn by place instead of by hash.
"""

from __future__ import annotations

import numpy
import pytest

from alignment.scaling import curve, scaling_fit, share_of


def test_a_line_by_hand():
    """10, 20, 40, 80 labels: errors .40, .37, .34, .31 of every one of five clusters: 3 points a doubling, no spread."""
    sizes = numpy.array([10.0, 20.0, 5.0, 1.0, 4.0])
    errors = numpy.outer([0.40, 0.37, 0.34, 0.31], sizes)
    fit = scaling_fit([10, 20, 40, 80], errors, sizes)
    assert (fit.gain, fit.gain_low, fit.gain_high) == pytest.approx((0.03, 0.03, 0.03))
    assert fit.at_twice == pytest.approx(0.28)


def test_the_interval_covers_as_often_as_it_says():
    """400 draws of 60 prompts whose two errors are tied: the true gain lies in the 95 % interval in about 95 % of them."""
    draw, inside = numpy.random.default_rng(0), 0
    for number in range(400):
        hard = draw.random(60)
        errors = numpy.stack([draw.random(60) < 0.2 + 0.4 * hard, draw.random(60) < 0.1 + 0.4 * hard]).astype(float)
        fit = scaling_fit([100, 200], errors, numpy.ones(60), seed=number, draws=200)
        inside += fit.gain_low <= 0.1 <= fit.gain_high
    assert 0.91 <= inside / 400 <= 0.98


def test_a_shift_that_all_parts_share_is_no_noise():
    sizes = numpy.ones(50)
    common = numpy.random.default_rng(1).random(50)
    fit = scaling_fit([10, 20], numpy.stack([common + 0.1, common]), sizes)
    assert fit.gain_high - fit.gain_low < 1e-12


def test_what_metrics_hold():
    sizes, one = numpy.array([2.0, 2.0]), numpy.array([1.0, 0.0])
    found = curve({"1/2": 3, "all": 6}, {"1/2": one, "all": one / 2}, sizes)
    assert found["points"]["1/2"]["error"] == 0.25
    assert found["points"]["all"] == {"n": 6, "error": 0.125, "error_low": 0.0, "error_high": 0.25}
    assert found["doubling"]["gain"] == pytest.approx(0.125)
    assert found["error_at_twice"] == pytest.approx(0.0)
    assert curve({"1/2": 6, "all": 6}, {"1/2": one, "all": one}, sizes)["doubling"] is None
    with pytest.raises(ValueError, match="two amounts"):
        scaling_fit([3, 3], numpy.stack([one, one]), sizes)


def test_parts_lie_within_each_other():
    hashes = {unit: (unit * 37 % 101) / 101 for unit in range(1, 81)}
    eighth, half, whole = (share_of(hashes, fraction) for fraction in (1 / 8, 1 / 2, 1.0))
    assert (len(eighth), len(half), len(whole)) == (10, 40, 80)
    assert eighth < half < whole
    assert max(hashes[unit] for unit in eighth) < min(hashes[unit] for unit in whole - eighth)
