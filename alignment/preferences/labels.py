"""What annotators do with a task: answer, skip, undo, correct. Each is one event under the client's key."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from alignment.labeling import iso_time
from alignment.preferences.adding import add_response
from alignment.preferences.annotators import locked
from alignment.preferences.answers import answered, kept
from alignment.preferences.errors import Refused
from alignment.preferences.events import (
    LABEL,
    SKIP,
    UNDO,
    Receipt,
    append,
    digest_at,
    earlier,
    id_of_task,
    insert_new,
    live,
    receipt,
)
from alignment.preferences.ids import digest_of
from alignment.preferences.leases import (
    IDS,
    OFFERED,
    ONE_ASSIGNMENT,
    SET_STATE,
    give_back,
    one_more,
    own_assignment,
    take,
)
from alignment.preferences.schema import ASSIGNMENTS, AUTHORS, EVENTS, GOLD
from alignment.preferences.views import Held, TaskView, assignment, members, view

LONGEST_REASON = 1_000
LONGEST_DRAFT = 2_000_000

ANSWERED = update(ASSIGNMENTS).where(*ONE_ASSIGNMENT).values(state=bindparam("state"), draft=None)
SET_DRAFT = update(ASSIGNMENTS).where(*ONE_ASSIGNMENT).values(draft=bindparam("draft"))


@dataclass(frozen=True)
class Submission:
    """What a client sends. edits: the number of the event that this answer replaces; None for a first answer."""

    lease: str
    answer: Any
    key: str
    edits: int | None = None


@dataclass(frozen=True)
class Past:
    """One of an annotator's labels. standing: not undone and not replaced."""

    event: int
    saved: str
    standing: bool
    task: TaskView


def submit(connection: Connection, now: int, name: str, sent: Submission) -> Receipt:
    """Saves an answer, or finds it saved already. Refused: nothing of it was stored."""
    locked(connection, name)
    request = _request({"lease": sent.lease, "answer": sent.answer, "edits": sent.edits})
    before = earlier(connection, name, sent.key, request)
    if before is not None:
        return receipt(before, json.loads(before.body), repeated=True)
    mine = own_assignment(connection, name, sent.lease)
    ids = list(connection.execute(IDS, {"of_task": mine.task}).scalars())
    body = kept(mine.kind, sent.answer, json.loads(mine.shown), ids)
    replaced = _replaced(connection, name, mine, sent.edits)
    state = _state(connection, mine)
    body |= {"late": True} if state == "late" else {}
    number = append(
        connection,
        now,
        name,
        LABEL,
        body,
        key=sent.key,
        request=request,
        task=mine.task,
        task_id=mine.id,
        supersedes=replaced,
        superseded_digest=None if replaced is None else digest_at(connection, replaced),
    )
    _keep_texts(connection, name, body)
    connection.execute(ANSWERED, {"of_task": mine.task, "of_annotator": name, "state": state})
    return Receipt(number, iso_time(now), counted=state != "late")


def skip(connection: Connection, now: int, name: str, lease: str, reason: str, key: str) -> Receipt:
    """Gives the task to others, for good."""
    locked(connection, name)
    request = _request({"lease": lease, "reason": reason})
    before = earlier(connection, name, key, request)
    if before is not None:
        return receipt(before, {}, repeated=True)
    mine = own_assignment(connection, name, lease)
    if mine.state in ("done", "late"):
        raise Refused("conflict", "this task is answered already; undo the answer first")
    if not isinstance(reason, str) or len(reason) > LONGEST_REASON:
        raise Refused("invalid", f"reason must be a text of at most {LONGEST_REASON:,} characters")
    if mine.state == "leased":
        give_back(connection, mine.task)
    connection.execute(SET_STATE, {"of_task": mine.task, "of_annotator": name, "state": "skipped"})
    number = append(
        connection, now, name, SKIP, {"reason": reason}, key=key, request=request, task=mine.task, task_id=mine.id
    )
    return Receipt(number, iso_time(now))


def undo(connection: Connection, now: int, name: str, key: str, lease_ms: int) -> TaskView:
    """Takes the annotator's newest standing label back and gives them its task again, with what they had answered."""
    locked(connection, name)
    before = earlier(connection, name, key, _request("undo"))
    if before is not None:
        return _again(connection, name, before.task, before.supersedes)
    wanted = select(EVENTS).where(
        EVENTS.c.annotator == name, EVENTS.c.kind == LABEL, EVENTS.c.task.is_not(None), live()
    )
    last = connection.execute(wanted.order_by(EVENTS.c.number.desc()).limit(1)).one_or_none()
    if last is None:
        raise Refused("unknown", "there is no answer to undo")
    append(
        connection,
        now,
        name,
        UNDO,
        {},
        key=key,
        request=_request("undo"),
        task=last.task,
        task_id=id_of_task(connection, last.task),
        supersedes=last.number,
        superseded_digest=last.digest,
    )
    mine = (ASSIGNMENTS.c.task == last.task) & (ASSIGNMENTS.c.annotator == name)
    late = json.loads(last.body).get("late", False)  # it held no place
    again = {"state": "expired" if late else "leased", "leased": now, "expires": now + lease_ms}
    connection.execute(update(ASSIGNMENTS).where(mine).values(again))
    return _again(connection, name, last.task, last.number)


def history(connection: Connection, name: str, limit: int) -> list[Past]:
    """The annotator's labels, newest first, each with its task and the answer in slots."""
    standing = live().label("standing")
    wanted = select(EVENTS, standing).where(EVENTS.c.annotator == name, EVENTS.c.kind == LABEL)
    made = []
    for row in connection.execute(wanted.order_by(EVENTS.c.number.desc()).limit(limit)).all():
        lease = _lease_of(connection, name, row.task)
        mine = assignment(connection, name, lease) if lease is not None else None
        if mine is not None:
            task = view(connection, mine, members(connection, mine.task), row)
            made.append(Past(row.number, iso_time(row.created), bool(row.standing), task))
    return made


def save_draft(connection: Connection, name: str, lease: str, draft: str) -> None:
    """Kept with the lease until the task is answered."""
    if not isinstance(draft, str) or len(draft) > LONGEST_DRAFT or "\0" in draft:
        raise Refused("invalid", f"a draft must be a text of at most {LONGEST_DRAFT:,} characters without NUL")
    mine = own_assignment(connection, name, lease)
    connection.execute(SET_DRAFT, {"of_task": mine.task, "of_annotator": name, "draft": draft})


def feedback(connection: Connection, name: str, lease: str) -> dict[str, Any]:
    """Of a practice item that the annotator has answered: the known answer in slots, and why."""
    mine = own_assignment(connection, name, lease, to_change=False)
    if mine.purpose != "practice" or mine.state != "done":
        raise Refused("closed", "only a practice item that is answered has feedback")
    known = connection.execute(select(GOLD).where(GOLD.c.task == mine.task)).one()
    ids = [row.response_id for row in members(connection, mine.task)]
    told = answered(mine.kind, {"ranks": json.loads(known.ranks)}, json.loads(mine.shown), ids)
    return {"tiers": told["tiers"], "unranked": told["unranked"], "note": known.note}


def _request(content: Any) -> str:
    try:
        return digest_of(content)
    except (TypeError, ValueError, RecursionError):
        raise Refused(
            "invalid", "the answer is not JSON that UTF-8 can hold; send text, numbers, lists and objects"
        ) from None


def _replaced(connection: Connection, name: str, mine: Held, edits: int | None) -> int | None:
    """The standing label that the answer replaces. Refused where it says another than the one that stands."""
    if mine.state not in ("done", "late") and edits is None:
        return None
    own = (EVENTS.c.task == mine.task, EVENTS.c.annotator == name, EVENTS.c.kind == LABEL)
    standing = connection.execute(select(EVENTS.c.number).where(*own, live())).scalar_one_or_none()
    if standing == edits:
        return standing
    if standing is None:
        raise Refused("conflict", f"event {edits} is not a standing answer of this task; answer it anew")
    raise Refused("conflict", f"this task is answered already (event {standing}); undo or edit that answer")


def _state(connection: Connection, mine: Held) -> str:
    """What the assignment becomes: late where its place is gone."""
    if mine.state in ("leased", "done"):
        return "done"
    if mine.state == OFFERED:
        one_more(connection, mine.task)
        return "done"
    return "done" if take(connection, mine.task) else "late"


def _keep_texts(connection: Connection, name: str, body: dict[str, Any]) -> None:
    """What the annotator wrote is a response from now on, and nobody ranks their own."""
    for text in (body.get("text"), body.get("ideal")):
        if text is not None:
            insert_new(connection, AUTHORS, [{"response_id": add_response(connection, text), "annotator": name}])


def _lease_of(connection: Connection, name: str, task: int) -> str | None:
    own = (ASSIGNMENTS.c.task == task, ASSIGNMENTS.c.annotator == name)
    return connection.execute(select(ASSIGNMENTS.c.lease).where(*own)).scalar_one_or_none()


def _again(connection: Connection, name: str, task: int, event: int) -> TaskView:
    mine = assignment(connection, name, _lease_of(connection, name, task) or "")
    assert mine is not None
    label = connection.execute(select(EVENTS).where(EVENTS.c.number == event)).one()
    return view(connection, mine, members(connection, task), label)
