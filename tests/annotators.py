"""Simulated annotators that the tests and the benchmarks share: how positive a story sounds, by VADER and by AFINN."""

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


@functools.cache
def _word_list():
    from afinn import Afinn

    return Afinn()


def afinn(prompt: str, responses: list[str]) -> list[float]:
    """Sum of the words' AFINN valence (−5 … 5) ÷ number of words: a second measure, made by other people than VADER."""
    return [_word_list().score(text) / max(len(text.split()), 1) for text in responses]
