"""What is measured on held-out rankings.

Mutations seen to fail (reward_model/metrics.py):
- equal scores count as wins -> test_by_hand
- the baseline of length reads scores' order, or "the shorter wins" -> test_by_hand
- log-loss of the normalised differences (scale left out) -> test_log_loss_is_that_of_the_unnormalised_scores
- clusters = rankings instead of units -> test_the_interval_is_by_unit
- the temperature fitted on what is measured on, T multiplied instead of divided -> test_the_temperature_is_fitted_on_its_own_pairs
- every pair seen from the preferred side -> test_the_temperature_is_fitted_on_its_own_pairs (no line then)
- matched by absolute difference, or all pairs -> test_pairs_of_like_length
- ranks of equal values not shared -> test_spearman_by_hand
"""

from __future__ import annotations

import math

import pytest

from alignment.records import Ranking, Response
from reward_model.metrics import MOST_GROUPS, REST, calibration, held_out_pairs, report, spearman


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


def test_by_annotator_and_strength():
    rankings = [
        Ranking("r", "p", (Response("a"), Response("b")), (1, 2), annotator=name, strength=strength)
        for name, strength in [("ann", 3), ("ann", 0), ("bob", None), (None, 3)]
    ]
    result = report(held_out_pairs(rankings, [[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0]], [0, 1, 2, 3]))
    told = {name: (one["n_pairs"], one["pair_accuracy"]) for name, one in result["by_annotator"].items()}
    assert told == {"ann": (2, 0.5), "bob": (1, 1.0)}
    told = {name: (one["n_pairs"], one["pair_accuracy"]) for name, one in result["by_strength"].items()}
    assert told == {"0": (1, 0.0), "3": (2, 0.5)}


def test_many_annotators_are_told_by_the_most_pairs():
    rankings = [
        Ranking("r", "p", (Response("a"), Response("b")), (1, 2), annotator=f"a{number}")
        for number in range(MOST_GROUPS + 5)
        for _ in range(2 if number < MOST_GROUPS else 1)
    ]
    result = report(held_out_pairs(rankings, [[1.0, 0.0]] * len(rankings), list(range(len(rankings)))))["by_annotator"]
    assert len(result) == MOST_GROUPS + 1
    assert result[REST]["n_pairs"] == 5


def test_pairs_of_like_length():
    rankings = [
        ranking(["x" * 100, "y" * 90], (1, 2)),
        ranking(["x" * 100, "y" * 89], (1, 2)),
        ranking(["x", "yy"], (1, 2)),
    ]
    result = report(held_out_pairs(rankings, [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], [0, 1, 2]))
    assert (result["length_matched"]["n_pairs"], result["length_matched"]["pair_accuracy"]) == (1, 1.0)
    assert report(held_out_pairs(rankings[1:], [[0.0, 1.0]] * 2, [0, 1]))["length_matched"] is None


def test_the_temperature_is_fitted_on_its_own_pairs():
    """Ten pairs to fit on: 7 of 10 right at logit 4. Ten to measure on: 8 of 10, half of them listed second."""
    rankings = [ranking(["a", "b"], (1, 2) if number % 2 else (2, 1)) for number in range(20)]
    right = [number % 10 < (7 if number < 10 else 8) for number in range(20)]
    scores = [[2.0, 0.0] if (number % 2 == 1) == right[number] else [0.0, 2.0] for number in range(20)]
    found = calibration(held_out_pairs(rankings, scores, list(range(20)), 2.0, [number < 10 for number in range(20)]))
    temperature = 4 / math.log(7 / 3)
    assert found["temperature"] == pytest.approx(temperature, abs=1e-9)
    assert (found["n_pairs_fitted"], found["n_pairs"]) == (10, 10)
    assert found["log_loss_before"] == pytest.approx(0.8 * math.log1p(math.exp(-4)) + 0.2 * math.log1p(math.exp(4)))
    assert found["log_loss"] == pytest.approx(-0.8 * math.log(0.7) - 0.2 * math.log(0.3), abs=1e-9)
    assert found["ece"] == pytest.approx(0.1, abs=1e-9)
    assert found["ece_before"] == pytest.approx(1 / (1 + math.exp(-4)) - 0.8, abs=1e-9)
    assert found["slope"] == pytest.approx(math.log(4) / math.log(7 / 3), abs=1e-6)  # 4 of 5 right on either side
    assert found["slope_before"] == pytest.approx(math.log(4) / 4, abs=1e-6)
    assert found["intercept"] == pytest.approx(0, abs=1e-9)
    assert 0 < found["ece_by_chance"] < found["ece_by_chance_95"]


@pytest.mark.parametrize("fitted", [[True, True], [False, False]])
def test_nothing_is_fitted_where_a_part_is_empty(fitted):
    found = calibration(
        held_out_pairs([ranking(["a", "b"], (1, 2))] * 2, [[1.0, 0.0], [0.0, 3.0]], [0, 1], 1.0, fitted)
    )
    assert (found["temperature"], found["n_pairs_fitted"], found["n_pairs"]) == (1.0, 0, 2)


def test_spearman_by_hand():
    assert spearman([1.0, 2.0, 3.0], [10.0, 100.0, 1000.0]) == pytest.approx(1)
    assert spearman([1.0, 2.0, 2.0, 3.0], [4.0, 1.0, 3.0, 2.0]) == pytest.approx(-3 / math.sqrt(4.5 * 5))
    assert spearman([1.0, 1.0], [1.0, 2.0]) is None
