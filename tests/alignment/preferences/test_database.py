"""The databases themselves: versions, what they refuse to change, how they keep what was acknowledged, what they say.

Mutations seen to fail:

- `events` left out of KEPT (SQLite); no trigger for DELETE (PostgreSQL):
  test_the_database_itself_refuses_to_change_what_was_said
- `taken <= overlap` left out of the CHECK: test_a_place_too_many_is_refused_by_the_database_too
- a commit after each migration: test_an_older_store_is_migrated_in_one_step_or_not_at_all
- the advisory lock left out: test_two_processes_that_make_one_store_make_it_once, on PostgreSQL
- WAL_SAFE one version too low; FULL instead of EXTRA beside a rollback journal: test_wal_only_where_sqlite_is_known_to_be_safe
- `PRAGMA synchronous` left out; the journal mode left as it was found: test_the_mode_is_the_databases
- `synchronous_commit=off`: test_postgresql_waits_for_the_disk
- no wait for a lock: test_writers_wait_for_each_other
- BEGIN instead of BEGIN IMMEDIATE: test_two_that_share_a_file_refuse_nobody
- a refusal that ends the shared transaction: test_a_refused_call_takes_no_other_with_it
- each call in its own thread with a connection of the pool: test_calls_are_carried_out_in_the_order_in_which_they_came
- the password left in: test_a_store_that_cannot_be
"""

from __future__ import annotations

import os
import resource
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from answering import key, sets, tiers
from bad_input.conditions import nobody
from sqlalchemy import exc, inspect

from alignment.errors import UserError
from alignment.preferences import migrations, opening, transactions
from alignment.preferences.engine import SCHEMA, durability, sqlite_mode, store_url
from alignment.preferences.errors import Unavailable
from alignment.preferences.schema import METADATA
from alignment.preferences.store import Store
from alignment.records import Ranking

ROOT = Path(__file__).resolve().parents[3]


def test_the_migrations_make_the_tables_that_the_code_reads(store):
    schema = SCHEMA if store.engine.dialect.name == "postgresql" else None
    found = inspect(store.engine)
    assert {*found.get_table_names(schema=schema)} == {*METADATA.tables}
    for table in METADATA.tables.values():
        columns = {column["name"]: column for column in found.get_columns(table.name, schema=schema)}
        assert {*columns} == {*table.c.keys()}, table.name
        for column in table.c:
            if not column.primary_key:
                assert columns[column.name]["nullable"] == column.nullable, f"{table.name}.{column.name}"
        keys = found.get_pk_constraint(table.name, schema=schema)["constrained_columns"]
        assert {*keys} == {column.name for column in table.primary_key}, table.name


@pytest.mark.parametrize(
    "table",
    ["prompts", "responses", "task_responses", "authors", "gold", "events", "snapshots", "snapshot_events"],
)
def test_the_database_itself_refuses_to_change_what_was_said(store, table):
    store.add_tasks(sets(1))
    store.add_gold([Ranking("g", "gold", sets(1)[0].responses, (1, 2, 3))])
    task = store.next_task("ann")
    store.submit("ann", task.lease, {**tiers(task, "abc"), "ideal": "i"}, key())
    store.snapshot()
    column = next(iter(METADATA.tables[table].c)).name
    for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"):
        with pytest.raises(exc.DBAPIError, match=f"{table} is append-only"), store.engine.begin() as connection:
            connection.exec_driver_sql(statement)


def test_a_place_too_many_is_refused_by_the_database_too(store):
    store.add_tasks(sets(1))
    with pytest.raises(exc.IntegrityError), store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE tasks SET taken = taken + 2")


def test_an_older_store_is_migrated_in_one_step_or_not_at_all(store, url, monkeypatch):
    store.add_tasks(sets(2))
    now = len(migrations.MIGRATIONS)
    further = [lambda connection: connection.exec_driver_sql("CREATE TABLE more (x INTEGER)")]
    monkeypatch.setattr(opening, "MIGRATIONS", (*migrations.MIGRATIONS, *further))
    sentence = f"is of version {now}, this program needs {now + 1}; back it up, then `align store migrate`"
    with pytest.raises(UserError, match=sentence):
        Store(url)
    broken = [*further, lambda connection: connection.exec_driver_sql("CREATE TABLE nonsense (")]
    monkeypatch.setattr(opening, "MIGRATIONS", (*migrations.MIGRATIONS, *broken))
    with pytest.raises(Unavailable):
        opening.migrate(store.engine, "it")
    monkeypatch.setattr(opening, "MIGRATIONS", (*migrations.MIGRATIONS, *further))
    assert opening.migrate(store.engine, "it") == (now, now + 1)  # nothing of the broken one had stayed
    assert opening.migrate(store.engine, "it") == (now + 1, now + 1)
    with Store(url) as again:
        assert again.info()["tasks"] == 2
    monkeypatch.setattr(opening, "MIGRATIONS", migrations.MIGRATIONS)
    sentence = f"is of version {now + 1}, newer than this program knows \\({now}\\); update the program"
    with pytest.raises(UserError, match=sentence):
        Store(url)


def test_two_processes_that_make_one_store_make_it_once(url):
    code = "import sys; from alignment.preferences.store import Store; Store(sys.argv[1]).add_annotator(sys.argv[2])"
    started = [subprocess.Popen([sys.executable, "-c", code, url, name], cwd=ROOT) for name in ("ann", "ben", "cat")]
    assert [process.wait(60) for process in started] == [0, 0, 0]
    with Store(url) as store:
        assert [one.name for one in store.annotators()] == ["ann", "ben", "cat"]


def test_wal_only_where_sqlite_is_known_to_be_safe():
    assert sqlite_mode((3, 51, 3)) == ("wal", "FULL")
    assert sqlite_mode((3, 52, 0)) == ("wal", "FULL")
    assert sqlite_mode((3, 51, 2)) == ("delete", "EXTRA")
    assert sqlite_mode((3, 40, 1)) == ("delete", "EXTRA")


@pytest.mark.parametrize(
    ("version", "said"), [((3, 60, 0), "wal, synchronous FULL"), ((3, 40, 1), "delete, synchronous EXTRA")]
)
def test_the_mode_is_the_databases(tmp_path, monkeypatch, version, said):
    """Also of a file that another version had left in the other mode."""
    for other in ((3, 60, 0), (3, 40, 1), version):
        monkeypatch.setattr("alignment.preferences.engine.sqlite_mode", lambda other=other: sqlite_mode(other))
        with Store(str(tmp_path / "labels.db")) as store:
            found = durability(store.engine)
    assert found.endswith(said)


def test_postgresql_waits_for_the_disk(store):
    if store.engine.dialect.name == "postgresql":
        assert "synchronous_commit on" in durability(store.engine)
        assert "NOT SAFE" in durability(store.engine)  # the tests' own server runs without fsync


def test_writers_wait_for_each_other(store, url):
    """Another process holds the file for a moment: nobody is refused."""
    if store.engine.dialect.name != "sqlite":
        return
    holder = sqlite3.connect(url, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.5, lambda: holder.execute("ROLLBACK"))
    timer.start()
    begun = time.monotonic()
    store.add_annotator("cat")
    assert time.monotonic() - begun > 0.3
    timer.join()
    holder.close()


def test_calls_are_carried_out_in_the_order_in_which_they_came(store, monkeypatch):
    """While one holds the only writer, ten more come: none of them is passed over."""
    monkeypatch.setattr(transactions, "WRITERS", 1)
    made = transactions.Transactions(store.engine, store.shown)
    line = made._waiting if store.engine.dialect.name == "sqlite" else made._writers._work_queue
    begun, go_on, order = threading.Event(), threading.Event(), []
    threads = [threading.Thread(target=made.write, args=(lambda _: (begun.set(), go_on.wait(30)),))]
    threads[0].start()
    assert begun.wait(30)
    for number in range(10):
        threads.append(threading.Thread(target=made.write, args=(lambda _, number=number: order.append(number),)))
        threads[-1].start()
        deadline = time.monotonic() + 10
        while line.qsize() <= number:
            assert time.monotonic() < deadline, "nobody stands in line"
            time.sleep(0.002)
    go_on.set()
    for thread in threads:
        thread.join()
    made.close()
    assert order == [*range(10)]


def test_who_stops_waiting_stops_nobody_else(store):
    """A future that is cancelled while it waits in line is not carried out; one that is carried out cannot be cancelled, and
    the writer goes on. A failing `before` does not keep its call from being carried out."""
    held, go_on = threading.Event(), threading.Event()
    first = store._transactions.write_soon(lambda _: (held.set(), go_on.wait(30)))
    assert held.wait(30)
    assert not first.cancel()
    done: list[str] = []
    if store.engine.dialect.name == "sqlite":  # PostgreSQL has other writers, who carry it out at once
        assert store._transactions.write_soon(lambda _: done.append("cancelled")).cancel()
    go_on.set()
    twice = "INSERT INTO annotators VALUES ('ann', 'annotator', false)"
    broken = lambda connection: connection.exec_driver_sql(twice)  # noqa: E731
    last = store._transactions.write_soon(lambda _: done.append("last"), before=broken)
    assert last.result(30) is None
    assert done == ["last"]
    with pytest.raises(Unavailable):
        store._transactions.write_soon(broken).result(30)


def test_two_that_share_a_file_refuse_nobody(tmp_path):
    """Each reads before it writes: neither may be sent away because the other wrote in between."""
    url, failed = str(tmp_path / "labels.db"), []
    with Store(url) as one, Store(url) as other:

        def add(store: Store, name: str) -> None:
            try:
                for number in range(40):
                    store.add_annotator(f"{name}{number}")
            except UserError as error:
                failed.append(error)

        threads = [threading.Thread(target=add, args=given) for given in ((one, "a"), (other, "b"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failed == []
        assert len(one.annotators()) == 80


def test_a_full_disk_loses_nothing_and_the_retry_succeeds(tmp_path):
    with Store(str(tmp_path / "labels.db"), gold_share=0.0) as store:
        store.add_annotator("ann")
        store.add_tasks(sets(40))
        first = store.next_task("ann")
        store.submit("ann", first.lease, tiers(first, "a", "b", "c"), key())
        task = store.next_task("ann")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
        try:
            with pytest.raises(Unavailable, match="make room"):
                store.submit("ann", task.lease, {**tiers(task, "abc"), "ideal": "long " * 10_000}, "the-key")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert len(store.records().rankings) == 1
        receipt = store.submit("ann", task.lease, {**tiers(task, "abc"), "ideal": "long " * 10_000}, "the-key")
        assert receipt.repeated is False
        assert len(store.records().rankings) == 2


def test_a_refused_call_takes_no_other_with_it(tmp_path):
    """Calls that share a commit: one of them is refused."""
    with Store(str(tmp_path / "labels.db"), gold_share=0.0) as store:
        store.add_annotator("ann")
        done: list[object] = []

        def call(name: str) -> None:
            try:
                done.append(store.add_annotator(name))
            except UserError as error:
                done.append(error)

        threads = [threading.Thread(target=call, args=("" if n % 2 else f"a{n}",)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len([one for one in done if one is not None]) == 10
        assert len(store.annotators()) == 11


def test_a_store_that_may_only_be_read(tmp_path):
    tmp_path.chmod(0o755)
    path = tmp_path / "labels.db"
    with Store(str(path)) as store:
        store.add_annotator("ann")
    path.chmod(0o444)
    for folder in path.parents:
        if folder != Path("/tmp") and folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o555)
    with nobody(), Store(str(path)) as store:
        assert [one.name for one in store.annotators()] == ["ann"]
        with pytest.raises(Unavailable, match="may not be written here"):
            store.add_annotator("ben")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("mysql://u@h/d", "STORE is 'mysql://u@h/d'; it must be a path"),
        ("mysql://u:secret@h/d", r"STORE is 'mysql://u:\*\*\*@h/d'"),
        ("sqlite://", "it must be a path"),
        ("sqlite:///:memory:", "it must be a path"),
        ("http://[", "it must be a path"),
        ("no/such/folder/labels.db", "its folder does not exist"),
        (".", "is a folder; give the path of a file"),
        ("postgresql://u:secret@127.0.0.1:1/d", r"STORE postgresql://u:\*\*\*@127.0.0.1:1/d: cannot be reached"),
    ],
)
def test_a_store_that_cannot_be(url, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=sentence) as caught:
        Store(url)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_store(tmp_path):
    (tmp_path / "text").write_text("not a database, but long enough to look at: " * 100)
    with pytest.raises(UserError, match="is no SQLite database"):
        Store(str(tmp_path / "text"))
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE tasks (x)")
    other.commit()
    with pytest.raises(UserError, match="is a database of something else"):
        Store(str(tmp_path / "other.db"))
    with pytest.raises(UserError, match="there is no store; make one"):
        Store(str(tmp_path / "none.db"), create=False)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.xdist_group("postgresql")
def test_postgresql_says_what_is_wrong(cluster):
    with pytest.raises(UserError, match="has no such database or user; make it"):
        Store(cluster.url("nowhere"))
    empty = cluster.new_database()
    with pytest.raises(UserError, match="holds no store; make one"):
        Store(empty, create=False)
    assert store_url(empty.replace("postgresql:", "postgres:")) == store_url(empty)


def test_the_store_loads_no_model_library(tmp_path):
    """`align label` starts with it: torch alone would take longer than its first page may."""
    code = (
        "import sys, alignment.preferences.store, alignment.preferences.commands, alignment.cli\n"
        "alignment.preferences.store.Store(sys.argv[1])\n"
        "heavy = {'torch', 'transformers', 'datasets', 'numpy', 'pandas', 'pyarrow', 'matplotlib'} & {*sys.modules}\n"
        "sys.exit(str(sorted(heavy)) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "labels.db")], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
