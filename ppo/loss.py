"""PPO's losses and KL estimators, per token. Means are taken by the caller: sum over tokens ÷ the minibatch's token count."""

from __future__ import annotations

import torch


def policy_loss(
    new_logprobs: torch.Tensor, logprobs: torch.Tensor, advantages: torch.Tensor, clip_range: float
) -> torch.Tensor:
    """max(−A · ratio, −A · clip(ratio, 1−ε, 1+ε)), ratio = exp(new_logprobs − logprobs).

    All of one shape; returns that shape. The gradient is exactly 0 where the clipped branch is the larger.
    Source: Schulman 2017, arXiv 1707.06347, eq. 7."""
    ratio = torch.exp(new_logprobs - logprobs)
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip_range, 1 + clip_range))


def importance_weights(logprobs: torch.Tensor, sampler_logprobs: torch.Tensor, cap: float) -> torch.Tensor:
    """w = min(π(a_t) / π_sampler(a_t), C): what the policy loss of a token is multiplied by where another program drew it.

    logprobs: the policy's own, recomputed before the update; of one shape; neutral: equal log-probs and C ≥ 1. Without a
    gradient. Source: Yao et al. 2025, "Your efficient RL framework secretly brings you off-policy RL training"."""
    return torch.exp(logprobs.detach() - sampler_logprobs).clamp(max=cap)


def value_loss(
    new_values: torch.Tensor, values: torch.Tensor, returns: torch.Tensor, value_clip_range: float
) -> torch.Tensor:
    """½ · max((V − R)², (clip(V, V_old ± ε_v) − R)²). All of one shape; returns that shape.

    Source: lm-human-preferences; N+ detail "value function loss clipping"."""
    clipped = torch.minimum(torch.maximum(new_values, values - value_clip_range), values + value_clip_range)
    return 0.5 * torch.maximum((new_values - returns).square(), (clipped - returns).square())


def kl_estimates(log_ratio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(k1, k2, k3) of KL(π ‖ π_ref) from log(π/π_ref) of tokens sampled from π: k1, ½k1², e^{−k1} − 1 + k1.

    Source: Schulman 2020, "Approximating KL divergence" (joschu.net/blog/kl-approx.html)."""
    return log_ratio, 0.5 * log_ratio.square(), torch.expm1(-log_ratio) + log_ratio
