"""The data of PPO, which the policy makes itself: responses, their scores, log-probs, values and advantages."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from alignment.chat import Tokens, collate, decode_response, padding_id, same_tokens
from alignment.clock import Clock
from alignment.collectives import all_of, gathered, same, share, summed
from alignment.functions import Judge, require_finite
from alignment.logprobs import response_logprobs
from alignment.processes import count, rank
from alignment.records import PromptRecord, Response
from alignment.scorer import Scorer
from alignment.seeds import apart
from ppo.advantages import gae, shaped_rewards, whitened
from ppo.config import PPOSettings
from ppo.engines import Engine
from ppo.loss import importance_weights
from ppo.scores import ended, maximised
from ppo.value import ValueModel

Score = Callable[[list[PromptRecord], Tokens], torch.Tensor]
"""(B prompts, their responses) → (B,) scores as the reward gives them."""

MICRO_BATCHES = 4  # into how many a minibatch is cut where --microbatch-size does not say


@dataclass(frozen=True)
class Rollout:
    """B responses and all that an update needs to know of them.

    scores (B,) as the reward gives them; normalized (B,) what is maximised; logprobs, ref_logprobs, values, entropy,
    advantages (whitened), returns, rewards (B,T), 0 where `tokens.response_mask` is False.
    gold (B,): a second score that is measured and never used, None where there is none.
    sampler_logprobs (B,T) as the sampler gave them, and weights (B,T) of the policy's loss, π/π_sampler truncated: None
    where the sampler is the policy's own model. Ratio, KL and values know nothing of them.
    order (B,): the first epoch's order. Its micro-batches are those that the log-probs were computed in, so that the
    update's first pass repeats the very same arithmetic: ratio = 1 to the last bit."""

    tokens: Tokens
    scores: torch.Tensor
    normalized: torch.Tensor
    logprobs: torch.Tensor
    ref_logprobs: torch.Tensor
    entropy: torch.Tensor
    values: torch.Tensor
    advantages: torch.Tensor
    returns: torch.Tensor
    rewards: torch.Tensor
    order: torch.Tensor
    gold: torch.Tensor | None = None
    sampler_logprobs: torch.Tensor | None = None
    weights: torch.Tensor | None = None

    @property
    def kl(self) -> torch.Tensor:
        """(B,) Σ_t log π(a_t) − log π_ref(a_t), nats a response."""
        return (self.logprobs - self.ref_logprobs).sum(1)


@dataclass(frozen=True)
class Roles:
    """Who takes part in a rollout. `reference` is a context in which `reference_model` is the frozen starting policy:
    for LoRA the policy itself with its adapter off, else a copy. `gold` measures what `score` may have wrong."""

    policy: Any
    tokenizer: Any
    reference_model: Any
    reference: Callable[[], AbstractContextManager[Any]]
    value_model: ValueModel
    score: Score
    gold: Score | None = None
    stops: tuple[int, ...] = ()

    def gold_scores(self, prompts: list[PromptRecord], tokens: Tokens) -> torch.Tensor | None:
        """(B,), None where there is no gold. Whatever it draws, the run's own random numbers stay as they are."""
        if self.gold is None:
            return None
        with apart():
            return self.gold(prompts, tokens)


def make_rollout(
    roles: Roles,
    engine: Engine,
    prompts: list[PromptRecord],
    encoded: list[list[int]],
    settings: PPOSettings,
    score_mean: float,
    score_sd: float,
    kl_coef: float,
    clock: Clock,
) -> Rollout:
    """Samples one response a prompt, scores it and computes its advantages. Nothing here is differentiated.

    Each process samples and scores its share of the prompts; from there on all hold the whole rollout."""
    prompts, encoded = share(prompts), share(encoded)
    with clock.part("generate"):
        drawn = engine.generate(encoded)
    tokens = drawn.tokens
    with clock.part("score"):
        scores, gold = roles.score(prompts, tokens), roles.gold_scores(prompts, tokens)
    tokens, scores, gold = all_tokens(tokens, roles.tokenizer), all_of(scores), None if gold is None else all_of(gold)
    finished = ended(tokens, [*roles.stops])
    normalized = maximised(scores, finished, score_mean, score_sd, settings.missing_eos, settings.score_clip)
    order = same(torch.randperm(len(tokens)))
    with clock.part("logprobs"):
        logprobs, ref_logprobs, entropy, values = _per_token(roles, tokens, order, settings)
    mask = tokens.response_mask
    rewards = shaped_rewards(normalized, logprobs, ref_logprobs, mask, kl_coef)
    advantages, returns = gae(rewards, values, mask, settings.gamma, settings.lam)
    weights = None if drawn.logprobs is None else importance_weights(logprobs, drawn.logprobs, settings.importance_cap)
    return Rollout(
        tokens=tokens, scores=scores, normalized=normalized, logprobs=logprobs, ref_logprobs=ref_logprobs, entropy=entropy,
        values=values, advantages=whitened(advantages, mask), returns=returns, rewards=rewards,
        order=order, gold=gold, sampler_logprobs=drawn.logprobs, weights=weights,
    )  # fmt: skip


def all_tokens(tokens: Tokens, tokenizer: Any) -> Tokens:
    """The tokens of all processes as one batch."""
    if count() == 1:
        return tokens
    prompts, responses = zip(*(row for rows in gathered(tokens.rows()) for row in rows), strict=True)
    return collate([*prompts], [*responses], padding_id(tokenizer)).to(tokens.input_ids.device)


@torch.no_grad()
def _per_token(roles: Roles, tokens: Tokens, order: torch.Tensor, settings: PPOSettings) -> tuple[torch.Tensor, ...]:
    """(logprobs, ref_logprobs, entropy, values), each (B,T), computed in the micro-batches of the first epoch."""
    parts: list[tuple[torch.Tensor, ...]] = []
    micros = [
        micro
        for minibatch in order.split(settings.minibatch_size)
        for micro in micro_batches(minibatch, tokens, settings)
    ]
    for micro in micros:
        some = tokens.select(micro)
        logprobs, entropy = response_logprobs(roles.policy, some, settings.temperature)
        with roles.reference():
            ref_logprobs, _ = response_logprobs(roles.reference_model, some, settings.temperature)
        values = roles.value_model(some).masked_fill(~some.response_mask, 0.0)
        parts.append((logprobs, ref_logprobs, entropy, values))
    results = []
    for column in zip(*parts, strict=True):
        result = torch.zeros(tokens.response_mask.shape, dtype=column[0].dtype, device=column[0].device)
        for micro, part in zip(micros, column, strict=True):
            result[micro, : part.shape[1]] = part
        results.append(summed(result))  # each row is another process's or 0
    return tuple(results)


@torch.no_grad()
def pad_error(roles: Roles, rollout: Rollout, settings: PPOSettings) -> float:
    """max |log π alone − log π in the batch| over the response with the most padding before it (in each process's share),
    nats: it changes nothing."""
    tokens = rollout.tokens
    lengths = tokens.attention_mask[:, : tokens.prompt_length].sum(1)
    micros = [
        some for part in rollout.order.split(settings.minibatch_size) for some in micro_batches(part, tokens, settings)
    ]
    row = max(
        (int(micro[lengths[micro].argmin()]) for micro in micros),
        key=lambda row: max(int(lengths[micro].max() - lengths[row]) for micro in micros if row in micro),
    )
    prompt, response = tokens.rows()[row]
    alone = collate([prompt], [response], 0).to(tokens.input_ids.device)
    logprobs, _ = response_logprobs(roles.policy, alone, settings.temperature)
    return max(gathered(float((logprobs[0] - rollout.logprobs[row, : len(response)]).abs().max())))


def micro_batches(minibatch: torch.Tensor, tokens: Tokens, settings: PPOSettings) -> tuple[torch.Tensor, ...]:
    """This process's rows of a minibatch, in runs that are computed at once: of like length, so that little padding is
    computed. Every process has as many, and of like lengths."""
    size = settings.microbatch_size or max(settings.minibatch_size // MICRO_BATCHES, 1)
    lengths = tokens.attention_mask[minibatch].sum(1)
    return minibatch[lengths.argsort(stable=True).cpu()][rank() :: count()].split(size)


def adapter_off(policy: Any) -> Callable[[], AbstractContextManager[Any]]:
    return policy.disable_adapter


def always() -> Callable[[], AbstractContextManager[Any]]:
    return contextlib.nullcontext


def score_with_model(
    scorer: Scorer, tokenizer: Any, stops: list[int], batch_size: int, setting: str = "--reward-model"
) -> Score:
    """Scores by a reward model: on the policy's own tokens where the reward model reads the same ones, else on text."""
    name = f"{setting} {scorer.model.name_or_path}"
    if same_tokens(tokenizer, scorer.tokenizer):

        @torch.no_grad()
        def score(prompts: list[PromptRecord], tokens: Tokens) -> torch.Tensor:
            rows = torch.arange(len(tokens)).split(batch_size)
            scores = torch.cat([scorer.score(tokens.select(some)) for some in rows])
            require_finite(scores.tolist(), name)
            return scores

        return score

    def score_text(prompts: list[PromptRecord], tokens: Tokens) -> torch.Tensor:
        responses = responses_of(tokenizer, stops, tokens)
        items = [(prompt.prompt, response) for prompt, response in zip(prompts, responses, strict=True)]
        scores = scorer.score_responses(items, batch_size)
        require_finite(scores, name)
        return torch.tensor(scores, device=tokens.input_ids.device)

    return score_text


def score_with_function(judge: Judge, tokenizer: Any, stops: list[int]) -> Score:
    """Scores by any Python function of prompt and response."""

    def score(prompts: list[PromptRecord], tokens: Tokens) -> torch.Tensor:
        responses = responses_of(tokenizer, stops, tokens)
        items = [(prompt.prompt, [response]) for prompt, response in zip(prompts, responses, strict=True)]
        return torch.tensor([scores[0] for scores in judge(items)], device=tokens.input_ids.device)

    return score


def responses_of(tokenizer: Any, stops: list[int], tokens: Tokens) -> list[Response]:
    """The responses as text; `finished` where a stop token ends them."""
    return [
        Response(decode_response(tokenizer, prompt, response), finished=response[-1] in stops)
        for prompt, response in tokens.rows()
    ]
