"""Label events → our records: rankings, demonstrations, verdicts; live, or of a snapshot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import Connection, Row, Select, func, select

from alignment.labeling import Labeling, iso_time, parse_labeling
from alignment.preferences.events import LABEL, live
from alignment.preferences.schema import (
    ANNOTATORS,
    EVENTS,
    PROMPTS,
    RESPONSES,
    SNAPSHOT_EVENTS,
    TASK_RESPONSES,
    TASKS,
)
from alignment.records import Demonstration, Ranking, Response, Verdict, content_id

Kind = Literal["rankings", "demonstrations", "verdicts"]
KINDS: tuple[Kind, ...] = ("rankings", "demonstrations", "verdicts")

TASK_COLUMNS = (TASKS.c.kind.label("task_kind"), TASKS.c.record_id, TASKS.c.group_name, TASKS.c.source, TASKS.c.slice)
AT_ONCE = 400
"""Labels whose responses one query brings."""

WANTED = (
    select(EVENTS, PROMPTS.c.prompt, TASKS.c.purpose, *TASK_COLUMNS)
    .join(TASKS, TASKS.c.number == EVENTS.c.task)
    .join(PROMPTS, PROMPTS.c.id == TASKS.c.prompt_id)
    .order_by(EVENTS.c.number)
)


@dataclass(frozen=True)
class Label:
    """A standing label with its task: what agreement, bias and quality are computed from."""

    event: int
    task: int
    kind: str
    annotator: str
    body: dict[str, Any]
    created: int
    prompt: Any
    responses: tuple[Response, ...]
    response_ids: tuple[str, ...]
    record_id: str
    group: str | None
    source: str | None
    slice: str | None
    purpose: str


@dataclass
class Records:
    """What labels come to, in the order in which they were saved."""

    rankings: list[Ranking] = field(default_factory=list)
    demonstrations: list[Demonstration] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)

    def of(self, kind: Kind) -> list[Any]:
        return getattr(self, kind)


@dataclass(frozen=True)
class Choice:
    """Which standing labels. purpose: label, gold or practice. quarantined: also those of annotators who are.

    share: of all tasks, chosen by their hash, so that the labels of a task come together or not at all. numbers: only of
    events with these numbers, to read many labels in short looks: on SQLite a commit may have to wait for a look's end."""

    purpose: str = "label"
    quarantined: bool = False
    share: float = 1.0
    numbers: range | None = None


STANDING = Choice()


def labels(connection: Connection, snapshot: int | None = None, choice: Choice = STANDING) -> Iterator[Label]:
    """Standing labels that count, oldest first; or exactly those of a snapshot."""
    if snapshot is None:
        wanted = _chosen(WANTED, choice)
    else:
        wanted = WANTED.join(SNAPSHOT_EVENTS, SNAPSHOT_EVENTS.c.event == EVENTS.c.number)
        wanted = wanted.where(SNAPSHOT_EVENTS.c.snapshot == snapshot)
    for rows in connection.execute(wanted.execution_options(yield_per=AT_ONCE)).partitions(AT_ONCE):
        yield from _with_responses(connection, rows, counted=snapshot is None)


def standing(connection: Connection) -> list[int]:
    """Numbers of the labels that `labels` gives, and of late ones: a short look, after which `labels_at` reads what never
    changes."""
    numbers = select(EVENTS.c.number).join(TASKS, TASKS.c.number == EVENTS.c.task).order_by(EVENTS.c.number)
    return list(connection.execute(_chosen(numbers, STANDING)).scalars())


def labels_at(connection: Connection, numbers: Sequence[int]) -> list[Label]:
    """Of these events, at most AT_ONCE, the labels that count."""
    rows = connection.execute(WANTED.where(EVENTS.c.number.in_(numbers))).all()
    return list(_with_responses(connection, rows, counted=True))


def records(found: Iterator[Label]) -> Records:
    made = Records()
    for label in found:
        MAKE[label.kind](label, made)
    return made


def _chosen(wanted: Select, choice: Choice) -> Select:
    wanted = wanted.where(EVENTS.c.kind == LABEL, TASKS.c.purpose == choice.purpose, live())
    if not choice.quarantined:
        hidden = select(ANNOTATORS.c.name).where(ANNOTATORS.c.name == EVENTS.c.annotator, ANNOTATORS.c.quarantined)
        wanted = wanted.where(~hidden.exists())
    if choice.share < 1:
        wanted = wanted.where(func.substr(TASKS.c.id, 1, 6) < f"{int(choice.share * 16**6):06x}")  # SHA-256, so even
    if choice.numbers is not None:
        wanted = wanted.where(EVENTS.c.number >= choice.numbers.start, EVENTS.c.number < choice.numbers.stop)
    return wanted


def _with_responses(connection: Connection, rows: Any, counted: bool) -> Iterator[Label]:
    texts: dict[int, list[Row]] = {}
    wanted = (
        select(TASK_RESPONSES, RESPONSES.c.text)
        .join(RESPONSES, RESPONSES.c.id == TASK_RESPONSES.c.response_id)
        .where(TASK_RESPONSES.c.task.in_({row.task for row in rows}))
        .order_by(TASK_RESPONSES.c.task, TASK_RESPONSES.c.position)
    )
    for one in connection.execute(wanted):
        texts.setdefault(one.task, []).append(one)
    for row in rows:
        body, given = json.loads(row.body), texts.get(row.task, [])
        if not (counted and body.get("late")):
            yield _label(row, body, given)


def _label(row: Row, body: dict[str, Any], given: list[Row]) -> Label:
    return Label(
        event=row.number,
        task=row.task,
        kind=row.task_kind,
        annotator=row.annotator,
        body=body,
        created=row.created,
        prompt=json.loads(row.prompt),
        responses=tuple(Response(json.loads(one.text), one.model, bool(one.finished)) for one in given),
        response_ids=tuple(one.response_id for one in given),
        record_id=row.record_id,
        group=row.group_name,
        source=row.source,
        slice=row.slice,
        purpose=row.purpose,
    )


def _ranked(label: Label, into: Records) -> None:
    body = label.body
    who, labeling = label.annotator or None, _labeling(label)
    into.rankings.append(
        Ranking(
            label.record_id,
            label.prompt,
            label.responses,
            tuple(body["ranks"]),
            who,
            label.source,
            label.group,
            body.get("strength"),
            labeling,
        )
    )
    if "ideal" in body:  # the seconds are the ranking's: told once
        how = Labeling(at=iso_time(label.created))
        into.demonstrations.append(_demonstration(label, body["ideal"], f"{label.record_id}#ideal", how))


def _written(label: Label, into: Records) -> None:
    name = None if label.record_id == content_id(label.prompt) else label.record_id
    into.demonstrations.append(_demonstration(label, label.body["text"], name, _time_of(label)))


def _edited(label: Label, into: Records) -> None:
    """A demonstration, and the pair (edited, what it was)."""
    text, before = label.body["text"], label.responses[label.body["position"]]
    how, name = _time_of(label), f"{label.record_id}#edited"
    into.demonstrations.append(_demonstration(label, text, name, how))
    if text != before.text:
        both, who = (Response(text), before), label.annotator or None
        into.rankings.append(Ranking(name, label.prompt, both, (1, 2), who, label.source, label.group, labeling=how))


def _judged(label: Label, into: Records) -> None:
    into.verdicts.append(
        Verdict(
            label.record_id,
            label.prompt,
            label.responses[0],
            label.body["verdict"],
            label.annotator or None,
            label.source,
            label.group,
            _labeling(label),
        )
    )


def _demonstration(label: Label, text: str, name: str | None, how: Labeling | None) -> Demonstration:
    return Demonstration(label.prompt, text, name, label.annotator or None, label.source, label.group, how)


def _time_of(label: Label) -> Labeling | None:
    """When it was written, and how long that took."""
    if "imported" in label.body:
        return parse_labeling(label.body["imported"].get("labeling"), 0)
    return Labeling(at=iso_time(label.created), seconds=label.body.get("seconds"))


def _labeling(label: Label) -> Labeling | None:
    """Of a label made here: all that is known. Of one that was brought in: what its record said."""
    if "imported" in label.body:
        return parse_labeling(label.body["imported"].get("labeling"), len(label.responses))
    return Labeling(
        at=iso_time(label.created),
        seconds=label.body.get("seconds"),
        shown=tuple(label.body["shown"]),
        flags=tuple(map(tuple, label.body["flags"])) if "flags" in label.body else None,
        none_acceptable=label.body.get("none_acceptable"),
    )


MAKE = {"rank": _ranked, "write": _written, "edit": _edited, "judge": _judged}
