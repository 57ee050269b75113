"""What a ranking would teach: formulas by hand and by brute force, and that it helps where it should.

Mutations seen to fail: p (1 − p) as p; T² as T; c_K as 1; + for − in Woodbury's formula; gain as trace; the lazy check
`< made` as `< 0` (greedy by first gains alone); λ as spread."""

from __future__ import annotations

import itertools
import math

import numpy
import pytest

from alignment.loop import information
from alignment.loop.information import Knowledge, evidence, most_informative, share_of_pairs

GENERATOR = numpy.random.default_rng(5)


def features(prompts: int, k: int = 4, width: int = 6) -> list[numpy.ndarray]:
    return [GENERATOR.normal(size=(k, width)) for _ in range(prompts)]


def log_likelihood(order: tuple[int, ...], scores: numpy.ndarray) -> float:
    """Plackett–Luce: the first is chosen from all, the next from the rest, and so on."""
    return sum(scores[one] - math.log(sum(math.exp(scores[other]) for other in order[place:])) for place, one in enumerate(order))  # fmt: skip


def plackett_luce_information(x: numpy.ndarray, w: numpy.ndarray, step: float = 1e-4) -> numpy.ndarray:
    """E over all orders of (∂ log P / ∂w)(∂ log P / ∂w)ᵀ, the derivatives taken by differences."""
    total = numpy.zeros((len(w), len(w)))
    for order in itertools.permutations(range(len(x))):
        slope = [
            (log_likelihood(order, x @ (w + step * e)) - log_likelihood(order, x @ (w - step * e))) / (2 * step)
            for e in numpy.eye(len(w))
        ]
        total += math.exp(log_likelihood(order, x @ w)) * numpy.outer(slope, slope)
    return total


def test_two_responses_by_hand() -> None:
    """φ = (1, 0) and (0, 2); scores 1 and 0, T = 2: p = σ(½) = .62246, p (1 − p) / T² = .05875; d = (1, −2)."""
    rows = evidence(numpy.array([[1.0, 0.0], [0.0, 2.0]]), numpy.array([1.0, 0.0]), 2.0)
    assert rows.T @ rows == pytest.approx(0.058751 * numpy.array([[1, -2], [-2, 4]]), rel=1e-4)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_equal_scores_are_plackett_luce_exactly(k: int) -> None:
    x = GENERATOR.normal(size=(k, 3))
    rows = evidence(x, numpy.zeros(k), 1.0)
    assert rows.T @ rows == pytest.approx(plackett_luce_information(x, numpy.zeros(3)), abs=1e-6)


def test_share_of_pairs_by_hand() -> None:
    assert share_of_pairs(2) == 1
    assert share_of_pairs(4) == pytest.approx((1 / 2 + 2 / 3 + 3 / 4) / 3)


def test_the_gain_is_the_difference_of_log_determinants() -> None:
    sets = features(5)
    known = Knowledge(sets)
    precision = known.ridge * numpy.eye(6)
    for x in sets:
        rows = evidence(x, x @ numpy.ones(6) / 3, 1.0)
        after = precision + rows.T @ rows
        assert known.gain(rows) == pytest.approx(numpy.linalg.slogdet(after)[1] - numpy.linalg.slogdet(precision)[1])
        known.add(rows)
        precision = after
        assert known.covariance == pytest.approx(numpy.linalg.inv(precision), abs=1e-12)


def test_the_prior_gives_differences_of_scores_a_variance_of_two() -> None:
    """One prompt with ‖d‖² = 5: λ = 5 / 2, and dᵀ d / λ = 2."""
    assert Knowledge([numpy.array([[1.0, 0.0], [0.0, 2.0]])]).ridge == 2.5


def test_responses_that_do_not_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="the same features"):
        Knowledge([numpy.ones((3, 4))])


def test_lazy_greedy_is_greedy() -> None:
    sets = features(40)
    rows = [evidence(x, numpy.zeros(4), 1.0) for x in sets]
    known, left, plain = Knowledge(sets), set(range(40)), []
    for _ in range(15):
        best = max(left, key=lambda index: known.gain(rows[index]))
        plain.append((best, pytest.approx(known.gain(rows[best]))))
        known.add(rows[best])
        left.remove(best)
    assert [(one.index, one.gain) for one in most_informative(Knowledge(sets), rows, 15)] == plain


def test_the_same_question_twice_is_asked_last() -> None:
    """Ten copies of the most telling prompt: one of them comes first, the other nine after every new direction."""
    directions = [numpy.stack([numpy.zeros(6), one]) for one in numpy.eye(6)]
    loud = numpy.stack([numpy.zeros(6), 1.2 * numpy.eye(6)[0]])
    sets = [*directions[1:], *[loud] * 10]
    rows = [evidence(x, numpy.zeros(2), 1.0) for x in sets]
    order = [one.index for one in most_informative(Knowledge(sets), rows, 6)]
    assert order[0] >= 5
    assert sorted(order[1:]) == [0, 1, 2, 3, 4]


def test_a_projection_keeps_distances() -> None:
    matrix = information.projection(2048, seed=1)
    assert matrix is not None
    assert information.projection(256, seed=1) is None
    x = GENERATOR.normal(size=(50, 2048))
    ratio = numpy.linalg.norm(x @ matrix, axis=1) / numpy.linalg.norm(x, axis=1)
    assert abs(ratio - 1).max() < 4 / math.sqrt(2 * information.WIDEST)


def test_fewer_rankings_are_needed_than_at_random() -> None:
    """Logistic regression on answers drawn from the model (simulated annotator), over prompts of which most differ little:
    after 60 rankings by information the true scores are known better than after 60 at random, on average of 40 worlds."""
    ratios = numpy.array([math.log(_error(seed, informed=True) / _error(seed, informed=False)) for seed in range(40)])
    print(f"squared error, by information over at random: {math.exp(ratios.mean()):.2f}")
    assert ratios.mean() + 3 * ratios.std() / math.sqrt(len(ratios)) < 0


def _error(seed: int, informed: bool) -> float:
    """Squared error of estimated score differences over the whole pool."""
    draw = numpy.random.default_rng(seed)
    pool = [draw.normal(size=(2, 12)) * numpy.where(draw.random(12) < 0.2, 1.0, 0.1) for _ in range(400)]
    truth = draw.normal(size=12)
    rows = [evidence(x, numpy.zeros(2), 1.0) for x in pool]
    known = Knowledge(pool)
    chosen = [one.index for one in most_informative(known, rows, 60)] if informed else draw.choice(400, 60, False)
    d = numpy.stack([pool[index][0] - pool[index][1] for index in chosen])
    won = draw.random(60) < 1 / (1 + numpy.exp(-d @ truth))
    w = numpy.zeros(12)
    for _ in range(30):  # Newton's method on the penalised likelihood
        p = 1 / (1 + numpy.exp(-d @ w))
        hessian = d.T @ (d * (p * (1 - p))[:, None]) + 0.1 * numpy.eye(12)
        w = w + numpy.linalg.solve(hessian, d.T @ (won - p) - 0.1 * w)
    every = numpy.stack([x[0] - x[1] for x in pool])
    return float(numpy.mean((every @ (w - truth)) ** 2))
