"""What progress counts: always what the assignments say, on both databases, through everything that an annotator can do.

Mutations seen to fail: those at the end of each test's docstring."""

from __future__ import annotations

import random

import pytest
from answering import key, sets, tiers
from sqlalchemy import text

from alignment.errors import UserError
from alignment.preferences import migrations, opening
from alignment.preferences.copying import restore
from alignment.preferences.store import Store
from alignment.preferences.tallies import counted
from alignment.preferences.verifying import faults
from alignment.records import Ranking

ACTS = ["answer", "answer", "late", "skip", "undo", "edit", "practice"]


def states(store: Store) -> dict[tuple[str, str], int]:
    """(annotator, state) → tasks, as they are."""
    return store.read(lambda c: {row[:2]: row[2] for row in c.execute(counted())})


def kept(store: Store) -> dict[tuple[str, str], int]:
    return store.read(
        lambda c: {
            (row.annotator, row.state): row.tasks for row in c.execute(text("SELECT * FROM tallies")) if row.tasks
        }
    )


def test_they_follow_whatever_is_done(store, clock):
    """200 random acts of two people: answers, edits, skips, undos, leases that run out, late answers; practice is not counted.
    Progress is the sum of it. Mutations: a trigger without its `off`, without the purpose, without `late`."""
    draw = random.Random(3)
    store.add_tasks(sets(200))
    store.add_gold([Ranking(one.id, one.prompt, one.responses, (1, 2, 3)) for one in sets(9, name="p")], practice=True)
    seen = set()
    for _ in range(200):
        name, act = draw.choice(["ann", "ben"]), draw.choice(ACTS)
        try:
            done(store, clock, name, act)
        except UserError:
            continue
        seen |= {state for _, state in states(store)}
        assert kept(store) == states(store)
    assert seen == {"done", "late", "skipped"}
    assert not list(store.read(lambda c: list(faults(c))))
    mine = {state: tasks for (name, state), tasks in states(store).items() if name == "ann"}
    found = store.progress("ann")
    assert (found.done, found.skipped) == (mine.get("done", 0) + mine.get("late", 0), mine.get("skipped", 0))
    assert store.progress().labels == sum(tasks for (_, state), tasks in states(store).items() if state == "done")


def done(store: Store, clock, name: str, act: str) -> None:
    if act == "undo":
        store.undo(name, key())
    elif act == "edit":
        past = store.history(name, 1)[0]
        store.submit(name, past.task.lease, tiers(past.task, "c", "ab"), key(), edits=past.event)
    elif act == "skip":
        store.skip(name, store.next_task(name).lease, "", key())
    elif act == "late":  # both have it run out, the other one answers first
        task = store.next_task(name)
        clock.now += 601
        other = "ben" if name == "ann" else "ann"
        theirs = store.next_task(other)
        store.submit(other, theirs.lease, tiers(theirs, "abc"), key())
        store.submit(name, task.lease, tiers(task, "abc"), key())
    else:
        task = store.next_task(name, practice=act == "practice")
        if task is None:  # of practice there are nine
            return
        store.submit(name, task.lease, tiers(task, "a", "b", "c"), key())


def test_what_verify_says_of_a_wrong_one(store):
    """Mutation: `_tallies` left out of CHECKS."""
    store.add_tasks(sets(2))
    task = store.next_task("ann")
    store.submit("ann", task.lease, tiers(task, "abc"), key())
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE tallies SET tasks = 7")
    assert "annotator 'ann': 7 tasks are counted as done, 1 are" in store.read(lambda c: list(faults(c)))


def test_a_restored_store_has_them(store, tmp_path):
    """Mutation: `copy_rows` without `tallies.fill`."""
    store.add_tasks(sets(3))
    for name in ("ann", "ben"):
        task = store.next_task(name)
        store.submit(name, task.lease, tiers(task, "abc"), key())
    with Store(str(tmp_path / "again.db")) as again:
        restore(store, again)
        assert kept(again) == states(again) == {("ann", "done"): 1, ("ben", "done"): 1}
        assert again.progress("ann") == store.progress("ann")


def test_a_store_from_before_is_counted(url, monkeypatch):
    """Mutation: `create` without `fill`."""
    monkeypatch.setattr(opening, "MIGRATIONS", migrations.MIGRATIONS[:1])
    with Store(url, gold_share=0.0) as old:
        old.add_annotator("ann")
        old.add_tasks(sets(3))
        task = old.next_task("ann")
        old.submit("ann", task.lease, tiers(task, "abc"), key())
        monkeypatch.undo()
        with pytest.raises(UserError, match="align store migrate"):
            Store(url)
        opening.migrate(old.engine, "it")
    with Store(url) as new:
        assert kept(new) == {("ann", "done"): 1}
        assert (new.progress("ann").done, new.progress().wanted) == (1, 3)
