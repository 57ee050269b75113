"""A task as an annotator sees it: texts in slots, and nothing that says whose they are or where they really stand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from alignment.preferences.answers import SLOTS, answered
from alignment.preferences.schema import ASSIGNMENTS, PROMPTS, RESPONSES, TASK_RESPONSES, TASKS
from alignment.records import Prompt


@dataclass(frozen=True)
class Card:
    """A response, blind. Identical ones share a card."""

    slot: str
    text: str


@dataclass(frozen=True)
class TaskView:
    """What a client may know of a task. lease: its name in all further calls. expires: seconds since 1970.

    answer, event: the annotator's own earlier answer in slots and the number of its event, where there is one.
    draft: what `save_draft` kept last."""

    lease: str
    kind: str
    prompt: Prompt
    cards: tuple[Card, ...]
    expires: float
    draft: str | None = None
    answer: dict[str, Any] | None = None
    event: int | None = None


@dataclass(frozen=True)
class Held:
    """An annotator's assignment with what it needs of its task; the row's own words."""

    task: int
    annotator: str
    lease: str
    shown: str
    state: str
    leased: int
    expires: int
    draft: str | None
    id: str
    kind: str
    prompt_id: str
    purpose: str


HELD_COLUMNS = (*ASSIGNMENTS.c, TASKS.c.id, TASKS.c.kind, TASKS.c.prompt_id, TASKS.c.purpose)

MEMBERS = (
    select(TASK_RESPONSES.c.response_id, RESPONSES.c.text)
    .join(RESPONSES, RESPONSES.c.id == TASK_RESPONSES.c.response_id)
    .where(TASK_RESPONSES.c.task == bindparam("of_task"))
    .order_by(TASK_RESPONSES.c.position)
)
ASSIGNMENT = (
    select(*HELD_COLUMNS)
    .join(TASKS, TASKS.c.number == ASSIGNMENTS.c.task)
    .where(ASSIGNMENTS.c.lease == bindparam("lease"), ASSIGNMENTS.c.annotator == bindparam("name"))
)
ASSIGNMENT_TO_CHANGE = ASSIGNMENT.with_for_update(of=ASSIGNMENTS, key_share=True)
PROMPT = select(PROMPTS.c.prompt).where(PROMPTS.c.id == bindparam("id"))


def members(connection: Connection, task: int) -> list[Row]:
    """The responses of a task by position: (response_id, text)."""
    return list(connection.execute(MEMBERS, {"of_task": task}))


def prompt_of(connection: Connection, prompt_id: str) -> Prompt:
    return json.loads(connection.execute(PROMPT, {"id": prompt_id}).scalar_one())


def assignment(connection: Connection, annotator: str, lease: str, to_change: bool = False) -> Held | None:
    """None where that lease is not the annotator's. to_change: the row is held until the transaction ends, so that its place
    is not given back between the look at its state and the change of it."""
    if not isinstance(lease, str) or "\0" in lease:
        return None
    wanted = ASSIGNMENT_TO_CHANGE if to_change else ASSIGNMENT
    found = connection.execute(wanted, {"lease": lease, "name": annotator}).first()
    return None if found is None else Held(**found._mapping)


def view(connection: Connection, held: Held, rows: list[Row], event: Row | None = None) -> TaskView:
    """rows: of `members`. event: the annotator's label to show again."""
    shown = json.loads(held.shown)
    again: dict[str, Any] = {}
    if event is not None:
        ids = [row.response_id for row in rows]
        again = {"answer": answered(held.kind, json.loads(event.body), shown, ids), "event": event.number}
    return TaskView(
        lease=held.lease,
        kind=held.kind,
        prompt=prompt_of(connection, held.prompt_id),
        cards=tuple(Card(slot, json.loads(rows[position].text)) for slot, position in zip(SLOTS, shown)),
        expires=held.expires / 1000,
        draft=held.draft,
        **again,
    )
