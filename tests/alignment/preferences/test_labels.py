"""What annotators do: answer, retry, edit, undo, skip, let a lease run out. On SQLite and on PostgreSQL.

Mutations seen to fail, on SQLite:

- the same key with another answer let through; keys looked up without their annotator: test_a_retry_is_saved_once
- an edit that supersedes nothing, or whatever stands; labels read without `live()`: test_an_edit_is_a_new_event
- a repeated undo not recognised; an undo that names no event; the newest label taken back although it was already:
  test_undo_gives_the_task_back_with_its_answer
- leases never reclaimed; a late answer counted without a free place: test_a_lease_that_ran_out_goes_to_somebody_else
- a late answer never counted: test_a_late_answer_takes_the_place_that_is_still_free
- the check of a clock that was set back left out: test_a_clock_that_goes_back_ends_leases_and_loses_nothing
- `taken < overlap` left out of the query, the update and the CHECK: test_overlap_goes_to_different_people
- a skip that keeps its place: test_a_skipped_task_goes_to_others
- a new slice for a known task: test_more_votes_can_be_asked_for
- the query for authors left out: test_nobody_ranks_their_own_text
- gold labels among the records: test_gold_is_mixed_in_silently
- quarantined labels in snapshots; tasks for who is quarantined:
  test_quarantine_hides_from_later_snapshots_and_deletes_nothing
- a lease found without its annotator: test_only_ones_own_leases
- `purpose` in TaskView; `model` in Card: test_a_client_learns_nothing_that_it_may_not
- a flag for the first of identical responses only: test_identical_responses_share_a_card_and_a_rank
"""

from __future__ import annotations

import pytest
from answering import key, prompts, sets, slot, tiers

from alignment.labeling import Labeling
from alignment.preferences.adding import Queue
from alignment.preferences.errors import Refused
from alignment.preferences.reading import Choice
from alignment.preferences.store import Store
from alignment.records import Demonstration, Ranking, Response, ResponseSet, Verdict


def test_a_ranking_comes_back_as_a_record(store):
    store.add_tasks(sets(1), source="policy-v1")
    task = store.next_task("ann")
    flags = {slot(task, "c"): ["harmful", "false"]}
    answer = {**tiers(task, "b", "a"), "unranked": [slot(task, "c")], "flags": flags, "strength": 3, "seconds": 7}
    receipt = store.submit("ann", task.lease, answer, key())
    ranking = store.records().rankings[0]
    assert (ranking.id, ranking.prompt, ranking.responses) == ("r0", "r prompt 0", sets(1)[0].responses)
    assert (ranking.ranks, ranking.strength, ranking.annotator, ranking.source) == ((2, 1, None), 3, "ann", "policy-v1")
    assert ranking.labeling.flags == ((), (), ("false", "harmful"))
    assert (ranking.labeling.seconds, ranking.labeling.at) == (7.0, receipt.saved)
    assert [ranking.responses[place].text for place in ranking.labeling.shown] == [card.text for card in task.cards]


def test_none_acceptable_and_the_ideal_answer(store):
    store.add_tasks(sets(1))
    task = store.next_task("ann")
    store.submit("ann", task.lease, {**tiers(task, "abc"), "none_acceptable": True, "ideal": "better"}, key())
    made = store.records()
    assert made.rankings[0].labeling.none_acceptable is True
    assert made.rankings[0].ranks == (1, 1, 1)
    how = Labeling(at=made.rankings[0].labeling.at)
    assert made.demonstrations == [Demonstration("r prompt 0", "better", "r0#ideal", "ann", labeling=how)]


def test_writing_editing_and_judging(store):
    store.add_tasks(prompts(1), kind="write")
    wrote = store.submit("ann", store.next_task("ann").lease, {"text": "an answer", "seconds": 40}, key())
    store.add_tasks(sets(1), kind="edit", source="policy-v1")
    task = store.next_task("ann")
    mended = store.submit("ann", task.lease, {"slot": slot(task, "b"), "text": "b, mended", "seconds": 9.5}, key())
    single = ResponseSet("j", "judge this", (Response("fine", "m"),))
    store.add_tasks([single], kind="judge")
    store.submit("ann", store.next_task("ann").lease, {"verdict": "good"}, key())
    made = store.records()
    how = Labeling(at=mended.saved, seconds=9.5)
    assert made.demonstrations == [
        Demonstration("write 0", "an answer", "w0", "ann", labeling=Labeling(at=wrote.saved, seconds=40.0)),
        Demonstration("r prompt 0", "b, mended", "r0#edited", "ann", "policy-v1", labeling=how),
    ]
    edited = made.rankings[0]
    assert (edited.id, edited.annotator, edited.source, edited.labeling) == ("r0#edited", "ann", "policy-v1", how)
    assert (edited.responses, edited.ranks) == ((Response("b, mended"), sets(1)[0].responses[1]), (1, 2))
    verdict = made.verdicts[0]
    assert (verdict.response, verdict.verdict, verdict.annotator) == (Response("fine", "m"), "good", "ann")


def test_identical_responses_share_a_card_and_a_rank(store):
    same = (Response("a", "m"), Response("b", "m"), Response("a", "n"))
    store.add_tasks([ResponseSet("x", "p", same)])
    task = store.next_task("ann")
    assert sorted(card.text for card in task.cards) == ["a", "b"]
    store.submit("ann", task.lease, {**tiers(task, "a", "b"), "flags": {slot(task, "a"): ["false"]}}, key())
    ranking = store.records().rankings[0]
    assert ranking.ranks == (1, 2, 1)
    assert ranking.labeling.flags == (("false",), (), ("false",))
    assert sorted(ranking.labeling.shown) == [0, 1]


def test_a_retry_is_saved_once(store):
    store.add_tasks(sets(2))
    task = store.next_task("ann")
    first = store.submit("ann", task.lease, tiers(task, "a", "bc"), "the-key")
    again = store.submit("ann", task.lease, tiers(task, "a", "bc"), "the-key")
    assert (again.event, again.saved, again.repeated) == (first.event, first.saved, True)
    assert len(store.records().rankings) == 1
    with pytest.raises(Refused, match="has saved another answer before") as caught:
        store.submit("ann", task.lease, tiers(task, "b", "ac"), "the-key")
    assert caught.value.reason == "conflict"
    other = store.next_task("ben")
    store.submit("ben", other.lease, tiers(other, "a", "b", "c"), "the-key")  # keys are each annotator's own


def test_an_edit_is_a_new_event(store):
    store.add_tasks(sets(1))
    task = store.next_task("ann")
    first = store.submit("ann", task.lease, tiers(task, "a", "b", "c"), key())
    with pytest.raises(Refused, match="answered already"):
        store.submit("ann", task.lease, tiers(task, "c", "b", "a"), key())
    with pytest.raises(Refused, match="answered already"):
        store.submit("ann", task.lease, tiers(task, "c", "b", "a"), key(), edits=first.event + 1)
    second = store.submit("ann", task.lease, tiers(task, "c", "b", "a"), key(), edits=first.event)
    assert [ranking.ranks for ranking in store.records().rankings] == [(3, 2, 1)]
    past = store.history("ann")
    assert [(one.event, one.standing) for one in past] == [(second.event, True), (first.event, False)]
    assert past[1].task.answer["tiers"] == tiers(task, "a", "b", "c")["tiers"]
    labels = [entry for entry in store.audit() if entry.kind == "label"]
    assert [(one.event, one.supersedes) for one in labels] == [(first.event, None), (second.event, first.event)]


def test_undo_gives_the_task_back_with_its_answer(store):
    store.add_tasks(sets(2))
    for _ in range(2):
        task = store.next_task("ann")
        store.submit("ann", task.lease, {**tiers(task, "a", "bc"), "comment": "close"}, key())
    again = store.undo("ann", "undo-1")
    assert again.lease == task.lease
    assert again.answer["tiers"] == tiers(task, "a", "bc")["tiers"]
    assert again.answer["comment"] == "close"
    assert store.undo("ann", "undo-1").lease == task.lease  # a retry undoes nothing more
    assert len(store.records().rankings) == 1
    assert store.next_task("ann").lease == task.lease
    store.submit("ann", task.lease, tiers(task, "c", "ab"), key())
    assert [ranking.ranks for ranking in store.records().rankings] == [(1, 2, 2), (2, 2, 1)]
    assert store.undo("ann", "undo-2").lease == task.lease
    assert store.undo("ann", "undo-3").lease != task.lease  # one further back
    assert store.records().rankings == []
    with pytest.raises(Refused, match="no answer to undo"):
        store.undo("ben", key())


def test_a_skipped_task_goes_to_others(store):
    store.add_tasks(sets(1))
    task = store.next_task("ann")
    receipt = store.skip("ann", task.lease, "not my field", "skip-1")
    assert store.skip("ann", task.lease, "not my field", "skip-1").event == receipt.event
    assert store.next_task("ann") is None
    assert store.next_task("ben") is not None
    assert store.audit(after=receipt.event - 1)[0].body == {"reason": "not my field"}


def test_a_reload_gives_the_same_cards_and_draft(store):
    store.add_tasks(sets(5))
    task = store.next_task("ann")
    store.save_draft("ann", task.lease, '{"tiers": [["A"]]}')
    again = store.next_task("ann")
    assert (again.lease, again.cards, again.draft) == (task.lease, task.cards, '{"tiers": [["A"]]}')


def test_a_lease_that_ran_out_goes_to_somebody_else(store, clock):
    store.add_tasks(sets(1))
    task = store.next_task("ann")
    store.save_draft("ann", task.lease, "half")
    assert store.next_task("ben") is None
    clock.now += 601
    other = store.next_task("ben")
    assert other is not None
    assert other.lease != task.lease
    late = store.submit("ann", task.lease, tiers(task, "a", "b", "c"), key())
    assert late.counted is False
    on_time = store.submit("ben", other.lease, tiers(other, "b", "a", "c"), key())
    assert on_time.counted is True
    assert [ranking.annotator for ranking in store.records().rankings] == ["ben"]
    assert store.history("ann")[0].standing  # kept, all the same


@pytest.mark.parametrize("reloads", [True, False])
def test_a_late_answer_takes_the_place_that_is_still_free(store, clock, reloads):
    store.add_tasks(sets(2))
    task = store.next_task("ann")
    store.save_draft("ann", task.lease, "half")
    clock.now += 601
    other = store.next_task("ben")  # reclaims ann's place, and takes it
    store.skip("ben", other.lease, "", key())
    assert store.next_task("ben") is not None
    if reloads:
        assert store.next_task("ann").draft == "half"  # what was begun comes first
    assert store.submit("ann", task.lease, tiers(task, "a", "b", "c"), key()).counted is True
    assert store.progress().labels == 1


def test_a_clock_that_goes_back_ends_leases_and_loses_nothing(store, clock):
    store.add_tasks(sets(1))
    task = store.next_task("ann")
    clock.now -= 3600
    other = store.next_task("ben")
    assert other is not None  # else ann's lease would last an hour longer
    first = store.submit("ben", other.lease, tiers(other, "a", "b", "c"), key())
    late = store.submit("ann", task.lease, tiers(task, "a", "b", "c"), key())
    assert late.event > first.event
    assert not late.counted
    assert [ranking.annotator for ranking in store.records().rankings] == ["ben"]


def test_overlap_goes_to_different_people(store):
    store.add_annotator("cat")
    store.add_tasks(sets(1), Queue(overlap=2))
    first, second = store.next_task("ann"), store.next_task("ben")
    assert first.lease != second.lease
    assert store.next_task("cat") is None
    for name, task in (("ann", first), ("ben", second)):
        store.submit(name, task.lease, tiers(task, "a", "b", "c"), key())
    assert store.next_task("ann") is None
    assert len(store.records().rankings) == 2


def test_duplicates_are_the_share_asked_for_and_stay_the_same(store):
    assert store.add_tasks(sets(400), Queue(duplicate_share=0.1)).new == 400
    extra = store.progress().wanted - 400
    assert 20 <= extra <= 60  # binomial(400, .1): mean 40, sd 6
    assert store.add_tasks(sets(400), Queue(duplicate_share=0.1)).known == 400
    assert store.progress().wanted - 400 == extra


def test_the_queue_goes_by_priority_then_by_age(store):
    store.add_tasks(sets(2, name="low"))
    store.add_tasks(sets(2, name="high"), Queue(priority=1.0))
    seen = []
    for _ in range(4):
        task = store.next_task("ann")
        seen.append(task.prompt)
        store.submit("ann", task.lease, tiers(task, "abc"), key())
    assert seen == ["high prompt 0", "high prompt 1", "low prompt 0", "low prompt 1"]


def test_more_votes_can_be_asked_for(store):
    store.add_tasks(sets(1))
    task = store.next_task("ann")
    store.submit("ann", task.lease, tiers(task, "a", "b", "c"), key())
    assert store.next_task("ben") is None
    store.add_tasks(sets(1), Queue(overlap=2, slice="votes"))
    assert store.next_task("ben") is not None
    assert store.labels()[0].slice is None  # how it was chosen first is kept


def test_nobody_ranks_their_own_text(store):
    store.add_tasks(prompts(1), kind="write")
    store.submit("ann", store.next_task("ann").lease, {"text": "mine"}, key())
    store.add_tasks([ResponseSet("x", "write 0", (Response("mine"), Response("theirs")))])
    assert store.next_task("ann") is None
    assert store.next_task("ben") is not None


def test_gold_is_mixed_in_silently(url, clock):
    with Store(url, clock=clock, gold_share=1.0) as store:
        store.add_annotator("ann")
        store.add_tasks(sets(3))
        known = [Ranking("g", "gold prompt", sets(1)[0].responses, (1, 2, 3))]
        store.add_gold(known)
        task = store.next_task("ann")
        assert task.prompt == "gold prompt"
        store.submit("ann", task.lease, tiers(task, "a", "c", "b"), key())
        (said,) = store.labels(Choice("gold"))
        assert (said.annotator, said.body["ranks"]) == ("ann", [1, 3, 2])
        assert store.known_answers() == {said.task: (1, 2, 3)}
        assert store.records().rankings == []  # nothing is trained on what was known
        assert store.next_task("ann").prompt == "r prompt 0"
        assert store.progress().done == 0
        with pytest.raises(Refused, match="another known answer"):
            store.add_gold([Ranking("g", "gold prompt", sets(1)[0].responses, (3, 2, 1))])


def test_practice_comes_when_asked_for_with_feedback(store):
    known = [Ranking("g", "practice prompt", sets(1)[0].responses, (2, 1, 3))]
    store.add_gold(known, practice=True, note="b says why")
    assert store.next_task("ann") is None
    task = store.next_task("ann", practice=True)
    with pytest.raises(Refused, match="only a practice item that is answered"):
        store.feedback("ann", task.lease)
    store.submit("ann", task.lease, tiers(task, "a", "b", "c"), key())
    told = store.feedback("ann", task.lease)
    assert told == {**tiers(task, "b", "a", "c"), "unranked": [], "note": "b says why"}
    assert store.next_task("ben", practice=True) is not None


def test_quarantine_hides_from_later_snapshots_and_deletes_nothing(store):
    store.add_tasks(sets(2))
    for name in ("ann", "ben"):
        task = store.next_task(name)
        store.submit(name, task.lease, tiers(task, "a", "b", "c"), key())
    before = store.snapshot()
    store.quarantine("ann", "gold items below .75", by="rev")
    with pytest.raises(Refused, match="is quarantined"):
        store.next_task("ann")
    after = store.snapshot()
    assert [len(store.records(one.digest).rankings) for one in (before, after)] == [2, 1]
    store.release("ann", "a mistake", by="rev")
    assert store.snapshot().digest == before.digest
    log = [(entry.kind, entry.by) for entry in store.audit()]
    assert ("quarantine", "rev") in log
    assert ("release", "rev") in log


def test_only_ones_own_leases(store):
    store.add_tasks(sets(1))
    task = store.next_task("ann")
    for call in (
        lambda: store.submit("ben", task.lease, tiers(task, "a", "b", "c"), key()),
        lambda: store.skip("ben", task.lease, "", key()),
        lambda: store.save_draft("ben", task.lease, "x"),
        lambda: store.feedback("ben", task.lease),
        lambda: store.submit("ann", "no-such-lease", tiers(task, "a", "b", "c"), key()),
    ):
        with pytest.raises(Refused, match="is not known, or not") as caught:
            call()
        assert caught.value.reason == "unknown"
    with pytest.raises(Refused, match="annotator 'zoe' is not known"):
        store.next_task("zoe")


def test_a_client_learns_nothing_that_it_may_not(store):
    store.add_tasks(sets(1), Queue(slice="uniform"), source="policy-v1")
    store.add_gold([Ranking("g", "gold prompt", sets(1)[0].responses, (1, 2, 3))], practice=True)
    for task in (store.next_task("ann"), store.next_task("ann", practice=True)):
        told = repr(task)
        assert not any(word in told for word in ("model-", "policy", "uniform", "gold'", "practice'", "r0", "position"))


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ({"tiers": [["A", "B"]]}, "slot C is in no tier; rank it, or name it in `unranked`"),
        ({"tiers": [["A", "B"], ["C", "D"]]}, "slot 'D' is not on the page; it must be one of A, B, C"),
        ({"tiers": [["A"], ["B"], ["A", "C"]]}, "slot A is named twice"),
        ({"tiers": [["A"], [], ["B", "C"]]}, "a tier is empty"),
        ({"tiers": "ABC"}, "tiers must be lists of slots"),
        ({"tiers": ["A", "B", "C"]}, "tiers must be lists of slots"),
        ({}, "tiers must be lists of slots"),
        ({"tiers": [["A", "B", "C"]], "strength": 4}, "strength is 4; it must be one of 0, 1, 2, 3"),
        ({"tiers": [["A", "B", "C"]], "strength": True}, "strength is True"),
        ({"tiers": [["A", "B", "C"]], "flags": {"D": ["false"]}}, "flags must be an object from slots"),
        ({"tiers": [["A", "B", "C"]], "flags": {"A": ["<script>"]}}, "flags of slot A is"),
        ({"tiers": [["A", "B", "C"]], "seconds": -1}, "seconds is -1"),
        ({"tiers": [["A", "B", "C"]], "none_acceptable": "no"}, "none_acceptable is 'no'"),
        ({"tiers": [["A", "B", "C"]], "ideal": "x" * 1_000_001}, "ideal has 1,000,001 characters; at most 1,000,000"),
        ({"tiers": [["A", "B", "C"]], "comment": "\ud800"}, "that UTF-8 can hold"),
        ({"tiers": [["A", "B", "C"]], "best": "A"}, "the answer has the field 'best'"),
        (["A"], "the answer must be an object"),
    ],
)
def test_an_answer_that_says_too_little_or_too_much(tmp_path, answer, sentence):
    with Store(str(tmp_path / "labels.db")) as store:
        store.add_annotator("ann")
        store.add_tasks(sets(1))
        task = store.next_task("ann")
        with pytest.raises(Refused, match=sentence.replace("`", ".")) as caught:
            store.submit("ann", task.lease, answer, key())
        assert caught.value.reason == "invalid"
        assert store.records().rankings == []
        assert store.submit("ann", task.lease, tiers(task, "abc"), key()).counted  # the task is still theirs


@pytest.mark.parametrize(
    ("record", "kind", "sentence"),
    [
        (ResponseSet("x", "p", (Response("a"), Response("a"))), "rank", "has 1 different responses; a 'rank' task takes 2 to 9"),
        (sets(1, responses=9)[0], "judge", "has 9 different responses; a 'judge' task takes 1"),
        (ResponseSet("x", "p", (Response("a" * (33 << 20)), Response("b"))), "rank", "longer than 32 MiB"),
        (ResponseSet("x", "p", (Response("a", "m\0"), Response("b"))), "rank", "holds the character NUL"),
        (sets(1)[0], "guess", "kind is 'guess'; it must be one of rank, write, edit, judge"),
    ],
)  # fmt: skip
def test_a_task_that_nobody_could_answer(tmp_path, record, kind, sentence):
    with Store(str(tmp_path / "labels.db")) as store:
        with pytest.raises(Refused, match=sentence):
            store.add_tasks([record, *sets(2)], kind=kind)
        assert store.info()["tasks"] == 0


def test_any_text_is_kept_to_the_letter(store):
    texts = ["a\0b", "\u202eright to left", "\r\n", "", "<script>alert(1)</script>", "😀" * 3, "\x7f\u2028"]
    store.add_tasks([ResponseSet("x", [{"role": "user", "content": "\0"}], tuple(Response(text) for text in texts))])
    task = store.next_task("ann")
    assert sorted(card.text for card in task.cards) == sorted(texts)
    store.submit("ann", task.lease, {"tiers": [[card.slot for card in task.cards]], "ideal": "\0"}, key())
    made = store.records()
    assert [response.text for response in made.rankings[0].responses] == texts
    assert made.demonstrations[0].response == "\0"
    assert made.rankings[0].prompt == [{"role": "user", "content": "\0"}]


def test_verdicts_of_all_kinds_are_records(store):
    store.import_records([Verdict("v", "p", Response("r"), "bad", "zoe", "thumbs", "g")])
    assert store.records().verdicts == [Verdict("v", "p", Response("r"), "bad", "zoe", "thumbs", "g")]
