"""What annotators were told, beside what the store holds: nothing lost, nothing twice, no task with too many.

Written in plain SQL against the tables, not with the store's own functions, which may be what is wrong. A deed's content is
compared by the hash of the request that the event carries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from busy import Deed, Ledger
from sqlalchemy import Connection

from alignment.preferences.ids import digest_of
from alignment.preferences.store import Store

KINDS = {"/v1/submit": "label", "/v1/skip": "skip", "/v1/undo": "undo"}
EVENTS = "SELECT number, key, annotator, kind, task, supersedes, request, digest FROM events WHERE kind IN ('label', 'skip', 'undo')"
PLACES = """
SELECT t.number, t.overlap, t.taken, count(a.task) FROM tasks t
LEFT JOIN assignments a ON a.task = t.number AND a.state IN ('leased', 'done') GROUP BY t.number, t.overlap, t.taken
"""
WANTED = "SELECT sum(overlap) FROM tasks WHERE purpose = 'label'"
LATE = "SELECT number FROM events WHERE kind = 'label' AND body LIKE '%%\"late\":true%%'"
COUNTED_TASKS = "SELECT number FROM tasks WHERE purpose = 'label'"

FAULTS = (
    "acknowledged labels lost",
    "other acknowledgements lost",
    "places said otherwise than kept",
    "keys stored twice",
    "labels nobody sent",
    "tasks over-assigned",
    "tasks labelled twice by one annotator",
    "labels missing",
)


def compare(url: str, ledger: Ledger) -> dict[str, Any]:
    """{fault: how many}, all 0 where the store holds what it said, and a few examples of each."""
    with Store(url, create=False) as store:
        found = store.read(lambda connection: list(faults(connection, ledger)))
    counts = Counter(fault for fault, _ in found)
    return {
        "counts": {fault: counts[fault] for fault in FAULTS},
        "examples": [f"{fault}: {what}" for fault, what in found[:10]],
    }


def faults(connection: Connection, ledger: Ledger) -> Iterator[tuple[str, str]]:
    events = rows(connection, EVENTS)
    yield from _lost(events, ledger.deeds)
    yield from _twice(events)
    sent = {(deed.annotator, deed.body["key"]) for deed in ledger.deeds}
    for event in events:
        if event["kind"] == "label" and (event["annotator"], event["key"]) not in sent:
            yield "labels nobody sent", f"event {event['number']}"
    late = {row["number"] for row in rows(connection, LATE)}
    for deed in ledger.deeds:
        if deed.event is not None and deed.path == "/v1/submit" and deed.counted == (deed.event in late):
            yield "places said otherwise than kept", f"event {deed.event}: counted {deed.counted}"
    yield from _places(connection, events, late)


def missing(url: str, deeds: Iterable[Deed]) -> list[str]:
    """Which of these acknowledgements a store lacks."""
    with Store(url, create=False) as store:
        events = store.read(lambda connection: rows(connection, EVENTS))
    return [what for _, what in _lost(events, deeds)]


def changed(copy: str, original: str) -> int:
    """Events of a copy that the original does not hold, or holds otherwise."""
    held = []
    for url in (copy, original):
        with Store(url, create=False) as store:
            held.append(
                store.read(lambda connection: {(row["number"], row["digest"]) for row in rows(connection, EVENTS)})
            )
    return len(held[0] - held[1])


def rows(connection: Connection, statement: str) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.exec_driver_sql(statement).mappings()]


def _lost(events: list[dict[str, Any]], deeds: Iterable[Deed]) -> Iterator[tuple[str, str]]:
    held = {(event["annotator"], event["key"]): event for event in events}
    for deed in deeds:
        event = held.get((deed.annotator, deed.body["key"]))
        if deed.acknowledged and (event is None or not _same(deed, event)):
            fault = "acknowledged labels lost" if deed.path == "/v1/submit" else "other acknowledgements lost"
            yield fault, f"{deed.annotator}'s {deed.path} {deed.body['key']}, event {deed.event}: {event}"


def _same(deed: Deed, event: dict[str, Any]) -> bool:
    content = {name: value for name, value in deed.body.items() if name != "key"}
    request = digest_of("undo" if deed.path == "/v1/undo" else content)
    told = (KINDS[deed.path], request, deed.event if deed.event is not None else event["number"])
    return told == (event["kind"], event["request"], event["number"])


def _twice(events: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for who, count in Counter((event["annotator"], event["key"]) for event in events).items():
        if count > 1:
            yield "keys stored twice", f"{who}: {count} times"


def _places(connection: Connection, events: list[dict[str, Any]], late: set[int]) -> Iterator[tuple[str, str]]:
    gone = {event["supersedes"] for event in events}
    standing = [event for event in events if event["kind"] == "label" and event["number"] not in gone]
    labels = Counter(event["task"] for event in standing if event["number"] not in late)
    for number, overlap, taken, held in connection.exec_driver_sql(PLACES):
        if max(taken, held, labels[number]) > overlap:
            yield "tasks over-assigned", f"task {number}: {labels[number]} labels, {held} places held, {overlap} wanted"
    for (task, annotator), count in Counter((event["task"], event["annotator"]) for event in standing).items():
        if count > 1:
            yield "tasks labelled twice by one annotator", f"task {task}, {annotator}: {count} labels"
    counted = {row["number"] for row in rows(connection, COUNTED_TASKS)}
    wanted = int(connection.exec_driver_sql(WANTED).scalar() or 0)
    for _ in range(wanted - sum(count for task, count in labels.items() if task in counted)):
        yield "labels missing", f"of {wanted}"
