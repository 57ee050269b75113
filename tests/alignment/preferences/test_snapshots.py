"""Snapshots, imports, exports, backups: the same records and the same names everywhere.

Mutations seen to fail:

- the lines of `records_digest`, or the records of `in_order`, not sorted: test_the_name_depends_on_content_alone
- the name not compared when a snapshot is read: test_a_damaged_snapshot_is_not_read
- each of verify's six checks left out; an event's digest without its time or what it supersedes, a task's id without models:
  test_verify_finds_a_flipped_byte_wherever_it_is
- the same labels as a second snapshot; the first of several where a name is short: test_a_snapshot_is_named_by_its_records
- keys of imports without a count, or with the time: test_imports_come_back_as_they_were
- conflicts not looked for; no ROLLBACK of a refused call: test_conflicting_imports_are_refused_whole
- numbers that do not go on after a restore into PostgreSQL: test_a_backup_restores_to_the_same_store
- a restore into what holds something: test_a_backup_is_restored_only_into_an_empty_store
- a backup that is not synced: test_a_backup_is_on_the_disk_when_it_is_said_to_be
- a plain copy of the file for a backup, in one of two runs (it must be torn to be seen): test_a_backup_under_load_is_whole
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import threading
from dataclasses import replace

import pytest
from answering import key, prompts, sets, slot, tiers
from sqlalchemy import insert

from alignment.cli import command
from alignment.command import main
from alignment.errors import UserError
from alignment.labeling import Labeling
from alignment.preferences import copying, verifying
from alignment.preferences.engine import reference
from alignment.preferences.errors import Refused
from alignment.preferences.schema import SNAPSHOTS
from alignment.preferences.store import Store
from alignment.records import (
    Demonstration,
    Ranking,
    Response,
    Verdict,
    write_jsonl,
)
from alignment.sources import read_demonstrations, read_rankings, read_verdicts

TWO = (Response("a", "m"), Response("b", "n", finished=False))
IMPORTED = [
    Ranking("1", "p", TWO, (1, 2), "zoe", "old", "g", 3, Labeling("2026-01-01T00:00:00Z", 4.5, (1, 0), ((), ("false",)), True)),
    Ranking("1", "p", TWO, (2, 1), "yan", "old", "g"),
    Ranking("2", [{"role": "user", "content": "p"}], TWO, (None, None)),
    Ranking("2", [{"role": "user", "content": "p"}], TWO, (1, 1)),
    Ranking("2", [{"role": "user", "content": "p"}], TWO, (1, 1)),  # somebody else who said the same
]  # fmt: skip

WRITTEN = [
    Demonstration("", "all text"),
    Demonstration("p", "r", "1", "zoe", "old", "g", Labeling("2026-01-01T00:00:00Z", 4.5)),
    Demonstration("p", "another way", "1", "zoe", "old", "g"),  # one person may write several
]


def align(name: str, *words: str) -> None:
    assert main(command(name), list(words)) == 0


def faults(store: Store) -> list[str]:
    return store.read(lambda connection: list(verifying.faults(connection)))


def fill(store: Store) -> None:
    """Everything that a store can hold."""
    store.import_records([*IMPORTED, *WRITTEN, Verdict("v", "p", TWO[0], "good", "zoe")])
    store.add_tasks(sets(3), source="policy")
    store.add_gold([Ranking("g", "gold", sets(1)[0].responses, (1, 2, 3))])
    store.add_tasks(prompts(1), kind="write")
    task = store.next_task("ann")
    first = store.submit("ann", task.lease, tiers(task, "a", "bc"), key())
    store.submit("ann", task.lease, {**tiers(task, "b", "ac"), "ideal": "i"}, key(), edits=first.event)
    task = store.next_task("ann")
    store.submit("ann", task.lease, {**tiers(task, "abc"), "flags": {slot(task, "a"): ["harmful"]}}, key())
    store.undo("ann", key())
    store.skip("ann", task.lease, "no", key())
    task = store.next_task("ben")
    store.submit("ben", task.lease, {**tiers(task, "c", "b"), "unranked": [slot(task, "a")]}, key())
    store.save_draft("ben", store.next_task("ben").lease, "draft")
    store.quarantine("zoe", "for a test")
    store.snapshot()
    store.release("zoe", "tested")
    store.snapshot()


def test_imports_come_back_as_they_were(store):
    assert store.import_records(IMPORTED).new == 5
    assert store.records().rankings == IMPORTED
    again = store.import_records(IMPORTED)
    assert (again.new, again.known) == (0, 5)
    assert store.records().rankings == IMPORTED


def test_conflicting_imports_are_refused_whole(store):
    store.import_records(IMPORTED)
    other, held = replace(IMPORTED[0], ranks=(2, 1)), store.info()
    with pytest.raises(Refused, match="annotator 'zoe' has two labels of one task") as caught:
        store.import_records([replace(IMPORTED[1], id="new"), other])
    assert caught.value.reason == "conflict"
    assert store.records().rankings == IMPORTED
    with pytest.raises(Refused, match="nothing was imported"):
        store.import_records([replace(IMPORTED[1], id="new"), replace(IMPORTED[1], id="new", ranks=(1, 2))])
    assert store.info() == held  # no task of a refused import stays either


def test_a_snapshot_is_named_by_its_records(store):
    with pytest.raises(Refused, match="holds no label yet"):
        store.snapshot()
    store.import_records(IMPORTED[:2])
    first = store.snapshot()
    assert store.snapshot() == first
    store.import_records(IMPORTED)
    second = store.snapshot()
    assert second.digest != first.digest
    assert [len(store.records(one.digest[:8]).rankings) for one in (first, second)] == [2, 5]
    assert store.snapshots() == [first, second]
    with pytest.raises(Refused, match="is not in this store"):
        store.records("0" * 8)
    with pytest.raises(Refused, match="is no name of one"):
        store.records("zzzzzzzz")
    with store.engine.begin() as connection:
        twins = [{"digest": "abcdef00" + digit * 56, "counts": "{}", "created": 0} for digit in "01"]
        connection.execute(insert(SNAPSHOTS), twins)
    with pytest.raises(Refused, match="is short for several; give more digits"):
        store.records("abcdef00")


def test_the_name_depends_on_content_alone(store, tmp_path):
    fill(store)
    with Store(str(tmp_path / "other.db")) as other:
        made = store.records()
        other.import_records([*reversed(made.verdicts), *reversed(made.rankings), *made.demonstrations])
        snapshot = store.snapshot()
        assert other.snapshot().digest == snapshot.digest
        assert other.records(snapshot.digest) == store.records(snapshot.digest)


@pytest.mark.xdist_group("postgresql")
def test_both_databases_give_the_same_snapshot(cluster, tmp_path, clock):
    """The same answers at the same times."""
    digests = set()
    for url in (str(tmp_path / "labels.db"), cluster.new_database()):
        with Store(url, clock=clock, draw=random.Random(3), gold_share=0.0) as store:
            store.add_annotator("ann")
            store.add_annotator("ben")
            fill(store)
            digests.add(tuple(snapshot.digest for snapshot in store.snapshots()))
    assert len(digests) == 1
    assert len(digests.pop()) == 2


def test_export_and_import_give_identical_records(store, url, tmp_path):
    fill(store)
    for kind in ("rankings", "demonstrations", "verdicts"):
        align("store export", url, "--kind", kind, "--output", str(tmp_path / f"{kind}.jsonl"))
        align("store import", str(tmp_path / "again.db"), str(tmp_path / f"{kind}.jsonl"))
    with Store(str(tmp_path / "again.db")) as again:
        assert again.records() == store.records()
        assert again.snapshot().digest == store.snapshot().digest
        assert faults(again) == []


@pytest.mark.parametrize("name", ["oasst", "finegrained_qa"])
def test_real_rankings_come_back_identical(url, tmp_path, real_data, name):
    source = real_data / name / "rankings.jsonl"
    align("store import", url, str(source))
    align("store export", url, "--output", str(tmp_path / "out.jsonl"))
    groups = ("group", "tree", "question")
    assert read_rankings(tmp_path / "out.jsonl") == read_rankings(source, group_fields=groups)


def test_a_backup_restores_to_the_same_store(store, url, tmp_path, cluster, capsys):
    fill(store)
    align("store backup", url, "--output", str(tmp_path / "backup.db"))
    align("store restore", str(tmp_path / "restored.db"), str(tmp_path / "backup.db"))
    database = cluster.new_database()
    align("store restore", database, str(tmp_path / "backup.db"))
    assert capsys.readouterr().out.count(store.snapshots()[-1].digest) == 3, "each says the name of these labels"
    for place in (str(tmp_path / "restored.db"), database):
        with Store(place, create=False, gold_share=0.0) as restored:
            assert restored.snapshots() == store.snapshots()
            assert restored.records() == store.records()
            assert restored.audit(limit=1000) == store.audit(limit=1000)
            assert faults(restored) == []
            restored.add_tasks(sets(1, name="new"))  # numbers go on after those that were copied
            assert restored.snapshot().digest == store.snapshots()[-1].digest


def test_a_backup_is_restored_only_into_an_empty_store(store, tmp_path):
    fill(store)
    copying.back_up(store, tmp_path / "backup.db")
    before = store.info()
    with Store(str(tmp_path / "backup.db")) as backup, pytest.raises(UserError, match="holds something already"):
        copying.restore(backup, store)
    assert store.info() == before
    assert faults(store) == []


def test_a_backup_is_on_the_disk_when_it_is_said_to_be(store, tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (synced.append(os.readlink(f"/proc/self/fd/{handle}")), fsync(handle))
    )
    copying.back_up(store, tmp_path / "backup.db")
    assert synced == [str(tmp_path / "backup.db"), str(tmp_path)]


def test_a_backup_under_load_is_whole(store, url, tmp_path):
    """While four threads label, each backup verifies and holds all that was acknowledged before it began."""
    store.add_tasks(sets(400))
    names = [f"a{number}" for number in range(4)]
    for name in names:
        store.add_annotator(name)
    saved: list[int] = []

    def label(name: str) -> None:
        while task := store.next_task(name):
            saved.append(store.submit(name, task.lease, tiers(task, "abc"), key()).event)

    threads = [threading.Thread(target=label, args=(name,), daemon=True) for name in names]
    for thread in threads:
        thread.start()
    for number in range(3):
        before = len(saved)
        align("store backup", url, "--output", str(tmp_path / f"{number}.db"))
        with Store(str(tmp_path / f"{number}.db")) as backup:
            assert len(backup.records().rankings) >= before
    for thread in threads:
        thread.join()
    assert len(store.records().rankings) == 400


def test_verify_finds_a_flipped_byte_wherever_it_is(tmp_path, capsys):
    """Each text and number that says something is changed in turn, past all triggers; the fault is named for what it is."""
    path = tmp_path / "labels.db"
    with Store(str(path), gold_share=0.0) as store:
        store.add_annotator("ann")
        store.add_annotator("ben")
        fill(store)
        assert faults(store) == []
    good = path.read_bytes()
    changes = {
        "its text is not what its name says": [
            "UPDATE prompts SET prompt = replace(prompt, 'r prompt 0', 'r qrompt 0')",
            "UPDATE responses SET text = replace(text, 'a of 0', 'a of 1') WHERE text = '\"a of 0\"'",
        ],
        "it is not what its name says": [
            "UPDATE task_responses SET model = 'model-z' WHERE model = 'model-a'",
            "UPDATE task_responses SET finished = NOT finished WHERE model = 'model-a'",
            "UPDATE tasks SET record_id = 'x' WHERE record_id = 'r0'",
            "UPDATE tasks SET group_name = 'h' WHERE group_name = 'g'",
        ],
        "counts 0 of 1 places, 1 are held": [
            "UPDATE tasks SET taken = 0 WHERE record_id = 'r0'",
        ],
        "it is not what was saved": [
            "UPDATE events SET body = replace(body, '[2,1,2]', '[1,2,2]')",
            "UPDATE events SET annotator = 'ben' WHERE annotator = 'ann'",
            "UPDATE events SET created = created + 1 WHERE kind = 'skip'",
            "UPDATE events SET kind = 'skip' WHERE kind = 'undo'",
            "UPDATE events SET supersedes = NULL WHERE kind = 'label' AND supersedes IS NOT NULL",
        ],
        "done, with 0 standing labels": [
            "DELETE FROM events WHERE number = (SELECT max(number) FROM events WHERE kind = 'label')",
        ],
        "its answer is not what the log says": [
            "UPDATE gold SET ranks = '[3,2,1]'",
        ],
        "role or quarantine is not": [
            "UPDATE annotators SET role = 'admin' WHERE name = 'ann'",
            "UPDATE annotators SET quarantined = 1 WHERE name = 'ann'",
        ],
        "does not hold each card once": [
            "UPDATE assignments SET shown = '[0,0,1]' WHERE state = 'done'",
        ],
        "skipped, with 1 standing labels": [
            "UPDATE assignments SET state = 'skipped' WHERE state = 'done'",
        ],
        "no longer holds what its name says": [
            "DELETE FROM snapshot_events WHERE event = (SELECT max(event) FROM snapshot_events)",
        ],
    }
    for said, change in ((said, change) for said, several in changes.items() for change in several):
        path.write_bytes(good)
        connection = sqlite3.connect(path)
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        assert connection.execute(change).rowcount > 0, change
        connection.commit()
        connection.close()
        with Store(str(path)) as store:
            assert any(said in fault for fault in faults(store)), change
        assert main(command("store verify"), [str(path)]) == 1, change
        assert "restore a backup" in capsys.readouterr().out


def test_verify_finds_flipped_bytes_of_the_file(tmp_path, capsys):
    """One byte of every text that was saved, in the file itself."""
    path = tmp_path / "labels.db"
    with Store(str(path), gold_share=0.0) as store:
        store.add_annotator("ann")
        store.add_annotator("ben")
        fill(store)
    good = path.read_bytes()
    for text in (
        b"r prompt 1",
        b"b of 2",
        b'"comment',
        b"policy",
        b"for a test",
        b"2026-01-01",
        b'"harmful"',
        b'"ideal"',
    ):
        place = good.find(text)
        if place < 0:
            continue
        path.write_bytes(good[: place + 2] + bytes([good[place + 2] ^ 1]) + good[place + 3 :])
        assert main(command("store verify"), [str(path)]) in (1, 2), text
        capsys.readouterr()
    path.write_bytes(good)
    assert main(command("store verify"), [str(path)]) == 0


def test_a_damaged_snapshot_is_not_read(tmp_path):
    path = tmp_path / "labels.db"
    with Store(str(path)) as store:
        store.import_records(IMPORTED)
        name = store.snapshot().digest
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER events_no_UPDATE")
    connection.execute("UPDATE events SET body = replace(body, '[1,2]', '[2,1]')")
    connection.commit()
    with pytest.raises(UserError, match="no longer holds what its name says"):
        read_rankings(f"store:{path}@{name[:12]}")


def test_settings_take_a_snapshot_for_a_file(store, url, capsys):
    fill(store)
    old, new = store.snapshots()
    at = f"store:{url}@{old.digest[:10]}"
    assert read_rankings(at) == store.records(old.digest).rankings
    assert read_verdicts(f"store:{url}") == store.records(new.digest).verdicts != []
    assert f"its newest snapshot, {new.digest[:12]}" in capsys.readouterr().err
    assert read_demonstrations(at) == store.records(old.digest).demonstrations
    assert all(one.group is None for one in read_rankings(at, group_fields=("tree",)))
    with pytest.raises(UserError, match=r"--rankings store:.*is not in this store"):
        read_rankings(f"store:{url}@00000000")
    with pytest.raises(UserError, match=r"--verdicts store:.*holds no verdicts"):
        read_verdicts(at)


def test_the_reward_model_reads_a_snapshot(store, url, tmp_path):
    """The same split as from a file of the same records."""
    from reward_model.config import RewardSettings
    from reward_model.split import split

    store.import_records([
        Ranking(f"{n}", f"prompt {n}", (Response(f"a{n}"), Response(f"b{n}")), (1, 2), source="s") for n in range(40)
    ])  # fmt: skip
    name = store.snapshot().digest
    write_jsonl(tmp_path / "rankings.jsonl", store.records(name).rankings)
    whole = [
        split(RewardSettings(base="none", output="none", rankings=rankings))
        for rankings in (f"store:{url}@{name}", str(tmp_path / "rankings.jsonl"))
    ]
    assert whole[0] == whole[1]
    assert whole[0].held_out


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("store:labels.db", ("labels.db", None)),
        ("store:labels.db@1f0c9a7e", ("labels.db", "1f0c9a7e")),
        ("store:postgresql://u@h/d", ("postgresql://u@h/d", None)),
        ("store:postgresql://u:p@h:1/d@" + "ab" * 32, ("postgresql://u:p@h:1/d", "ab" * 32)),
        ("labels.db@1f0c9a7e", None),
        ("store:", None),
    ],
)
def test_references(text, parts):
    assert reference(text) == parts


def test_imported_formats_become_tasks_and_labels(tmp_path, capsys):
    url = str(tmp_path / "labels.db")
    (tmp_path / "trl.jsonl").write_text(json.dumps({"prompt": "p", "chosen": "good", "rejected": "bad"}) + "\n")
    align("store import", url, str(tmp_path / "trl.jsonl"))
    (tmp_path / "responses.jsonl").write_text(json.dumps({"prompt": "q", "responses": ["x", "y"]}) + "\n")
    align("store import", url, str(tmp_path / "responses.jsonl"), "--overlap", "2", "--duplicate-share", "0")
    (tmp_path / "prompts.jsonl").write_text(json.dumps({"prompt": "w"}) + "\n")
    align("store import", url, str(tmp_path / "prompts.jsonl"), "--duplicate-share", "0")
    capsys.readouterr()
    with Store(url) as store:
        assert [(one.prompt, one.ranks) for one in store.records().rankings] == [("p", (1, 2))]
        assert store.progress().wanted == 3
        store.add_annotator("ann")
        assert store.next_task("ann").prompt == "q"


def test_a_password_reaches_no_sentence():
    with pytest.raises(UserError) as caught:
        Store("postgresql://ann:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)
    assert "ann" in str(caught.value)
