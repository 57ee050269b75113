"""The whole state of a PPO run as one object that can be saved and loaded: what a run needs to go on as if never stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from alignment.training_state import (
    Tensors,
    load_moments,
    load_state,
    load_tensors,
    moments,
    save_state,
    trainable_tensors,
)
from ppo.value import ValueModel


@dataclass
class PPOState:
    """Models, optimizers, counters and the best policy so far. Random numbers come from the global generators, which
    are part of what `save` writes."""

    policy: Any
    value_model: ValueModel
    policy_optimizer: torch.optim.Optimizer
    value_optimizer: torch.optim.Optimizer
    score_mean: float
    score_sd: float
    step: int = 0
    prompts_taken: int = 0
    ptx_taken: int = 0
    lr_scale: float = 1.0
    kl_coef: float = 0.0
    best: dict[str, float] = field(default_factory=dict)
    best_weights: Tensors = field(default_factory=dict)
    average: Tensors = field(default_factory=dict)  # of the policy, fp32; empty where --ema is off

    COUNTERS = ("score_mean", "score_sd", "step", "prompts_taken", "ptx_taken", "lr_scale", "kl_coef", "best")

    def keep_best(self, metrics: dict[str, float]) -> None:
        """Remembers the policy as it is (its average where there is one), with the metrics of the rollout that it was measured on."""
        self.best = {"step": self.step, **metrics}
        kept = self.average or trainable_tensors(self.policy)
        self.best_weights = {name: value.detach().cpu().clone() for name, value in kept.items()}

    def start_average(self) -> None:
        """The average begins at the policy as it is."""
        self.average = {name: value.detach().float().clone() for name, value in trainable_tensors(self.policy).items()}

    @torch.no_grad()
    def move_average(self, decay: float) -> None:
        """average ← decay · average + (1 − decay) · policy. Source: Polyak and Juditsky 1992; DeepSpeed-Chat."""
        for name, value in trainable_tensors(self.policy).items():
            self.average[name].lerp_(value.float(), 1.0 - decay)

    @contextlib.contextmanager
    def as_kept(self) -> Iterator[None]:
        """Inside, the policy has the weights that `keep_best` would keep."""
        if not self.average:
            yield
            return
        own = {name: value.detach().clone() for name, value in trainable_tensors(self.policy).items()}
        load_tensors(self.policy, self.average)
        try:
            yield
        finally:
            load_tensors(self.policy, own)

    def restore_best(self) -> None:
        """Puts the best policy's weights back into the policy."""
        load_tensors(self.policy, self.best_weights)

    def parts(self) -> dict[str, Tensors]:
        """Weights and optimizer moments, by name."""
        return {
            "policy": trainable_tensors(self.policy),
            "value": trainable_tensors(self.value_model),
            "policy_optimizer": moments(self.policy_optimizer),
            "value_optimizer": moments(self.value_optimizer),
            "best": self.best_weights,
            "average": self.average,
        }

    def counters(self) -> dict[str, Any]:
        """The plain values, by name."""
        return {name: getattr(self, name) for name in self.COUNTERS}

    def save(self, directory: Path) -> None:
        """Writes `state.safetensors` (weights, optimizer moments, generators) and `state.json` (counters)."""
        save_state(directory, self.parts(), self.counters())

    def load(self, directory: Path) -> None:
        """Takes over everything that `save` wrote. The models must be of the same shapes."""
        parts, counters = load_state(directory)
        load_tensors(self.policy, parts["policy"])
        load_tensors(self.value_model, parts["value"])
        load_moments(self.policy_optimizer, parts.get("policy_optimizer", {}))
        load_moments(self.value_optimizer, parts.get("value_optimizer", {}))
        self.best_weights = parts.get("best", {})
        self.average = {name: value.to(self.average[name].device) for name, value in parts.get("average", {}).items()}
        for name in self.COUNTERS:
            setattr(self, name, counters[name])
