"""Responses drawn from a policy, by the house's own loop or, where a model does not fit it, transformers' `generate`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from transformers import GenerationConfig

from alignment.chat import Tokens, collate, padding_id, stop_ids
from alignment.config import GenerationSettings
from alignment.decoding import decode, decodes
from alignment.distributed import through
from alignment.errors import UserError
from alignment.models import context_length, unwrapped
from alignment.progress import progress
from alignment_kernels.sample import sample

NO_PROBABILITIES = "the policy gives no probabilities, for its logits are not finite: its training diverged; lower --lr"


@torch.no_grad()
@through
def generate(model: Any, tokenizer: Any, prompts: list[list[int]], settings: GenerationSettings) -> Tokens:
    """One response a prompt, as one batch. A response ends with its first stop token, which counts; what follows is padding.

    prompts: token ids, B lists. Random draws come from torch's global generator."""
    empty: list[list[int]] = [[] for _ in prompts]
    batch = collate(prompts, empty, padding_id(tokenizer)).to(unwrapped(model).device)
    ids, mask = batch.input_ids[:, :-1], batch.attention_mask[:, :-1]  # without the one empty response place
    stops, pad = stop_ids(tokenizer, unwrapped(model)), padding_id(tokenizer)
    if decodes(model, ids.shape[1] + settings.max_new_tokens):
        responses, counts = _decoded(model, ids, mask, settings, stops, pad)
    else:
        responses = _generated(model, ids, mask, settings, stops, pad)
        counts = first_stop_mask(responses, stops)
    return Tokens(torch.cat([ids, responses], dim=1), torch.cat([mask, counts], dim=1), counts)


def generate_many(
    model: Any, tokenizer: Any, prompts: list[list[int]], settings: GenerationSettings, name: str
) -> list[tuple[list[int], bool]]:
    """(response ids, finished) for every prompt, in order. Batches of like length, so that little padding is computed."""
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    stops = set(stop_ids(tokenizer, unwrapped(model)))
    results: dict[int, tuple[list[int], bool]] = {}
    with progress(len(prompts), name, "response") as bar:
        for start in range(0, len(order), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            tokens = generate(model, tokenizer, [prompts[row] for row in rows], settings)
            for row, (_, response) in zip(rows, tokens.rows(), strict=True):
                results[row] = (response, bool(response) and response[-1] in stops)
            bar.update(len(rows))
    return [results[index] for index in range(len(prompts))]


def first_stop_mask(responses: torch.Tensor, stops: list[int]) -> torch.Tensor:
    """(B,T) True up to and including the first stop token of a row. Only sampled tokens are looked at: a prompt's BOS
    that equals EOS, or padding that equals EOS, ends nothing."""
    is_stop = torch.isin(responses, torch.tensor(stops, device=responses.device))
    return (is_stop.long().cumsum(1) - is_stop.long()) == 0


def check_lengths(prompts: list[list[int]], model: Any, max_new_tokens: int, name: str) -> None:
    """A prompt that leaves no room for its response is the user's to shorten: cutting it would change the question."""
    limit = context_length(model)
    for number, prompt in enumerate(prompts, start=1):
        if limit is not None and len(prompt) + max_new_tokens > limit:
            raise UserError(
                f"{name}, prompt {number}: has {len(prompt)} tokens; with --max-new-tokens {max_new_tokens} it must fit into "
                f"the model's context of {limit}; shorten the prompt or lower --max-new-tokens"
            )


def _decoded(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, settings: GenerationSettings, stops: list[int], pad: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """(responses, counts) of the house's own loop."""

    def choose(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        token, logprob, _ = sample(logits, temperature=settings.temperature, top_k=settings.top_k, top_p=settings.top_p)
        return token, logprob

    drawn = decode(model, ids, mask, choose, stops, settings.max_new_tokens, pad)
    if bool(drawn.logprobs.isnan().any()):
        raise UserError(NO_PROBABILITIES)
    return drawn.ids, drawn.counts


def _generated(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, settings: GenerationSettings, stops: list[int], pad: int
) -> torch.Tensor:
    """Responses by transformers' `generate`, for models that the loop does not know."""
    with _only(unwrapped(model), _generation_config(settings, stops, pad)):
        try:
            return model.generate(input_ids=ids, attention_mask=mask.long())[:, ids.shape[1] :]
        except RuntimeError as error:
            if "probability tensor" not in str(error):
                raise
            raise UserError(NO_PROBABILITIES) from error


def _generation_config(settings: GenerationSettings, stops: list[int], pad_id: int) -> GenerationConfig:
    return GenerationConfig(
        max_new_tokens=settings.max_new_tokens,
        do_sample=True,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        eos_token_id=stops,
        pad_token_id=pad_id,
    )


@contextlib.contextmanager
def _only(model: Any, config: GenerationConfig) -> Iterator[None]:
    """`generate` fills what a given config leaves open from the model's own one (a repetition penalty, say); here the
    model's own one is replaced, so that responses are drawn from the distribution that log-probs are computed of."""
    kept, model.generation_config = model.generation_config, config
    try:
        yield
    finally:
        model.generation_config = kept
