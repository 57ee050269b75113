"""How varied a set of responses is, when two texts are as long as each other, and when they differ in their dress alone."""

from __future__ import annotations

import itertools
import re
import unicodedata

MATCHED = 0.1
"""Two texts are of like length where they differ by at most this share of the longer one's characters."""


def of_like_length(one: int, other: int) -> bool:
    """Whether two lengths, in characters, are close enough that length cannot be what decides."""
    return abs(one - other) <= MATCHED * max(one, other)


def distinct_2(texts: list[str]) -> float:
    """Different word bigrams ÷ word bigrams over all texts together; words are what white space separates.

    0 when no text has two words. It falls as more texts are counted: compare it at equal numbers of responses.
    Source: Li et al. 2016 (arXiv 1510.03055), distinct-2."""
    words = [text.split() for text in texts]
    bigrams = [pair for several in words for pair in itertools.pairwise(several)]
    return len(set(bigrams)) / max(len(bigrams), 1)


def exact_repeats(texts: list[str]) -> float:
    """Share of texts that equal an earlier one, 1 − different ÷ all: near 0 for open questions, 1 − 1/n when a policy
    says the same to every prompt."""
    return 1 - len(set(texts)) / len(texts)


def normalised(text: str) -> str:
    """The text's words in NFKC and lower case, one space apart: equal for texts that differ in case, spacing and
    punctuation only. A text without a word stays as it is."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(words) or text
