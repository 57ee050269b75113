"""TRL's preference pairs (standard and conversational, explicit and implicit prompt) and prompt-completion. Its prompts are
our own records."""

from __future__ import annotations

import re
from typing import Any

from alignment.formats.chats import messages, pair, shared_prompt, split_last
from alignment.formats.columns import PROMPT_NAMES, one_of, text
from alignment.formats.details import (
    ANNOTATORS,
    CUT,
    GROUPS,
    IDS,
    LABELING,
    MODELS,
    NO_PAIR,
    NONE_ACCEPTABLE,
    ORDER,
    SEVERAL,
    SOURCES,
    STRENGTHS,
    TIES,
    TURN_MARK,
    UNCOMPARED,
)
from alignment.formats.format import WHO, Format, Row, who
from alignment.records import Demonstration, Message, Prompt, Ranking

PAIR_REFUSES = frozenset((NO_PAIR,))
PAIR_DROPS = frozenset(
    (
        IDS,
        GROUPS,
        ANNOTATORS,
        SOURCES,
        STRENGTHS,
        LABELING,
        NONE_ACCEPTABLE,
        MODELS,
        CUT,
        TIES,
        UNCOMPARED,
        SEVERAL,
        ORDER,
    )
)
"""What no format of bare pairs holds."""


def answer(prompt: Prompt, response: str) -> str | list[Message]:
    """The response in the prompt's manner: text after text, a message after messages."""
    return response if isinstance(prompt, str) else [{"role": "assistant", "content": response}]


def prompt_and_response(prompt: Any, value: Any, name: str) -> tuple[Prompt, str]:
    """(prompt, response) where `value` is the response as text, the messages that follow the prompt, or the whole chat."""
    if not isinstance(value, list):
        return prompt, text({name: value}, name)
    before, response = split_last(messages(value, name), name)
    if isinstance(prompt, str):
        if not before and prompt:
            return prompt, response
        if not before or before[-1]["content"] != prompt:
            raise ValueError(
                f"{name} is a whole chat, but prompt is not its last question; give the prompt as messages"
            )
        return before, response
    given = messages(prompt, "prompt")
    return (before if before[: len(given)] == given else given + before), response


def _kind_of(row: Row) -> str | None:
    if "chosen" in row and "rejected" in row:
        return (
            None
            if ("prompt" not in row and _is_transcript(row)) or {"conversations", "instruction"} & row.keys()
            else "rankings"
        )
    return "demonstrations" if "prompt" in row and "completion" in row and "label" not in row else None


def _is_transcript(row: Row) -> bool:
    return all(isinstance(row[name], str) and TURN_MARK.match(row[name]) for name in ("chosen", "rejected"))


def _ranking(row: Row) -> list[Row]:
    chosen, rejected = row.get("chosen"), row.get("rejected")
    name = one_of(row, PROMPT_NAMES)
    if name is not None:
        prompt, better = prompt_and_response(row[name], chosen, "chosen")
        other, worse = prompt_and_response(row[name], rejected, "rejected")
        if prompt != other:
            raise ValueError("chosen and rejected are answers to different prompts; they must share one")
        return [{**who(row), **pair(prompt, better, worse)}]
    if isinstance(chosen, list):
        chats = messages(chosen, "chosen"), messages(rejected, "rejected")
        return [{**who(row), **pair(*shared_prompt(*chats))}]
    return [{**who(row), **pair(*_shared_text(text(row, "chosen"), text(row, "rejected")))}]


def _shared_text(chosen: str, rejected: str) -> tuple[str, str, str]:
    """Two texts that begin alike → (prompt, response, response), cut before the last white space that they share, so that
    no word is cut in two (TRL's extract_prompt cuts at the first character that differs)."""
    alike = (end for end, (one, other) in enumerate(zip(chosen, rejected)) if one != other)
    shared = chosen[: next(alike, min(len(chosen), len(rejected)))]
    spaces = [space.start() for space in re.finditer(r"\s+", shared)]
    if not spaces or not shared[: spaces[-1]].strip():
        raise ValueError(
            "chosen and rejected do not begin alike; the prompt is missing: give it, or say --map prompt=NAME"
        )
    return shared[: spaces[-1]], chosen[spaces[-1] :], rejected[spaces[-1] :]


def _demonstration(row: Row) -> list[Row]:
    prompt, response = prompt_and_response(row.get("prompt"), row.get("completion"), "completion")
    return [{"prompt": prompt, "response": response}]


def _write_ranking(ranking: Ranking) -> list[Row]:
    def one(index: int) -> str | list[Message]:
        return answer(ranking.prompt, ranking.responses[index].text)

    return [{"prompt": ranking.prompt, "chosen": one(i), "rejected": one(j)} for i, j in ranking.strict_pairs()]


def _write_demonstration(one: Demonstration) -> list[Row]:
    return [{"prompt": one.prompt, "completion": answer(one.prompt, one.response)}]


FORMAT = Format(
    name="trl",
    title="TRL",
    example='{"prompt": "...", "chosen": "...", "rejected": "..."}',
    remark="or prompt and completion; texts or lists of messages; without a prompt, chosen and rejected begin alike",
    fields=frozenset((*PROMPT_NAMES, "chosen", "rejected", "completion", *WHO)),
    kind_of=_kind_of,
    read={"rankings": _ranking, "demonstrations": _demonstration},
    write={"rankings": _write_ranking, "demonstrations": _write_demonstration},
    refuses=PAIR_REFUSES,
    drops=PAIR_DROPS,
)
