"""Alpaca: {instruction, input, output}, with LLaMA-Factory's `system`, `history` and chosen/rejected; and self-instruct."""

from __future__ import annotations

from typing import Any

from alignment.formats.chats import pair
from alignment.formats.columns import filled, text
from alignment.formats.details import CHAT, OPEN, ROLES, SYSTEM, TURNS
from alignment.formats.format import WHO, Format, Row, who
from alignment.formats.trl import PAIR_DROPS, PAIR_REFUSES
from alignment.records import Demonstration, Message, Prompt, Ranking, described

INPUT_AFTER = "\n\n"
"""Between instruction and input. Ours: an empty line; the training templates that are built on Alpaca differ."""


def _prompt(row: Row) -> Prompt:
    """Text; messages only where there is a system prompt or a history, which text could not keep apart."""
    last = _joined(text(row, "instruction"), row)
    history = row.get("history") or []
    if not row.get("system") and not history:
        return last
    system: list[Message] = [{"role": "system", "content": text(row, "system")}] if row.get("system") else []
    return [*system, *_history(history), {"role": "user", "content": last}]


def _joined(instruction: str, row: Row) -> str:
    more = text(row, "input") if row.get("input") is not None else ""
    return instruction + INPUT_AFTER + more if more.strip() else instruction


def _history(history: Any) -> list[Message]:
    turns: list[Message] = []
    for turn in history if isinstance(history, list) else [history]:
        if not isinstance(turn, list) or len(turn) != 2 or not all(isinstance(one, str) for one in turn):
            raise ValueError(f"history holds {described(turn)}; each turn must be [question, answer], both text")
        turns += [{"role": "user", "content": turn[0]}, {"role": "assistant", "content": turn[1]}]
    return turns


def _kind_of(row: Row) -> str | None:
    if "instruction" not in row or "instances" in row:
        return None
    if "chosen" in row and "rejected" in row:
        return "rankings"
    return "demonstrations" if "output" in row else None


def _demonstration(row: Row) -> list[Row]:
    return [{"prompt": _prompt(row), "response": filled(row, "output")}]


def _ranking(row: Row) -> list[Row]:
    return [{**who(row), **pair(_prompt(row), text(row, "chosen"), text(row, "rejected"))}]


def _instruction(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else prompt[-1]["content"]


def _write_demonstration(one: Demonstration) -> list[Row]:
    return [{"instruction": _instruction(one.prompt), "input": "", "output": one.response}]


def _write_ranking(ranking: Ranking) -> list[Row]:
    texts = [response.text for response in ranking.responses]
    start = {"instruction": _instruction(ranking.prompt), "input": ""}
    return [{**start, "chosen": texts[i], "rejected": texts[j]} for i, j in ranking.strict_pairs()]


FORMAT = Format(
    name="alpaca",
    title="Alpaca",
    example='{"instruction": "...", "input": "...", "output": "..."}',
    remark="also system and history, and chosen and rejected for output",
    fields=frozenset(("instruction", "input", "output", "system", "history", "chosen", "rejected", *WHO)),
    kind_of=_kind_of,
    read={"demonstrations": _demonstration, "rankings": _ranking},
    write={"demonstrations": _write_demonstration, "rankings": _write_ranking},
    refuses=PAIR_REFUSES | {SYSTEM, TURNS, ROLES, OPEN},
    drops=PAIR_DROPS | {CHAT},
)


def _instances(row: Row) -> list[Row]:
    instances = row.get("instances")
    if not isinstance(instances, list) or not all(isinstance(one, dict) for one in instances):
        raise ValueError(f"instances is {described(instances)}; it must be a list of {{input, output}}")
    start = text(row, "instruction")
    return [{"prompt": _joined(start, one), "response": filled(one, "output")} for one in instances]


SELF_INSTRUCT = Format(
    name="self-instruct",
    title="Self-instruct",
    example='{"instruction": "...", "instances": [{"input": "...", "output": "..."}]}',
    fields=frozenset(("instruction", "instances")),
    kind_of=lambda row: "demonstrations" if "instruction" in row and "instances" in row else None,
    read={"demonstrations": _instances},
)
