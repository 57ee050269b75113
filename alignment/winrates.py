"""Win rates of one policy over another from a judge's scores. Pure statistics: it knows no model and no text."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from alignment.intervals import clustered_mean
from alignment.logistic import bootstrap_coefficients

RIDGE = 1.0
"""Weight of ½φ² in the length control: a normal prior of one logit on φ (ours: AlpacaEval chooses its by cross-validation)."""


@dataclass(frozen=True)
class WinRate:
    """`rate` with its 95 % interval; `n` comparisons, of which `ties` count half."""

    rate: float
    low: float
    high: float
    n: int
    ties: int


@dataclass(frozen=True)
class LengthControl:
    """The length-controlled win rate, or None with the reason why the data cannot tell it. low, high: 95 %, where asked."""

    rate: float | None
    reason: str | None = None
    low: float | None = None
    high: float | None = None


def outcome(difference: float) -> float:
    """1 where the difference (mine − other's) is above 0, 0 where below, ½ where equal."""
    return 0.5 if difference == 0 else float(difference > 0)


def turned(before: float, after: float) -> int:
    """1 where a difference that should be above 0 came nearer to that (from below 0 or from 0), −1 where it went the other
    way (or to 0), 0 where its side is as before."""
    change = outcome(after) - outcome(before)
    return (change > 0) - (change < 0)


def outcomes(scores: list[float], scores_against: list[float]) -> numpy.ndarray:
    """(n,) 1 where the policy's response scores higher, 0 where lower, ½ where the scores are equal."""
    return (numpy.sign(numpy.subtract(scores, scores_against)) + 1) / 2


def win_rate(wins: numpy.ndarray, clusters: list[str], seed: int = 0) -> WinRate:
    """Mean outcome with a 95 % bootstrap interval that resamples clusters (prompts), since comparisons on one prompt
    are not independent.

    wins: (n,) outcomes in {0, ½, 1}. clusters: (n,) the prompt (or group) of each comparison.
    Raises ValueError when there is no comparison. Source: AlpacaEval 2 (ties count half); the bootstrap by prompt
    is `alignment.intervals.clustered_mean`."""
    found = clustered_mean(wins, clusters, seed)
    if found is None:
        raise ValueError("there is no comparison, so no win rate")
    return WinRate(found.value, found.low, found.high, n=found.n, ties=int((wins == 0.5).sum()))


def length_controlled(wins: numpy.ndarray, lengths: list[int], lengths_against: list[int]) -> LengthControl:
    """The win rate that is left when both responses are equally long: LC = σ(θ), where θ and φ minimise

        − Σ_i [w_i log p_i + (1 − w_i) log(1 − p_i)] + ½ · RIDGE · φ²,   logit p_i = θ + φ · tanh(Δ_i / sd(Δ))

    wins: (n,) outcomes w in {0, ½, 1}. lengths, lengths_against: (n,) characters, what the judge saw; Δ is their
    difference, sd its population standard deviation over the n comparisons.
    The rate is None, with a reason, when Δ is one constant other than 0 (sd = 0) or always has one sign: the point
    Δ = 0 is then an extrapolation. When every Δ is 0 there is nothing to control and LC is the raw win rate.
    Source: AlpacaEval 2 (arXiv 2404.04475), without its difficulty term per prompt, which one pair of policies cannot
    identify."""
    difference = numpy.subtract(lengths, lengths_against).astype(float)
    if _uncontrolled(wins, difference):
        return LengthControl(float(wins.mean()))
    spread = float(difference.std())
    if spread == 0:
        return LengthControl(None, f"every length difference is {difference[0]:.0f} characters (sd = 0)")
    if difference.min() > 0 or difference.max() < 0:
        word = "longer" if difference.min() > 0 else "shorter"
        return LengthControl(None, f"lengths do not overlap: the policy's response is {word} on every prompt")
    theta, _ = _fit(wins, numpy.tanh(difference / spread))
    return LengthControl(float(_sigmoid(theta)))


def length_controlled_interval(
    wins: numpy.ndarray, lengths: list[int], lengths_against: list[int], clusters: list[str], seed: int = 0
) -> LengthControl:
    """`length_controlled` with a 95 % bootstrap interval that resamples clusters (prompts); sd(Δ) stays that of all.

    clusters: (n,) the prompt of each comparison. Source: as `bootstrap_coefficients`, with f(θ, φ) = σ(θ)."""
    point = length_controlled(wins, lengths, lengths_against)
    if point.rate is None:
        return point
    difference = numpy.subtract(lengths, lengths_against).astype(float)
    if _uncontrolled(wins, difference):
        raw = win_rate(wins, clusters, seed)
        return LengthControl(raw.rate, low=raw.low, high=raw.high)
    x = numpy.tanh(difference / difference.std())
    design, ridge = numpy.stack([numpy.ones_like(x), x], axis=1), numpy.array([0.0, RIDGE])
    rate, low, high = bootstrap_coefficients(
        design, wins, _fit(wins, x), ridge, clusters, lambda beta: float(_sigmoid(beta[0])), seed
    )
    return LengthControl(rate, low=low, high=high)


def _uncontrolled(wins: numpy.ndarray, difference: numpy.ndarray) -> bool:
    """Whether there is nothing to control for, or one outcome whatever the lengths."""
    return not difference.any() or wins.min() == wins.max()


def _fit(wins: numpy.ndarray, x: numpy.ndarray) -> numpy.ndarray:
    """(θ, φ) at the minimum of the penalised loss, by Newton's method with step halving (the loss is convex)."""
    design = numpy.stack([numpy.ones_like(x), x], axis=1)
    penalty = numpy.diag([0.0, RIDGE])
    parameters = numpy.zeros(2)
    for _ in range(100):
        p = _sigmoid(design @ parameters)
        gradient = design.T @ (p - wins) + penalty @ parameters
        hessian = (design * (p * (1 - p))[:, None]).T @ design + penalty
        step = numpy.linalg.solve(hessian + 1e-12 * numpy.eye(2), gradient)
        while _loss(parameters - step, design, wins) > _loss(parameters, design, wins) and abs(step).max() > 1e-12:
            step /= 2
        parameters = parameters - step
        if abs(step).max() < 1e-10:
            break
    return parameters


def _loss(parameters: numpy.ndarray, design: numpy.ndarray, wins: numpy.ndarray) -> float:
    logits = design @ parameters
    return float((numpy.logaddexp(0, logits) - wins * logits).sum() + RIDGE / 2 * parameters[1] ** 2)


def _sigmoid(x: numpy.ndarray) -> numpy.ndarray:
    return 1 / (1 + numpy.exp(-x))
