"""Rankings → what is trained on and what is held out → token sequences → batches of like length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from alignment.errors import UserError
from alignment.progress import progress
from alignment.records import Ranking, prompt_text, read_rankings
from alignment.scorer import Scorer
from alignment.text_statistics import normalised
from reward_model.config import RewardSettings

AUTO_TOKENS = 8192
"""What `microbatch_size auto` computes at once, padding included."""


@dataclass(frozen=True)
class Split:
    """What is trained on, what is measured on, and what was left out of both.

    held_out_units: for each held-out ranking the number of its unit, the prompts that stay together: clusters of the
    intervals. without_pairs: rankings without a strict pair. shared: rankings left out because --eval-rankings has
    their prompt or group."""

    train: list[Ranking]
    held_out: list[Ranking]
    held_out_units: list[int]
    without_pairs: int
    shared: int


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


def read(files: str, name: str, group_field: str) -> list[Ranking]:
    """The rankings of all files; one that names no source gets its file's name as source."""
    return [
        ranking if ranking.source is not None else replace(ranking, source=Path(file).stem)
        for file in (part.strip() for part in files.split(","))
        for ranking in read_rankings(file, name, tuple(field.strip() for field in group_field.split(",")))
    ]


def split(settings: RewardSettings) -> Split:
    """Reads, splits and checks. Both sides hold at least one strict pair, or it is a UserError."""
    rankings = read(settings.rankings, "--rankings", settings.group_field)
    given = read(settings.eval_rankings, "--eval-rankings", settings.group_field) if settings.eval_rankings else []
    of = units(rankings + given)
    of_given = of[len(rankings) :]
    held_units = set(of_given) if given else held_out_units(rankings, of, settings.holdout_fraction)
    train = [ranking for ranking, unit in zip(rankings, of) if unit not in held_units]
    shared = len(rankings) - len(train) if given else 0
    candidates = list(zip(given, of_given)) if given else list(zip(rankings, of))
    held = [(ranking, unit) for ranking, unit in candidates if unit in held_units]
    usable = [ranking for ranking in train if ranking.strict_pairs()]
    usable_held = [(ranking, unit) for ranking, unit in held if ranking.strict_pairs()]
    _require(usable, usable_held, settings)
    return Split(
        train=usable,
        held_out=[ranking for ranking, _ in usable_held],
        held_out_units=[unit for _, unit in usable_held],
        without_pairs=len(train) - len(usable) + len(held) - len(usable_held),
        shared=shared,
    )


def units(rankings: list[Ranking]) -> list[int]:
    """A number for each ranking, equal for those that must stay together: same group, or same prompt but for case,
    spacing and punctuation (also when they reach each other only through a third)."""
    root = list(range(len(rankings)))

    def find(index: int) -> int:
        while root[index] != index:
            root[index] = root[root[index]]
            index = root[index]
        return index

    first: dict[tuple[str, str], int] = {}
    for index, ranking in enumerate(rankings):
        for key in _keys(ranking):
            root[find(index)] = find(first.setdefault(key, index))
    return [find(index) for index in range(len(rankings))]


def held_out_units(rankings: list[Ranking], of: list[int], fraction: float) -> set[int]:
    """The units with a member whose hash, as a number in [0, 1), lies below the fraction.

    It depends on nothing but the names of the groups (or the prompts) themselves, so what was held out stays held out
    when records are added. A set too small to have such a unit holds out the one with the lowest hash."""
    lowest: dict[int, float] = {}
    for ranking, unit in zip(rankings, of):
        lowest[unit] = min(lowest.get(unit, 1.0), _hash(_keys(ranking)[0]))
    below = {unit for unit, value in lowest.items() if value < fraction}
    return below or {min(lowest, key=lambda unit: lowest[unit])}


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


def _keys(ranking: Ranking) -> list[tuple[str, str]]:
    """What ties a ranking to others, the one that decides its side first."""
    prompt = ("prompt", normalised(prompt_text(ranking.prompt)))
    return [prompt] if ranking.group is None else [("group", ranking.group), prompt]


def _hash(key: tuple[str, str]) -> float:
    return int.from_bytes(hashlib.sha256("\n".join(key).encode()).digest()[:8], "big") / 2**64


def _require(train: list[Ranking], held_out: list[Any], settings: RewardSettings) -> None:
    if not train:
        reason = "once those that share a prompt or group with the held-out ones are left out"
        raise UserError(
            f"--rankings {settings.rankings}: holds no ranking with a strict pair to train on, {reason}; "
            "give rankings of at least 2 prompts with unequal ranks"
        )
    if not held_out:
        place = f"--eval-rankings {settings.eval_rankings}" if settings.eval_rankings else "the held-out part"
        raise UserError(
            f"{place}: holds no ranking with a strict pair to measure on; give --eval-rankings with unequal ranks"
        )
