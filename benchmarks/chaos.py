"""Kills `align label` again and again while people label, and compares what they were told with what the store holds.

    python benchmarks/chaos.py [--labels N] [--kills N] [--people N] [--store sqlite|postgresql|both] [--folder DIR]

A real server in team mode, on SQLite in a file in DIR (a disk, not memory) and on a fresh PostgreSQL cluster. Simulated
annotators (`busy.py`), each with a login of their own, answer --labels tasks' places, and also keep drafts, skip, undo, correct
and repeat; whatever gets no answer is sent again under the same key. Meanwhile SIGKILL hits the server at --kills moments, drawn
from --seed between 2 % and 95 % of the labels, with nothing to warn it, and it is started again; once, in the middle, every
process of PostgreSQL too. --copies times `align store snapshot`, `backup`, `restore` and `verify` run under that load.

What must come out (exit code 1 else): every fault of `acknowledged.FAULTS` 0 times, no request refused or answered with an
error but 503, `align store verify` without a fault, SQLite's journal as promised. Of each copy: the backup holds all that was
acknowledged before it began; the snapshot that was taken just before is in it; the restored store verifies; a snapshot of
it has the name that the backup printed as its digest; each event in it is, to its digest, an event of the store in the end.

Takes about 3 minutes a store for 10,000 labels and 20 kills on an idle machine of 2 cores. Prints a line for each kill and copy,
ends with one JSON line and leaves it in `benchmarks/results/chaos.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

import acknowledged  # noqa: E402
from answering import prompts, sets  # noqa: E402
from busy import Busy, Ledger  # noqa: E402
from copies import Copies, align  # noqa: E402
from http_annotators import Server  # noqa: E402
from labeling_server import Process  # noqa: E402
from nursery import quiet_port  # noqa: E402
from postgres import REASON, Cluster, binaries  # noqa: E402
from store import machine  # noqa: E402

from alignment.preferences.adding import Queue  # noqa: E402
from alignment.preferences.engine import durability  # noqa: E402
from alignment.preferences.store import Store  # noqa: E402
from alignment.records import Ranking  # noqa: E402
from labeling_ui import accounts  # noqa: E402

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
    copies: int = 3
    seed: int = 1
    limit: int = 900


class Command(Process):
    """`align label` as a user starts it, on a port that no outgoing connection can be given."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        super().__init__(folder, *arguments)
        self.port = quiet_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        seconds = super().start()
        threading.Thread(target=shutil.copyfileobj, args=(self.child.stdout, sys.stderr), daemon=True).start()
        return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name, value in vars(Storm()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    storm = Storm(**{name: getattr(options, name) for name in vars(Storm())})
    result: dict[str, Any] = {"machine": machine(), **vars(storm)}
    for name in ("sqlite", "postgresql") if options.store == "both" else (options.store,):
        if name == "postgresql" and binaries() is None:
            print(REASON, file=sys.stderr)
            return 2
        result[name] = run(storm, name, options.folder)
    result["load_after"] = os.getloadavg()[0]
    (ROOT / "benchmarks" / "results" / "chaos.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0 if all(result[name]["passed"] for name in ("sqlite", "postgresql") if name in result) else 1


def run(storm: Storm, name: str, where: Path) -> dict[str, Any]:
    """The storm over the command itself."""
    cluster = Cluster(fast=False) if name == "postgresql" else None
    try:
        with tempfile.TemporaryDirectory(dir=where) as made:
            folder = Path(made)
            url = str(folder / "labels.db") if cluster is None else cluster.new_database()
            auth = people_file(folder, storm.people)
            server = Command(folder, "--store", url, "--auth", str(auth))
            prepare(url, storm)
            return asyncio.run(over(storm, server, url, folder, cluster))
    finally:
        if cluster is not None:
            cluster.stop()


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


async def over(storm: Storm, server: Killable, url: str, folder: Path, cluster: Cluster | None) -> dict[str, Any]:
    """Everything at once, and what came of it."""
    begun = time.monotonic()
    await asyncio.to_thread(server.start)
    ledger, draw = Ledger(storm.labels, storm.people), random.Random(storm.seed)
    address = Server("127.0.0.1", server.port)
    people = [
        Busy(address, name_of(number), PASSWORD, ledger, random.Random(f"{storm.seed} {number}"))
        for number in range(storm.people)
    ]
    copies = Copies(storm.copies, url, folder, ledger, cluster)
    try:
        async with asyncio.timeout(storm.limit), asyncio.TaskGroup() as group:
            working = [group.create_task(one.work()) for one in people]
            kills = group.create_task(strike(storm, draw, ledger, server, cluster))
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
    storm: Storm, draw: random.Random, ledger: Ledger, server: Killable, cluster: Cluster | None
) -> list[dict[str, Any]]:
    """The kills, one after the other."""
    moments = sorted(draw.sample(range(int(FROM * storm.labels), int(TO * storm.labels)), storm.kills))
    victims: list[tuple[int, str, Any]] = [(labels, "server", server) for labels in moments]
    if cluster is not None:
        victims.append((storm.labels // 2, "database", cluster))
    struck = []
    for labels, what, victim in sorted(victims, key=lambda one: one[0]):
        await ledger.reached(labels)
        await asyncio.sleep(draw.uniform(0, 0.05))
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
        "answers": dict(sorted(ledger.answers.items())),
        "kills": kills,
        "kills_with_requests_on_their_way": sum(bool(kill["in_flight"]) for kill in kills),
        "requests_on_their_way_at_kills": sum(sum(kill["in_flight"].values()) for kill in kills),
        "keys_sent_again_for_want_of_an_answer": len(retried),
        "of_them_committed_already": sum(deed.repeated for deed in retried),
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


if __name__ == "__main__":
    sys.exit(main())
