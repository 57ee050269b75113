"""The kinds of record, and which can be made from which: prompts from all, demonstrations from what was judged good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from alignment.records import (
    Demonstration,
    Prompt,
    PromptRecord,
    Ranking,
    ResponseSet,
    Verdict,
    content_id,
    prompt_text,
)

NOTES = {"verdicts": "`align reward --verdicts` trains on verdicts, beside rankings"}
"""What a user must know about a kind."""


def kinds_from(kind: str) -> list[str]:
    """The kinds that records of this kind can become, itself first."""
    return [kind, *(other for one, other in DERIVED if one == kind)]


def convert(record: Any, kind: str, other: str) -> Any:
    return record if kind == other else DERIVED[kind, other](record)


def in_form(record: Any, form: str) -> Any:
    """The record with its prompt as it is ("as-is"), as chat messages, or as text.

    messages: a text becomes one message of the user. text: a single message of the user becomes its content, a longer
    chat `role: content` lines with an open line for the assistant, for models without a chat template."""
    prompt: Prompt = record.prompt
    if form == "messages" and isinstance(prompt, str) and prompt:
        return replace(record, prompt=[{"role": "user", "content": prompt}])
    if form == "text" and not isinstance(prompt, str):
        single = len(prompt) == 1 and prompt[0]["role"] == "user"
        return replace(record, prompt=prompt[0]["content"] if single else prompt_text(prompt) + "\nassistant:")
    return record


def _prompt(record: Any) -> PromptRecord | None:
    if not record.prompt:  # a demonstration that is all text
        return None
    name, group = getattr(record, "id", None), getattr(record, "group", None)
    return PromptRecord(name or content_id(record.prompt), record.prompt, group)


def _best(ranking: Ranking) -> Demonstration | None:
    """The response that is better than or not compared with all others, where there is just one such."""
    ranked = [rank for rank in ranking.ranks if rank is not None]
    best = [index for index, rank in enumerate(ranking.ranks) if ranked and rank == min(ranked)]
    if len(best) != 1 or len(ranked) < 2 or not ranking.responses[best[0]].text.strip():
        return None
    return Demonstration(ranking.prompt, ranking.responses[best[0]].text)


def _good(verdict: Verdict) -> Demonstration | None:
    is_good = verdict.verdict == "good" and verdict.response.text.strip()
    return Demonstration(verdict.prompt, verdict.response.text) if is_good else None


def _unranked(ranking: Ranking) -> ResponseSet:
    return ResponseSet(ranking.id, ranking.prompt, ranking.responses, ranking.group)


DERIVED: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("demonstrations", "prompts"): _prompt,
    ("responses", "prompts"): _prompt,
    ("rankings", "prompts"): _prompt,
    ("rankings", "responses"): _unranked,
    ("rankings", "demonstrations"): _best,
    ("verdicts", "prompts"): _prompt,
    ("verdicts", "demonstrations"): _good,
}
"""(kind, other kind) → record of the kind → record of the other, or None where this one gives none."""
