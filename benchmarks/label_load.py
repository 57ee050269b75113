"""`align label` under load, over HTTP, everything on this machine: labels a second, waits, memory, and the first page.

    python benchmarks/label_load.py [--part crowd,paced,full,soak,page] [--store sqlite|postgresql|both] [--seconds N]

A real server in team mode, on SQLite in a file in --folder (a disk, not memory) and on a fresh PostgreSQL cluster, both committed to
the disk before a label is acknowledged. Simulated annotators (`http_annotators.py`) share the processors with it. A wait is what a
person notices: from the answer that is sent until the next task is there (POST /v1/submit and POST /v1/next).

crowd   50 annotators without think time, --seconds long, on an empty store
paced   500 annotators, an answer each 10 s
full    both again with 100,000 and 1,000,000 labels in the store (SQLite; PostgreSQL with 1,000,000)
soak    --soak-minutes of 20 annotators, 16 calls a second together, who also keep drafts, skip, undo, log out and in: memory
        of the server, and its slope after the first fifth, with a 95 % interval of means of a minute
page    seconds from the command to the first page answered, and to its first card in Chromium; five starts each

Cookies of the 500 are made with the server's own key beforehand: 500 passwords are no part of this. Prints a line for each
measurement, ends with one JSON line and leaves it in `benchmarks/results/label_load.json`, where parts that are not run keep
theirs. All of it takes about 40 minutes, 20 of them the soak.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import platform
import random
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from answering import sets  # noqa: E402
from chromium import chromium  # noqa: E402
from full_store import fill  # noqa: E402
from http_annotators import Annotator, Server, until  # noqa: E402
from labeling_server import Process  # noqa: E402
from postgres import REASON, Cluster, binaries  # noqa: E402
from store import machine  # noqa: E402
from storm import PASSWORD, name_of, people_file  # noqa: E402

from alignment.preferences.adding import Queue  # noqa: E402
from alignment.preferences.store import Store  # noqa: E402
from labeling_ui.accounts import Accounts  # noqa: E402
from labeling_ui.guard import COOKIE  # noqa: E402
from labeling_ui.roles import Person  # noqa: E402
from labeling_ui.sessions import Sessions  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "label_load.json"
PARTS = ("crowd", "paced", "full", "soak", "page")
CROWD, PACED, EVERY = 50, 500, 10.0
SIZES = {"sqlite": (100_000, 1_000_000), "postgresql": (1_000_000,)}
SOAKING = 20
MEGABYTE = 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", default=",".join(PARTS))
    parser.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--soak-minutes", type=float, default=20.0)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    parts = options.part.split(",")
    if unknown := set(parts) - set(PARTS):
        parser.error(f"--part has {', '.join(sorted(unknown))}; it must be of {', '.join(PARTS)}")
    if options.store != "sqlite" and binaries() is None:
        parser.error(REASON)
    result = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.exists() else {}

    def keep(part: str, name: str, row: dict[str, Any]) -> None:
        row |= {"load_after": round(os.getloadavg()[0], 2)}
        result.setdefault(part, {})[name] = row
        print(f"{part:6} {name:10} {json.dumps(row)}", flush=True)
        RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")

    result["machine"] = machine() | {"threads": 1, "gradio": version("gradio"), "system": platform.release()}
    for name in ("sqlite", "postgresql") if options.store == "both" else (options.store,):
        loads(name, parts, options, keep)
    if "soak" in parts:
        with stage("sqlite", options.folder, SOAKING) as made:
            keep("soak", "sqlite", asyncio.run(soak(made, options.soak_minutes * 60)))
    if "page" in parts:
        keep("page", "server", first_page(options.folder))
        keep("page", "chromium", first_card(options.folder))
    print(json.dumps(result))
    return 0


class Stage:
    """A store, its people, and the server over it. cookies: `name=value` of everybody."""

    def __init__(self, url: str, folder: Path, people: int) -> None:
        self.url, self.people = url, people
        auth = people_file(folder, people)
        accounts = Accounts(str(auth))
        sessions = Sessions(accounts, str(auth), 12 * 3600, time.time)
        role = "annotator"
        self.cookies = [f"{COOKIE}={sessions.start(Person(name_of(n), role))}" for n in range(people)]
        with Store(url) as store:
            for number in range(people):
                store.add_annotator(name_of(number))
        words = ("--store", url, "--auth", str(auth), "--no-practice", "--gold-share", "0")
        self.server = Process(folder, *words)

    def annotators(self, count: int) -> list[Annotator]:
        address = Server("127.0.0.1", self.server.port)
        return [Annotator(address, name_of(n), PASSWORD, cookie=self.cookies[n]) for n in range(count)]

    def tasks(self, count: int, name: str) -> None:
        with Store(self.url) as store:
            store.add_tasks(sets(count, responses=4, name=name), Queue(priority=1.0))

    def memory(self) -> float:
        """MiB that the server holds."""
        text = Path(f"/proc/{self.server.child.pid}/status").read_text(encoding="ascii")
        return int(text.split("VmRSS:")[1].split()[0]) * 1024 / MEGABYTE


@contextmanager
def stage(name: str, where: Path, people: int) -> Iterator[Stage]:
    cluster = Cluster(fast=False) if name == "postgresql" else None
    try:
        with tempfile.TemporaryDirectory(dir=where) as made:
            url = str(Path(made) / "labels.db") if cluster is None else cluster.new_database()
            built = Stage(url, Path(made), people)
            yield built
    finally:
        if cluster is not None:
            cluster.stop()


def loads(name: str, parts: list[str], options: argparse.Namespace, keep: Any) -> None:
    """crowd and paced on an empty store, then on fuller ones."""
    wanted = [part for part in ("crowd", "paced") if part in parts or "full" in parts]
    if not wanted:
        return
    with stage(name, options.folder, PACED) as made:
        for part in wanted:
            keep(part, name, measured(made, part, options.seconds, f"{part}0-"))
        held = 0
        for size in SIZES[name] if "full" in parts else ():
            if size > options.largest:
                continue
            began = time.monotonic()
            with Store(made.url) as store:
                fill(store, size - held, held)
            held, seconds = size, time.monotonic() - began
            for part in wanted:
                row = measured(made, part, options.seconds, f"{part}{size}-")
                keep(f"{part} with {size:,} labels", name, row | {"fill_seconds": round(seconds, 1)})


def measured(made: Stage, part: str, seconds: float, tasks: str) -> dict[str, Any]:
    """One run of the server. Tasks enough that nobody runs out."""
    crowd = part == "crowd"
    made.tasks(int(seconds * 1500) if crowd else 4 * PACED, tasks)
    made.server.start()
    try:
        return asyncio.run(
            load(made, CROWD if crowd else PACED, 0.0 if crowd else EVERY, seconds if crowd else 4 * EVERY)
        )
    finally:
        made.server.stop()


async def load(made: Stage, count: int, every: float, seconds: float) -> dict[str, Any]:
    people, waits = made.annotators(count), []
    await asyncio.gather(*(one.ask("GET", "/v1/progress") for one in people))  # connected, and the server warm
    for one in people:
        one.task = await one.next_task()
    began, busy = time.monotonic(), cpu(made)
    first = [random.Random(n).uniform(0, every) for n in range(count)]
    await asyncio.gather(*(until(began + seconds, one, waits, every, first[n]) for n, one in enumerate(people)))
    took = time.monotonic() - began
    for one in people:
        one.close()
    return {"annotators": count, "labels_per_second": round(len(waits) / took, 1), **told(waits)} | {
        "server_cpu_ms_per_label": round((cpu(made) - busy) / len(waits) * 1000, 2),
        "memory_mib": round(made.memory(), 1),
        "retries": sum(one.retries for one in people),
    }


def told(waits: list[float]) -> dict[str, float]:
    ordered = sorted(waits)
    at = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
    return {name: round(ordered[int(share * len(ordered))] * 1000, 1) for name, share in at.items()} | {
        "max_ms": round(ordered[-1] * 1000, 1),
        "labels": len(ordered),
    }


def cpu(made: Stage) -> float:
    """Seconds of processor that the server has used."""
    fields = Path(f"/proc/{made.server.child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def soak(made: Stage, seconds: float, every: float = 1.0) -> dict[str, Any]:
    """Everything that people do, for long; the server's memory once a second."""
    made.tasks(int(seconds * SOAKING / every), "soak-")
    made.server.start()
    try:
        people = made.annotators(SOAKING)
        await asyncio.gather(*(one.login() for one in people))
        deadline, read = time.monotonic() + seconds, []
        busy = [
            asyncio.create_task(wander(one, random.Random(n), deadline, pause=every)) for n, one in enumerate(people)
        ]
        began = time.monotonic()
        while time.monotonic() < deadline:
            await asyncio.sleep(1.0)
            read.append((time.monotonic() - began, made.memory()))
        done = sum(await asyncio.gather(*busy))
    finally:
        made.server.stop()
    settled = [(at, held) for at, held in read if at > seconds / 5]
    each = max(len(read) // 20, 1)
    return {
        "minutes": round(seconds / 60, 2),
        "calls": done,
        "memory_mib": {"first": round(settled[0][1], 1), "last": round(settled[-1][1], 1), "largest": round(max(held for _, held in read), 1)},
        "course_mib": [round(held, 1) for _, held in read[::each]],
        **slope(settled),
    }  # fmt: skip


async def wander(
    one: Annotator, draw: random.Random, deadline: float = math.inf, calls: float = math.inf, pause: float = 0.25
) -> int:
    """Answers, drafts, skips, undoes, looks back, and with a login logs out and in. Returns the number of calls."""
    done = 0
    while time.monotonic() < deadline and done < calls:
        one.task = one.task or await one.next_task()
        if one.task is None:
            return done
        await _one_thing(one, draw.random(), draw)
        done += 1
        if pause:
            await asyncio.sleep(draw.uniform(0, 2 * pause))
    return done


async def _one_thing(one: Annotator, what: float, draw: random.Random) -> None:
    assert one.task is not None
    lease, key = one.task["lease"], os.urandom(16).hex()
    if what < 0.3:
        await one.ask("POST", "/v1/draft", {"lease": lease, "draft": "x" * draw.randrange(2_000)})
    elif what < 0.35:
        await one.ask("POST", "/v1/skip", {"lease": lease, "reason": "unclear", "key": key})
        one.task = None
    elif what < 0.45:
        await one.ask("GET", "/v1/history" if what < 0.4 else "/v1/progress")
    elif what < 0.455 and one.logins:
        await one.logout()
    else:
        await one.submit(one.task, {"tiers": [[card["slot"]] for card in one.task["cards"]]})
        one.task = (await one.ask("POST", "/v1/undo", {"key": key}))["task"] if what > 0.97 else None


def slope(read: list[tuple[float, float]]) -> dict[str, Any]:
    """MiB an hour by least squares over means of a minute (of a tenth, where it is shorter than ten minutes), with its 95 % interval."""
    span = min(60.0, (read[-1][0] - read[0][0]) / 10)
    means: dict[int, list[float]] = {}
    for at, held in read:
        means.setdefault(int((at - read[0][0]) / span), []).append(held)
    x = [place * span / 3600 for place in means]
    y = [statistics.fmean(several) for several in means.values()]
    line = statistics.linear_regression(x, y)
    left = [held - line.intercept - line.slope * at for at, held in zip(x, y, strict=True)]
    spread = sum((at - statistics.fmean(x)) ** 2 for at in x)
    error = (sum(one**2 for one in left) / max(len(x) - 2, 1) / spread) ** 0.5
    room = 2.2 * error  # t of about ten degrees of freedom
    return {
        "mib_per_hour": round(line.slope, 2),
        "interval": [round(line.slope - room, 2), round(line.slope + room, 2)],
    }


def first_page(where: Path, starts: int = 5) -> dict[str, Any]:
    """Seconds from `align label`, without a setting, until its page is answered whole; each in an empty folder."""
    seconds = []
    for _ in range(starts):
        with tempfile.TemporaryDirectory(dir=where) as folder:
            server = Process(Path(folder))
            began = time.monotonic()
            server.start()
            with urllib.request.urlopen(server.url) as answer:
                assert b"Instruct Loop" in answer.read()
            seconds.append(time.monotonic() - began)
            server.stop()
    return {
        "first_s": round(seconds[0], 2),
        "median_s": round(statistics.median(seconds), 2),
        "max_s": round(max(seconds), 2),
    }


def first_card(where: Path, starts: int = 5) -> dict[str, Any]:
    """The same until Chromium shows the first card to rank; the browser is open already."""
    seconds = []
    with chromium() as browser:
        for _ in range(starts):
            with tempfile.TemporaryDirectory(dir=where) as folder:
                server = Process(Path(folder))
                page = browser.new_page()
                began = time.monotonic()
                server.start()
                page.goto(server.url)
                page.locator(".card").first.wait_for()
                seconds.append(time.monotonic() - began)
                page.close()
                server.stop()
    return {"median_s": round(statistics.median(seconds), 2), "max_s": round(max(seconds), 2)}


if __name__ == "__main__":
    sys.exit(main())
