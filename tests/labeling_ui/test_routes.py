"""The server without a browser: what is asked is answered, what is wrong is one sentence, and nobody sees who wrote what.

Mutations seen to fail (in `labeling_ui`): `showing`: one more field on a card (no answer says ...); `failures`: 500 where it may
be asked again (... cannot just now ...); `routes`: unknown fields taken (bad requests), no practice (practice comes first ...).
"""

from __future__ import annotations

import json
import random
from concurrent.futures import Future

import pytest
from labeling_app import MODELS, ORIGIN, client, ranked

from alignment.preferences.errors import Unavailable
from alignment.preferences.store import Store
from alignment.records import Ranking
from labeling_ui.app import Setup, make_app
from labeling_ui.guard import Site
from labeling_ui.practice import add_practice

KEY = "key-of-a-test-"


def next_task(browser, kind: str = "rank") -> dict:
    """Skips what is of another kind."""
    for number in range(20):
        task = browser.post("/v1/next", json={}).json()["task"]
        if task is None or task["kind"] == kind:
            return task
        skipped = {"lease": task["lease"], "reason": "another kind", "key": f"skip-of-test-{number}"}
        assert browser.post("/v1/skip", json=skipped).status_code == 200
    raise AssertionError(f"no task of kind {kind}")


def submit(browser, lease: str, answer: dict, key: str = KEY, **more):
    return browser.post("/v1/submit", json={"lease": lease, "answer": answer, "key": key, **more})


def test_a_ranking_is_saved_as_the_cards_were_shown(local, store):
    task = next_task(local)
    answer = submit(local, task["lease"], {"tiers": [["B"], ["A", "C"]], "strength": 2, "flags": {"A": ["false"]}})
    assert answer.status_code == 200
    assert answer.json()["receipt"] | {"saved": ""} == {
        "event": answer.json()["receipt"]["event"],
        "saved": "",
        "repeated": False,
        "counted": True,
    }
    (saved,) = store.records().rankings
    shown = {card["slot"]: card["text"] for card in task["cards"]}
    rank_of = {one.text: rank for one, rank in zip(saved.responses, saved.ranks)}
    assert [rank_of[shown[slot]] for slot in "ABC"] == [2, 1, 2]
    flags = dict(zip((one.text for one in saved.responses), saved.labeling.flags))
    assert [flags[shown[slot]] for slot in "ABC"] == [("false",), (), ()]
    assert (saved.strength, saved.annotator) == (2, "local")


def test_a_repeated_submit_is_carried_out_once(local, store):
    task = next_task(local)
    answers = [submit(local, task["lease"], {"tiers": [["A"], ["B"], ["C"]]}).json()["receipt"] for _ in range(3)]
    assert [one["repeated"] for one in answers] == [False, True, True]
    assert len({one["event"] for one in answers}) == 1
    assert len(store.records().rankings) == 1


def test_writing_and_editing_become_demonstrations(local, store):
    written, edited = next_task(local, "write"), None
    assert submit(local, written["lease"], {"text": "Written by hand."}, "key-of-writing").status_code == 200
    edited = next_task(local, "edit")
    assert edited["cards"]
    answer = {"slot": "B", "text": "Better by hand."}
    assert submit(local, edited["lease"], answer, "key-of-editing").status_code == 200
    assert {one.response for one in store.records().demonstrations} == {"Written by hand.", "Better by hand."}
    (pair,) = [one for one in store.records().rankings if "Better by hand." in {r.text for r in one.responses}]
    assert len(pair.strict_pairs()) == 1


def test_undo_gives_the_answer_back_and_an_edit_replaces_it(local, store):
    task = next_task(local)
    submit(local, task["lease"], {"tiers": [["A"], ["B"], ["C"]]}, "key-number-1")
    again = local.post("/v1/undo", json={"key": "key-number-2"}).json()["task"]
    assert (again["lease"], again["answer"]["tiers"]) == (task["lease"], [["A"], ["B"], ["C"]])
    assert store.records().rankings == []
    event = submit(local, task["lease"], {"tiers": [["C"], ["B"], ["A"]]}, "key-number-3").json()["receipt"]["event"]
    past = local.get("/v1/history").json()["history"]
    assert [one["standing"] for one in past] == [True, False]
    assert past[0]["event"] == event
    edited = submit(local, task["lease"], {"tiers": [["B"], ["A", "C"]]}, "key-number-4", edits=event)
    assert edited.status_code == 200
    assert submit(local, task["lease"], {"tiers": [["A"], ["B", "C"]]}, "key-number-5", edits=event).status_code == 409
    assert len(store.records().rankings) == 1
    assert len(store.audit(limit=1000)) >= 4


def test_a_draft_comes_back(local):
    task = next_task(local)
    assert local.post("/v1/draft", json={"lease": task["lease"], "draft": "half a thought"}).json() == {"kept": True}
    assert next_task(local)["draft"] == "half a thought"


def test_progress_counts(local):
    task = next_task(local)
    assert local.get("/v1/progress").json()["wanted"] == 6
    submit(local, task["lease"], {"tiers": [["A"], ["B"], ["C"]]})
    assert local.get("/v1/progress").json()["done"] == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "phrase"),
    [
        ("submit", b"{", 422, "JSON"),
        ("submit", {}, 422, "lease"),
        ("submit", {"lease": "x", "answer": {}, "key": KEY, "annotator": "eve"}, 422, "annotator"),
        ("submit", {"lease": "x", "answer": [], "key": KEY}, 422, "answer"),
        ("submit", {"lease": 7, "answer": {}, "key": KEY}, 422, "lease"),
        ("submit", {"lease": "x", "answer": {}, "key": "short"}, 422, "key"),
        ("submit", {"lease": "x", "answer": {}, "key": "k" * 201}, 422, "key"),
        ("submit", {"lease": "x" * 32, "answer": {"tiers": []}, "key": KEY}, 404, "ask for the next task"),
        ("submit", {"lease": "x", "answer": {}, "key": KEY, "edits": "1"}, 422, "edits"),
        ("draft", {"lease": "x" * 32, "draft": "d"}, 404, "ask for the next task"),
        ("draft", {"lease": "x", "draft": None}, 422, "draft"),
        ("skip", {"lease": "x" * 32, "reason": "", "key": KEY}, 404, "ask for the next task"),
        ("undo", {"key": KEY}, 404, "there is no answer to undo"),
    ],
)  # fmt: skip
def test_bad_requests_get_one_sentence(local, store, path, body, status, phrase):
    sent = (
        {"content": body, "headers": {"content-type": "application/json"}}
        if isinstance(body, bytes)
        else {"json": body}
    )
    answer = local.post(f"/v1/{path}", **sent)
    assert (answer.status_code, set(answer.json())) == (status, {"reason", "sentence"})
    assert phrase in answer.json()["sentence"]
    assert store.info()["labels"] == 0


@pytest.mark.parametrize(
    ("answer", "phrase"),
    [
        ({"tiers": [["A"], ["B"]]}, "C is in no tier"),
        ({"tiers": [["A"], ["B"], ["C"], ["D"]]}, "'D' is not on the page"),
        ({"tiers": [["A"], ["A", "B", "C"]]}, "A is named twice"),
        ({"tiers": [["A"], [], ["B", "C"]]}, "a tier is empty"),
        ({"tiers": "ABC"}, "tiers must be lists"),
        ({"tiers": [["A", "B", "C"]], "strength": 9}, "strength is 9"),
        ({"tiers": [["A", "B", "C"]], "flags": {"A": ["<b>"]}}, "must be a list of words"),
        ({"tiers": [["A", "B", "C"]], "model": "x"}, "'model'"),
        ({"tiers": [["A", "B", "C"]], "ideal": "x" * 1_000_001}, "1,000,001 characters"),
        ({"tiers": [["A", "B", "C"]], "seconds": -1}, "seconds"),
        ({"tiers": [["A", "B", "C"]], "comment": "\ud800"}, "UTF-8"),
    ],
)  # fmt: skip
def test_bad_answers_get_one_sentence_and_keep_the_task(local, store, answer, phrase):
    task = next_task(local)
    body = json.dumps({"lease": task["lease"], "answer": answer, "key": KEY})
    refused = local.post("/v1/submit", content=body, headers={"content-type": "application/json"})
    assert refused.status_code == 422
    assert phrase in refused.json()["sentence"]
    assert store.info()["labels"] == 0
    assert submit(local, task["lease"], {"tiers": [["A"], ["B"], ["C"]]}).status_code == 200


def test_a_store_that_cannot_just_now_is_asked_again(local, store, monkeypatch):
    task = next_task(local)
    saving, full = store.submit_soon, Future()
    full.set_exception(Unavailable("STORE labels.db: the disk is full; make room and repeat"))
    monkeypatch.setattr(store, "submit_soon", lambda *_: full)
    refused = submit(local, task["lease"], {"tiers": [["A"], ["B"], ["C"]]})
    assert (refused.status_code, refused.json()["reason"]) == (503, "unavailable")
    assert refused.headers["retry-after"] == "2"
    monkeypatch.setattr(store, "submit_soon", saving)
    assert submit(local, task["lease"], {"tiers": [["A"], ["B"], ["C"]]}).json()["receipt"]["repeated"] is False


def test_no_answer_says_who_wrote_a_response(local, store):
    """Names, ids, sources, real positions and known answers stay on the server, whatever an annotator asks for."""
    seen, shown = [], []
    for number in range(20):
        seen.append(local.post("/v1/next", json={}).text)
        task = json.loads(seen[-1])["task"]
        if task is None:
            break
        assert set(task) == {"lease", "kind", "prompt", "cards", "expires", "draft", "answer", "event", "practice"}
        assert all(set(card) == {"slot", "text", "html"} for card in task["cards"])
        shown.append("".join(card["text"][0] for card in task["cards"]))
        answer = {
            "rank": {"tiers": [["A"], ["B"], ["C"]]},
            "write": {"text": "mine"},
            "edit": {"slot": "A", "text": "mine too"},
        }[task["kind"]]
        seen.append(submit(local, task["lease"], answer, f"key-number-{number}").text)
    seen += [local.get(f"/v1/{path}").text for path in ("me", "history", "progress", "guidelines")]
    seen.append(local.post("/v1/undo", json={"key": "key-of-undo"}).text)
    assert len(shown) == 6, "four rankings, one to write, one to edit; gold has a share of none here"
    assert not [word for word in (*MODELS, "secret-", "gold", "slice", "purpose", "position") if word in "".join(seen)]


def test_practice_comes_first_and_tells_afterwards(store):
    add_practice(store)
    add_practice(store)  # twice: a server that starts again adds nothing
    browser = client(make_app(store, Setup(Site(frozenset({ORIGIN})), "# Rules"), pages=False))
    for number in range(1, 6):
        task = browser.post("/v1/next", json={}).json()["task"]
        assert task["practice"] == {"number": number, "of": 5}
        assert browser.get(f"/v1/feedback/{task['lease']}").status_code == 403, "not before it is answered"
        slots = [card["slot"] for card in task["cards"]]
        submit(browser, task["lease"], {"tiers": [slots]}, f"key-number-{number}")
        told = browser.get(f"/v1/feedback/{task['lease']}").json()
        assert sorted(sum(told["tiers"], told["unranked"])) == slots
        assert len(told["note"]) > 40
    real = browser.post("/v1/next", json={}).json()["task"]
    assert real["practice"] is None
    assert browser.get(f"/v1/feedback/{real['lease']}").status_code == 403
    assert browser.post("/v1/undo", json={"key": "key-of-undo"}).json()["task"]["practice"], "a practice item again"
    assert store.records().rankings == [], "practice is no label"
    assert sum(entry.kind == "gold" for entry in store.audit(limit=1000)) == 1 + 5


def test_the_first_card_is_the_first_response_as_often_as_any(tmp_path):
    """The order is drawn anew for each annotator: about a sixth of 120 draws for each of the six orders."""
    with Store(str(tmp_path / "s.db"), draw=random.Random(3)) as store:
        store.add_tasks([ranked(number) for number in range(120)])
        app = make_app(store, Setup(Site(frozenset({ORIGIN})), "#", practice=False), pages=False)
        browser, orders = client(app), []
        while (task := browser.post("/v1/next", json={}).json()["task"]) is not None:
            orders.append("".join(card["text"][0] for card in task["cards"]))
            submit(browser, task["lease"], {"tiers": [["A"], ["B"], ["C"]]}, f"key-number-{len(orders)}")
    counts = {order: orders.count(order) for order in set(orders)}
    assert len(counts) == 6
    assert max(counts.values()) <= 36, counts  # mean 20, standard deviation 4.1


def test_gold_items_look_like_any_other(tmp_path):
    with Store(str(tmp_path / "s.db"), gold_share=1.0) as store:
        gold = ranked(1)
        store.add_gold([Ranking(gold.id, gold.prompt, gold.responses, (1, 2, 3))])
        store.add_tasks([ranked(2)])
        browser = client(make_app(store, Setup(Site(frozenset({ORIGIN})), "#", practice=False), pages=False))
        first = browser.post("/v1/next", json={}).json()["task"]
        answered = submit(browser, first["lease"], {"tiers": [["A"], ["B"], ["C"]]}, "key-number-1")
        second = browser.post("/v1/next", json={}).json()["task"]
        assert {type(value) for value in first.values()} == {type(value) for value in second.values()}
        assert set(answered.json()) == {"receipt"}
        assert browser.get(f"/v1/feedback/{first['lease']}").status_code == 403
