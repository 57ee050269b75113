"""Real prompts and responses in the app: each text reaches the page to the letter, imported labels stay what they were.

Mutation seen to fail: a text stripped on its way to the page
(test_every_real_text_reaches_the_page_to_the_letter).
"""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import pytest
from labeling_app import ORIGIN, PASSWORD, client
from labeling_server import Thread, opened
from playwright.sync_api import expect

from alignment.agreement.label import from_ranking
from alignment.agreement.pairwise import pairwise_agreement
from alignment.cli import command
from alignment.command import main
from alignment.preferences.store import Store
from alignment.records import Response, ResponseSet, read_rankings
from labeling_ui.accounts import add_account
from labeling_ui.app import Setup, make_app
from labeling_ui.guard import Site

pytestmark = pytest.mark.xdist_group("labeling")
NAMES = ("oasst", "finegrained_qa")
GROUPS = ("group", "tree", "question")

SCRIPTS = [
    ResponseSet("code", "Write *a* loop in `C`:\n\n```c\nint main() { return 1 << 2; }\n```", (
        Response("```c\nfor (int i = 0; i < 3; i++) {\n\tprintf(\"%d\\n\", i); // <b>&amp;</b>\n}\n```", "m"),
        Response("| a | b |\n|---|---|\n| 1 | **2** |\n\n1. one\n   - two  \n\n$x_1^2$ \\* \\_ ~~no~~", "m"),
    )),
    ResponseSet("arabic", [{"role": "user", "content": "ما هي عاصمة مصر؟"}], (
        Response("القاهرة هي عاصمة مصر، وعدد سكانها 10 ملايين (2023).", "m"), Response("עיר הבירה היא קהיר — Cairo!", "m"),
    )),
    ResponseSet("others", "日本の首都は?", (
        Response("東京です。👩‍👩‍👧 नमस्ते", "m"), Response("Ελλάδα e\u0301 ﬁ ไทย\u00a0한국어", "m"), Response("Москва — не Токио\u2026", "m"),
    )),
]  # fmt: skip


def rankings(real_data, name):
    return read_rankings(real_data / name / "rankings.jsonl", group_fields=GROUPS)


def as_tasks(found):
    """What is to be ranked once more: those with something to compare, and no more than nine cards."""
    made = [ResponseSet(one.id, one.prompt, one.responses, one.group) for one in found]
    return [one for one in made if 2 <= len({response.text for response in one.responses}) <= 9]


@pytest.fixture
def memory(tmp_path):
    """A folder that no commit waits for a disk in."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.parametrize("name", NAMES)
def test_every_real_text_reaches_the_page_to_the_letter(real_data, memory, name):
    """All records: `/v1/next` gives the prompt and each different response once, in slots."""
    found = rankings(real_data, name)
    with Store(str(memory / "labels.db"), draw=random.Random(2), gold_share=0.0) as store:
        store.import_records(found)
        store.add_tasks(as_tasks(found), source="again")
        browser = client(make_app(store, Setup(Site(frozenset({ORIGIN})), "# Rules", practice=False), pages=False))
        for number, one in enumerate(as_tasks(found)):
            task = browser.post("/v1/next").json()["task"]
            assert task["kind"] == "rank"
            assert [message["text"] for message in task["prompt"]] == [one.prompt]
            texts = [card["text"] for card in task["cards"]]
            assert sorted(texts) == sorted({response.text for response in one.responses})
            assert [card["slot"] for card in task["cards"]] == list("ABCDEFGHI"[: len(texts)])
            order = sorted(
                task["cards"], key=lambda card: one.responses[[r.text for r in one.responses].index(card["text"])].text
            )
            answer = {"tiers": [[card["slot"]] for card in order]}
            sent = browser.post(
                "/v1/submit", json={"lease": task["lease"], "answer": answer, "key": f"real-{number:06}"}
            )
            assert sent.status_code == 200, sent.text
        assert browser.post("/v1/next").json()["task"] is None
        records = store.records().rankings
        assert records[: len(found)] == found
        again = {(one.id, one.group): one for one in records[len(found) :]}
        for one in as_tasks(found):
            made = again[one.id, one.group]
            assert (made.prompt, made.responses, made.annotator, made.source) == (
                one.prompt,
                one.responses,
                "local",
                "again",
            )
            texts = sorted({response.text for response in one.responses})
            assert made.ranks == tuple(texts.index(response.text) + 1 for response in one.responses)


@pytest.mark.parametrize("name", NAMES)
def test_imported_labels_appear_as_what_they_are(real_data, tmp_path, capsys, name):
    """In no annotator's history, as no task that is wanted, in agreement under whose label it is; exported identical."""
    found = rankings(real_data, name)
    url = str(tmp_path / "labels.db")
    assert main(command("store import"), [url, str(real_data / name / "rankings.jsonl")]) == 0
    with Store(url, gold_share=0.0) as store:
        browser = client(make_app(store, Setup(Site(frozenset({ORIGIN})), "# Rules", practice=False), pages=False))
        assert browser.post("/v1/next").json()["task"] is None
        assert browser.get("/v1/history").json()["history"] == []
        assert browser.get("/v1/progress").json()["wanted"] == 0
        labels = store.labels()
        assert len(labels) == len(found)
        assert {label.annotator for label in labels} == {one.annotator or "" for one in found}
        here, there = ([from_ranking(one) for one in several] for several in (store.records().rankings, found))
        assert pairwise_agreement(here) == pairwise_agreement(there)
        snapshot = store.snapshot().digest
    capsys.readouterr()
    out = tmp_path / "out.jsonl"
    assert main(command("export"), [f"store:{url}@{snapshot}", "--format", "own", "--output", str(out)]) == 0
    key = lambda one: json.dumps([one.id, one.prompt, [r.text for r in one.responses], one.ranks])  # noqa: E731
    assert sorted(read_rankings(out), key=key) == sorted(found, key=key)


@pytest.fixture
def served(tmp_path):
    add_account(tmp_path / "people.json", "ann", "annotator", PASSWORD)
    with opened(tmp_path) as store:
        server = Thread(store, auth=str(tmp_path / "people.json"), practice=False)
        server.store = store
        yield server
        server.close()


def test_real_tasks_and_all_scripts_in_chromium(served, browser, real_data):
    """As written, the page's text is the record's, letter for letter; each ranking is saved with what was shown."""
    real = [one for name in NAMES for one in as_tasks(rankings(real_data, name))[5:8]]
    served.store.add_tasks([*real, *SCRIPTS])
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(30_000)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    assert page.request.post(
        f"{served.url}/v1/login", data={"name": "ann", "password": PASSWORD}, headers={"origin": served.url}
    ).ok
    page.goto(served.url)
    for number, one in enumerate([*real, *SCRIPTS]):
        page.locator("#align .prompt .message").first.wait_for()
        expect(page.locator("#align .progress, #align .state-text").first).to_be_attached()
        if number == 0:
            page.keyboard.press("m")  # text as written
        texts = [response.text for response in one.responses]
        page.wait_for_function(
            "wanted => [...document.querySelectorAll('#align .card .text')].some(one => one.textContent === wanted)",
            arg=texts[0],
        )
        shown = page.locator("#align .card .text").evaluate_all("all => all.map(one => one.textContent)")
        assert sorted(shown) == sorted(set(texts))
        prompt = page.locator("#align .prompt .text").evaluate_all("all => all.map(one => one.textContent)")
        assert prompt == ([one.prompt] if isinstance(one.prompt, str) else [said["content"] for said in one.prompt])
        for letter in "abcdefghi"[: len(shown)]:
            page.keyboard.press(letter)
        page.keyboard.press("Enter")
        if number + 1 < len([*real, *SCRIPTS]):
            page.wait_for_function(
                "old => ![...document.querySelectorAll('#align .card .text')].some(one => one.textContent === old)",
                arg=texts[0],
            )
        else:
            expect(page.locator("#align .state-text")).to_contain_text("Saved", timeout=30_000)
        made = served.store.records().rankings[-1]
        assert (made.id, made.responses) == (one.id, one.responses)
        assert [made.responses[place].text for place in made.labeling.shown] == shown
        assert [made.ranks[place] for place in made.labeling.shown] == list(range(1, len(shown) + 1))
    assert errors == []
    context.close()
