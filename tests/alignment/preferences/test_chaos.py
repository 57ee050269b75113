"""Processes and servers are killed while people label: nothing acknowledged is lost, nothing is there twice, no task gets
more labels than it asks for.

Mutations seen to fail:

- places handed out without a row's lock, its condition and the table's CHECK:
  test_many_processes_label_without_treading_on_each_other, on PostgreSQL
- an assignment read without a lock before it is changed, in each of three calls: test_a_lease_that_runs_out_while_its_holder_acts
- what others lock taken for gone: test_a_task_in_another_hand_for_a_moment_is_still_there
- a result given out before the commit; a key that was saved already not looked for; `synchronous = OFF`:
  test_a_kill_at_every_fsync_of_a_submit
- a key that was saved already not looked for: test_processes_killed_at_any_moment too
- `synchronous_commit=off`: test_a_server_killed_at_any_moment
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import slow_disk
from answering import sets
from postgres import REASON, Cluster, binaries
from sqlalchemy import event, select

from alignment.preferences import leases, schema, verifying
from alignment.preferences.adding import Queue
from alignment.preferences.store import Store

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
WRITERS, TASKS, OVERLAP, KILLS = 4, 60, 2, 12


def start(url: str, name: str, folder: Path, **environment: str) -> subprocess.Popen:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "kernels")])
    return subprocess.Popen(
        [sys.executable, str(HERE / "writer.py"), url, name, str(folder / f"{name}.log")],
        env={**os.environ, "PYTHONPATH": paths, **environment},
        cwd=ROOT,
    )


def prepared(url: str, tasks: int = TASKS) -> list[str]:
    names = [f"a{number}" for number in range(WRITERS)]
    with Store(url) as store:
        for name in names:
            store.add_annotator(name)
        store.add_tasks(sets(tasks), Queue(overlap=OVERLAP))
    return names


def acknowledged(folder: Path) -> dict[str, int]:
    """key → event, of all that any writer heard."""
    lines = [line.split() for log in folder.glob("*.log") for line in log.read_text().splitlines()]
    return {words[1]: int(words[2]) for words in lines if words[0] == "saved"}


def check(url: str, folder: Path, complete: bool = True) -> None:
    with Store(url) as store:
        assert store.read(lambda connection: list(verifying.faults(connection))) == []
        with store.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT key, number FROM events WHERE kind = 'label'").all()
        saved = dict(tuple(row) for row in rows)
        assert len(saved) == len(rows), "a label is there twice"
        heard = acknowledged(folder)
        assert {key: saved.get(key) for key in heard} == heard, "an acknowledged label is lost"
        labels = store.labels()
        counts: dict[int, int] = {}
        for label in labels:
            counts[label.task] = counts.get(label.task, 0) + 1
        assert max(counts.values()) <= OVERLAP, "a task has more labels than it asks for"
        if complete:
            assert len(labels) == len(heard) == store.progress().wanted


def test_many_processes_label_without_treading_on_each_other(url, tmp_path):
    names = prepared(url)
    writers = [start(url, name, tmp_path) for name in names]
    assert [writer.wait(120) for writer in writers] == [0] * WRITERS
    check(url, tmp_path)


@contextmanager
def run_out_before_the_first_change(store: Store, clock) -> Iterator[None]:
    """Another process takes back what has run out, after a call has read and before it changes anything."""
    went = []

    def reclaim(_, __, statement, *___) -> None:
        if statement.startswith("UPDATE") and not went:
            went.append(statement)
            with store.engine.begin() as other:
                leases.reclaim(other, int(clock() * 1000))

    event.listen(store.engine, "before_cursor_execute", reclaim)
    yield
    event.remove(store.engine, "before_cursor_execute", reclaim)
    assert went


@pytest.mark.parametrize("does", ["submit", "skip", "next_task"])
@pytest.mark.xdist_group("postgresql")
def test_a_lease_that_runs_out_while_its_holder_acts(cluster, clock, does):
    """Its place is given back once, or not at all: never both kept and given to another. On SQLite nothing runs beside a change."""
    with Store(cluster.new_database(), gold_share=0.0, lease_seconds=600, clock=clock) as store:
        for name in ("ann", "ben", "cat"):
            store.add_annotator(name)
        store.add_tasks(sets(1), Queue(overlap=2))
        task = store.next_task("ann")
        clock.now += 300
        store.next_task("ben")
        clock.now += 301
        store._reclaimed = clock.now * 1000  # it looked just now: another process is quicker
        with run_out_before_the_first_change(store, clock):
            if does == "submit":
                store.submit("ann", task.lease, {"tiers": [[card.slot] for card in task.cards]}, "the-key")
            elif does == "skip":
                store.skip("ann", task.lease, "no", "the-key")
            else:
                store.next_task("ann")
        assert (store.next_task("cat") is not None) == (does == "skip")
        assert store.read(lambda connection: list(verifying.faults(connection))) == []


@pytest.mark.xdist_group("postgresql")
def test_a_task_in_another_hand_for_a_moment_is_still_there(cluster, clock):
    """Rows that others lock are passed over; where nothing else is left they are waited for. A practice item that five people
    take at once is no sign that practice is over."""
    with Store(cluster.new_database(), gold_share=0.0, clock=clock) as store, store.engine.connect() as other:
        store.add_annotator("ann")
        store.add_tasks(sets(2))
        number = schema.TASKS.c.number
        other.execute(select(number).order_by(number).limit(1).with_for_update())
        assert store.next_task("ann").prompt == "r prompt 1"
        store.skip("ann", store.next_task("ann").lease, "no", "the-key")
        timer = threading.Timer(0.3, other.rollback)
        timer.start()
        assert store.next_task("ann").prompt == "r prompt 0"
        timer.join()


def test_processes_killed_at_any_moment(tmp_path):
    """SQLite on a disk, 12 kills of writers at work, each started again with what it had sent last. A receipt takes 0.1 s, so
    that most die with a label saved and not acknowledged, and 400 labels last at least 10 s: longer than the kills."""
    url = str(tmp_path / "labels.db")
    names = prepared(url, tasks=200)
    draw = random.Random(7)
    slow = {"RECEIPT_SECONDS": "0.1"}
    writers = {name: start(url, name, tmp_path, **slow) for name in names}
    for _ in range(KILLS):
        time.sleep(draw.uniform(0.1, 0.5))
        name = draw.choice(names)
        assert writers[name].poll() is None, "the work was done before the kill"
        writers[name].send_signal(signal.SIGKILL)
        writers[name].wait()
        writers[name] = start(url, name, tmp_path, **slow)
    assert [writer.wait(180) for writer in writers.values()] == [0] * WRITERS
    check(url, tmp_path)


@pytest.mark.xdist_group("postgresql")
def test_a_server_killed_at_any_moment(tmp_path):
    """PostgreSQL, every process of it by SIGKILL, 5 times; the writers wait and send again."""
    if binaries() is None:
        pytest.skip(REASON)
    server = Cluster(fast=False)
    try:
        url = server.new_database()
        names = prepared(url)
        writers = [start(url, name, tmp_path) for name in names]
        draw = random.Random(11)
        for _ in range(5):
            time.sleep(draw.uniform(0.2, 0.8))
            server.kill()
            server.start()
        assert [writer.wait(180) for writer in writers] == [0] * WRITERS
        check(url, tmp_path)
    finally:
        server.stop()


@pytest.fixture(scope="module")
def killer(tmp_path_factory) -> Path:
    made = slow_disk.library(tmp_path_factory.mktemp("killer"))
    if made is None:
        pytest.skip(slow_disk.REASON)
    return made


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_every_fsync_of_a_submit(tmp_path, killer, after):
    """One label is written by a process that dies at its first, second, ... fsync, each time in a store of its own, until one
    comes through. The store is whole after each death, and the label, sent again, is there once."""
    prepared(str(tmp_path / "labels.db"), tasks=1)
    deaths = 0
    for number in range(1, 40):
        folder = tmp_path / str(number)
        folder.mkdir()
        url = str(shutil.copy(tmp_path / "labels.db", folder))
        extra = {"LD_PRELOAD": str(killer), "KILL_AT": str(number), **({"KILL_AFTER": "1"} if after else {})}
        code = start(url, "a0", folder, **extra).wait(60)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        deaths += 1
        whole(url)
        assert start(url, "a0", folder).wait(60) == 0
        check(url, folder, complete=False)
        assert len(acknowledged(folder)) == 1
    assert deaths >= 3
    assert code == 0


def whole(url: str) -> None:
    with Store(url) as store:
        assert store.read(lambda connection: list(verifying.faults(connection))) == []
        assert len(store.labels()) <= 1
