"""The adaptive kl_coef by hand, in exact fractions.

Mutations seen to fail, each applied once: the error's sign turned, the clip left out, the clip at 0.1, n/horizon left out,
target / KL for KL / target (all: test_steps_by_hand), the clip's bounds applied in numpy's other order
`min(ERROR_CLIP, max(-ERROR_CLIP, error))`, which takes NaN for −0.2 (test_nan_is_passed_on)."""

import math
from fractions import Fraction

import pytest

from ppo.kl_controller import adapted_kl_coef

TARGET, HORIZON, RESPONSES = 6.0, 1e4, 512
LOW, HIGH = Fraction(-1, 5) * Fraction(512, 10_000), Fraction(1, 5) * Fraction(512, 10_000)


@pytest.mark.parametrize(
    ("kl", "change"),
    [
        (6.0, Fraction(0)),  # on target
        (1.0, LOW),  # far below: clipped
        (-3.0, LOW),  # an estimate may be negative
        (12.0, HIGH),
        (math.inf, HIGH),
        (6.5, Fraction(1, 12) * Fraction(512, 10_000)),  # within the clip
        (5.9, Fraction(-1, 60) * Fraction(512, 10_000)),
    ],
)
def test_steps_by_hand(kl, change):
    expected = Fraction(1, 5) * (1 + change)
    assert adapted_kl_coef(0.2, kl, RESPONSES, TARGET, HORIZON) == pytest.approx(float(expected), rel=1e-15)


def test_the_vector_of_five_rollouts():
    kl_coef = 0.2
    for kl in (1.0, 12.0, 6.5, 5.9, 30.0):
        kl_coef = adapted_kl_coef(kl_coef, kl, RESPONSES, TARGET, HORIZON)
    assert round(kl_coef, 9) == 0.202715663


def test_a_rollout_cut_in_pieces_is_nearly_one_step():
    """n/horizon is a rate: two halves give the whole to first order, with the product of the two errors on top."""
    whole = adapted_kl_coef(0.2, 7.0, 64, TARGET, HORIZON)
    half = adapted_kl_coef(adapted_kl_coef(0.2, 7.0, 32, TARGET, HORIZON), 7.0, 32, TARGET, HORIZON)
    assert half - whole == pytest.approx(0.2 * (32 / HORIZON / 6) ** 2, rel=1e-6)


def test_nan_is_passed_on():
    assert math.isnan(adapted_kl_coef(0.2, math.nan, RESPONSES, TARGET, HORIZON))
