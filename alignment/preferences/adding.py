"""Records → prompts, responses and tasks. What is there already is found by its content and not added twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, insert, select, update

from alignment.preferences.answers import ANSWERS, SLOTS, distinct
from alignment.preferences.errors import Refused
from alignment.preferences.events import insert_new
from alignment.preferences.ids import canonical, digest, digest_of, task_id
from alignment.preferences.schema import PROMPTS, RESPONSES, TASK_RESPONSES, TASKS
from alignment.records import PromptRecord, Response, ResponseSet, encoded, plain
from alignment.text_files import LONGEST_LINE

PURPOSES = ("label", "gold", "practice")
"""label: what records come from. gold: answers are known, silently mixed in. practice: known too, told afterwards."""

EVERYONE = 1_000_000
"""Overlap of gold and practice items: each annotator may get each."""

AT_ONCE = 400
"""Names in one query, below SQLite's bound on its variables."""


@dataclass(frozen=True)
class Queue:
    """How tasks are handed out.

    overlap: labels wanted of each. duplicate_share: share of tasks, chosen by their hash, that get one more, so that
    agreement can be measured. priority: highest first, equal ones as added. slice: how the loop chose them ("uniform" may
    evaluate, "information" may not); kept with the task."""

    overlap: int = 1
    duplicate_share: float = 0.0
    priority: float = 0.0
    slice: str | None = None
    purpose: str = "label"

    def __post_init__(self) -> None:
        if type(self.overlap) is not int or not 0 <= self.overlap <= EVERYONE:
            raise Refused("invalid", f"overlap is {self.overlap!r}; it must be a whole number from 0 to {EVERYONE:,}")
        if not 0 <= self.duplicate_share <= 1:
            raise Refused("invalid", f"duplicate_share is {self.duplicate_share!r}; it must be a number from 0 to 1")
        if self.purpose not in PURPOSES:
            raise Refused("invalid", f"purpose is {self.purpose!r}; it must be one of {', '.join(PURPOSES)}")

    def overlap_of(self, id_: str) -> int:
        return self.overlap + (int(id_[:8], 16) / 2**32 < self.duplicate_share)


@dataclass(frozen=True)
class Added:
    """How many tasks are new, and how many were there already."""

    new: int
    known: int


@dataclass(frozen=True)
class Draft:
    """A task on its way into the store. responses: ids by position, with model and whether finished."""

    id: str
    fixed: dict[str, Any]
    responses: tuple[tuple[str, str | None, bool], ...]
    texts: dict[str, str]
    prompt: tuple[str, str]


def draft(record: PromptRecord | ResponseSet, kind: str, purpose: str, source: str | None) -> Draft:
    """The task of a record. Refused where a database could not hold it."""
    if kind not in ANSWERS:
        raise Refused("invalid", f"kind is {kind!r}; it must be one of {', '.join(ANSWERS)}")
    _require_holdable(record, source)
    prompt = canonical(record.prompt)
    given: Sequence[Response] = getattr(record, "responses", ())
    texts = [canonical(response.text) for response in given]
    fixed = {
        "kind": kind,
        "prompt_id": digest(prompt),
        "record_id": record.id,
        "group_name": record.group,
        "source": source,
        "purpose": purpose,
    }
    responses = [(digest(text), response.model, response.finished) for text, response in zip(texts, given)]
    made = {id_: text for (id_, _, _), text in zip(responses, texts)}
    return Draft(task_id(fixed, responses), fixed, tuple(responses), made, (digest(prompt), prompt))


def add(connection: Connection, drafts: list[Draft], queue: Queue) -> tuple[Added, dict[str, int]]:
    """(new and known tasks, id → number). A known task keeps what it is; its overlap may rise, its priority is the new one."""
    if queue.overlap:
        for one in drafts:
            _require_answerable(one)
    unique = {one.id: one for one in drafts}
    there = numbers_of(connection, list(unique))
    new = [one for id_, one in unique.items() if id_ not in there]
    insert_new(connection, PROMPTS, [{"id": one.prompt[0], "prompt": one.prompt[1]} for one in new])
    texts = {id_: text for one in new for id_, text in one.texts.items()}
    insert_new(connection, RESPONSES, [{"id": id_, "text": text} for id_, text in texts.items()])
    state = {"priority": queue.priority, "slice": queue.slice, "taken": 0}
    rows = [{"id": one.id, **one.fixed, **state, "overlap": queue.overlap_of(one.id)} for one in new]
    if rows:
        connection.execute(insert(TASKS), rows)
    numbers = there | numbers_of(connection, [one.id for one in new])
    members = [_member(numbers[one.id], place, each) for one in new for place, each in enumerate(one.responses)]
    if members:
        connection.execute(insert(TASK_RESPONSES), members)
    if queue.overlap:
        _raise(connection, list(there), queue)
    return Added(len(new), len(there)), numbers


def add_response(connection: Connection, text: str) -> str:
    """A text that an annotator wrote; returns its id."""
    row = {"id": digest_of(text), "text": canonical(text)}
    insert_new(connection, RESPONSES, [row])
    return row["id"]


def for_everyone(purpose: str) -> Queue:
    return replace(Queue(), purpose=purpose, overlap=EVERYONE)


def numbers_of(connection: Connection, ids: list[str]) -> dict[str, int]:
    """Task id → number, of those that are there."""
    found: dict[str, int] = {}
    for start in range(0, len(ids), AT_ONCE):
        wanted = select(TASKS.c.id, TASKS.c.number).where(TASKS.c.id.in_(ids[start : start + AT_ONCE]))
        found |= {row.id: row.number for row in connection.execute(wanted)}
    return found


def _raise(connection: Connection, ids: list[str], queue: Queue) -> None:
    for id_ in ids:
        mine = update(TASKS).where(TASKS.c.id == id_)
        connection.execute(mine.values(priority=queue.priority))
        asked = queue.overlap_of(id_)
        connection.execute(mine.where(TASKS.c.overlap < asked).values(overlap=asked))


def _member(task: int, position: int, response: tuple[str, str | None, bool]) -> dict[str, Any]:
    id_, model, finished = response
    return {"task": task, "position": position, "response_id": id_, "model": model, "finished": finished}


def _require_answerable(one: Draft) -> None:
    cards, kind = len(distinct([id_ for id_, _, _ in one.responses])), one.fixed["kind"]
    least, most = {"rank": (2, len(SLOTS)), "edit": (1, len(SLOTS)), "judge": (1, 1), "write": (0, 0)}[kind]
    if not least <= cards <= most:
        record = one.fixed["record_id"]
        raise Refused(
            "invalid",
            f"record {record!r} has {cards} different responses; a {kind!r} task takes {least}"
            + (f" to {most}" if most > least else ""),
        )


def _require_holdable(record: Any, source: str | None) -> None:
    try:
        size = len(encoded(plain(record)))
    except ValueError as error:
        raise Refused("invalid", f"record {record.id!r}: {error}") from None
    if size > LONGEST_LINE:
        raise Refused("invalid", f"record {record.id!r} is longer than {LONGEST_LINE // 2**20} MiB; cut it")
    names = (record.id, record.group, source, *(one.model for one in getattr(record, "responses", ())))
    if any("\0" in name for name in names if name is not None):
        raise Refused("invalid", f"record {record.id!r}: a name in it holds the character NUL; remove it")
