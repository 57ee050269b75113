"""ShareGPT: {conversations: [{from, value}, ...]}, with `system`, and LLaMA-Factory's chosen and rejected."""

from __future__ import annotations

from alignment.formats.chats import messages, pair, split_last
from alignment.formats.details import EMPTY, PLAIN, ROLES
from alignment.formats.format import WHO, Format, Row, who
from alignment.formats.trl import PAIR_DROPS, PAIR_REFUSES
from alignment.records import Demonstration, Message, Prompt, Ranking, described

ROLE_OF = {
    "human": "user",
    "gpt": "assistant",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}
"""Names of `from` in published files. Tool calls and observations are no part of our records: refused."""
NAME_OF = {"user": "human", "assistant": "gpt", "system": "system"}


def _messages(value: object, name: str) -> list[Message]:
    plain_roles = isinstance(value, list) and value and isinstance(value[0], dict) and "role" in value[0]
    keys = ("role", "content") if plain_roles else ("from", "value")
    return messages(value, name, *keys, ROLE_OF)


def _chat(row: Row) -> list[Message]:
    chat = _messages(row.get("conversations"), "conversations")
    system = row.get("system")
    if not system:
        return chat
    if not isinstance(system, str):
        raise ValueError(f"system is {described(system)}; it must be text")
    return [{"role": "system", "content": system}, *chat]


def _kind_of(row: Row) -> str | None:
    if "conversations" not in row:
        return None
    return "rankings" if "chosen" in row and "rejected" in row else "demonstrations"


def _demonstration(row: Row) -> list[Row]:
    split_last(_chat(row), "conversations")
    return [{"messages": _chat(row)}]


def _ranking(row: Row) -> list[Row]:
    return [{**who(row), **pair(_chat(row), _answer(row, "chosen"), _answer(row, "rejected"))}]


def _answer(row: Row, name: str) -> str:
    value = row.get(name)
    before, response = split_last(_messages(value if isinstance(value, list) else [value], name), name)
    if before:
        raise ValueError(f"{name} holds {len(before) + 1} messages; it must hold one answer")
    return response


def _written(prompt: Prompt) -> list[Row]:
    chat = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return [_turn(message["role"], message["content"]) for message in chat]


def _turn(role: str, content: str) -> Row:
    return {"from": NAME_OF[role], "value": content}


def _write_demonstration(one: Demonstration) -> list[Row]:
    return [{"conversations": [*_written(one.prompt), _turn("assistant", one.response)]}]


def _write_ranking(ranking: Ranking) -> list[Row]:
    turns = [_turn("assistant", response.text) for response in ranking.responses]
    chat = _written(ranking.prompt)
    return [{"conversations": chat, "chosen": turns[i], "rejected": turns[j]} for i, j in ranking.strict_pairs()]


FORMAT = Format(
    name="sharegpt",
    title="ShareGPT",
    example='{"conversations": [{"from": "human", "value": "..."}, {"from": "gpt", "value": "..."}]}',
    remark="also system; pairs have chosen and rejected beside the conversations",
    fields=frozenset(("conversations", "system", "chosen", "rejected", *WHO)),
    kind_of=_kind_of,
    read={"demonstrations": _demonstration, "rankings": _ranking},
    write={"demonstrations": _write_demonstration, "rankings": _write_ranking},
    refuses=PAIR_REFUSES | {ROLES, EMPTY},
    drops=PAIR_DROPS | {PLAIN},
)
