"""From scores to advantages: what each response token earned. Pure functions of (B,T) tensors and their mask."""

from __future__ import annotations

import torch

from alignment.masked import masked_whiten


def shaped_rewards(
    scores: torch.Tensor, logprobs: torch.Tensor, ref_logprobs: torch.Tensor, mask: torch.Tensor, kl_coef: float
) -> torch.Tensor:
    """r_t = −kl_coef · (log π(a_t) − log π_ref(a_t)) + 1[t = last token] · score, so Σ_t r_t = score − kl_coef · Σ_t kl_t.

    scores (B,); logprobs, ref_logprobs (B,T) nats; mask (B,T) response tokens. Returns (B,T), 0 where masked.
    The score lands on the response's last token (EOS where it ended; OpenRLHF, NeMo-RL, verl), not on the first PAD (N+, TRL).
    Source: InstructGPT §3.5; Ziegler 2019 eq. 2."""
    rewards = (-kl_coef * (logprobs - ref_logprobs)).masked_fill(~mask, 0.0)
    last = mask.sum(1) - 1
    rewards[torch.arange(len(scores), device=scores.device), last] += scores
    return rewards


def gae(
    rewards: torch.Tensor, values: torch.Tensor, mask: torch.Tensor, gamma: float, lam: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """A_t = δ_t + γλ A_{t+1}, δ_t = r_t + γ V_{t+1} − V_t, V = 0 after the last token; returns = A + V.

    rewards, values (B,T); mask (B,T), True on a run that starts at the first token. gamma, lam: 1 = neutral.
    Returns (advantages, returns), (B,T), 0 where masked. Source: Schulman 2016, arXiv 1506.02438, eq. 16."""
    rewards, values = rewards.masked_fill(~mask, 0.0), values.masked_fill(~mask, 0.0)
    advantages = torch.zeros_like(rewards)
    following_value = following_advantage = torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * following_value - values[:, t]
        following_advantage = delta + gamma * lam * following_advantage
        following_value = values[:, t]
        advantages[:, t] = following_advantage
    return advantages, advantages + values


def whitened(advantages: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Advantages with mean 0 and population variance 1 over the rollout's response tokens (N+; TRL and verl use Bessel)."""
    return masked_whiten(advantages, mask)
