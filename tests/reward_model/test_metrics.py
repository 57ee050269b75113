"""What is measured on held-out rankings.

Mutations seen to fail (reward_model/metrics.py):
- equal scores count as wins -> test_by_hand
- the baseline of length reads scores' order, or "the shorter wins" -> test_by_hand
- log-loss of the normalised differences (scale left out) -> test_log_loss_is_that_of_the_unnormalised_scores
- clusters = rankings instead of units -> test_the_interval_is_by_unit
"""

from __future__ import annotations

import math

import pytest

from alignment.records import Ranking, Response
from reward_model.metrics import held_out_pairs, report


def ranking(texts: list[str], ranks: tuple, source: str | None = None) -> Ranking:
    return Ranking("r", "p", tuple(Response(text) for text in texts), ranks, source=source)


def test_by_hand():
    rankings = [
        ranking(["long one", "tiny", "also"], (2, 1, 3), "a"),  # pairs: tiny > long one, tiny > also, long one > also
        ranking(["x", "yy"], (1, 2), "b"),
        ranking(["zz", "ww", "v"], (1, 1, None), "b"),  # a tie, and one not compared: no pair
    ]
    scores = [[0.5, 0.5, -1.0], [0.0, 1.0], [3.0, 2.0, 1.0]]  # half, right, right; wrong
    result = report(held_out_pairs(rankings, scores, [0, 1, 2]))
    assert result["n_pairs"] == 4
    assert result["pair_accuracy"] == 2.5 / 4
    assert result["length_baseline_accuracy"] == (0 + 0.5 + 1 + 0) / 4
    assert result["position_baseline_accuracy"] == (0 + 1 + 1 + 1) / 4
    assert result["by_source"]["a"]["pair_accuracy"] == 2.5 / 3
    assert result["by_source"]["b"]["pair_accuracy"] == 0
    assert result["by_source"]["b"]["n_pairs"] == 1
    losses = [math.log(2), math.log(1 + math.exp(-1.5)), math.log(1 + math.exp(-1.5)), math.log(1 + math.exp(1))]
    assert result["log_loss"] == pytest.approx(sum(losses) / 4, abs=1e-12)


def test_log_loss_is_that_of_the_unnormalised_scores():
    pairs = held_out_pairs([ranking(["a", "b"], (1, 2))], [[1.0, 0.5]], [0], scale=4.0)
    assert report(pairs)["log_loss"] == pytest.approx(math.log(1 + math.exp(-2.0)), abs=1e-12)


def test_the_interval_is_by_unit():
    """40 rankings, 20 right and 20 wrong: as 40 prompts they place the accuracy well, as 2 prompts not at all."""
    rankings = [ranking(["a", "b"], (1, 2)) for _ in range(40)]
    scores = [[1.0, 0.0] if number < 20 else [0.0, 1.0] for number in range(40)]
    apart = report(held_out_pairs(rankings, scores, list(range(40))))
    together = report(held_out_pairs(rankings, scores, [number // 20 for number in range(40)]))
    assert apart["pair_accuracy"] == together["pair_accuracy"] == 0.5
    assert 0.3 < apart["pair_accuracy_low"] < apart["pair_accuracy_high"] < 0.7
    assert (together["pair_accuracy_low"], together["pair_accuracy_high"]) == (0.0, 1.0)
