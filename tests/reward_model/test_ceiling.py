"""How often people agree, and what that allows.

Mutations seen to fail (reward_model/ceiling.py): simulated annotators counted, the same annotator counted against itself,
a label known by place instead of their text, the root's 2 left out.
"""

from __future__ import annotations

import math
import random

import pytest

from alignment.records import Ranking, Response
from reward_model.ceiling import human_ceiling, single_label_accuracy


def ranking(prompt: str, texts: str, ranks: tuple, annotator: str | None) -> Ranking:
    return Ranking("r", prompt, tuple(map(Response, texts)), ranks, annotator)


def test_one_label_by_hand():
    assert single_label_accuracy(0.726) == pytest.approx(0.836, abs=5e-4)  # the example of the docstring
    assert single_label_accuracy(0.5) == 0.5
    assert single_label_accuracy(1.0) == 1
    assert single_label_accuracy(0.49) is None


def test_agreement_by_hand():
    rankings = [
        ranking("p", "ab", (1, 2), "ann"),
        ranking("p", "ba", (2, 1), "bob"),  # the same opinion, listed the other way
        ranking("p", "ab", (1, 2), "dan"),
        ranking("P!", "ab", (2, 1), "eve"),  # the other opinion, on the same prompt but for case and signs
        ranking("p", "ab", (2, 1), "ann"),  # once more by the first: no second person
        ranking("p", "ab", (1, 2), "simulated:x:y"),
        ranking("p", "ab", (1, 2), None),
        ranking("q", "ab", (1, 2), "ann"),
        ranking("q", "ac", (1, 2), "bob"),  # another pair
        ranking("q", "ab", (1, 1), "eve"),  # a tie is no opinion
    ]
    found = human_ceiling(rankings, [0] * 7 + [1] * 3)
    assert found["n_meetings"] == 6
    assert found["n_prompts"] == 1
    assert found["agreement"] == found["ceiling"] == 0.5
    assert human_ceiling(rankings[5:], [0] * 5) is None


def test_the_ceiling_is_found_again_where_labels_are_right_with_a_known_probability():
    draw, rankings, units = random.Random(0), [], []
    for number in range(3000):
        for annotator in ("ann", "bob"):
            rankings.append(ranking(f"p{number}", "ab", (1, 2) if draw.random() < 0.85 else (2, 1), annotator))
            units.append(number)
    found = human_ceiling(rankings, units)
    assert found["agreement"] == pytest.approx(0.85**2 + 0.15**2, abs=0.025)
    assert found["ceiling_low"] < 0.85 < found["ceiling_high"]
    error = math.sqrt(0.745 * 0.255 / 3000) / (2 * math.sqrt(2 * 0.745 - 1))  # da = dA / (2 √(2A − 1))
    assert found["ceiling_high"] - found["ceiling_low"] == pytest.approx(2 * 1.96 * error, rel=0.1)
