"""What a server answers → responses: pure functions from JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from alignment.records import Prompt

End = Literal["stop", "length", "content_filter", "refusal"]
"""How a response ended: by itself; cut at the length limit; cut or withheld by the server's filter; the model refused."""

LONGEST_TEXT = 16 * 2**20
"""Characters of one response: no record could hold more."""


class NoAnswerError(ValueError):
    """The reply is not what OpenAI's protocol says."""


@dataclass(frozen=True)
class Given:
    """One response. refusal: its text is what the model said instead."""

    text: str
    end: End

    @property
    def finished(self) -> bool:
        return self.end in ("stop", "refusal")


@dataclass(frozen=True)
class Reply:
    """What one request gave. model: as the server calls it. read, written: tokens, None where it does not say."""

    given: tuple[Given, ...]
    model: str | None = None
    read: int | None = None
    written: int | None = None


def is_chat(prompt: Prompt, api: str) -> bool:
    return api == "chat" or (api == "auto" and not isinstance(prompt, str))


def question(prompt: Prompt, chat: bool) -> dict[str, Any]:
    """The part of a request that holds the prompt."""
    if not chat:
        return {"prompt": prompt}
    return {"messages": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt}


def parse_reply(value: Any, chat: bool) -> Reply:
    """Raises NoAnswerError, whose text says what is wrong."""
    choices = value.get("choices") if isinstance(value, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise NoAnswerError("has no list `choices`")
    usage = value.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    model = value.get("model")
    return Reply(
        tuple(_given(choice, chat) for choice in choices),
        model if isinstance(model, str) else None,
        _count(counts.get("prompt_tokens")),
        _count(counts.get("completion_tokens")),
    )


def _given(choice: dict[str, Any], chat: bool) -> Given:
    text, refusal = _said(choice) if chat else (choice.get("text"), None)
    if refusal:
        return Given(_checked(refusal), "refusal")
    reason = choice.get("finish_reason")
    if text is None and chat:  # nothing said, or only a call of a tool
        text = ""
    end: End = reason if reason in ("length", "content_filter") else "stop"
    return Given(_checked(text), end)


def _said(choice: dict[str, Any]) -> tuple[Any, Any]:
    message = choice.get("message")
    if not isinstance(message, dict):
        raise NoAnswerError("has a choice without `message`")
    return message.get("content"), message.get("refusal")


def _checked(text: Any) -> str:
    if not isinstance(text, str):
        raise NoAnswerError("has a choice without text")
    if len(text) > LONGEST_TEXT:
        raise NoAnswerError(f"has a response of more than {LONGEST_TEXT:,} characters")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # half characters: no file holds them


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
