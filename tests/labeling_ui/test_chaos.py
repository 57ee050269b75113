"""The server is killed while people label over HTTP: what they were told is in the store, once, and no task has too much.

Both run servers without pages, on a disk that takes its time, so that a kill mostly falls into a commit. `benchmarks/chaos.py`
does the first with the command itself, 10,000 labels and 20 kills.

Mutations seen to fail:

- SQLite: a result given out before the commit: test_a_kill_at_every_fsync_of_a_submit, and the storm (labels lost, tasks
  of nobody)
- PostgreSQL: a result given out before the commit; `synchronous_commit=off`: its storm (labels and drafts lost)
- a key that was saved already not looked for; then also not unique and no answer in its way: SQLite's storm (a task answered
  already; a key that made two events)
- places handed out without a row's lock, its condition and the table's CHECK: PostgreSQL's storm (8 labels of 3 wanted)
- a draft acknowledged and not kept; what is held not given again: SQLite's storm (drafts lost)
- a restore that leaves the newest label out: PostgreSQL's storm (the copy does not verify)
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import slow_disk
from answering import sets
from labeling_server import ROOT
from nursery import Forked, Nursery
from postgres import REASON, Cluster, binaries

from alignment.preferences import verifying
from alignment.preferences.store import Store

sys.path.append(str(ROOT / "benchmarks"))

from storm import Storm, over, people_file, prepare

SMALL = Storm(labels=300, kills=3, people=12, copies=1, limit=120)
SLOW_MS = "5"
"""Of each call that waits for the disk; a commit makes four or more."""

LEASE = 1.0
"""Seconds, so that tasks run out in people's hands and go to others."""


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> dict[str, str]:
    made = slow_disk.library(tmp_path_factory.mktemp("disk"))
    if made is None:
        pytest.skip(slow_disk.REASON)
    return {"LD_PRELOAD": str(made)}


def storm(folder: Path, url: str, cluster: Cluster | None, **environment: str) -> dict:
    """What came of a small one."""
    auth = people_file(folder, SMALL.people)
    prepare(url, SMALL)
    with Nursery(**environment) as nursery, ThreadPoolExecutor(1) as thread:  # Playwright keeps a loop in this one
        server = Forked(nursery, url, str(auth), lease=LEASE)
        return thread.submit(asyncio.run, over(SMALL, server, url, folder, cluster, LEASE)).result()


def check(found: dict, kills: int) -> None:
    assert found["wrong"] == []
    assert set(found["faults"].values()) == {0}
    assert found["passed"]
    assert len(found["kills"]) == kills
    assert found["kills_with_requests_on_their_way"] == kills
    assert found["keys_sent_again_for_want_of_an_answer"] > 0
    assert found["labels_that_came_too_late_for_their_place"] > 0
    assert [copy["wrong"] for copy in found["copies"]] == [[]]


def test_a_server_killed_under_load_on_sqlite(tmp_path, disk):
    check(storm(tmp_path, str(tmp_path / "labels.db"), None, SLOW_MS=SLOW_MS, **disk), SMALL.kills)


@pytest.mark.xdist_group("postgresql")
def test_a_server_and_the_database_killed_under_load_on_postgresql(tmp_path):
    if binaries() is None:
        pytest.skip(REASON)
    cluster = Cluster(fast=False)
    try:
        url = cluster.new_database(commit_delay=20_000, commit_siblings=0)
        check(storm(tmp_path, url, cluster), SMALL.kills + 1)
    finally:
        cluster.stop()


@pytest.mark.parametrize(("journal", "least", "first"), [("delete", 3, 0), ("wal", 1, 1)])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_every_fsync_of_a_submit(tmp_path, disk, after, journal, least, first):
    """The server dies at the first, second, ... fsync of one submit, each time with a store of its own, until it comes through.
    The store is whole after each death; the submit, sent again to the next server, is there once. first: labels there after
    the first death. In WAL, here even where the linked SQLite is too old for it, all of a commit is written before its one
    fsync, and what a process has written outlives it."""
    with Store(str(tmp_path / "labels.db")) as store:
        store.add_tasks(sets(1))
    deaths, found = 0, []
    with Nursery(**disk) as nursery:
        for number in range(1, 40):
            folder = tmp_path / str(number)
            folder.mkdir()
            server = Forked(nursery, str(shutil.copy(tmp_path / "labels.db", folder)), journal=journal)
            extra = {"KILL_AT": str(number), "KILL_WHEN": str(folder / "now"), "SLOW_MS": "30"}
            server.start(**extra, **({"KILL_AFTER": "1"} if after else {}))
            sent = answer_to_next(server)
            (folder / "now").touch()
            receipt = submit(server, sent)
            if receipt is not None:
                server.kill()
                break
            assert server.wait() == -signal.SIGKILL
            deaths += 1
            found.append(labels(folder))
            server.start()
            receipt = submit(server, sent)
            assert receipt is not None
            assert receipt["repeated"] == (found[-1] == 1), "it says whether it had been saved"
            server.kill()
            assert labels(folder) == 1
    assert labels(folder) == 1, "acknowledged, and not there"
    assert deaths >= least
    assert found == sorted(found), "once it is saved it stays saved"
    assert found[0] == first


def answer_to_next(server: Forked) -> dict:
    task = httpx.post(f"{server.url}/v1/next", json={}, headers={"origin": server.url}).json()["task"]
    return {"lease": task["lease"], "answer": {"tiers": [["B"], ["A", "C"]]}, "key": "key-of-the-submit"}


def submit(server: Forked, sent: dict) -> dict | None:
    """The receipt; None where the server died over it."""
    try:
        answer = httpx.post(f"{server.url}/v1/submit", json=sent, headers={"origin": server.url}, timeout=30)
    except httpx.TransportError:
        return None
    assert answer.status_code == 200, answer.text
    return answer.json()["receipt"]


def labels(folder: Path) -> int:
    """How many there are in a store that is sound."""
    with Store(str(folder / "labels.db"), create=False) as store:
        assert store.read(lambda connection: list(verifying.faults(connection))) == []
        return len(store.labels())
