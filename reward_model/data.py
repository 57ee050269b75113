"""Rankings → token sequences → batches of like length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from alignment.progress import progress
from alignment.records import Ranking
from alignment.scorer import Scorer

AUTO_TOKENS = 8192
"""What `microbatch_size auto` computes at once, padding included."""


@dataclass(frozen=True)
class Example:
    """A ranking as K token sequences, each prompt and response in one."""

    ranking: Ranking
    sequences: list[list[int]]
    prompt_cut: bool
    responses_cut: int

    @property
    def tokens(self) -> int:
        """Of its longest sequence."""
        return max(map(len, self.sequences))


def encode(scorer: Scorer, rankings: list[Ranking], name: str) -> list[Example]:
    """Token sequences of every response, in the order of the rankings."""
    examples = []
    with progress(len(rankings), name, "ranking") as bar:
        for ranking in rankings:
            encoded = [scorer.encode(ranking.prompt, response) for response in ranking.responses]
            sequences = [[*each.prompt_ids, *each.response_ids] for each in encoded]
            cut = sum(each.response_cut for each in encoded)
            examples.append(Example(ranking, sequences, any(each.prompt_cut for each in encoded), cut))
            bar.update()
    return examples


def batches(examples: list[Example], size: int, generator: torch.Generator) -> Iterator[list[Example]]:
    """One epoch in a fresh order. Rankings of like length share a batch, so that little padding is computed: the shuffled
    examples are sorted within runs of 16 batches, and the batches are shuffled again."""
    shuffled = torch.randperm(len(examples), generator=generator).tolist()
    run = 16 * size
    rows = [
        row
        for start in range(0, len(shuffled), run)
        for row in sorted(shuffled[start : start + run], key=lambda row: examples[row].tokens)
    ]
    cut = [rows[start : start + size] for start in range(0, len(rows), size)]
    for number in torch.randperm(len(cut), generator=generator).tolist():
        yield [examples[row] for row in cut[number]]


def micro_batches(batch: list[Example], size: int | None) -> Iterator[list[Example]]:
    """Whole rankings, computed together: `size` of them, or as many as stay within AUTO_TOKENS. Memory only."""
    rest = sorted(batch, key=lambda example: example.tokens)
    while rest:
        count = size or _fitting(rest)
        yield rest[:count]
        rest = rest[count:]


def _fitting(examples: list[Example]) -> int:
    """How many from the front (shortest first) stay within AUTO_TOKENS together; at least one."""
    rows = 0
    for count, example in enumerate(examples):
        rows += len(example.sequences)
        if rows * example.tokens > AUTO_TOKENS:
            return max(count, 1)
    return len(examples)
