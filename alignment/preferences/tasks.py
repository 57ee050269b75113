"""Tasks as records again: what is asked already."""

from __future__ import annotations

import json

from sqlalchemy import Connection, select

from alignment.preferences.adding import AT_ONCE, draft, numbers_of
from alignment.preferences.schema import PROMPTS, RESPONSES, TASK_RESPONSES, TASKS
from alignment.records import Response, ResponseSet


def newest_to_rank(connection: Connection, limit: int) -> list[ResponseSet]:
    """The newest `limit` tasks to rank, answered or not, without gold and practice items."""
    wanted = (
        select(TASKS.c.number, TASKS.c.record_id, TASKS.c.group_name, PROMPTS.c.prompt)
        .join(PROMPTS, PROMPTS.c.id == TASKS.c.prompt_id)
        .where(TASKS.c.kind == "rank", TASKS.c.purpose == "label")
        .order_by(TASKS.c.number.desc())
        .limit(limit)
    )
    rows = connection.execute(wanted).all()
    responses = _responses(connection, [row.number for row in rows])
    return [ResponseSet(row.record_id, json.loads(row.prompt), tuple(responses[row.number]), row.group_name) for row in rows]  # fmt: skip


def without_task(connection: Connection, records: list[ResponseSet]) -> list[ResponseSet]:
    """The records that are no task to rank yet."""
    ids = [draft(record, "rank", "label", None).id for record in records]
    there = numbers_of(connection, ids)
    return [record for record, id_ in zip(records, ids, strict=True) if id_ not in there]


def _responses(connection: Connection, tasks: list[int]) -> dict[int, list[Response]]:
    found: dict[int, list[Response]] = {task: [] for task in tasks}
    for start in range(0, len(tasks), AT_ONCE):
        wanted = (
            select(TASK_RESPONSES, RESPONSES.c.text)
            .join(RESPONSES, RESPONSES.c.id == TASK_RESPONSES.c.response_id)
            .where(TASK_RESPONSES.c.task.in_(tasks[start : start + AT_ONCE]))
            .order_by(TASK_RESPONSES.c.task, TASK_RESPONSES.c.position)
        )
        for row in connection.execute(wanted):
            found[row.task].append(Response(json.loads(row.text), row.model, bool(row.finished)))
    return found
