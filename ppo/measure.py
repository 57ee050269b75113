"""What a rollout says of the policy that made it. Every number is registered in `alignment/metrics.py`."""

from __future__ import annotations

from alignment.masked import masked_mean, masked_variance
from ppo.config import PPOSettings
from ppo.loss import kl_estimates
from ppo.rollout import Rollout
from ppo.state import PPOState


def measure(rollout: Rollout, state: PPOState, settings: PPOSettings) -> dict[str, float]:
    """What a rollout says of the policy that made it, before it is updated."""
    mask, kl = rollout.tokens.response_mask, rollout.kl
    k3 = kl_estimates(rollout.logprobs - rollout.ref_logprobs)[2].masked_fill(~mask, 0.0)
    lengths = mask.sum(1).double()
    lost = (rollout.rewards.masked_fill(~mask, 0.0).sum(1) - (rollout.normalized - state.kl_coef * kl)).abs().max()
    unexplained, variance = (masked_variance(x, mask) for x in (rollout.returns - rollout.values, rollout.returns))
    return {
        "objective/score": float(rollout.scores.mean()),
        "objective/score_sd": float(rollout.scores.std(correction=0)),
        **_gold(rollout),
        **_sampler(rollout),
        "objective/kl": float(kl.mean()),
        "objective/kl_k3": float(k3.sum(1).mean()),
        "objective/kl_coef": state.kl_coef,
        "objective/entropy": float(masked_mean(rollout.entropy, mask)),
        "objective/rlhf_reward": float((rollout.normalized - state.kl_coef * kl).mean()),
        "value/explained_variance": float(1.0 - unexplained / variance) if variance > 0 else 0.0,
        "rollout/reward_error": float(lost),
        "rollout/response_tokens": float(lengths.mean()),
        "rollout/eos_fraction": float((lengths < settings.max_new_tokens).double().mean()),
    }


def _gold(rollout: Rollout) -> dict[str, float]:
    if rollout.gold is None:
        return {}
    return {"objective/gold": float(rollout.gold.mean()), "objective/gold_sd": float(rollout.gold.std(correction=0))}


def _sampler(rollout: Rollout) -> dict[str, float]:
    """How far the sampler's log-probs are from the policy's; nothing where it is the policy's own model."""
    if rollout.sampler_logprobs is None or rollout.weights is None:
        return {}
    mask = rollout.tokens.response_mask
    difference = (rollout.logprobs - rollout.sampler_logprobs).abs()
    return {
        "sampler/mismatch": float(masked_mean(difference, mask)),
        "sampler/mismatch_max": float(difference[mask].max()),
        "sampler/importance_weight": float(masked_mean(rollout.weights, mask)),
    }
