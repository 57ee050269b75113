"""K4: kept sets by hand, drawn tokens as often as they should be, log-probs of both distributions.

Mutations seen to fail: T multiplied; the k-th token dropped; the nucleus without the token that crosses p; shares of the nucleus not of
what top-k keeps; u + mass; right=False; log q as log p; float32 sums."""

from __future__ import annotations

import math

import numpy
import pytest
import torch
from scipy import stats

from alignment_kernels.linear_logprob import linear_logprob
from alignment_kernels.sample import sample

P = torch.tensor([0.1, 0.4, 0.05, 0.2, 0.25])


def kept(top_k: int = 0, top_p: float = 1.0, p: torch.Tensor = P) -> dict[int, float]:
    """token → its share of q, by asking for every u."""
    u = torch.arange(1000, dtype=torch.float64) / 1000
    tokens, _, processed = sample(p.log().expand(1000, -1), top_k=top_k, top_p=top_p, uniform=u)
    shares = {int(token): float(logprob.exp()) for token, logprob in zip(tokens, processed)}
    counted = {token: round(float((tokens == token).float().mean()), 2) for token in shares}
    assert counted == {token: pytest.approx(share, abs=0.011) for token, share in shares.items()}
    return shares


@pytest.mark.parametrize(
    ("top_k", "top_p", "expected"),
    [
        (0, 1.0, {0: 0.1, 1: 0.4, 2: 0.05, 3: 0.2, 4: 0.25}),
        (2, 1.0, {1: 0.4 / 0.65, 4: 0.25 / 0.65}),
        (9, 1.0, {0: 0.1, 1: 0.4, 2: 0.05, 3: 0.2, 4: 0.25}),
        (0, 0.6, {1: 0.4 / 0.65, 4: 0.25 / 0.65}),
        (0, 0.66, {1: 0.4 / 0.85, 4: 0.25 / 0.85, 3: 0.2 / 0.85}),
        (0, 0.01, {1: 1.0}),
        (3, 0.5, {1: 0.4 / 0.65, 4: 0.25 / 0.65}),  # .4 of .85 is .47 < .5: the second is needed
        (3, 0.47, {1: 1.0}),
    ],
)
def test_what_is_kept_by_hand(top_k: int, top_p: float, expected: dict[int, float]) -> None:
    assert kept(top_k, top_p) == pytest.approx(expected, abs=1e-6)


def test_ties_with_the_last_kept_token_stay() -> None:
    p = torch.tensor([0.3, 0.2, 0.2, 0.2, 0.1])
    assert set(kept(top_k=2, p=p)) == {0, 1, 2, 3}
    assert set(kept(top_p=0.45, p=p)) == {0, 1, 2, 3}


def test_drawn_as_often_as_likely() -> None:
    """Chi-square on 200,000 draws from torch's generator."""
    torch.manual_seed(11)
    logits = torch.tensor([0.3, -1.0, 2.0, 0.0, 1.1, -3.0])
    tokens, _, _ = sample(logits.expand(200_000, -1), temperature=0.8)
    expected = torch.softmax(logits.double() / 0.8, 0).numpy() * 200_000
    assert (
        stats.chisquare(numpy.bincount(tokens.numpy(), minlength=6), expected / expected.sum() * 200_000).pvalue > 1e-3
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_log_probs_are_those_of_k1(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(2)
    hidden = torch.randn(33, 24, generator=generator).to(dtype)
    weight = torch.randn(101, 24, generator=generator).to(dtype)
    logits = (
        hidden.to(torch.promote_types(dtype, torch.float32)) @ weight.to(torch.promote_types(dtype, torch.float32)).T
    )
    tokens, logprob, processed = sample(logits, temperature=1.7, top_k=7, top_p=0.8)
    expected, _ = linear_logprob(hidden, weight, tokens, temperature=1.7)
    assert logprob.dtype == processed.dtype == expected.dtype
    torch.testing.assert_close(logprob, expected, rtol=2e-6, atol=2e-6)
    assert (processed > logprob).all()


@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (5, 1.0), (0, 0.7), (9, 0.9)])
def test_the_processed_distribution_sums_to_one(top_k: int, top_p: float) -> None:
    """Every token that can be drawn is drawn once by a fine grid of u; their exp(log q) sum to 1."""
    logits = torch.randn(1, 40, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    tokens, _, processed = sample(logits.expand(20_000, -1), top_k=top_k, top_p=top_p, uniform=u)
    total = sum(float(processed[tokens == token][0].exp()) for token in tokens.unique())
    assert total == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("u", [0.0, 1 - 2**-53])
def test_the_ends_of_u_draw_what_can_be(u: float) -> None:
    logits = torch.tensor([[-math.inf, 0.0, 1.0, -math.inf]])
    tokens, logprob, _ = sample(logits, uniform=torch.tensor([u], dtype=torch.float64))
    assert int(tokens) == (1 if u == 0 else 2)
    assert logprob.isfinite().all()


def test_a_large_vocabulary_is_summed_exactly() -> None:
    """150,000 tokens, all alike: u just below (n + 1) / V draws token n."""
    v = 150_000
    wanted = torch.tensor([0, 1, 77_777, v - 1])
    u = (wanted.double() + 0.5) / v
    tokens, logprob, _ = sample(torch.zeros(4, v), uniform=u)
    assert tokens.tolist() == wanted.tolist()
    torch.testing.assert_close(logprob, torch.full((4,), -math.log(v)), rtol=2e-6, atol=0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_rows_without_probabilities_give_nan_and_a_token(bad: float) -> None:
    logits = torch.zeros(2, 5)
    logits[0, 3] = bad
    tokens, logprob, _ = sample(logits)
    assert logprob[0].isnan()
    assert not logprob[1].isnan()
    assert 0 <= int(tokens[0]) < 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"top_k": -1}, "top_k must be 0"),
        ({"top_p": 0.0}, "top_p must be above 0"),
        ({"top_p": 1.1}, "top_p must be above 0"),
        ({"uniform": torch.zeros(3)}, "uniform must be \\(2,\\)"),
        ({"logits": torch.zeros(5)}, "logits must be"),
        ({"logits": torch.zeros(2, 5, dtype=torch.int64)}, "logits must be"),
    ],
)
def test_refused(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sample(**{"logits": torch.zeros(2, 5)} | changes)
