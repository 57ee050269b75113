"""Simulated annotators at work, a server that is killed under them, copies meanwhile; and what came of it.

What `chaos.py` runs over the command itself, and tests/labeling_ui/test_chaos.py over a server without pages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sqlite3
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import acknowledged
from answering import prompts, sets
from busy import Busy, Ledger
from copies import Copies, align
from http_annotators import Server
from postgres import Cluster

from alignment.preferences.adding import Queue
from alignment.preferences.engine import durability
from alignment.preferences.store import Store
from alignment.records import Ranking
from labeling_ui import accounts

OVERLAP = 3
OTHER_KINDS = 0.05
"""Share of the tasks that ask for a text, and again that share for an edit."""

PASSWORD = "correct horse"
FROM, TO = 0.02, 0.95
"""Between these shares of the labels kills fall."""


class Killable(Protocol):
    port: int

    def start(self) -> Any: ...
    def kill(self) -> None: ...


@dataclass(frozen=True)
class Storm:
    """labels: places of all tasks together. copies: how often the store is copied under load. seed: of all that is drawn.
    limit: seconds after which it is given up."""

    labels: int = 10_000
    kills: int = 20
    people: int = 40
    copies: int = 5
    seed: int = 1
    limit: int = 900


def people_file(folder: Path, count: int) -> Path:
    """Everybody has the same password, hashed once."""
    path = folder / "people.json"
    kept = {"role": "annotator", "password": accounts.hashed(PASSWORD)}
    people = {name_of(number): kept for number in range(count)}
    path.write_text(json.dumps({"key": os.urandom(32).hex(), "people": people}), encoding="utf-8")
    return path


def name_of(number: int) -> str:
    return f"annotator-{number}"


def prepare(url: str, storm: Storm) -> None:
    """Tasks whose places are as many as the labels, most to rank; items with a known answer come on top."""
    queue = Queue(overlap=OVERLAP)
    tasks, rest = divmod(storm.labels, OVERLAP)
    other = int(tasks * OTHER_KINDS)
    with Store(url) as store:
        store.add_tasks(prompts(other), queue, kind="write")
        store.add_tasks(sets(other, name="e"), queue, kind="edit")
        store.add_tasks(sets(tasks - 2 * other, responses=4), queue)
        if rest:
            store.add_tasks(sets(1, name="rest"), Queue(overlap=rest))
        store.add_gold([Ranking(one.id, one.prompt, one.responses, (1, 2, 3)) for one in sets(20, name="gold")])


async def over(
    storm: Storm, server: Killable, url: str, folder: Path, cluster: Cluster | None, lease: float | None = None
) -> dict[str, Any]:
    """Everything at once, and what came of it. lease: the server's, in seconds, where it is so short that some are late."""
    begun = time.monotonic()
    await asyncio.to_thread(server.start)
    ledger, draw = Ledger(storm.labels, storm.people, lease), random.Random(storm.seed)
    address = Server("127.0.0.1", server.port)
    people = [
        Busy(address, name_of(number), PASSWORD, ledger, random.Random(f"{storm.seed} {number}"))
        for number in range(storm.people)
    ]
    copies = Copies(storm.copies, url, folder, ledger, cluster)
    try:
        async with asyncio.timeout(storm.limit), asyncio.TaskGroup() as group:
            working = [group.create_task(one.work()) for one in people]
            kills = group.create_task(strike(storm, draw, ledger, server, cluster, copies.restoring))
            copied = [
                group.create_task(copies.make(number, int(storm.labels * (number + 1) / (storm.copies + 1))))
                for number in range(storm.copies)
            ]
            await asyncio.wait(working)
            if not kills.done():
                raise AssertionError("the work was done before the last kill")
        verified = await align("store", "verify", url)
    finally:
        await asyncio.to_thread(server.kill)
    return report(ledger, url, kills.result(), [await copies.compared(one.result()) for one in copied], verified) | {
        "seconds": round(time.monotonic() - begun, 1)
    }


async def strike(
    storm: Storm,
    draw: random.Random,
    ledger: Ledger,
    server: Killable,
    cluster: Cluster | None,
    restoring: asyncio.Lock,
) -> list[dict[str, Any]]:
    """The kills, one after the other. The database lives through a restore, which cannot be carried out twice."""
    moments = sorted(draw.sample(range(int(FROM * storm.labels), int(TO * storm.labels)), storm.kills))
    victims: list[tuple[int, str, Any]] = [(labels, "server", server) for labels in moments]
    if cluster is not None:
        victims.append((storm.labels // 2, "database", cluster))
    struck = []
    for labels, what, victim in sorted(victims, key=lambda one: one[0]):
        await ledger.reached(labels)
        await asyncio.sleep(draw.uniform(0, 0.05))
        async with restoring if what == "database" else contextlib.nullcontext():
            struck.append(await blow(what, victim, ledger))
    return struck


async def blow(what: str, victim: Killable | Cluster, ledger: Ledger) -> dict[str, Any]:
    hit = {path: count for path, count in sorted(ledger.in_flight.items()) if count}
    begun, labels = time.monotonic(), ledger.labels
    ledger.turns[what] += 1
    await asyncio.to_thread(victim.kill)
    await asyncio.to_thread(victim.start)
    ledger.turns[what] += 1
    seconds = round(time.monotonic() - begun, 2)
    print(f"{what} killed after {labels:6} labels, {sum(hit.values()):3} requests on their way; back after {seconds} s")
    return {"what": what, "labels": labels, "in_flight": hit, "back_after_s": seconds}


def report(
    ledger: Ledger, url: str, kills: list[dict[str, Any]], copies: list[dict[str, Any]], verified: dict[str, Any]
) -> dict[str, Any]:
    with Store(url, create=False) as store:
        kept = durability(store.engine)
    compared = acknowledged.compare(url, ledger)
    retried = [deed for deed in ledger.deeds if deed.unanswered]
    wrong = [
        *ledger.wrong,
        *compared["examples"],
        *(what for copy in copies for what in copy["wrong"]),
        *verified["fault"],
    ]
    wrong += journal_faults(url)
    wrong += [f"{count} answers {status}" for status, count in ledger.answers.items() if status not in EXPECTED]
    said = Counter(acknowledged.KINDS[deed.path] for deed in ledger.deeds if deed.acknowledged)
    return {
        "passed": not wrong and not any(compared["counts"].values()),
        "durability": kept,
        "acknowledged": {**said, "draft": ledger.drafts, "sent again later": ledger.sent_again},
        "labels_that_came_too_late_for_their_place": sum(not deed.counted for deed in ledger.deeds),
        "answers": dict(sorted(ledger.answers.items())),
        "kills": kills,
        "kills_with_requests_on_their_way": sum(bool(kill["in_flight"]) for kill in kills),
        "requests_on_their_way_at_kills": sum(sum(kill["in_flight"].values()) for kill in kills),
        "keys_sent_again_for_want_of_an_answer": len(retried),
        "of_them_committed_already": sum(deed.repeated for deed in retried),
        "copies_while_labels_were_acknowledged": sum(copy.get("acknowledged_meanwhile", 0) > 0 for copy in copies),
        "copies": copies,
        "faults": compared["counts"],
        "wrong": wrong,
    }


def journal_faults(url: str) -> list[str]:
    """What the file itself says of its journal (sqlite.org/fileformat.html, bytes 18 and 19: 1 rollback journal, 2 WAL): WAL
    only where the linked SQLite has no WAL-reset bug."""
    if "://" in url:
        return []
    written = tuple(Path(url).read_bytes()[18:20])
    promised = (2, 2) if sqlite3.sqlite_version_info >= (3, 51, 3) else (1, 1)
    return [] if written == promised else [f"SQLite {sqlite3.sqlite_version} keeps journal {written}, not {promised}"]


EXPECTED = ("200", "401", "503", "no answer")
"""401: before the first login."""
