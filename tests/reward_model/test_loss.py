"""The K-way ranking loss.

Mutations seen to fail (reward_model/loss.py):
- better and worse swapped in the softplus -> test_equals_a_double_loop_over_pairs
- sum over pairs instead of their mean -> test_equals_a_double_loop_over_pairs, test_a_ranking_of_nine_weighs_as_much_as_one_of_two
- `start` not advanced by K -> test_equals_a_double_loop_over_pairs, test_example_of_the_docstring
- (records.py) `<=` for `<` in strict_pairs -> test_ties_and_nulls_make_no_pair
"""

from __future__ import annotations

import math
import random

import pytest
import torch

from alignment.records import Ranking, Response
from reward_model.loss import ranking_losses, strict_pairs


def ranking(*ranks: int | None) -> Ranking:
    return Ranking("r", "p", tuple(Response(str(place)) for place in range(len(ranks))), ranks)


def brute_force(scores: list[float], ranks: tuple[int | None, ...]) -> float:
    losses = []
    for score_i, rank_i in zip(scores, ranks):
        for score_j, rank_j in zip(scores, ranks):
            if rank_i is not None and rank_j is not None and rank_i < rank_j:
                losses.append(-math.log(1 / (1 + math.exp(-(score_i - score_j)))))
    return sum(losses) / len(losses)


def random_rankings(seed: int, count: int) -> list[Ranking]:
    """K from 2 to 9, with ties and nulls, each with a strict pair."""
    draw, result = random.Random(seed), []
    while len(result) < count:
        made = ranking(*(draw.choice([None, 1, 2, 3, 4]) for _ in range(draw.randint(2, 9))))
        if made.strict_pairs():
            result.append(made)
    return result


def test_equals_a_double_loop_over_pairs():
    rankings = random_rankings(0, 30)
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(sum(len(r.ranks) for r in rankings), dtype=torch.float64, generator=generator)
    losses = ranking_losses(scores, strict_pairs(rankings))
    start = 0
    for loss, each in zip(losses.tolist(), rankings, strict=True):
        assert loss == pytest.approx(
            brute_force(scores[start : start + len(each.ranks)].tolist(), each.ranks), abs=1e-12
        )
        start += len(each.ranks)
    assert start == len(scores)


def test_gradient_equals_finite_differences():
    pairs = strict_pairs(random_rankings(1, 4))
    scores = torch.randn(36, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: ranking_losses(s, pairs), (scores,), eps=1e-6, atol=1e-8, rtol=1e-6)


def test_example_of_the_docstring():
    pairs = strict_pairs([ranking(1, 2), ranking(2, 1, 1)])
    assert pairs.better.tolist() == [0, 3, 4]
    assert pairs.worse.tolist() == [1, 2, 2]
    assert pairs.ranking.tolist() == [0, 1, 1]
    assert pairs.counts.tolist() == [1, 2]


def test_ties_and_nulls_make_no_pair():
    assert ranking(1, 1, 2).strict_pairs() == [(0, 2), (1, 2)]
    assert ranking(None, 1, 2).strict_pairs() == [(1, 2)]
    assert ranking(1, None, None).strict_pairs() == []
    scores = torch.tensor([0.3, -1.0, 5.0, 0.1], dtype=torch.float64, requires_grad=True)
    ranking_losses(scores, strict_pairs([ranking(1, 2, None, 2)])).sum().backward()
    assert scores.grad[2] == 0
    assert scores.grad[1] != scores.grad[3] != 0


def test_a_ranking_of_nine_weighs_as_much_as_one_of_two():
    losses = ranking_losses(torch.zeros(11), strict_pairs([ranking(*range(1, 10)), ranking(1, 2)]))
    assert losses.tolist() == pytest.approx([math.log(2)] * 2, abs=1e-6)


def test_extreme_scores_stay_finite():
    scores = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = ranking_losses(scores, strict_pairs([ranking(1, 2)]))
    loss.sum().backward()
    assert loss.item() == 2e4
    assert scores.grad.tolist() == [-1.0, 1.0]


def test_a_ranking_without_a_pair_is_refused():
    with pytest.raises(ValueError, match="no strict pair"):
        strict_pairs([ranking(1, 2), ranking(1, 1)])
