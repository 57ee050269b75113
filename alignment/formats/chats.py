"""Chat messages as others write them → ours, {role, content}; and pairs of conversations → a prompt and two responses."""

from __future__ import annotations

from typing import Any

from alignment.records import Message, described


def messages(value: Any, name: str, role: str = "role", content: str = "content", roles: Any = None) -> list[Message]:
    """A list of messages; `roles` (their name → ours), where given, must know every role."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"{name} is {described(value)}; it must be a list of messages")
    return [_message(one, name, role, content, roles) for one in value]


def split_last(chat: list[Message], name: str) -> tuple[list[Message], str]:
    """(what comes before, the text of the last message), which must be the assistant's."""
    if chat[-1]["role"] != "assistant":
        raise ValueError(f"{name} ends with a message of the {chat[-1]['role']}; it must end with the assistant's")
    return chat[:-1], chat[-1]["content"]


def shared_prompt(chosen: list[Message], rejected: list[Message]) -> tuple[list[Message], str, str]:
    """(prompt, response, response) of two whole conversations that may differ in their last message only."""
    before, better = split_last(chosen, "chosen")
    other, worse = split_last(rejected, "rejected")
    if before != other:
        raise ValueError("chosen and rejected differ before their last message; they must be two answers to one prompt")
    if not before:
        raise ValueError("chosen and rejected share no message before the last; the prompt is missing")
    return before, better, worse


def pair(prompt: Any, chosen: str, rejected: str) -> dict[str, Any]:
    """A ranking of two, the chosen one first: a pair does not say in which order they were shown."""
    return {"prompt": prompt, "responses": [{"text": chosen}, {"text": rejected}], "ranks": [1, 2]}


def _message(value: Any, name: str, role: str, content: str, roles: Any) -> Message:
    if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in (role, content)):
        raise ValueError(f"{name} holds {_short(value)}; a message must have {role} and {content}, both text")
    if roles is not None and value[role] not in roles:
        raise ValueError(f"{name} holds a message of {value[role]!r}; known are {', '.join(roles)}")
    return {"role": roles[value[role]] if roles is not None else value[role], "content": value[content]}


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
