"""Best-of-n: the strongest simple opponent of PPO. Draw n responses, let the reward model choose one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from alignment.config import GenerationSettings
from alignment.errors import UserError
from alignment.progress import progress
from alignment.records import Prompt, Response
from alignment.responder import Answer, Responder

Rewards = Callable[[list[tuple[Prompt, Response]], int], list[float]]
"""A reward model: ((prompt, response) pairs, batch size) → one score each, in order."""


@dataclass(frozen=True)
class Best:
    """The chosen answer of each prompt, and the reward it was chosen for."""

    answers: list[Answer]
    rewards: list[float]


def parse_sizes(text: str | None, name: str) -> list[int]:
    """`4,16,64` → [4, 16, 64], in rising order; None → []. Raises UserError that speaks of the setting `name`."""
    if text is None:
        return []
    try:
        sizes = sorted({int(part) for part in text.split(",")})
    except ValueError:
        sizes = []
    if not sizes or sizes[0] < 1:
        raise UserError(f"{name} is {text!r}; it must be whole numbers from 1, for example 4,16,64, or 'none'")
    return sizes


def best_of_n(
    responder: Responder,
    prompts: list[Prompt],
    encoded: list[list[int]],
    rewards: Rewards,
    sizes: list[int],
    settings: GenerationSettings,
) -> dict[int, Best]:
    """For each n in sizes, the answer of highest reward among n draws of the policy, for every prompt.

    prompts: as the reward model sees them; encoded: their ids, as the policy does. The draws are nested: those of
    n = 4 are the first four of those of n = 16, so max(sizes) draws a prompt serve all."""
    most = max(sizes)
    answers = responder.respond([ids for ids in encoded for _ in range(most)], settings, f"best of {most}")
    scores = _scores(prompts, answers, rewards, most, settings.batch_size)
    best = {n: Best([], []) for n in sizes}
    for start in range(0, len(answers), most):
        for n, row in nested_choice(scores[start : start + most], sizes).items():
            best[n].answers.append(answers[start + row])
            best[n].rewards.append(scores[start + row])
    return best


def nested_choice(scores: list[float], sizes: list[int]) -> dict[int, int]:
    """For each n, the index of the highest of the first n scores; the first of equals."""
    return {n: max(range(n), key=scores.__getitem__) for n in sizes}


def kl_bound(n: int) -> float:
    """log n − (n − 1)/n nats: the most by which choosing the best of n departs from the policy that drew them.

    Source: Stiennon et al. 2020, appendix G.3; for discrete responses it is an upper bound (Beirami et al. 2024)."""
    return math.log(n) - (n - 1) / n


def _scores(prompts: list[Prompt], answers: list[Answer], rewards: Rewards, most: int, batch_size: int) -> list[float]:
    """The reward of each answer; answer i belongs to prompt i // most."""
    items = [
        (prompts[row // most], Response(answer.text, finished=answer.finished)) for row, answer in enumerate(answers)
    ]
    scores: list[float] = []
    stretch = 16 * batch_size  # long enough to hold batches of like length, short enough for the bar to move
    with progress(len(items), "rewards", "response") as bar:
        for start in range(0, len(items), stretch):
            scores += rewards(items[start : start + stretch], batch_size)
            bar.update(len(items[start : start + stretch]))
    return scores
