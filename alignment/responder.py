"""A policy that answers prompts: what `align sample` and `align eval` ask of a model.

A base model that only continues text can be given a prefix (few-shot examples) and a stop text, so that it answers at
its best; judges and records see the plain prompt."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Any

from alignment.chat import collate, decode_response, encode_prompt, padding_id
from alignment.config import GenerationSettings
from alignment.errors import UserError
from alignment.logprobs import response_logprobs
from alignment.models import load_policy
from alignment.records import Prompt
from alignment.sampling import check_lengths, generate_many


@dataclass(frozen=True)
class Answer:
    """A sampled response. ids are its tokens (the EOS included); `finished`: it ended by itself, not at the limit."""

    text: str
    ids: list[int]
    finished: bool


@dataclass(frozen=True)
class TokenStatistics:
    """Per response token, in nats, at temperature 1: log π(a_t | s_t) and the entropy of π(· | s_t)."""

    logprobs: list[float]
    entropy: list[float]


@dataclass(frozen=True)
class Responder:
    """A model with its tokenizer; prefix: text put before each prompt; stop: text that ends a response (None: only EOS)."""

    model: Any
    tokenizer: Any
    name: str
    prefix: str = ""
    stop: str | None = None

    def encode_all(self, prompts: list[Prompt], settings: GenerationSettings, source: str) -> list[list[int]]:
        """Token ids of every prompt, prefix included. UserError where one leaves no room for its response."""
        encoded = [encode_prompt(self.tokenizer, self._prefixed(prompt)) for prompt in prompts]
        check_lengths(encoded, self.model, settings.max_new_tokens, f"{self.name}: {source}")
        return encoded

    def respond(self, prompts: list[list[int]], settings: GenerationSettings, title: str) -> list[Answer]:
        """One response to each encoded prompt; repeat a prompt to draw several. `title` names the progress bar."""
        drawn = generate_many(self.model, self.tokenizer, prompts, settings, title)
        return [self._answer(prompt, ids, finished) for prompt, (ids, finished) in zip(prompts, drawn, strict=True)]

    def token_statistics(
        self, prompts: list[list[int]], responses: list[list[int]], batch_size: int
    ) -> list[TokenStatistics]:
        """Log-probs and entropies of each response under this policy at temperature 1, whatever it was sampled at."""
        order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]) + len(responses[row]))
        results: dict[int, TokenStatistics] = {}
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = collate([prompts[r] for r in rows], [responses[r] for r in rows], padding_id(self.tokenizer))
            logprobs, entropy = response_logprobs(self.model, batch.to(self.model.device))
            for row, values, spread in zip(rows, logprobs.tolist(), entropy.tolist(), strict=True):
                count = len(responses[row])
                results[row] = TokenStatistics(values[:count], spread[:count])
        return [results[row] for row in range(len(prompts))]

    def _prefixed(self, prompt: Prompt) -> Prompt:
        if not self.prefix:
            return prompt
        if not isinstance(prompt, str):
            raise UserError(f"{self.name}: a prefix goes before text, but a prompt is a list of messages; leave it out")
        return self.prefix + prompt

    def _answer(self, prompt: list[int], ids: list[int], finished: bool) -> Answer:
        """The response, cut where the stop text is complete: the tokens up to there, the text before it."""
        text = decode_response(self.tokenizer, prompt, ids)
        if self.stop is None or self.stop not in text:
            return Answer(text, ids, finished)
        stop = self.stop

        def complete(count: int) -> bool:
            return stop in decode_response(self.tokenizer, prompt, ids[:count])

        kept = ids[: bisect.bisect_left(range(len(ids) + 1), True, key=complete)]
        return Answer(text[: text.index(stop)], kept, finished=True)


def load_responder(path: str, name: str, prefix: str = "", stop: str | None = None) -> Responder:
    """The policy in a directory (or Hub id), ready to answer; `name` is the setting that errors speak of."""
    model, tokenizer = load_policy(path, name)
    return Responder(model, tokenizer, f"{name} {path}", prefix, stop)


def shared_vocabulary(first: Any, second: Any) -> bool:
    """Whether two tokenizers mean the same by every id they both have, so that one model can score the other's tokens."""
    ours, theirs = first.get_vocab(), second.get_vocab()
    fewer, more = sorted([ours, theirs], key=len)
    return all(more.get(token) == number for token, number in fewer.items())
