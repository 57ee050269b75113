"""The whole state of a PPO run as one object that can be saved and loaded: what a run needs to go on as if never stopped."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from alignment.run import write_json
from ppo.value import ValueModel

Tensors = dict[str, torch.Tensor]


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
    lr_scale: float = 1.0
    best: dict[str, float] = field(default_factory=dict)
    best_weights: Tensors = field(default_factory=dict)

    COUNTERS = ("score_mean", "score_sd", "step", "prompts_taken", "lr_scale", "best")

    def keep_best(self, metrics: dict[str, float]) -> None:
        """Remembers the policy as it is, with the metrics of the rollout that it was measured on."""
        self.best = {"step": self.step, **metrics}
        self.best_weights = {
            name: value.detach().cpu().clone() for name, value in trainable_tensors(self.policy).items()
        }

    def restore_best(self) -> None:
        """Puts the best policy's weights back into the policy."""
        load_tensors(self.policy, self.best_weights)

    def save(self, directory: Path) -> None:
        """Writes `state.safetensors` (weights, optimizer moments, generators) and `state.json` (counters)."""
        directory.mkdir(parents=True, exist_ok=True)
        parts = {
            "policy": trainable_tensors(self.policy),
            "value": trainable_tensors(self.value_model),
            "policy_optimizer": _moments(self.policy_optimizer),
            "value_optimizer": _moments(self.value_optimizer),
            "best": self.best_weights,
            "generator": _generators(),
        }
        flat = {
            f"{part}/{name}": value.detach().cpu().clone()
            for part, some in parts.items()
            for name, value in some.items()
        }
        save_file(flat, directory / "state.safetensors")
        counters = {name: getattr(self, name) for name in self.COUNTERS}
        write_json(directory / "state.json", {**counters, "python": random.getstate(), "numpy": _numpy_state()})

    def load(self, directory: Path) -> None:
        """Takes over everything that `save` wrote. The models must be of the same shapes."""
        flat = load_file(directory / "state.safetensors")
        parts: dict[str, Tensors] = {}
        for key, value in flat.items():
            part, _, name = key.partition("/")
            parts.setdefault(part, {})[name] = value
        load_tensors(self.policy, parts["policy"])
        load_tensors(self.value_model, parts["value"])
        _load_moments(self.policy_optimizer, parts.get("policy_optimizer", {}))
        _load_moments(self.value_optimizer, parts.get("value_optimizer", {}))
        self.best_weights = parts.get("best", {})
        saved = json.loads((directory / "state.json").read_text(encoding="utf-8"))
        for name in self.COUNTERS:
            setattr(self, name, saved[name])
        version, numbers, gauss = saved["python"]
        random.setstate((version, tuple(numbers), gauss))
        numpy.random.set_state(
            (saved["numpy"][0], numpy.array(saved["numpy"][1], dtype=numpy.uint32), *saved["numpy"][2:])
        )
        torch.set_rng_state(parts["generator"]["cpu"])
        if "cuda" in parts["generator"] and torch.cuda.is_available():
            torch.cuda.set_rng_state(parts["generator"]["cuda"])


def trainable_tensors(model: nn.Module) -> Tensors:
    """Name → parameter, of those that learn (tied ones once)."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@torch.no_grad()
def load_tensors(model: nn.Module, tensors: Tensors) -> None:
    own = trainable_tensors(model)
    if own.keys() != tensors.keys():
        raise ValueError(f"the saved tensors are not this model's: {sorted(own.keys() ^ tensors.keys())[:3]}")
    for name, parameter in own.items():
        parameter.copy_(tensors[name])


def _moments(optimizer: torch.optim.Optimizer) -> Tensors:
    state = optimizer.state_dict()["state"]
    return {f"{index}/{name}": value for index, values in state.items() for name, value in values.items()}


def _load_moments(optimizer: torch.optim.Optimizer, moments: Tensors) -> None:
    state: dict[int, Tensors] = {}
    for key, value in moments.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _generators() -> Tensors:
    cuda = {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {}
    return {"cpu": torch.get_rng_state(), **cuda}


def _numpy_state() -> list[Any]:
    name, keys, *rest = numpy.random.get_state(legacy=True)
    return [name, numpy.asarray(keys).tolist(), *rest]
