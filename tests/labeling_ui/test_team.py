"""The team's routes: figures by hand, who is found to follow the slot, adjudication, quarantine, export, what reviewers see.

Mutations seen to fail:
- (material.py) slots of the position instead of the card -> test_who_always_prefers_slot_a_is_found_and_honest_people_are_not
- (material.py) adjudications kept among `rankings` -> test_a_reviewer_adjudicates_and_nothing_is_overwritten
- (disputes.py) settled tasks kept in the list; (routes.py) names sent, own tasks kept -> the same
- (adjudication.py) others' answers told before one's own; no further place -> the same
- (routes.py) `by=` left out of quarantine -> test_an_admin_sets_aside_and_releases_with_a_reason
- (rules.py) download for TEAM -> test_guard.py; (audit.py) ranks counted with copies -> test_the_trail_in_plain_words
- (kept.py) computed again at once, no limit of one at a time, an old result never renewed -> test_computed_once_for_all_visitors
- (agreement.py) two figures exchanged -> test_figures_on_the_page_are_those_worked_by_hand"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time

import pytest
from fastapi import HTTPException
from labeling_app import MODELS, ORIGIN, PASSWORD, PEOPLE, client, logged_in, ranked

from alignment.agreement.summary import agreement
from alignment.metrics import METRICS
from alignment.preferences.adding import Queue
from alignment.preferences.store import Store
from alignment.records import Ranking, Response, ResponseSet, read_rankings
from labeling_ui.accounts import add_account
from labeling_ui.app import Setup, make_app
from labeling_ui.guard import Site
from labeling_ui.roles import Person
from labeling_ui.team import kept as kept_module
from labeling_ui.team.child import in_child
from labeling_ui.team.kept import Kept
from labeling_ui.team.material import Material
from labeling_ui.team.routes import admin_of, reviewer_of
from labeling_ui.team.sections import COMPUTED, computed

KEYS = (f"key-of-the-team-{number}" for number in range(10**9))


def rank(browser, choose) -> dict | None:
    """One task through the app's own routes. choose(cards) → tiers of slots."""
    task = browser.post("/v1/next", json={}).json()["task"]
    if task is not None:
        sent = {"lease": task["lease"], "answer": {"tiers": choose(task["cards"]), "seconds": 4.0}, "key": next(KEYS)}
        assert browser.post("/v1/submit", json=sent).status_code == 200
    return task


def by_letter(*tiers: str):
    """by_letter("b", "ac"): b is best, a and c tie; a letter is how a response's text begins."""
    return lambda cards: [[card["slot"] for card in cards if card["text"][0] in tier] for tier in tiers]


def letters(name: str, prompt: str, count: int = 3) -> ResponseSet:
    responses = tuple(Response(f"{letter} of {name}", model) for letter, model in zip("abc"[:count], MODELS))
    return ResponseSet(f"secret-{name}", prompt, responses)


def section(browser, name: str) -> dict:
    """As the page waits for it."""
    for _ in range(600):
        answer = browser.get(f"/v1/team/section/{name}")
        assert answer.status_code == 200, answer.text
        if answer.json()["section"] is not None:
            return answer.json()["section"]
        time.sleep(0.1)
    raise AssertionError(f"{name} was not computed within a minute")


def rows(found: dict, caption: str) -> list[list[str]]:
    return next(one["rows"] for one in found["tables"] if one["caption"] == caption)


@pytest.fixture
def store(tmp_path):
    """Empty, unlike the other tests' store."""
    with Store(str(tmp_path / "labels.db"), draw=random.Random(5), gold_share=0.0) as made:
        yield made


@pytest.fixture
def near(monkeypatch):
    """Sections are computed in this process: a second less for each."""

    def compute(url: str, name: str) -> dict:
        with Store(url, create=False) as opened:
            return computed(opened, name)

    monkeypatch.setattr("labeling_ui.team.routes.in_child", compute)


# Figures


def test_figures_on_the_page_are_those_worked_by_hand(near, team, store):
    """Two tasks of a, b, c. ann: a > b > c twice; rob: a > c > b, then a > b > c.

    Pairs: 5 of 6 alike. τ: 1/3 and 1, mean 2/3. Pairs both ways round: 12 units, 2 of them split, 12 values each:
    α = 1 − (4/24) ÷ (2·12·12 / (24·23)) = 49/72. Ranks: n = 4, 4, 4; α = 1 − 11·64 / 3072 = 0.7708."""
    store.add_tasks([letters("first", "1?"), letters("second", "2?")], Queue(overlap=2))
    ann, rob = team("ann"), team("rob")
    for order in ("abc", "abc"):
        rank(ann, by_letter(*order))
    for order in ("acb", "abc"):
        rank(rob, by_letter(*order))
    shown = {row[0]: row[1:] for row in rows(section(rob, "agreement"), "Figures")}
    by_hand = {
        "alpha_ranks": 0.7708,
        "alpha_pairs": 49 / 72,
        "tau_b": 2 / 3,
        "pairwise": 5 / 6,
        "pairwise_strict": 5 / 6,
    }
    for name, value in {**by_hand, "consensus": 5 / 6}.items():
        assert shown[METRICS[f"agreement/{name}"].axis][0] == f"{value:.3f}", name
    counted = agreement(Material(store).rankings)
    for name, one in counted.items():
        interval = f"{one.low:.3f} to {one.high:.3f}"
        assert shown[METRICS[name].axis] == [f"{one.value:.3f}", interval, f"{one.n:,}", f"{one.clusters:,}"]
    assert [one["title"] for one in section(rob, "agreement")["figures"]][-1] == "Who agrees with whom"


HONEST, TASKS = ("hana", "hugo", "hedy", "hans"), 30


def honest(generator: random.Random):
    """A SIMULATED annotator who looks at the text alone: its number is the quality, seen through noise."""
    return lambda cards: [
        [slot] for _, slot in sorted((-float(card["text"].split()[-1]) + generator.gauss(0, 1), card["slot"]) for card in cards)
    ]  # fmt: skip


def slot_a(cards) -> list[list[str]]:
    """A SIMULATED annotator who always prefers slot A, and leaves the others as they are shown."""
    return [[card["slot"]] for card in cards]


def test_who_always_prefers_slot_a_is_found_and_honest_people_are_not(team, people, store):
    """All of them SIMULATED, through the login, /v1/next and /v1/submit; the report through its own route and process."""
    generator = random.Random(7)
    qualities = [[generator.gauss(0, 1) for _ in range(4)] for _ in range(TASKS)]
    tasks = [
        ResponseSet(f"t{number}", f"Prompt {number}?", tuple(Response(f"text of quality {one:.3f}") for one in several))
        for number, several in enumerate(qualities)
    ]
    store.add_tasks(tasks, Queue(overlap=len(HONEST) + 1))
    for name in (*HONEST, "slota"):
        add_account(people, name, "annotator", PASSWORD)
        browser, choose = team(name), slot_a if name == "slota" else honest(generator)
        while rank(browser, choose) is not None:
            pass
    found = section(team("rob"), "bias")
    verdicts = {row[0]: row[-1] for row in rows(found, "Shown earlier wins")}
    assert verdicts == {**dict.fromkeys(HONEST, "within"), "slota": "outside"}
    assert any(line.startswith("Outside of the 99 % band: <strong>slota</strong>") for line in found["verdict"])
    (share,) = [row[1] for row in rows(found, "Shown earlier wins") if row[0] == "slota"]
    assert share == "1.000"
    plots = {one["title"]: one for one in found["figures"]}
    assert {f"Which slot wins: {name}" for name in verdicts} < set(plots)
    assert "more than chance gives" in plots["Which slot wins: slota"]["caption"]
    assert plots["Which slot wins"]["svg"].startswith("<svg")
    assert "A" in plots["Which slot wins: slota"]["svg"]


def test_progress_says_what_is_there_wanted_and_out(near, team, store):
    store.add_tasks([ranked(number) for number in range(3)], Queue(overlap=2))
    ann, rob = team("ann"), team("rob")
    rank(ann, by_letter("f", "s", "t"))
    task = ann.post("/v1/next", json={}).json()["task"]
    ann.post("/v1/skip", json={"lease": task["lease"], "reason": "<b>not my field</b>", "key": next(KEYS)})
    ann.post("/v1/next", json={})
    found = section(rob, "progress")
    assert found["verdict"][0] == "<strong>1</strong> of 6 labels are there, <strong>5</strong> still wanted."
    assert rows(found, "By kind of task") == [["ranking", "3", "1", "5", "1", "1", "4"]]
    assert rows(found, "Why tasks were skipped") == [["<b>not my field</b>", "1"]]
    assert [one["title"] for one in found["figures"]] == ["Labels by day", "Time per label"]


def test_gold_items_with_how_many_got_them_right(near, team, people, tmp_path):
    known = letters("gold", "Gold?")
    with Store(str(tmp_path / "labels.db")) as store:
        store.add_gold([Ranking(known.id, known.prompt, known.responses, (1, 2, 2))])
    with Store(str(tmp_path / "labels.db"), gold_share=1.0) as store:
        setup = Setup(Site(frozenset({ORIGIN})), "#", practice=False, auth=str(people))
        app = make_app(store, setup, pages=False)
        for name, order in (("ann", "acb"), ("rob", ("b", "ac")), ("eve", ("a", "bc"))):
            rank(logged_in(client(app), name), by_letter(*order))
        found = section(logged_in(client(app), "rob"), "gold")
    assert rows(found, "Items") == [["Gold?", "2", "3", "66.7 %"]]


def test_a_sample_is_said_and_takes_whole_tasks(store):
    """SIMULATED: two annotators agree on 60 tasks; a third of the labels is asked for."""
    store.import_records(
        [Ranking(one.id, one.prompt, one.responses, (1, 2, 3), who) for one in map(ranked, range(60)) for who in "xy"]
    )
    material = Material(store, most=40)
    assert "33.33% of the tasks, about 40 of 120 labels" in material.basis
    counts = {label.task: 0 for label in material.rankings}
    for label in material.rankings:
        counts[label.task] += 1
    assert set(counts.values()) == {2}
    assert 8 <= len(counts) <= 32
    assert Material(store).basis == ""
    assert len(Material(store).rankings) == 120


# Adjudication


def test_a_reviewer_adjudicates_and_nothing_is_overwritten(near, team, store, monkeypatch):
    monkeypatch.setattr(kept_module, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(kept_module, "REST", 0)
    store.add_tasks([letters("dispute", "Who?"), letters("peace", "What?")], Queue(overlap=2))
    ann, rob, eve = team("ann"), team("rob"), team("eve")
    for order in ("abc", "abc"):
        rank(ann, by_letter(*order))
    for order in ("cba", "abc"):
        rank(eve, by_letter(*order))
    before = store.labels()
    (one,) = section(rob, "disputes")["disputes"]
    assert one == {"task": before[0].task, "share": 1.0, "meetings": 3, "annotators": 2, "prompt": "Who?"}
    assert section(eve, "disputes")["disputes"] == [], "nobody judges a dispute of their own"
    assert eve.post("/v1/team/adjudicate", json={"task": one["task"]}).status_code == 409
    task = rob.post("/v1/team/adjudicate", json={"task": one["task"]}).json()["task"]
    assert task == rob.post("/v1/team/adjudicate", json={"task": one["task"]}).json()["task"], "the same cards again"
    assert rob.get(f"/v1/team/answers/{task['lease']}").status_code == 403, "not before their own answer"
    assert rob.post("/v1/next", json={}).json()["task"] is None, "no place was taken, none is left"
    sent = {"lease": task["lease"], "answer": {"tiers": by_letter("a", "cb")(task["cards"])}, "key": next(KEYS)}
    assert rob.post("/v1/submit", json=sent).json()["receipt"]["counted"]
    after = store.labels()
    assert [vars(label) for label in after[: len(before)]] == [vars(label) for label in before]
    assert (after[-1].annotator, after[-1].body["ranks"], len(after)) == ("rob", [1, 2, 2], len(before) + 1)
    slots = {card["text"][0]: card["slot"] for card in task["cards"]}
    told = rob.get(f"/v1/team/answers/{task['lease']}").json()["answers"]
    assert {one["annotator"]: one["tiers"] for one in told} == {
        "ann": [[slots[letter]] for letter in "abc"],
        "eve": [[slots[letter]] for letter in "cba"],
    }
    assert section(rob, "disputes")["disputes"] == []
    assert len(Material(store).rankings) == len(before), "asked for because people disagreed: no part of agreement"
    assert len(store.records().rankings) == len(after), "a label like all others for the reward model"
    progress = store.progress()
    assert (progress.labels, progress.wanted) == (5, 5)
    rob.post("/v1/undo", json={"key": next(KEYS)})
    again = computed(store, "disputes")["disputes"]
    assert [one["task"] for one in again] == [before[0].task], "taken back: in the list again"


# Quarantine


def test_an_admin_sets_aside_and_releases_with_a_reason(team, store):
    store.add_tasks([ranked(number) for number in range(3)])
    ann, rob, eve = team("ann"), team("rob"), team("eve")
    rank(ann, by_letter("f", "s", "t"))
    sent = {"name": "ann", "reason": "always prefers slot A"}
    assert rob.post("/v1/team/quarantine", json=sent).status_code == 403
    assert rob.post("/v1/team/release", json=sent).status_code == 403
    assert eve.post("/v1/team/quarantine", json=sent | {"reason": ""}).status_code == 422
    assert eve.post("/v1/team/quarantine", json=sent | {"name": "nobody"}).status_code == 404
    assert store.records().rankings
    people = {one["name"]: one for one in eve.post("/v1/team/quarantine", json=sent).json()["people"]}
    assert (people["ann"]["quarantined"], people["ann"]["reason"], people["ann"]["by"]) == (True, sent["reason"], "eve")
    assert store.records().rankings == []
    assert ann.post("/v1/next", json={}).status_code == 403
    assert Material(store).rankings == []
    assert computed(store, "annotators")["tables"][-1]["rows"][0][0] == "ann", "their figures can still be seen"
    eve.post("/v1/team/release", json={"name": "ann", "reason": "a mistake"})
    assert len(store.records().rankings) == 1
    log = [(one["by"], one["said"]) for kind in ("release", "quarantine")
           for one in rob.get(f"/v1/team/audit?kind={kind}").json()["events"]]  # fmt: skip
    assert log == [("eve", "released ann: a mistake"), ("eve", "set ann aside: always prefers slot A")]


# Audit trail, export, what is kept from whom


def test_the_trail_in_plain_words(team, store):
    twice = ResponseSet("twice", "Same?", (Response("a"), Response("b"), Response("a")))
    store.add_tasks([twice])
    ann, rob = team("ann"), team("rob")
    rank(ann, by_letter("a", "b"))
    newest = rob.get("/v1/team/audit").json()["events"][0]
    assert (newest["by"], newest["kind"], newest["event"]) == ("ann", "label", store.newest())
    (label,) = rob.get("/v1/team/audit?by=ann&kind=label").json()["events"]
    task = store.audit(store.newest() - 1)[0].task
    assert label["said"] == f"ranked 2 responses, in 4 seconds (task {task[:8]})", "copies share a card and are no tie"
    assert rob.get("/v1/team/audit?by=nobody").json() == {"events": [], "more": False}


def test_the_trail_in_pages(team, store):
    for number in range(120):
        store.add_annotator(f"person {number}")
    rob, seen = team("rob"), []
    asked = "/v1/team/audit?kind=annotator"
    while True:
        page = rob.get(asked).json()
        seen += [one["event"] for one in page["events"]]
        if not page["more"]:
            break
        asked = f"/v1/team/audit?kind=annotator&before={seen[-1]}"
    every = [one.event for one in store.audit(limit=1000) if one.kind == "annotator"]
    assert seen == every[::-1]
    assert len(seen) > 120


def test_a_snapshot_is_named_downloaded_and_the_same_elsewhere(team, store, tmp_path):
    store.add_tasks([ranked(number) for number in range(3)])
    ann, rob, eve = team("ann"), team("rob"), team("eve")
    for _ in range(3):
        rank(ann, by_letter("s", "ft"))
    taken = rob.post("/v1/team/snapshot", json={}).json()["snapshot"]
    assert (
        taken["command"]
        == f"align reward --base sft --rankings store:{store.shown}@{taken['name']} --output reward-model"
    )
    assert rob.get("/v1/team/snapshots").json()["snapshots"] == [taken]
    place = f"/v1/team/download/{taken['digest']}/rankings"
    assert rob.get(place).status_code == 403, "records name the models"
    path = tmp_path / "rankings.jsonl"
    path.write_bytes(eve.get(place).content)
    again = read_rankings(path)
    assert again == store.records(taken["name"]).rankings
    assert {one.model for ranking in again for one in ranking.responses} == set(MODELS)
    with Store(str(tmp_path / "elsewhere.db")) as other:
        other.import_records(again)
        assert other.snapshot().digest == taken["digest"]
    assert eve.get(f"/v1/team/download/{'0' * 64}/rankings").status_code == 404
    assert eve.get(f"/v1/team/download/{taken['digest']}/secrets").status_code == 422


def test_no_reviewer_sees_a_model_a_source_or_a_record_id(near, team, store):
    store.add_tasks(
        [letters(str(number), f"{number}?") for number in range(4)], Queue(overlap=2), source="secret-source"
    )
    store.add_gold([Ranking("secret-gold", "Gold?", letters("gold", "Gold?").responses, (1, 2, 3))])
    ann, rob, eve = team("ann"), team("rob"), team("eve")
    for browser, order in ((ann, "abc"), (eve, "cab")):
        while rank(browser, by_letter(*order)) is not None:
            pass
    seen = [json.dumps(section(rob, name)) for name in COMPUTED]
    first = json.loads(seen[list(COMPUTED).index("disputes")])["disputes"][0]
    seen.append(rob.post("/v1/team/adjudicate", json={"task": first["task"]}).text)
    seen.append(rob.post("/v1/team/snapshot", json={}).text)
    seen += [rob.get(f"/v1/team/{path}").text for path in ("people", "audit", "snapshots", "sections")] + [
        rob.get("/team").text
    ]
    assert len(seen) == len(COMPUTED) + 7
    assert not [word for word in (*MODELS, "secret-") if word in "".join(seen)]


def test_an_empty_store_is_said_in_every_section(store):
    for name in COMPUTED:
        found = computed(store, name)
        assert found["verdict"], name
        assert found.get("figures", []) == []


# How it is computed


def test_it_is_computed_in_a_process_of_its_own_without_torch(store):
    makers = [maker.partition(":")[0] for maker in COMPUTED.values()]
    code = f"import sys, labeling_ui.team.child, {', '.join(makers)}\nprint([one for one in ('torch', 'transformers', 'datasets') if one in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    assert in_child(store.shown, "progress")["verdict"]
    assert "no-such.db" in in_child("no-such.db", "progress")["problem"]
    assert "KeyError" in in_child(store.shown, "nothing")["problem"]


def settled(kept: Kept, name: str) -> dict:
    for _ in range(500):
        found = kept.get(name)
        if found is not None and not found["computing"]:
            return found
        time.sleep(0.01)
    raise AssertionError("it is never done")


def test_computed_once_for_all_visitors():
    now, calls, most, running = [0.0], [], [0], [0]

    def compute(name: str) -> dict:
        running[0] += 1
        most[0] = max(most[0], running[0])
        time.sleep(0.02)
        calls.append(name)
        running[0] -= 1
        if name == "broken":
            raise ValueError("no")
        return {"number": len(calls)}

    kept = Kept(compute, clock=lambda: now[0])
    assert kept.get("a") is None
    threads = [threading.Thread(target=kept.get, args=(name,)) for name in "aabbcc"]
    for thread in threads:
        thread.start()
    found = {name: settled(kept, name) for name in "abc"}
    assert sorted(calls) == ["a", "b", "c"]
    assert most == [1], "one at a time"
    now[0] = kept_module.KEEP_SECONDS - 1
    assert settled(kept, "a")["age"] == now[0]
    assert len(calls) == 3
    now[0] = kept_module.KEEP_SECONDS
    assert kept.get("a")["number"] == found["a"]["number"], "the old one once more"
    assert settled(kept, "a")["number"] == 4
    kept.outdate()
    kept.get("b")
    assert settled(kept, "b")["number"] == 5
    kept.get("b", fresh=True)
    assert settled(kept, "b")["number"] == 6
    kept.get("broken")
    assert "ValueError: no" in settled(kept, "broken")["problem"]


def test_annotators_are_refused_by_the_handlers_too(team):
    """Roles are in `rules.py`; should the guard be left out, the handlers refuse as well."""
    for check, allowed in ((reviewer_of, {"reviewer", "admin"}), (admin_of, {"admin"})):
        for role in PEOPLE.values():
            if role in allowed:
                assert check(Person("x", role)).role == role
            else:
                with pytest.raises(HTTPException):
                    check(Person("x", role))
