"""Tie models, margins, noise-robust losses, Plackett–Luce, and which of them the settings choose.

Mutations seen to fail:
- (pair_losses.py) θ without its divisor, e^η for e^{2η}, ν halved -> test_three_outcomes_have_probability_one...
- (pair_losses.py) the flipped term with the sign of the other, (1 − ε) for (1 − 2ε) -> test_robust_losses_by_hand...
- (plackett_luce.py) chosen out of all instead of what lies below, sum instead of mean -> test_plackett_luce_equals_choices...
- (objective.py) the margin added, ties and strict pairs exchanged -> test_margins_equal..., test_tie_objective_equals...
- (records.py) two nulls tie -> tests/alignment/test_records.py
"""

from __future__ import annotations

import itertools
import math
import random

import pytest
import torch

from alignment.errors import UserError
from alignment.records import Ranking, Response
from reward_model.config import RewardSettings
from reward_model.loss import compared_pairs, ranking_losses, strict_pairs
from reward_model.objective import objective
from reward_model.pair_losses import (
    LLAMA_2_MARGINS,
    bradley_terry,
    davidson,
    margins,
    rao_kupper,
    smoothed,
    tie_share,
    unbiased,
)
from reward_model.plackett_luce import plackett_luce


def ranking(*ranks: int | None, strength: int | None = None) -> Ranking:
    return Ranking("r", "p", tuple(Response(str(place)) for place in range(len(ranks))), ranks, strength=strength)


def settings(**values) -> RewardSettings:
    return RewardSettings(base="b", rankings="r", output="o", **values)


def random_rankings(seed: int, count: int) -> list[Ranking]:
    draw, result = random.Random(seed), []
    while len(result) < count:
        ranks = (draw.choice([None, 1, 2, 3, 4]) for _ in range(draw.randint(2, 7)))
        made = ranking(*ranks, strength=draw.choice([None, 0, 1, 2, 3]))
        if made.strict_pairs():
            result.append(made)
    return result


def scores_of(rankings: list[Ranking], seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(sum(len(r.ranks) for r in rankings), dtype=torch.float64, generator=generator)


def by_pairs(rankings: list[Ranking], scores: torch.Tensor, strict, tied=None) -> list[float]:
    """Mean over pairs by a double loop; strict(Δ, ranking) and tied(Δ) in plain Python."""
    result, start = [], 0
    for one in rankings:
        own, losses = scores[start : start + len(one.ranks)].tolist(), []
        for i, j in itertools.permutations(range(len(one.ranks)), 2):
            a, b = one.ranks[i], one.ranks[j]
            if a is not None and b is not None and a < b:
                losses.append(strict(own[i] - own[j], one))
            elif tied and a is not None and a == b and i < j:
                losses.append(tied(own[i] - own[j]))
        result.append(sum(losses) / len(losses))
        start += len(one.ranks)
    return result


DIFFERENCES = torch.linspace(-6, 6, 25, dtype=torch.float64)


@pytest.mark.parametrize("model", [rao_kupper, davidson])
@pytest.mark.parametrize("t", [0.05, 0.4, 0.9])
def test_three_outcomes_have_probability_one_and_equals_tie_with_t(model, t):
    made = model(t)
    total = (-made.strict(DIFFERENCES)).exp() + (-made.strict(-DIFFERENCES)).exp() + (-made.tied(DIFFERENCES)).exp()
    assert torch.allclose(total, torch.ones_like(total), atol=1e-12)
    assert math.exp(-made.tied(torch.zeros(1, dtype=torch.float64)).item()) == pytest.approx(t, abs=1e-12)
    assert torch.allclose(made.tied(DIFFERENCES), made.tied(-DIFFERENCES), atol=1e-12)


def test_tie_models_by_their_papers_formulas():
    """Strengths π = e^s. Rao & Kupper: π_i/(π_i + θπ_j), ties the rest; Davidson: π_i/(π_i + π_j + ν√(π_iπ_j))."""
    t, (a, b) = 0.3, (math.exp(0.7), math.exp(-0.4))
    difference = torch.tensor(1.1, dtype=torch.float64)
    theta, nu = (1 + t) / (1 - t), 2 * t / (1 - t)
    one, other = a / (a + theta * b), b / (b + theta * a)
    assert math.exp(-rao_kupper(t).strict(difference)) == pytest.approx(one, abs=1e-12)
    assert math.exp(-rao_kupper(t).tied(difference)) == pytest.approx(1 - one - other, abs=1e-12)
    rest = nu * math.sqrt(a * b)
    assert math.exp(-davidson(t).strict(difference)) == pytest.approx(a / (a + b + rest), abs=1e-12)
    assert math.exp(-davidson(t).tied(difference)) == pytest.approx(rest / (a + b + rest), abs=1e-12)


@pytest.mark.parametrize("model", ["rao-kupper", "davidson"])
def test_tie_objective_equals_a_double_loop(model):
    rankings = [*random_rankings(3, 30), ranking(1, 1), ranking(2, None, 2)]
    scores, made = scores_of(rankings), {"rao-kupper": rao_kupper, "davidson": davidson}[model](0.25)
    strict = lambda d, _: made.strict(torch.tensor(d, dtype=torch.float64)).item()  # noqa: E731
    tied = lambda d: made.tied(torch.tensor(d, dtype=torch.float64)).item()  # noqa: E731
    found = objective(settings(tie_model=model), 0.25)(scores, rankings)
    assert found.tolist() == pytest.approx(by_pairs(rankings, scores, strict, tied), abs=1e-12)


def test_a_tie_pulls_together_and_a_null_is_nothing():
    scores = torch.tensor([2.0, 0.0, 5.0], dtype=torch.float64, requires_grad=True)
    objective(settings(tie_model="davidson"), 0.3)(scores, [ranking(1, 1, None)]).sum().backward()
    assert scores.grad[0] > 0 > scores.grad[1]
    assert scores.grad[2] == 0


def test_tie_share_by_hand():
    assert tie_share([ranking(1, 1, 2), ranking(1, 2), ranking(None, 1, 1)]) == 2 / 5
    pairs, tied = compared_pairs([ranking(1, 2), ranking(2, 1, 1)])
    assert (pairs.better.tolist(), pairs.worse.tolist()) == ([0, 3, 4, 3], [1, 2, 2, 4])
    assert tied.tolist() == [False, False, False, True]
    with pytest.raises(ValueError, match="no compared pair"):
        compared_pairs([ranking(1, None)])


def test_margins_equal_a_double_loop():
    rankings = random_rankings(4, 30)
    scores = scores_of(rankings)
    wanted = by_pairs(
        rankings,
        scores,
        lambda d, one: math.log1p(math.exp(-(d - (0 if one.strength is None else (0, 1 / 3, 2 / 3, 1)[one.strength])))),
    )
    assert objective(settings(strength_margins="llama-2"))(scores, rankings).tolist() == pytest.approx(
        wanted, abs=1e-12
    )
    assert margins("0, 1/3,2/3,1") == margins("llama-2") == LLAMA_2_MARGINS == pytest.approx((0, 1 / 3, 2 / 3, 1))


@pytest.mark.parametrize(
    "wrong", ["", "1,2,3", "0,1,2,x", "3,2,1,0", "-1,0,1,2", "0,1/0,1,2", "0,1,2,inf", "0,nan,1,2"]
)
def test_margins_that_are_none_are_refused(wrong):
    with pytest.raises(UserError, match=r"--strength-margins is .*; it must be llama-2 or four numbers"):
        margins(wrong)


def test_robust_losses_by_hand_and_their_meaning():
    e, d = 0.2, DIFFERENCES
    plus, minus = bradley_terry(d), bradley_terry(-d)
    assert torch.allclose(smoothed(bradley_terry, e)(d), 0.8 * plus + 0.2 * minus, atol=1e-12)
    assert torch.allclose(unbiased(bradley_terry, e)(d), (0.8 * plus - 0.2 * minus) / 0.6, atol=1e-12)
    right, wrong = unbiased(bradley_terry, e)(d), unbiased(bradley_terry, e)(-d)
    assert torch.allclose((1 - e) * right + e * wrong, plus, atol=1e-12)  # its mean over flips is the clean loss
    best = torch.tensor(math.log((1 - e) / e), dtype=torch.float64, requires_grad=True)
    smoothed(bradley_terry, e)(best).backward()
    assert best.grad.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", ["smoothing", "unbiased"])
@pytest.mark.parametrize("tie_model", ["none", "davidson"])
def test_noise_objective_equals_a_double_loop(kind, tie_model):
    rankings, e = random_rankings(5, 20), 0.1
    scores = scores_of(rankings)
    made = davidson(0.2)
    plain = bradley_terry if tie_model == "none" else made.strict

    def strict(d, _):
        one, other = (plain(torch.tensor(x, dtype=torch.float64)).item() for x in (d, -d))
        return (1 - e) * one + e * other if kind == "smoothing" else ((1 - e) * one - e * other) / (1 - 2 * e)

    tied = None if tie_model == "none" else lambda d: made.tied(torch.tensor(d, dtype=torch.float64)).item()
    chosen = settings(label_noise=e, noise_loss=kind, tie_model=tie_model)
    found = objective(chosen, 0.2)(scores, rankings)
    assert found.tolist() == pytest.approx(by_pairs(rankings, scores, strict, tied), abs=1e-12)


def brute_plackett_luce(scores: list[float], ranks: tuple[int | None, ...]) -> float:
    """Choices one by one, by the definition in words."""
    terms = []
    for i, rank in enumerate(ranks):
        worse = [scores[j] for j, other in enumerate(ranks) if rank is not None and other is not None and other > rank]
        if worse:
            terms.append(-math.log(math.exp(scores[i]) / (math.exp(scores[i]) + sum(map(math.exp, worse)))))
    return sum(terms) / len(terms)


def test_plackett_luce_equals_choices_one_by_one():
    rankings = random_rankings(6, 40)
    scores = scores_of(rankings)
    found, start = objective(settings(loss="plackett-luce"))(scores, rankings), 0
    for loss, one in zip(found.tolist(), rankings, strict=True):
        own = scores[start : start + len(one.ranks)].tolist()
        assert loss == pytest.approx(brute_plackett_luce(own, one.ranks), abs=1e-12)
        start += len(one.ranks)


def test_plackett_luce_of_all_orders_sums_to_one_and_of_two_is_the_pair():
    scores = torch.tensor([0.3, -1.2, 0.8, 0.1], dtype=torch.float64)
    orders = [ranking(*order) for order in itertools.permutations((1, 2, 3, 4))]
    total = sum(math.exp(-3 * plackett_luce(scores, [order]).item()) for order in orders)  # 3 choices an order
    assert total == pytest.approx(1, abs=1e-12)
    pair = [ranking(2, 1)]
    expected = ranking_losses(scores[:2], strict_pairs(pair))
    assert torch.allclose(plackett_luce(scores[:2], pair), expected, atol=1e-12)


def test_gradients_equal_finite_differences():
    rankings = random_rankings(7, 4)
    scores = scores_of(rankings).requires_grad_()
    for chosen in (
        settings(loss="plackett-luce"),
        settings(tie_model="rao-kupper", label_noise=0.1),
        settings(strength_margins="llama-2", label_noise=0.1, noise_loss="unbiased"),
    ):
        made = objective(chosen, 0.3)
        assert torch.autograd.gradcheck(lambda s: made(s, rankings), (scores,), eps=1e-6, atol=1e-8, rtol=1e-6)  # noqa: B023


def test_the_default_is_the_plain_loss_to_the_last_bit():
    rankings = random_rankings(8, 20)
    scores = scores_of(rankings).float()
    assert torch.equal(objective(settings())(scores, rankings), ranking_losses(scores, strict_pairs(rankings)))
    with pytest.raises(ValueError, match="no strict pair"):
        plackett_luce(torch.zeros(2), [ranking(1, 1)])


@pytest.mark.parametrize(
    ("values", "phrase"),
    [
        ({"loss": "plackett-luce", "tie_model": "davidson"}, "--loss plackett-luce with --tie-model davidson"),
        ({"loss": "plackett-luce", "strength_margins": "llama-2"}, "--loss plackett-luce with --strength-margins"),
        ({"loss": "plackett-luce", "label_noise": 0.1}, "--loss plackett-luce with --label-noise"),
        ({"tie_model": "rao-kupper", "strength_margins": "llama-2"}, "--tie-model rao-kupper with --strength-margins"),
        ({"tie_probability": 0.2}, "--tie-probability with --tie-model none"),
        ({"label_noise": 0.5}, "--label-noise is 0.5; it must be a number at least 0.0 and at most 0.49"),
        ({"ensemble": 2, "scaling": True}, "--scaling with --ensemble 2"),
    ],
)
def test_what_does_not_fit_is_one_sentence(values, phrase):
    with pytest.raises(UserError, match=phrase):
        settings(**values)
