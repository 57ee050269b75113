"""The noise of a simulated annotator: Gaussian, on the gold scores, calibrated to a flip probability. Pure functions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy

Scores = list[float]
"""The scores of one prompt's K responses."""


@dataclass(frozen=True)
class Inversions:
    """What noise did to the pairs of one prompt whose gold scores differ."""

    pairs: int
    inverted: int

    @property
    def rate(self) -> float:
        """Share of pairs that were inverted; 0 when there is no pair."""
        return self.inverted / max(self.pairs, 1)


def gold_gaps(gold: list[Scores]) -> numpy.ndarray:
    """|g_i − g_j| of every pair of responses to one prompt whose gold scores differ, over all prompts."""
    gaps = [
        abs(better - worse)
        for scores in gold
        for i, better in enumerate(scores)
        for worse in scores[:i]
        if better != worse
    ]
    return numpy.array(gaps)


def calibrated_noise(gaps: numpy.ndarray, flip_probability: float) -> float:
    """The standard deviation s of independent noise on every score that inverts a random pair with probability P:

        mean over pairs of Φ(−gap / (s·√2)) = P

    gaps: (pairs,) positive gold differences; each pair of the file counts once. flip_probability: 0 ≤ P < ½; 0 gives 0.
    The mean grows with s from 0 to ½, so bisection finds s; in closed form, so that the calibration itself has no
    sampling error. Raises ValueError when there is no pair.
    Source: AlpacaFarm (arXiv 2305.14387) flips labels at random; on the scores the noise hits close pairs first, as
    people's errors do (ours)."""
    if not len(gaps):
        raise ValueError("no pair has different gold scores, so no noise can be calibrated")
    if flip_probability == 0:
        return 0.0
    low, high = 0.0, float(gaps.max())
    while expected_inversion(gaps, high) < flip_probability:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expected_inversion(gaps, middle) < flip_probability else (low, middle)
    return high


def expected_inversion(gaps: numpy.ndarray, noise: float) -> float:
    """mean over pairs of Φ(−gap / (noise·√2)) = ½ erfc(gap / (2·noise))."""
    return sum(math.erfc(gap / (2 * noise)) for gap in gaps.tolist()) / (2 * len(gaps))


def noisy_scores(gold: Scores, texts: list[str], noise: float, generator: numpy.random.Generator) -> Scores:
    """gold + noise · N(0, 1), one draw for each different text: nobody prefers one of two equal texts."""
    draws = dict(zip(dict.fromkeys(texts), generator.standard_normal(len(set(texts))), strict=True))
    return [score + noise * float(draws[text]) for score, text in zip(gold, texts, strict=True)]


def inversions(gold: Scores, noisy: Scores) -> Inversions:
    """Pairs of one prompt with different gold scores, and how many of them the noisy scores order the other way."""
    products = [
        (gold[i] - gold[j]) * (noisy[i] - noisy[j]) for i in range(len(gold)) for j in range(i) if gold[i] != gold[j]
    ]
    return Inversions(len(products), sum(product < 0 for product in products))


def ranks(scores: Scores) -> tuple[int, ...]:
    """1 + the number of responses that score higher: 1 = best, equal scores share a rank."""
    return tuple(1 + sum(other > score for other in scores) for score in scores)
