"""The adaptive KL coefficient: steered so that the policy's KL to the reference stays near a target."""

from __future__ import annotations

ERROR_CLIP = 0.2  # Ziegler 2019, §2.2


def adapted_kl_coef(kl_coef: float, kl: float, responses: int, target: float, horizon: float) -> float:
    """The coefficient after a rollout: kl_coef · (1 + clip(KL/target − 1, ±0.2) · n/horizon).

    kl: Σ_t log π(a_t) − log π_ref(a_t) of a response, averaged over the rollout, nats; responses: n, the rollout's size.
    target > 0, nats a response: kl = target changes nothing. horizon > 0, responses. A NaN in kl gives NaN, so that a
    broken rollout is seen (a clip that takes NaN for its lower bound would lower the penalty instead).
    Source: Ziegler 2019, arXiv 1909.08593, §2.2 (target 6 and horizon 1e4: lm-human-preferences)."""
    error = min(max(kl / target - 1.0, -ERROR_CLIP), ERROR_CLIP)
    return kl_coef * (1.0 + error * responses / horizon)
