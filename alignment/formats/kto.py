"""KTO, which TRL calls unpaired preference: {prompt, completion, label} or {messages, label}; a thumb up or down alone."""

from __future__ import annotations

from typing import Any

from alignment.formats.chats import messages, split_last
from alignment.formats.details import ANNOTATORS, CUT, GROUPS, IDS, LABELING, MODELS, NONE_ACCEPTABLE, SOURCES
from alignment.formats.format import WHO, Format, Row, who
from alignment.formats.trl import answer, prompt_and_response
from alignment.records import Verdict

GOOD = (True, "true", "True", "TRUE")
BAD = (False, "false", "False", "FALSE")
"""JSON's booleans (1 and 0 equal them), and how tables write them."""


def _is_label(value: Any) -> bool:
    return isinstance(value, bool | int | str) and value in GOOD + BAD


def _kind_of(row: Row) -> str | None:
    judged = "messages" in row or ("prompt" in row and "completion" in row)
    return "verdicts" if judged and _is_label(row.get("label")) else None


def _verdict(row: Row) -> list[Row]:
    label = row.get("label")
    if not _is_label(label):
        raise ValueError(f"label is {label!r}; it must be true or false")
    if "messages" in row:
        prompt: Any
        prompt, response = split_last(messages(row["messages"], "messages"), "messages")
        if not prompt:
            raise ValueError("messages holds the answer alone; the prompt is missing")
    else:
        prompt, response = prompt_and_response(row.get("prompt"), row.get("completion"), "completion")
    return [{**who(row), "prompt": prompt, "response": response, "verdict": "good" if label in GOOD else "bad"}]


def _write(one: Verdict) -> list[Row]:
    completion = answer(one.prompt, one.response.text)
    return [{"prompt": one.prompt, "completion": completion, "label": one.verdict == "good"}]


FORMAT = Format(
    name="kto",
    title="KTO",
    example='{"prompt": "...", "completion": "...", "label": true}',
    remark="or messages and label",
    fields=frozenset(("prompt", "completion", "messages", "label", *WHO)),
    kind_of=_kind_of,
    read={"verdicts": _verdict},
    write={"verdicts": _write},
    drops=frozenset((IDS, GROUPS, ANNOTATORS, SOURCES, LABELING, NONE_ACCEPTABLE, MODELS, CUT)),
)
