"""Labels made elsewhere → label events, all or none: rankings, demonstrations, verdicts, gold items.

The same file again changes nothing: a label's key is the hash of its record and how often that record was there before it
in the same call. One annotator who says two things of one task is a conflict, and refused; several demonstrations of a
prompt are none."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select

from alignment.preferences import adding
from alignment.preferences.adding import Added, Draft, Queue
from alignment.preferences.annotators import add_imported
from alignment.preferences.errors import Refused
from alignment.preferences.events import LABEL, append, insert_new, live
from alignment.preferences.ids import canonical, digest, digest_of, event_digest
from alignment.preferences.schema import EVENTS, GOLD
from alignment.records import Demonstration, PromptRecord, Ranking, ResponseSet, Verdict, content_id, plain

Record = Ranking | Demonstration | Verdict


def add_labels(connection: Connection, now: int, found: Sequence[Record], by: str) -> Added:
    """How many labels are new, and how many were there already. Refused on a conflict: nothing is added then."""
    drafts = [_draft(record) for record in found]
    _, numbers = adding.add(connection, drafts, Queue(overlap=0))
    add_imported(connection, {name for record in found if (name := record.annotator)})
    rows = _events(found, drafts, numbers, now)
    known = _known(connection, [row["key"] for row in rows])
    new = [row for row in rows if row["key"] not in known]
    _require_no_conflict(connection, [row for row in new if "text" not in json.loads(row["body"])])
    if new:
        connection.execute(insert(EVENTS), new)
    added = Added(len(new), len(rows) - len(new))
    append(connection, now, by, "import", vars(added))
    return added


def add_gold(
    connection: Connection, now: int, found: Sequence[Ranking], practice: bool, note: str | None, by: str
) -> Added:
    purpose = "practice" if practice else "gold"
    for ranking in found:
        if not ranking.strict_pairs():
            raise Refused("invalid", f"record {ranking.id!r} ranks no response above another; a gold item must")
    drafts = [adding.draft(_unranked(one), "rank", purpose, one.source) for one in found]
    added, numbers = adding.add(connection, drafts, adding.for_everyone(purpose))
    rows = [
        {"task": numbers[one.id], "ranks": canonical(ranking.ranks), "note": note}
        for one, ranking in zip(drafts, found)
    ]
    insert_new(connection, GOLD, rows)
    known = {one.id: list(ranking.ranks) for one, ranking in zip(drafts, found)}
    kept = dict(connection.execute(select(GOLD.c.task, GOLD.c.ranks)).tuples().all())
    for row, ranking in zip(rows, found):
        if kept[row["task"]] != row["ranks"]:
            raise Refused("conflict", f"record {ranking.id!r} is a {purpose} item already, with another known answer")
    if added.new:
        append(connection, now, by, "gold", {"practice": practice, **vars(added), "items": known})
    return added


def _draft(record: Record) -> Draft:
    if isinstance(record, Ranking):
        return adding.draft(_unranked(record), "rank", "label", record.source)
    if isinstance(record, Verdict):
        single = ResponseSet(record.id, record.prompt, (record.response,), record.group)
        return adding.draft(single, "judge", "label", record.source)
    prompt = PromptRecord(record.id or content_id(record.prompt), record.prompt, record.group)
    return adding.draft(prompt, "write", "label", record.source)


def _unranked(ranking: Ranking) -> ResponseSet:
    return ResponseSet(ranking.id, ranking.prompt, ranking.responses, ranking.group)


def _body(record: Record) -> dict[str, Any]:
    """As `answers.kept` makes it, with what else the record says under `imported`."""
    labeling = plain(record).get("labeling")
    said = {} if labeling is None else {"labeling": labeling}
    if isinstance(record, Demonstration):
        return {"text": record.response, "imported": said}
    if isinstance(record, Verdict):
        return {"verdict": record.verdict, "imported": said}
    strength = {} if record.strength is None else {"strength": record.strength}
    return {"ranks": list(record.ranks), **strength, "imported": said}


def _events(found: Sequence[Record], drafts: list[Draft], numbers: dict[str, int], now: int) -> list[dict[str, Any]]:
    seen: Counter[str] = Counter()
    rows = []
    for record, task in zip(found, drafts):
        name = digest_of([task.id, plain(record)])
        body, annotator = canonical(_body(record)), record.annotator or ""
        row: dict[str, Any] = {
            "key": f"import-{name}-{seen[name]}",
            "annotator": annotator,
            "kind": LABEL,
            "body": body,
        }
        row |= {"request": digest(body), "created": now}
        row["digest"] = event_digest(row, task.id, None)
        rows.append({**row, "task": numbers[task.id]})
        seen[name] += 1
    return rows


def _known(connection: Connection, keys: list[str]) -> set[str]:
    known: set[str] = set()
    for start in range(0, len(keys), adding.AT_ONCE):
        wanted = select(EVENTS.c.key).where(EVENTS.c.key.in_(keys[start : start + adding.AT_ONCE]))
        known |= set(connection.execute(wanted).scalars())
    return known


def _require_no_conflict(connection: Connection, new: list[dict[str, Any]]) -> None:
    """A named annotator has one standing label of a task."""
    said: dict[tuple[int, str], str] = {}
    tasks = sorted({row["task"] for row in new if row["annotator"]})
    for start in range(0, len(tasks), adding.AT_ONCE):
        wanted = select(EVENTS.c.task, EVENTS.c.annotator, EVENTS.c.body)
        chosen = wanted.where(EVENTS.c.task.in_(tasks[start : start + adding.AT_ONCE]), EVENTS.c.kind == LABEL, live())
        said |= {(row.task, row.annotator): row.body for row in connection.execute(chosen)}
    for row in (row for row in new if row["annotator"]):
        before = said.setdefault((row["task"], row["annotator"]), row["body"])
        if before is not row["body"]:
            raise Refused(
                "conflict",
                f"annotator {row['annotator']!r} has two labels of one task ({before[:80]} and {row['body'][:80]}); "
                "keep one of them, or give the record another id; nothing was imported",
            )
