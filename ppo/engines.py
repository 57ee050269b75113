"""Rollout engines: who draws the responses. Everything after the tokens is the same whoever drew them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch

from alignment.chat import Tokens
from alignment.config import GenerationSettings
from alignment.sampling import generate


@dataclass(frozen=True)
class Drawn:
    """One response a prompt. logprobs (B,T): log π_sampler(a_t) as the sampler itself gives it, nats, 0 where masked; None
    where the sampler is the policy's own model."""

    tokens: Tokens
    logprobs: torch.Tensor | None = None


class Engine(Protocol):
    """Draws responses from the policy as it was at the last `sync`."""

    def sync(self) -> None:
        """Takes the policy's newest weights. Called before every rollout: also before the first one of a run that goes on."""

    def generate(self, prompts: list[list[int]]) -> Drawn:
        """One response to each prompt (token ids). All randomness comes from torch's global generator."""

    def close(self) -> None:
        """Lets go of what `sync` took. Called once, at the end of the run."""


@dataclass(frozen=True)
class TransformersEngine:
    """The policy's own model draws: nothing to send, nothing to correct."""

    policy: Any
    tokenizer: Any
    settings: GenerationSettings

    def sync(self) -> None:
        """The weights are the policy's own."""

    def generate(self, prompts: list[list[int]]) -> Drawn:
        return Drawn(generate(self.policy, self.tokenizer, prompts, self.settings))

    def close(self) -> None:
        """Nothing was taken."""
