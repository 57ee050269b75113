"""Gates on the reward model: better than chance and length, not worse than before, calibrated, not too good to be true."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy

from alignment.calibration import calibration_slope
from alignment.intervals import Estimate, clustered_mean
from alignment.loop.bounds import better, needed, not_worse, worst
from alignment.loop.gates import GateResult, gate_result
from alignment.loop.policy import Policy
from alignment.mcnemar import mcnemar

Z_95 = 1.959963984540054
"""The 97.5 % point of the normal distribution: half a 95 % interval in standard errors."""


def reward_alive(
    correct: numpy.ndarray, longer: numpy.ndarray, prompts: Sequence[str], policy: Policy, seed: int = 0
) -> GateResult:
    """Whether it orders held-out pairs better than chance, and than the better of "longer wins" and "shorter wins".

    correct, longer: (M,) 1 where the preferred response has the higher score, is the longer one; ½ where equal.
    prompts: (M,) the cluster of each. M ≥ 1."""
    found = clustered_mean(correct, prompts, seed)
    assert found is not None
    result = better("reward_alive", found, policy.reward_floor, "pair accuracy", "prompts")
    word, rule = ("longer", longer) if longer.mean() >= 0.5 else ("shorter", 1 - longer)
    test = mcnemar(correct, rule, numpy.asarray(prompts))
    beats = test["difference"] > 0 and test["p"] < policy.length_error
    versus = (
        f"{100 * test['difference']:+.1f} points over '{word} wins' (McNemar p = {test['p']:.2g}"
        f"{'' if beats else f', needs p < {policy.length_error:g} and more than 0 points'})"
    )
    return gate_result(
        "reward_alive",
        "pass" if result.verdict == "pass" and beats else "fail",
        f"{result.reason}; {versus}",
        estimate=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        threshold=policy.reward_floor,
        votes_needed=result.votes_needed,
    )


def reward_not_worse(
    correct: numpy.ndarray,
    others: Mapping[str, numpy.ndarray],
    prompts: Sequence[str],
    policy: Policy,
    seed: int = 0,
) -> GateResult:
    """Accuracy minus that of each other reward model on the same pairs, resampled by prompt; the worst comparison decides.

    correct: (M,) as `reward_alive`. others: for example {"the incumbent": …, "the best ever": …}, (M,) each.
    prompts: (M,) of the frozen holdout and of the fresh slice from the champion. No other: it passes."""
    results = []
    for name, theirs in others.items():
        found = clustered_mean(correct - theirs, prompts, seed)
        assert found is not None
        words = f"accuracy minus that of {name}"
        results.append(not_worse("reward_not_worse", found, -policy.reward_margin, 0.0, words, "prompts"))
    return worst(results) if results else gate_result("reward_not_worse", "pass", "there is no other reward model yet")


def calibration(
    logits: numpy.ndarray, outcomes: numpy.ndarray, prompts: Sequence[str], policy: Policy, seed: int = 0
) -> GateResult:
    """The slope of outcomes on logits, on pairs that fitted nothing: passes by the estimate, fails by the whole interval.

    logits: (M,) of "the response listed first is better", after the temperature. outcomes: (M,) 1 where it is, else 0."""
    found = calibration_slope(logits, outcomes, prompts, seed)
    band = f"{policy.slope_low:g} to {policy.slope_high:g}"
    if found is None or found.n < policy.calibration_pairs:
        reason = (
            f"{len(logits)} pairs, of which {'no slope can be fitted' if found is None else 'too few to fit a slope'}"
        )
        short = max(policy.calibration_pairs - len(logits), 1)
        return gate_result("calibration", "inconclusive", reason, n=len(logits), votes_needed=short)
    inside = policy.slope_low <= found.value <= policy.slope_high
    outside = found.high < policy.slope_low or found.low > policy.slope_high
    low_side = found.value < policy.slope_low
    threshold = policy.slope_low if low_side else policy.slope_high
    reach = found.high if low_side else found.low  # the end that must leave the band for a clear failure
    more: int | None = None
    if not inside and not outside:
        more = needed(
            abs(found.value - threshold), abs(found.value - threshold) - abs(found.value - reach), found.n, 0.0
        )
    said = (
        "inside"
        if inside
        else "outside"
        if outside
        else f"outside, its interval not (about {more} more pairs would tell)"
    )
    return gate_result(
        "calibration",
        "pass" if inside else "fail" if outside else "inconclusive",
        f"slope {found.value:.2f} [{found.low:.2f}, {found.high:.2f}] on {found.n} pairs: {said} {band}",
        estimate=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        threshold=threshold,
        votes_needed=more,
    )


def ceiling(accuracy: Estimate, most: Estimate | None, policy: Policy) -> GateResult:
    """Whether accuracy is above what single labels allow by more than ceiling_errors · √(SE² of both): a warning.

    most: the ceiling a = (1 + √(2A − 1)) / 2 with its interval; None where no two people met. SE: a quarter of an interval's
    width (÷ 2 · 1.96)."""
    if most is None:
        return gate_result("ceiling", "pass", "no two people labelled the same pairs, so no ceiling is known")
    error = math.hypot(accuracy.high - accuracy.low, most.high - most.low) / (2 * Z_95)
    threshold = most.value + policy.ceiling_errors * error
    over = accuracy.value > threshold
    return gate_result(
        "ceiling",
        "warn" if over else "pass",
        f"pair accuracy {accuracy.value:.1%}, labels allow {most.value:.1%} (with {policy.ceiling_errors:g} standard errors "
        f"{threshold:.1%}){': look for leakage' if over else ''}",
        estimate=accuracy.value,
        low=accuracy.low,
        high=accuracy.high,
        n=accuracy.n,
        threshold=threshold,
    )
