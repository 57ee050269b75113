"""Response sets to rank, and answers by the texts of responses, for the tests of the preference store."""

from __future__ import annotations

import itertools
from typing import Any

from alignment.preferences.views import TaskView
from alignment.records import PromptRecord, Response, ResponseSet

keys = (f"key-{number}" for number in itertools.count())


def key() -> str:
    return next(keys)


def sets(count: int, responses: int = 3, name: str = "r") -> list[ResponseSet]:
    """Prompts 0, 1, ...; the responses of each are called a, b, c, ..."""
    letters = "abcdefghi"[:responses]
    return [
        ResponseSet(f"{name}{n}", f"{name} prompt {n}", tuple(Response(f"{letter} of {n}", f"model-{letter}") for letter in letters))
        for n in range(count)
    ]  # fmt: skip


def prompts(count: int) -> list[PromptRecord]:
    return [PromptRecord(f"w{n}", f"write {n}") for n in range(count)]


def slot(task: TaskView, letter: str) -> str:
    """Where the response whose text begins with this letter is shown."""
    return next(card.slot for card in task.cards if card.text.startswith(letter))


def tiers(task: TaskView, *levels: str) -> dict[str, Any]:
    """tiers(task, "b", "ac"): b is best, a and c tie."""
    return {"tiers": [[slot(task, letter) for letter in level] for level in levels]}
