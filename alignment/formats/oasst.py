"""Open-Assistant's message trees, nested (`replies`) or as a flat list of messages; ranks of sibling answers, 0 = best.

Source: Köpf et al. 2023 (arXiv 2304.07327), oasst-data's export schema."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alignment.formats.columns import text
from alignment.formats.details import (
    ANNOTATORS,
    CUT,
    EMPTY,
    LABELING,
    NO_PAIR,
    NONE_ACCEPTABLE,
    OPEN,
    PLAIN,
    ROLES,
    SOURCES,
    STRENGTHS,
    SYSTEM,
)
from alignment.formats.format import Format, Place, Row
from alignment.records import Message, Ranking, described

ROLE_OF = {"prompter": "user", "assistant": "assistant"}
NAME_OF = {role: name for name, role in ROLE_OF.items()}
TREE_FIELDS = ("message_tree_id", "tree_state", "prompt", "origin", "orphan")
MESSAGE_FIELDS = ("message_id", "parent_id", "text", "role", "rank", "replies", "deleted", "model_name")


def gather(rows: list[tuple[Place, Row]]) -> list[tuple[Place, Row]]:
    """Flat messages (message_id, parent_id) hung into their trees; trees stay as they are."""
    nodes = {str(row["message_id"]): dict(row, replies=[]) for _, row in rows if "message_id" in row}
    trees = []
    for place, row in rows:
        if "message_id" not in row:
            trees.append((place, row))
        elif "parent_id" not in row:
            node = nodes[str(row["message_id"])]
            trees.append((place, {"message_tree_id": row.get("message_tree_id", row["message_id"]), "prompt": node}))
        elif str(row["parent_id"]) in nodes:
            nodes[str(row["parent_id"])]["replies"].append(nodes[str(row["message_id"])])
        else:
            trees.append((place, {"orphan": row["parent_id"]}))
    return trees


def _questions(row: Row) -> Iterator[tuple[list[Message], Row, list[Row]]]:
    """(the chat so far, the prompter's node that ends it, the assistant's answers to it) for each of the tree."""
    if "orphan" in row:
        raise ValueError(f"parent_id is {row['orphan']!r}, which no message has; give the whole tree")
    waiting: list[tuple[list[Message], Any]] = [([], row.get("prompt"))]
    while waiting:  # not recursive: trees may be deeper than Python's stack
        before, node = waiting.pop(0)
        chat = [*before, _message(node)]
        replies = [
            reply for reply in node.get("replies") or [] if not (isinstance(reply, dict) and reply.get("deleted"))
        ]
        if node["role"] == "prompter":
            answers = [reply for reply in replies if isinstance(reply, dict) and reply.get("role") == "assistant"]
            yield chat, node, answers
        waiting += [(chat, reply) for reply in replies]


def _message(node: Any) -> Message:
    if not isinstance(node, dict):
        raise ValueError(f"a message of the tree is {described(node)}; it must be an object with text and role")
    if not isinstance(node.get("role"), str) or node["role"] not in ROLE_OF:
        raise ValueError(f"a message of the tree has the role {node.get('role')!r}; known are {', '.join(ROLE_OF)}")
    if not isinstance(node.get("replies") or [], list):
        raise ValueError(f"replies is {described(node['replies'])}; it must be a list of messages")
    return {"role": ROLE_OF[node["role"]], "content": text(node, "text")}


def _rankings(row: Row) -> list[Row]:
    """One for each question with at least two ranked answers; the tree is the group. Answers without a rank are kept as
    not compared."""
    found = []
    for chat, node, answers in _questions(row):
        ranks = [_rank(reply) for reply in answers]
        if sum(rank is not None for rank in ranks) < 2:
            continue
        ranking = {"id": node.get("message_id"), "prompt": chat, "group": row.get("message_tree_id"), "ranks": ranks}
        ranking["responses"] = [_response(reply) for reply in answers]
        found.append({name: value for name, value in ranking.items() if value is not None})
    return found


def _rank(reply: Row) -> int | None:
    rank = reply.get("rank")
    if isinstance(rank, float) and rank.is_integer():  # tables with missing ranks hold them as floats
        rank = int(rank)
    if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or rank < 0):
        raise ValueError(f"rank is {rank!r}; it must be a whole number from 0 (best), or null")
    return None if rank is None else rank + 1


def _response(reply: Row) -> Row:
    model = reply.get("model_name")
    return {"text": _message(reply)["content"], **({} if model is None else {"model": model})}


def _demonstrations(row: Row) -> list[Row]:
    """One for each question that was answered: the best answer, which is the only one or the one of the lowest rank."""
    found = []
    for chat, _, answers in _questions(row):
        ranked = [reply for reply in answers if _rank(reply) is not None]
        best = min(ranked, key=lambda reply: reply["rank"]) if ranked else answers[0] if len(answers) == 1 else None
        if best is not None:
            found.append({"prompt": chat, "response": _message(best)["content"]})
    return found


def _prompts(row: Row) -> list[Row]:
    """Every chat that ends with the prompter."""
    group = row.get("message_tree_id")
    return [{"prompt": chat, **({} if group is None else {"group": group})} for chat, _, _ in _questions(row)]


def _kind_of(row: Row) -> str | None:
    if "message_id" in row and "role" in row and "text" in row:
        return "rankings"
    root = row.get("prompt")
    return "rankings" if isinstance(root, dict) and "role" in root and "text" in root else None


def _write(ranking: Ranking) -> list[Row]:
    """A tree that is one chain of messages and then the answers."""
    answers = [
        _node(f"{ranking.id}-{number}", "assistant", response.text, None if rank is None else rank - 1, response.model)
        for number, (response, rank) in enumerate(zip(ranking.responses, ranking.ranks), start=1)
    ]
    prompt = [{"role": "user", "content": ranking.prompt}] if isinstance(ranking.prompt, str) else ranking.prompt
    below = answers
    for depth, message in reversed(list(enumerate(prompt))):
        name = ranking.id if depth == len(prompt) - 1 else f"{ranking.id}-before-{depth}"
        below = [{**_node(name, NAME_OF[message["role"]], message["content"]), "replies": below}]
    for parent in _all(below[0]):
        for reply in parent["replies"]:
            reply["parent_id"] = parent["message_id"]
    return [{"message_tree_id": ranking.group or ranking.id, "tree_state": "ready_for_export", "prompt": below[0]}]


def _node(name: str, role: str, content: str, rank: int | None = None, model: str | None = None) -> Row:
    start = {"message_id": name, "parent_id": None, "text": content, "role": role, "rank": rank}
    return {**start, "synthetic": model is not None, "model_name": model, "replies": []}


def _all(root: Row) -> Iterator[Row]:
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node["replies"]


FORMAT = Format(
    name="oasst",
    title="Open-Assistant",
    example='{"message_tree_id": "...", "prompt": {"text": "...", "role": "prompter", "replies": [{"text": "...", '
    '"role": "assistant", "rank": 0, "replies": []}]}}',
    remark="or one message a row, with message_id and parent_id",
    fields=frozenset((*TREE_FIELDS, *MESSAGE_FIELDS)),
    kind_of=_kind_of,
    read={"rankings": _rankings, "demonstrations": _demonstrations, "prompts": _prompts},
    write={"rankings": _write},
    refuses=frozenset((NO_PAIR, SYSTEM, ROLES, OPEN, EMPTY)),
    drops=frozenset((ANNOTATORS, SOURCES, STRENGTHS, LABELING, NONE_ACCEPTABLE, CUT, PLAIN)),
    gather=gather,
    several=True,
)
