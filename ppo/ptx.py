"""PPO-ptx: a language-modelling loss beside PPO's, so that the policy keeps what it could say before.

loss = PPO's + ptx_coef · NLL of plain text or demonstrations. Source: InstructGPT (arXiv 2203.02155) eq. 2, coefficient 27.8
on pretraining text, 8 times as many examples as episodes (app. C.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from alignment.chat import collate, encode_prompt, encode_response, padding_id
from alignment.distributed import accumulating
from alignment.errors import UserError
from alignment.logprobs import response_loss
from alignment.models import context_length
from alignment.processes import count, rank
from alignment.sources import read_demonstrations
from ppo.config import PPOSettings
from ppo.cursor import prompt_rows


@dataclass(frozen=True)
class PtxData:
    """Tokenized demonstrations: each a prompt that is only read (BOS alone for {text}) and the response that is learned."""

    examples: list[tuple[list[int], list[int]]]
    pad_id: int

    def batch(self, taken: int, settings: PPOSettings) -> list[tuple[list[int], list[int]]]:
        """The examples of the next optimizer step, shortest first."""
        rows = prompt_rows(taken, ptx_batch_size(settings), len(self.examples), settings.seed + 1)
        return sorted((self.examples[row] for row in rows), key=lambda one: len(one[0]) + len(one[1]))


def ptx_batch_size(settings: PPOSettings) -> int:
    return settings.ptx_batch_size or settings.minibatch_size


def read_ptx(settings: PPOSettings, policy: Any, tokenizer: Any) -> PtxData | None:
    """The demonstrations of --ptx-data, cut from the right to the policy's context; None where there are none."""
    if settings.ptx_data is None:
        return None
    limit = context_length(policy)
    examples = []
    for one in read_demonstrations(settings.ptx_data, "--ptx-data"):
        prompt = encode_prompt(tokenizer, one.prompt)
        response = encode_response(tokenizer, one.prompt, one.response)
        if limit is not None:
            response = response[: max(limit - len(prompt), 0)]
        if response:
            examples.append((prompt, response))
    if not examples:
        raise UserError(
            f"--ptx-data {settings.ptx_data}: no record has a response that fits into the model's context of {limit} tokens; "
            "give shorter prompts"
        )
    return PtxData(examples, padding_id(tokenizer))


def accumulate_ptx(policy: Any, data: PtxData, taken: int, settings: PPOSettings) -> float:
    """Adds the gradient of ptx_coef · Σ NLL ÷ tokens, at temperature 1, in micro-batches of its own. Returns the NLL, nats
    a token: what this process's records add to it."""
    batch = data.batch(taken, settings)
    learned = sum(len(response) for _, response in batch)
    own = batch[rank() :: count()]
    total = 0.0
    size = settings.microbatch_size or max(settings.minibatch_size // 4, 1)
    for start in range(0, len(own), size):
        prompts, responses = zip(*own[start : start + size], strict=True)
        tokens = collate([*prompts], [*responses], data.pad_id).to(policy.device)
        with accumulating(policy, more=start + size < len(own)):
            loss, _, _ = response_loss(policy, tokens, _negative)
            (settings.ptx_coef * loss / (learned / count())).backward()
        total += float(loss.detach())
    return total / learned


def _negative(logprobs: torch.Tensor, entropy: torch.Tensor, rows: slice) -> torch.Tensor:
    return -logprobs
