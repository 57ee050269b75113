"""Labels by the hundred thousand, put into a store in minutes: what a store looks like after years.

Tasks go in through `Store.add_tasks`. Assignments and label events are written as rows, many at once, each as `submit` would
have written it, with its digest, so that `align store verify` finds no fault in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from answering import sets
from sqlalchemy import Connection, delete, insert, select, update

from alignment.preferences import tallies
from alignment.preferences.adding import Queue
from alignment.preferences.ids import canonical, digest_of, event_digest
from alignment.preferences.schema import ASSIGNMENTS, EVENTS, TALLIES, TASKS
from alignment.preferences.store import Store

EACH = 10
"""Labels of a task, by as many annotators."""

TASKS_AT_ONCE = 1_000
BEGAN = 1_760_000_000_000
"""Milliseconds since 1970 of the first of them."""

BODY = {"ranks": [1, 2, 3, 4], "shown": [0, 1, 2, 3], "seconds": 20.0}


def fill(store: Store, labels: int, before: int = 0) -> None:
    """`labels` more, of ten simulated annotators; before: how many this has put there already."""
    for number in range(EACH):
        store.add_annotator(f"old-{number}")
    tasks = range(before // EACH, (before + labels) // EACH)
    for start in range(tasks.start, tasks.stop, TASKS_AT_ONCE):
        count = min(TASKS_AT_ONCE, tasks.stop - start)
        store.add_tasks(sets(count, responses=4, name=f"old{start}-"), Queue(overlap=EACH))
        store.write(_answer)
    store.write(_count)


def _answer(connection: Connection) -> None:
    """All places of the tasks that nobody has answered."""
    free = select(TASKS.c.number, TASKS.c.id).where(TASKS.c.taken == 0, TASKS.c.overlap == EACH)
    rows = connection.execute(free).all()
    connection.execute(insert(ASSIGNMENTS), list(_assignments(rows)))
    connection.execute(insert(EVENTS), list(_events(rows)))
    connection.execute(update(TASKS).where(TASKS.c.taken == 0, TASKS.c.overlap == EACH).values(taken=EACH))


def _assignments(tasks: Any) -> Iterator[dict[str, Any]]:
    for task in tasks:
        for number in range(EACH):
            yield {
                "task": task.number,
                "annotator": f"old-{number}",
                "lease": f"{task.number:024x}{number:08x}",
                "shown": json.dumps(BODY["shown"]),
                "state": "done",
                "leased": BEGAN,
                "expires": BEGAN + 1_800_000,
                "draft": None,
            }


def _events(tasks: Any) -> Iterator[dict[str, Any]]:
    body = canonical(BODY)
    for task in tasks:
        for number in range(EACH):
            row = {"key": f"old-{task.number}-{number}", "annotator": f"old-{number}", "kind": "label", "body": body}
            row |= {"request": digest_of([task.id, number]), "created": BEGAN + task.number * 1_000 + number}
            yield {**row, "task": task.number, "supersedes": None, "digest": event_digest(row, task.id, None)}


def _count(connection: Connection) -> None:
    """Triggers follow changes of an assignment; these rows came in as answered."""
    connection.execute(delete(TALLIES))
    tallies.fill(connection)
