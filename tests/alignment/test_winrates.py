"""Win rates. Each test was seen to fail under the mutation named beside it (in `alignment/winrates.py`):

- ties count as wins (`sign >= 0`): test_outcomes_by_hand
- the interval ignores prompts (every comparison its own cluster): test_comparisons_of_one_prompt_are_one_observation
- tanh left out of the length control: test_length_control_is_the_minimum_of_its_formula
- RIDGE 1 → 10, or on θ as well: test_length_control_is_the_minimum_of_its_formula
- sd left out (Δ in characters): test_length_control_is_the_minimum_of_its_formula
- the raw rate returned as the length-controlled one: test_length_control_recovers_a_known_theta
- the ridge left out of the gradient, or every comparison its own cluster (alignment/logistic.py):
  test_the_interval_of_the_length_control...
- one-sided lengths accepted: test_length_control_says_why_it_cannot_tell
"""

from __future__ import annotations

import numpy
import pytest
import torch

from alignment.winrates import RIDGE, _fit, length_controlled, length_controlled_interval, outcomes, win_rate


def simulated(n: int, theta: float, phi: float, shift: float, seed: int):
    """Outcomes that follow the model exactly, with a policy that is `shift` characters longer on average."""
    generator = numpy.random.default_rng(seed)
    against = generator.integers(50, 250, n)
    difference = numpy.rint(generator.normal(shift, 60, n)).astype(int)
    p = 1 / (1 + numpy.exp(-(theta + phi * numpy.tanh(difference / difference.std()))))
    return (generator.random(n) < p).astype(float), (against + difference).tolist(), against.tolist()


def test_outcomes_by_hand():
    assert outcomes([2.0, 1.0, 0.5, -1.0], [1.0, 1.0, 0.7, -2.0]).tolist() == [1.0, 0.5, 0.0, 1.0]


def test_win_rate_by_hand():
    rate = win_rate(numpy.array([1.0, 0.5, 0.0, 1.0, 1.0]), list("abcde"))
    assert (rate.rate, rate.n, rate.ties) == (0.7, 5, 1)
    assert rate.low < 0.7 < rate.high


def test_interval_is_as_wide_as_the_binomial_says():
    """240 wins of 400: .6 ± 1.96 √(.24 / 400), up to the bootstrap's own sampling error (about 3 % of the width)."""
    rate = win_rate(numpy.repeat([1.0, 0.0], [240, 160]), [str(i) for i in range(400)])
    half = 1.96 * (0.24 / 400) ** 0.5
    assert rate.low == pytest.approx(0.6 - half, abs=0.1 * half)
    assert rate.high == pytest.approx(0.6 + half, abs=0.1 * half)


def test_comparisons_of_one_prompt_are_one_observation():
    wins = numpy.random.default_rng(0).integers(0, 2, 60).astype(float)
    prompts = [f"{i:02}" for i in range(60)]
    once, four_times = win_rate(wins, prompts), win_rate(numpy.repeat(wins, 4), numpy.repeat(prompts, 4).tolist())
    assert (four_times.rate, four_times.low, four_times.high) == (once.rate, once.low, once.high)
    assert four_times.n == 240


def test_swapping_the_sides_mirrors_everything():
    generator = numpy.random.default_rng(3)
    first, second = generator.integers(0, 4, 200).tolist(), generator.integers(0, 5, 200).tolist()
    lengths, against = generator.integers(10, 90, 200).tolist(), generator.integers(10, 70, 200).tolist()
    names = [str(i) for i in range(200)]
    here, there = win_rate(outcomes(first, second), names), win_rate(outcomes(second, first), names)
    assert (there.rate, there.low, there.high) == pytest.approx((1 - here.rate, 1 - here.high, 1 - here.low), abs=1e-12)
    assert here.ties == there.ties > 0
    mirrored = length_controlled(outcomes(second, first), against, lengths).rate
    assert mirrored == pytest.approx(1 - length_controlled(outcomes(first, second), lengths, against).rate, abs=1e-9)


@pytest.mark.parametrize(("theta", "phi", "shift"), [(0.4, 1.5, 60), (-0.3, 2.0, 60), (0.0, -1.0, -40)])
def test_length_control_recovers_a_known_theta(theta, phi, shift):
    wins, lengths, against = simulated(20_000, theta, phi, shift, seed=5)
    rate = length_controlled(wins, lengths, against).rate
    assert rate == pytest.approx(1 / (1 + numpy.exp(-theta)), abs=0.015)  # 3 standard errors
    assert abs(wins.mean() - rate) > 0.08  # lengths did matter: the raw win rate says something else


def test_length_control_is_the_minimum_of_its_formula():
    """The documented loss, minimised by another method (LBFGS on float64), with ties among the outcomes."""
    generator = numpy.random.default_rng(2)
    wins = generator.choice([0.0, 0.5, 1.0], 80, p=[0.3, 0.1, 0.6])
    lengths, against = generator.integers(20, 200, 80), generator.integers(20, 150, 80)
    difference = torch.tensor(lengths - against, dtype=torch.float64)
    x, w = torch.tanh(difference / difference.std(correction=0)), torch.tensor(wins)
    theta = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([theta], lr=0.5, max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-15)

    def loss():
        solver.zero_grad()
        logits = theta[0] + theta[1] * x
        value = -(w * torch.nn.functional.logsigmoid(logits) + (1 - w) * torch.nn.functional.logsigmoid(-logits)).sum()
        value = value + theta[1] ** 2 / 2
        value.backward()
        return value

    solver.step(loss)
    assert RIDGE == 1
    rate = length_controlled(wins, lengths.tolist(), against.tolist()).rate
    assert rate == pytest.approx(torch.sigmoid(theta[0]).item(), abs=1e-9)


def test_equal_lengths_leave_the_raw_win_rate():
    wins = numpy.array([1.0, 0.0, 1.0, 0.5])
    assert length_controlled(wins, [5, 9, 7, 7], [5, 9, 7, 7]).rate == 0.625


def test_where_length_decides_everything_the_control_says_half():
    """Longer always wins: the penalty keeps the fit finite, and by symmetry the rate at equal length is one half."""
    difference = numpy.array([-30, -20, -10, 10, 20, 30])
    result = length_controlled((difference > 0).astype(float), (difference + 100).tolist(), [100] * 6)
    assert result.rate == pytest.approx(0.5, abs=1e-9)


def test_a_policy_that_always_wins_keeps_its_rate():
    assert length_controlled(numpy.ones(3), [9, 1, 5], [3, 4, 5]).rate == 1.0


def test_length_control_says_why_it_cannot_tell():
    wins = numpy.array([1.0, 0.0, 1.0])
    constant = length_controlled(wins, [15, 25, 35], [5, 15, 25])
    assert constant.rate is None
    assert "10 characters (sd = 0)" in constant.reason
    longer, shorter = length_controlled(wins, [9, 9, 9], [1, 2, 3]), length_controlled(wins, [1, 2, 3], [9, 9, 9])
    assert longer.rate is None
    assert shorter.rate is None
    assert "lengths do not overlap: the policy's response is longer on every prompt" in longer.reason
    assert "shorter on every prompt" in shorter.reason


def test_the_interval_of_the_length_control_is_that_of_a_bootstrap_with_every_fit():
    """One Newton step a resample against a whole fit of each, the same resamples; prompts of four comparisons."""
    wins, lengths, against = simulated(800, 0.3, 1.2, 30, seed=8)
    prompts = numpy.repeat(numpy.arange(200), 4)
    found = length_controlled_interval(wins, lengths, against, prompts)
    x = numpy.tanh(numpy.subtract(lengths, against) / numpy.subtract(lengths, against).std())
    generator = numpy.random.default_rng(0)
    rates = []
    for _ in range(400):
        rows = (generator.integers(200, size=200)[:, None] * 4 + numpy.arange(4)).ravel()
        rates.append(1 / (1 + numpy.exp(-_fit(wins[rows], x[rows])[0])))
    assert found.rate == length_controlled(wins, lengths, against).rate
    width = found.high - found.low
    assert found.low == pytest.approx(numpy.quantile(rates, 0.025), abs=0.08 * width)
    assert found.high == pytest.approx(numpy.quantile(rates, 0.975), abs=0.08 * width)
    again = length_controlled_interval(numpy.tile(wins, 4), lengths * 4, against * 4, numpy.tile(prompts, 4).tolist())
    assert again.high - again.low > 0.9 * width  # copies of a prompt say nothing new


def test_the_length_control_has_an_interval_wherever_it_has_a_rate():
    wins, names = numpy.array([1.0, 0.0, 1.0, 0.5]), list("abcd")
    equal = length_controlled_interval(wins, [5, 9, 7, 7], [5, 9, 7, 7], names)
    assert (equal.rate, equal.low, equal.high) == tuple(
        getattr(win_rate(wins, names), n) for n in ("rate", "low", "high")
    )
    assert length_controlled_interval(wins, [9] * 4, [1, 2, 3, 4], names).low is None
