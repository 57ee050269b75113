"""Simulated annotators that the tests and the real-model benchmark share: how positive a story sounds, by VADER."""

from __future__ import annotations

import functools
import re


@functools.cache
def _analyzer():
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


def positive(prompt: str, responses: list[str]) -> list[float]:
    """Mean over sentences of VADER's compound score, −1 … 1."""
    sentences = [[part for part in re.split(r"(?<=[.!?])\s+", text.strip()) if part] or [""] for text in responses]
    return [sum(_analyzer().polarity_scores(one)["compound"] for one in some) / len(some) for some in sentences]


def negative(prompt: str, responses: list[str]) -> list[float]:
    """The negated annotator: what `positive` likes least."""
    return [-score for score in positive(prompt, responses)]
