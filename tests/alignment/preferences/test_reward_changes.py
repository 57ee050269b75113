"""What new rankings changed in the reward model, kept in the store: on SQLite and on PostgreSQL.

Mutations seen to fail: the oldest first; events of other kinds or people among them; the same change kept twice ->
test_kept_once_and_newest_first
"""

from __future__ import annotations

from alignment.preferences import verifying

CHANGE = {"new": {"model": "b"}, "n_new": 3, "most_changed": [{"prompt": "a\0b \u202e <b>", "margin_new": 0.1}]}


def test_kept_once_and_newest_first(store, clock):
    assert store.reward_changes() == []
    first = store.add_reward_change(CHANGE)
    clock.now += 60
    again = store.add_reward_change(CHANGE)
    assert (first.repeated, again.repeated) == (False, True)
    assert (again.event, again.saved) == (first.event, first.saved)
    second = store.add_reward_change({**CHANGE, "n_new": 4})
    store.add_annotator("zoe", by="align reward changes")  # an event of somebody who is called so
    newest, older = store.reward_changes(10)
    assert (newest.event, newest.body) == (second.event, {**CHANGE, "n_new": 4})
    assert (older.event, older.at, older.body) == (first.event, first.saved, CHANGE)
    assert (older.kind, older.by, older.task) == ("reward_change", "align reward changes", None)
    assert store.reward_changes() == [newest]
    assert newest in store.audit(0)
    assert store.read(lambda connection: list(verifying.faults(connection))) == []
