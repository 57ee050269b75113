"""Every metric of the house, registered once: unit, formula, and which way is good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """One metric `family/quantity`. good: "up", "down" or "watch" (neither way is good by itself)."""

    name: str
    unit: str
    formula: str
    good: Literal["up", "down", "watch"]


METRICS = {
    metric.name: metric
    for metric in [
        Metric("objective/score", "score", "mean over responses of the reward, as the reward gives it", "up"),
        Metric("objective/kl", "nats a response", "mean over responses of Σ_t log π(a_t) − log π_ref(a_t)", "watch"),
        Metric("objective/kl_k3", "nats a response", "mean over responses of Σ_t e^{−k1} − 1 + k1", "watch"),
        Metric("objective/kl_coef", "score per nat", "weight of the KL penalty", "watch"),
        Metric("objective/entropy", "nats a token", "mean over response tokens of the policy's entropy", "watch"),
        Metric("objective/rlhf_reward", "normalised score", "mean over responses of score − kl_coef · kl", "up"),
        Metric("policy/loss", "–", "Σ clipped surrogate ÷ tokens, over the update's minibatches", "watch"),
        Metric("policy/approx_kl", "nats a token", "mean of ½ (log new − log old)² inside the update", "watch"),
        Metric("policy/clip_fraction", "share", "share of tokens with |ratio − 1| > clip_range", "watch"),
        Metric("policy/ratio_max", "–", "largest ratio in the update", "watch"),
        Metric(
            "policy/first_ratio_error", "–", "largest |ratio − 1| in the first minibatch; 0 on a fresh rollout", "down"
        ),
        Metric("value/loss", "score²", "Σ clipped value loss ÷ tokens", "down"),
        Metric("value/clip_fraction", "share", "share of tokens whose new value left old ± value_clip_range", "watch"),
        Metric("value/explained_variance", "–", "1 − Var(returns − values) / Var(returns)", "up"),
        Metric("rollout/response_tokens", "tokens", "mean length of a response", "watch"),
        Metric("rollout/eos_fraction", "share", "share of responses that ended before the limit", "watch"),
        Metric("optim/lr", "–", "learning rate of the policy", "watch"),
        Metric("optim/grad_norm", "–", "mean norm of the policy's gradient before clipping", "watch"),
        Metric("time/rollout_seconds", "s", "generating, scoring, log-probs and values", "down"),
        Metric("time/update_seconds", "s", "the update", "down"),
        Metric(
            "reward_model/loss", "nats a pair", "mean over rankings of the mean over pairs of −log σ(s_i − s_j)", "down"
        ),
        Metric(
            "reward_model/pair_accuracy",
            "share",
            "share of strict pairs ordered as the annotators did; equal scores count half",
            "up",
        ),
        Metric("sft/loss", "nats a token", "negative log-likelihood of response tokens", "down"),
        Metric("sft/token_accuracy", "share", "share of response tokens that are the likeliest", "up"),
    ]
}
