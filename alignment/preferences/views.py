"""A task as an annotator sees it: texts in slots, and nothing that says whose they are or where they really stand."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from alignment.preferences.answers import SLOTS, answered
from alignment.preferences.schema import ASSIGNMENTS, EVENTS, PROMPTS, RESPONSES, TASK_RESPONSES, TASKS
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


def members(connection: Connection, task: int) -> list[Row]:
    """The responses of a task by position: (response_id, text, model, finished)."""
    wanted = (
        select(TASK_RESPONSES.c.response_id, RESPONSES.c.text, TASK_RESPONSES.c.model, TASK_RESPONSES.c.finished)
        .join(RESPONSES, RESPONSES.c.id == TASK_RESPONSES.c.response_id)
        .where(TASK_RESPONSES.c.task == task)
        .order_by(TASK_RESPONSES.c.position)
    )
    return list(connection.execute(wanted))


def assignment(connection: Connection, annotator: str, lease: str) -> Row | None:
    """The annotator's assignment with the task's own columns; None where that lease is not theirs."""
    if not isinstance(lease, str) or "\0" in lease:
        return None
    columns = (TASKS.c.id, TASKS.c.kind, TASKS.c.prompt_id, TASKS.c.purpose)
    wanted = (
        select(ASSIGNMENTS, *columns)
        .join(TASKS, TASKS.c.number == ASSIGNMENTS.c.task)
        .where(ASSIGNMENTS.c.lease == lease, ASSIGNMENTS.c.annotator == annotator)
    )
    return connection.execute(wanted).one_or_none()


def view(connection: Connection, assigned: Row, event: Row | None = None) -> TaskView:
    """assigned: a row of `assignment`. event: the annotator's label to show again."""
    prompt = connection.execute(select(PROMPTS.c.prompt).where(PROMPTS.c.id == assigned.prompt_id)).scalar_one()
    rows = members(connection, assigned.task)
    shown = json.loads(assigned.shown)
    cards = tuple(Card(slot, json.loads(rows[position].text)) for slot, position in zip(SLOTS, shown))
    answer = None
    if event is not None:
        answer = answered(assigned.kind, json.loads(event.body), shown, [row.response_id for row in rows])
    number = event.number if event is not None else None
    prompt_ = json.loads(prompt)
    return TaskView(
        assigned.lease, assigned.kind, prompt_, cards, assigned.expires / 1000, assigned.draft, answer, number
    )


def label_at(connection: Connection, number: int) -> Row:
    return connection.execute(select(EVENTS).where(EVENTS.c.number == number)).one()
