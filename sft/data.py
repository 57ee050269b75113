"""Demonstrations → token lists → rows for the model. What is learned is known by position, never by comparing ids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Sampler

from alignment.chat import Tokens, encode_prompt, encode_response
from alignment.records import Demonstration, content_id, prompt_text
from alignment.scaling import share_of

HANDFUL = 5
IGNORED = -100
"""What the Trainer's `labels` hold where nothing is learned (transformers' convention; a label, never a token id)."""


@dataclass(frozen=True)
class Example:
    """One tokenized demonstration: `ids` = prompt + response, of which the first `prompt_length` ≥ 1 are only read.

    Example: prompt [1, 7], response [9, EOS] → Example([1, 7, 9, EOS], 2): two tokens are learned."""

    ids: list[int]
    prompt_length: int

    @property
    def learned(self) -> int:
        """Response tokens, EOS included."""
        return len(self.ids) - self.prompt_length


@dataclass(frozen=True)
class Encoded:
    """The demonstrations that fit, how many of them were cut from the right, and how many were dropped."""

    examples: list[Example]
    cut: int
    dropped: int


@dataclass(frozen=True)
class Rows(Tokens):
    """Tokens in rows of one or more demonstrations side by side, right-padded; P = 1.

    positions (R,S) restart from 0 at each demonstration and run on through the padding. No attention mask goes to the
    model: a restart is what transformers turns into a mask that keeps demonstrations apart, and under causal attention
    nothing real sees the padding at the right."""

    positions: torch.Tensor

    @property
    def position_ids(self) -> torch.Tensor:
        return self.positions

    def model_inputs(self) -> dict[str, torch.Tensor]:
        return {"input_ids": self.input_ids, "position_ids": self.positions}

    @classmethod
    def from_batch(cls, batch: dict[str, torch.Tensor]) -> Rows:
        """From what `collate_rows` made."""
        ids, labels, positions = batch["input_ids"], batch["labels"], batch["position_ids"]
        return cls(ids, torch.ones_like(ids, dtype=torch.bool), labels[:, 1:] != IGNORED, positions)


def split_by_prompt(
    demonstrations: list[Demonstration], share: float
) -> tuple[list[Demonstration], list[Demonstration]]:
    """(to learn, held out): a demonstration is held out where the hash of its prompt, read as a number in [0, 1), is
    below `share`. {text} records have no prompt: their text is hashed. Nothing is held out while the hash picks fewer
    than 5, or all. Source: ours, so that a split once drawn is never redrawn."""
    draws = [int(content_id(one.prompt if prompt_text(one.prompt) else one.response), 16) for one in demonstrations]
    out = [draw < share * 16.0**16 for draw in draws]
    if not HANDFUL <= sum(out) < len(out):
        return demonstrations, []
    return (
        [one for one, held in zip(demonstrations, out) if not held],
        [one for one, held in zip(demonstrations, out) if held],
    )


def part_of(demonstrations: list[Demonstration], fraction: float) -> list[Demonstration]:
    """Those of `fraction` of the prompts, chosen by hash, so that a smaller part lies within a larger one; in order."""
    names = [content_id(one.prompt if prompt_text(one.prompt) else one.response) for one in demonstrations]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    hashes = {number: int(content_id(f"scaling {name}"), 16) / 16.0**16 for name, number in numbers.items()}
    chosen = share_of(hashes, fraction)
    return [one for one, name in zip(demonstrations, names) if numbers[name] in chosen]


def encode(tokenizer: Any, demonstrations: list[Demonstration], max_length: int) -> Encoded:
    """Tokenizes, cuts at `max_length` tokens (prompt + response) from the right, drops what then has no response."""
    examples: list[Example] = []
    cut = dropped = 0
    for one in demonstrations:
        prompt = encode_prompt(tokenizer, one.prompt)
        response = encode_response(tokenizer, one.prompt, one.response)
        if len(prompt) >= max_length:
            dropped += 1
            continue
        cut += len(prompt) + len(response) > max_length
        examples.append(Example((prompt + response)[:max_length], len(prompt)))
    return Encoded(examples, cut, dropped)


def pack(examples: list[Example]) -> list[list[Example]]:
    """Best-fit decreasing: rows of whole demonstrations, none longer than the longest demonstration."""
    room = max(len(one.ids) for one in examples)
    rows: list[list[Example]] = []
    free: list[int] = []
    for one in sorted(examples, key=lambda one: -len(one.ids)):
        fitting = [row for row in range(len(rows)) if free[row] >= len(one.ids)]
        if fitting:
            row = min(fitting, key=free.__getitem__)
        else:
            row = len(rows)
            rows.append([])
            free.append(room)
        rows[row].append(one)
        free[row] -= len(one.ids)
    return rows


def collate_rows(rows: list[list[Example]], pad_id: int) -> dict[str, torch.Tensor]:
    """Rows of demonstrations → input_ids, labels, position_ids, each (R,S) int64.

    labels are the ids of response tokens and -100 elsewhere; the first token of a demonstration is never learned, so
    no prediction crosses from one to the next. pad_id: any id."""
    length = max(sum(len(one.ids) for one in row) for row in rows)
    ids = torch.full((len(rows), length), pad_id, dtype=torch.long)
    labels = torch.full_like(ids, IGNORED)
    positions = torch.arange(length).repeat(len(rows), 1)
    for index, row in enumerate(rows):
        start = 0
        for one in row:
            end = start + len(one.ids)
            ids[index, start:end] = torch.tensor(one.ids)
            labels[index, start + one.prompt_length : end] = ids[index, start + one.prompt_length : end]
            positions[index, start:] = torch.arange(length - start)
            start = end
    return {"input_ids": ids, "labels": labels, "position_ids": positions}


class StepSampler(Sampler[int]):
    """A fresh permutation every epoch, cut into optimizer steps; inside a step the longest come first.

    The order inside a step changes nothing but the padding of its microbatches; which demonstrations share a step
    stays random (transformers' `group_by_length` makes steps of equal length instead)."""

    def __init__(self, lengths: list[int], batch_size: int, seed: int):
        self.lengths, self.batch_size = lengths, batch_size
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(len(self.lengths), generator=self.generator).tolist()
        for start in range(0, len(order), self.batch_size):
            yield from sorted(order[start : start + self.batch_size], key=lambda index: -self.lengths[index])
