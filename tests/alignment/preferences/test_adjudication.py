"""What the team asks the store: adjudication beside the leases, headway, the log newest first, labels in parts; on both
databases.

Mutations seen to fail:
- (adjudication.py) the role, what the reviewer had, or what they wrote not asked -> test_who_may_not_adjudicate
- (adjudication.py) the adjudicate event left out -> test_an_adjudication_is_one_more_label
- (labels.py) no place for an offered task -> test_an_adjudication_is_one_more_label (late); verify finds a wrong count
- (leases.py) `offered` among those that `next_task` gives again -> test_looking_at_a_disagreement_takes_no_place
- (headway.py) skips of gold items counted, undone labels counted, brought-in labels given a day -> test_headway
- (overview.py) `before` as at most -> test_the_log_newest_first
- (reading.py) share by task number, or numbers inclusive -> test_labels_in_parts"""

from __future__ import annotations

import pytest
from answering import key, prompts, sets, tiers

from alignment.preferences.adding import Queue
from alignment.preferences.errors import Refused
from alignment.preferences.headway import DAY_MS, Kind
from alignment.preferences.reading import Choice
from alignment.preferences.verifying import faults
from alignment.records import Ranking, Response, ResponseSet


@pytest.fixture
def disputed(store):
    """A store with one task, on which ann and ben disagree, and a reviewer; (store, number of the task)."""
    store.add_annotator("rev", "reviewer")
    store.add_tasks(sets(1), Queue(overlap=2))
    for name, order in (("ann", "abc"), ("ben", "cba")):
        task = store.next_task(name)
        store.submit(name, task.lease, tiers(task, *order), key())
    return store, store.labels()[0].task


def test_an_adjudication_is_one_more_label(disputed, clock):
    store, number = disputed
    assert store.adjudications() == {}
    task = store.adjudicate("rev", number)
    clock.now += 10**6  # it does not run out
    store.next_task("ann")
    receipt = store.submit("rev", task.lease, tiers(task, "b", "ac"), key())
    assert receipt.counted
    assert store.adjudications() == {number: {"rev"}}
    assert [(one.annotator, one.body["ranks"]) for one in store.labels()] == [
        ("ann", [1, 2, 3]), ("ben", [3, 2, 1]), ("rev", [2, 1, 2])
    ]  # fmt: skip
    told = store.answers_to("rev", task.lease)
    assert [(one.annotator, one.tiers) for one in told] == [
        (name, tiers(task, *order)["tiers"]) for name, order in (("ann", "abc"), ("ben", "cba"))
    ]
    past = store.history("rev")[0]
    store.submit("rev", past.task.lease, tiers(task, "abc"), key(), edits=past.event)
    assert store.adjudications() == {number: {"rev"}}, "an edit is an adjudication too"
    store.undo("rev", key())
    assert store.adjudications() == {}
    assert list(store.read(lambda c: list(faults(c)))) == []


def test_looking_at_a_disagreement_takes_no_place(disputed):
    store, number = disputed
    first = store.adjudicate("rev", number)
    assert store.adjudicate("rev", number) == first
    assert store.next_task("rev") is None
    progress = store.progress()
    assert (progress.wanted, progress.labels, progress.out) == (2, 2, 0)
    assert [entry.kind for entry in store.audit(limit=100)].count("adjudicate") == 1
    with pytest.raises(Refused, match="once you have adjudicated"):
        store.answers_to("rev", first.lease)
    assert list(store.read(lambda c: list(faults(c)))) == []


def test_who_may_not_adjudicate(disputed):
    store, number = disputed
    with pytest.raises(Refused, match="no reviewer"):
        store.adjudicate("ann", number)
    store.add_annotator("ann", "reviewer")
    with pytest.raises(Refused, match="has had this task"):
        store.adjudicate("ann", number)
    with pytest.raises(Refused, match="not known"):
        store.adjudicate("rev", 10**6)
    store.add_tasks(prompts(1), kind="write")
    task = store.next_task("rev")
    store.submit("rev", task.lease, {"text": "mine"}, key())
    store.import_records([Ranking("x", "write 0", (Response("mine"), Response("theirs")), (1, 2), "cy")])
    theirs = next(one.task for one in store.labels() if one.annotator == "cy")
    with pytest.raises(Refused, match="wrote one of the responses"):
        store.adjudicate("rev", theirs)
    store.quarantine("rev", "why not")
    with pytest.raises(Refused, match="no reviewer"):
        store.adjudicate("rev", number)


def test_headway(store, clock):
    store.add_gold([Ranking("g", "gold prompt", sets(1)[0].responses, (1, 2, 3))])
    store.add_tasks(sets(3))
    store.add_tasks(prompts(1), kind="write")
    first = store.next_task("ann")
    store.submit("ann", first.lease, tiers(first, "abc"), key())
    clock.now += 86_400
    second = store.next_task("ann")
    store.submit("ann", second.lease, tiers(second, "abc"), key())
    store.undo("ann", key())
    store.skip("ben", store.next_task("ben").lease, " too long ", key())
    store.import_records([Ranking("i", "p", sets(1)[0].responses, (1, 2, 3), "cy")])
    found = store.headway()
    # the brought-in label's task asks for none
    assert found.kinds == [Kind("rank", 4, 3, 1, 1, 1), Kind("write", 1, 1, 0, 0, 0)]
    assert found.days == {(int(clock.now * 1000) // DAY_MS - 1, "rank"): 1}
    assert (found.brought, found.reasons, found.skips) == (1, [("too long", 1)], {"ben": 1})


def test_the_log_newest_first(store):
    for number in range(5):
        store.add_annotator(f"p{number}", by="eve" if number % 2 else "")
    every = store.audit(limit=100)
    assert store.trail() == every[::-1]
    assert store.trail(every[3].event, 2) == [every[2], every[1]]
    assert store.trail(by="eve") == [one for one in every[::-1] if one.by == "eve"]
    assert store.trail(by="eve", kind="label") == []
    assert store.newest() == every[-1].event


def test_labels_in_parts(store):
    many = [ResponseSet(f"m{n}", f"p{n}", (Response("a"), Response("b"))) for n in range(80)]
    store.import_records(
        [Ranking(one.id, one.prompt, one.responses, (1, 2), who) for one in many for who in ("x", "y")]
    )
    every = store.labels()
    half = store.labels(Choice(share=0.5))
    assert 50 <= len(half) <= 110
    assert {one.task for one in half} & {one.task for one in every if one not in half} == set(), "whole tasks"
    last = store.newest() + 1
    parts = [store.labels(Choice(numbers=range(first, min(first + 7, last)))) for first in range(1, last, 7)]
    assert [one.event for part in parts for one in part] == [one.event for one in every]
    assert max(map(len, parts)) <= 7
