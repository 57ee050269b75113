"""The update: several passes over one rollout, in minibatches. This is the algorithm; the rest of `ppo/` feeds it."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch

from alignment.chat import Tokens
from alignment.collectives import gathered, same
from alignment.distributed import accumulating, clip_gradients
from alignment.logprobs import response_loss
from alignment.masked import masked_sum
from alignment.models import trainable
from alignment.processes import count as processes
from ppo.config import PPOSettings
from ppo.loss import policy_loss, value_loss
from ppo.ptx import PtxData, accumulate_ptx, ptx_batch_size
from ppo.rollout import Rollout, micro_batches
from ppo.state import PPOState

LARGEST = ("ratio_error", "ratio_max", "first_ratio_error")  # of all processes; the other sums add up, but for
ALIKE = ("tokens", "minibatches", "grad_norm")  # what each process knows of all
EPOCH_STOP = 4.0  # an epoch ends when a minibatch's approx_kl passes this many times its target


def update(state: PPOState, rollout: Rollout, settings: PPOSettings, ptx: PtxData | None = None) -> dict[str, float]:
    """PPO's inner loop. Fresh permutation every epoch; loss = Σ over tokens ÷ the minibatch's token count.

    Processes share each minibatch's rows; gradients are averaged over them, so each divides by its share of the count."""
    sums: dict[str, float] = defaultdict(float)
    for epoch in range(settings.ppo_epochs):
        order = rollout.order if epoch == 0 else same(torch.randperm(len(rollout.tokens)))
        for minibatch in order.split(settings.minibatch_size):
            count = int(rollout.tokens.response_mask[minibatch].sum())
            before = sums["approx_kl"]
            state.policy_optimizer.zero_grad(set_to_none=True)
            state.value_optimizer.zero_grad(set_to_none=True)
            micros = micro_batches(minibatch, rollout.tokens, settings)
            for number, micro in enumerate(micros, start=1):
                with accumulating(state.policy, more=number < len(micros) or ptx is not None):
                    _accumulate_policy(state, rollout, micro, count / processes(), settings, sums)
                with accumulating(state.value_model, more=number < len(micros)):
                    _accumulate_value(state, rollout, micro, count / processes(), settings, sums)
            if ptx:
                sums["ptx_loss"] += accumulate_ptx(state.policy, ptx, state.ptx_taken, settings)
                state.ptx_taken += ptx_batch_size(settings)
            sums["grad_norm"] += clip_gradients(trainable(state.policy), settings.max_grad_norm)
            clip_gradients(trainable(state.value_model), settings.max_grad_norm)
            state.policy_optimizer.step()
            state.value_optimizer.step()
            if settings.ema:
                state.move_average(settings.ema)
            if not sums["minibatches"]:
                sums["first_ratio_error"] = sums["ratio_error"]
            sums["minibatches"] += 1
            sums["tokens"] += count
            approx_kl = sum(gathered(sums["approx_kl"] - before)) / count
            if settings.approx_kl_target and approx_kl > EPOCH_STOP * settings.approx_kl_target:
                return _metrics(_of_all(sums))
    return _metrics(_of_all(sums))


def _of_all(sums: dict[str, float]) -> dict[str, float]:
    """What all processes have summed."""
    parts = gathered(dict(sums))
    if len(parts) == 1:
        return sums
    whole = {name: sum(part[name] for part in parts) for name in sums if name not in ALIKE}
    return {**sums, **whole, **{name: max(part[name] for part in parts) for name in LARGEST}}


def _accumulate_policy(
    state: PPOState, rollout: Rollout, micro: torch.Tensor, count: float, settings: PPOSettings, sums: dict[str, float]
) -> None:
    tokens = rollout.tokens.select(micro)
    logprobs = _flat(rollout.logprobs, tokens, micro)
    advantages = _flat(rollout.advantages, tokens, micro)

    weights = None if rollout.weights is None else _flat(rollout.weights, tokens, micro)

    def loss(new_logprobs: torch.Tensor, entropy: torch.Tensor, rows: slice) -> torch.Tensor:
        losses = policy_loss(new_logprobs, logprobs[rows], advantages[rows], settings.clip_range)
        return losses if weights is None else weights[rows] * losses

    total, new_logprobs, _ = response_loss(state.policy, tokens, loss, settings.temperature)
    (total / count).backward()
    log_ratio = new_logprobs[tokens.response_mask] - logprobs
    ratio_error = (torch.exp(log_ratio) - 1.0).abs()
    sums["policy_loss"] += float(total.detach())
    sums["approx_kl"] += float(0.5 * log_ratio.square().sum())
    sums["clipped"] += float((ratio_error > settings.clip_range).sum())
    sums["ratio_error"] = max(sums["ratio_error"], float(ratio_error.max()))
    sums["ratio_max"] = max(sums["ratio_max"], float(torch.exp(log_ratio).max()))


def _accumulate_value(
    state: PPOState, rollout: Rollout, micro: torch.Tensor, count: float, settings: PPOSettings, sums: dict[str, float]
) -> None:
    tokens = rollout.tokens.select(micro)
    width = tokens.response_mask.shape[1]
    values, returns = rollout.values[micro, :width], rollout.returns[micro, :width]
    new_values = state.value_model(tokens)
    total = masked_sum(value_loss(new_values, values, returns, settings.value_clip_range), tokens.response_mask)
    (settings.vf_coef * total / count).backward()
    sums["value_loss"] += float(total.detach())
    sums["value_clipped"] += float(
        ((new_values - values).abs() > settings.value_clip_range)[tokens.response_mask].sum()
    )


def _flat(values: torch.Tensor, tokens: Tokens, micro: torch.Tensor) -> torch.Tensor:
    """(B,T) of the rollout → (N,) of the micro-batch's response tokens, in the order of its mask."""
    return values[micro, : tokens.response_mask.shape[1]][tokens.response_mask]


def _metrics(sums: dict[str, float]) -> dict[str, float]:
    tokens, minibatches = sums["tokens"], sums["minibatches"]
    return {
        "policy/loss": sums["policy_loss"] / tokens,
        "policy/approx_kl": sums["approx_kl"] / tokens,
        "policy/clip_fraction": sums["clipped"] / tokens,
        "policy/ratio_max": sums["ratio_max"],
        "policy/first_ratio_error": sums["first_ratio_error"],
        **({"policy/ptx_loss": sums["ptx_loss"] / minibatches} if "ptx_loss" in sums else {}),
        "value/loss": sums["value_loss"] / tokens,
        "value/clip_fraction": sums["value_clipped"] / tokens,
        "optim/grad_norm": sums["grad_norm"] / minibatches,
        "optim/tokens": tokens,
    }


def new_optimizer(model: Any, lr: float) -> torch.optim.Optimizer:
    """AdamW without weight decay, eps 1e-5 (lm-human-preferences; N+)."""
    return torch.optim.AdamW(trainable(model), lr=lr, eps=1e-5, weight_decay=0.0)
