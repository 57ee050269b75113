"""The loss of stage 1: how unlikely the demonstrated responses are, per token."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from alignment.chat import Tokens
from alignment.logprobs import response_hits, response_loss


@dataclass(frozen=True)
class Quality:
    """loss (nats per response token) and token_accuracy (share of them that the model finds likeliest).

    losses, counts: nats and response tokens of each row, in the order of the batches."""

    loss: float
    token_accuracy: float
    losses: tuple[float, ...] = ()
    counts: tuple[int, ...] = ()


def summed_nll(model: Any, tokens: Tokens) -> torch.Tensor:
    """Σ_t −log π(a_t | s_t) over the response tokens (EOS included) of `tokens`, with its gradient; a scalar.

    Divide by the number of response tokens of the whole optimizer step, so that microbatches change nothing.
    Source: InstructGPT §3.5 (supervised fine-tuning); the division is transformers' `num_items_in_batch`."""
    total, _, _ = response_loss(model, tokens, lambda logprobs, entropy, rows: -logprobs)
    return total


@torch.no_grad()
def quality(model: Any, batches: Iterable[Tokens]) -> Quality | None:
    """Σ −log π / N and Σ [argmax π = a_t] / N over all N response tokens of the batches; None when there is none."""
    total, hits, count = 0.0, 0, 0
    losses: list[float] = []
    counts: list[int] = []
    for tokens in batches:
        logprobs, right = response_hits(model, tokens)
        total -= logprobs.double().sum().item()
        hits += int(right.sum())
        count += int(tokens.response_mask.sum())
        losses += (-logprobs.double().sum(1)).tolist()
        counts += tokens.response_mask.sum(1).tolist()
    return Quality(total / count, hits / count, tuple(losses), tuple(counts)) if count else None
