"""Rewards and advantages, in float64 on ragged lengths.

Mutations seen to fail: the KL term's sign in `shaped_rewards` (test_rewards_sum_...), the score one place later
(test_score_lands_on_the_last_token), values not masked in `gae` (test_garbage_in_padding_...),
λ left out of the recursion (test_gae_...double_sum), Bessel's correction in `masked_variance` (test_whitened_...)."""

import pytest
import torch

from ppo.advantages import gae, shaped_rewards, whitened

B, T = 5, 7
LENGTHS = torch.tensor([7, 1, 3, 6, 2])
MASK = torch.arange(T)[None, :] < LENGTHS[:, None]


def ragged(seed: int) -> torch.Tensor:
    return torch.randn(B, T, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_rewards_sum_to_score_minus_kl_penalty():
    scores = ragged(0)[:, 0]
    logprobs, ref_logprobs = ragged(1), ragged(2)
    rewards = shaped_rewards(scores, logprobs, ref_logprobs, MASK, kl_coef=0.3)
    kl = torch.tensor(
        [(logprobs - ref_logprobs)[row, :length].sum() for row, length in enumerate(LENGTHS)], dtype=torch.float64
    )
    torch.testing.assert_close(rewards.sum(1), scores - 0.3 * kl, rtol=0, atol=1e-12)


def test_score_lands_on_the_last_token():
    rewards = shaped_rewards(torch.arange(1.0, B + 1), torch.zeros(B, T), torch.zeros(B, T), MASK, kl_coef=1.0)
    expected = torch.zeros(B, T)
    for row, length in enumerate(LENGTHS):
        expected[row, length - 1] = row + 1
    assert torch.equal(rewards, expected)


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.8), (1.0, 1.0), (0.7, 0.0)])
def test_gae_is_the_brute_force_double_sum(gamma, lam):
    rewards, values = ragged(3), ragged(4)
    advantages, returns = gae(rewards, values, MASK, gamma, lam)
    for row, length in enumerate(LENGTHS.tolist()):
        for t in range(length):
            expected = 0.0
            for k in range(t, length):
                following = values[row, k + 1] if k + 1 < length else 0.0
                expected += (gamma * lam) ** (k - t) * (rewards[row, k] + gamma * following - values[row, k])
            assert advantages[row, t].item() == pytest.approx(float(expected), abs=1e-12)
            assert returns[row, t].item() == pytest.approx(float(expected + values[row, t]), abs=1e-12)
    assert (advantages[~MASK] == 0).all()
    assert (returns[~MASK] == 0).all()


def test_garbage_in_padding_changes_nothing():
    scores, logprobs, ref_logprobs, values = ragged(5)[:, 0], ragged(6), ragged(7), ragged(8)

    def everything(filling: float) -> tuple[torch.Tensor, ...]:
        a, b, c = (tensor.masked_fill(~MASK, filling) for tensor in (logprobs, ref_logprobs, values))
        rewards = shaped_rewards(scores, a, b, MASK, 0.1)
        advantages, returns = gae(rewards, c, MASK, 1.0, 0.95)
        return rewards, advantages, returns, whitened(advantages, MASK)

    for clean, dirty in zip(everything(0.0), everything(float("nan")), strict=True):
        assert torch.equal(clean, dirty)


def test_whitened_has_masked_mean_0_and_population_variance_1():
    values = 3.0 + 5.0 * ragged(9)
    result = whitened(values, MASK)
    counted = torch.cat([result[row, :length] for row, length in enumerate(LENGTHS)])
    assert counted.mean().item() == pytest.approx(0.0, abs=1e-12)
    assert (counted**2).mean().item() == pytest.approx(1.0, abs=1e-8)
    assert (result[~MASK] == 0).all()
