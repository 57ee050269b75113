"""`align store rank`: a simulated annotator takes tasks as people do, and its labels count as theirs, under its own name.
Each test was seen to fail under the mutation named beside it:

- tiers worst first; the name without "simulated:": test_it_works_like_a_person
- draws of the noise that belong to slots, or are the same for every name: test_noise_follows_from_the_seed_and_the_texts
- a new key for each try; Unavailable not waited out: test_what_the_store_did_not_acknowledge_is_sent_again
"""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
from answering import prompts, sets
from refusals import refused

from alignment.agreement.krippendorff import alpha_of_ranks
from alignment.agreement.label import from_ranking
from alignment.agreement.position import left_wins
from alignment.cli import command
from alignment.command import main
from alignment.labeling import Labeling
from alignment.preferences import simulating
from alignment.preferences.adding import Queue
from alignment.preferences.errors import Unavailable
from alignment.preferences.reading import Choice
from alignment.preferences.store import Store
from alignment.records import Ranking, Response, ResponseSet, content_id

OPINIONS = """
def longer(prompt, responses):
    assert prompt.startswith("prompt"), prompt
    return [len(response) for response in responses]

def first(prompt, responses):
    return [-place for place in range(len(responses))]

def same(prompt, responses):
    return [1.0] * len(responses)

def fails(prompt, responses):
    raise RuntimeError("no opinion")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "opinions.py").write_text(OPINIONS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tasks() -> list[ResponseSet]:
    """40 prompts with 4 responses of 1 to 4 letters in random places, the longest twice in every fifth."""
    rng = random.Random(5)
    made = []
    for number in range(40):
        texts = [letter * count for count, letter in enumerate("abcd", start=1)]
        texts += ["dddd"] * (number % 5 == 0)
        rng.shuffle(texts)
        made.append(
            ResponseSet(f"id{number}", f"prompt {number}", tuple(Response(text, f"model-{text[0]}") for text in texts))
        )
    return made


def rank(capsys, url: str, function: str, *more: str) -> dict:
    code = main(command("store rank"), [url, "--annotator", f"opinions.py:{function}", *more, "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out.splitlines()[-1])


def slots_of(ranking: Ranking):
    """The label with the slot that each of its responses was shown in."""
    texts = [response.text for response in ranking.responses]
    kept = [texts[place] for place in ranking.labeling.shown]
    return from_ranking(ranking, slots=tuple(kept.index(text) for text in texts))


def test_it_works_like_a_person(folder, url, tasks, capsys):
    """Leases, cards in a drawn order, one counted label a task; the order is the function's; nothing is said twice."""
    with Store(url, gold_share=0.0) as store:
        store.add_tasks(tasks, Queue(overlap=2), source="policy-v1")
        store.add_tasks(prompts(2), kind="write")
    metrics = rank(capsys, url, "longer", "--flip-probability", "0")
    assert (metrics["labels"], metrics["skipped"], metrics["late"], metrics["noise_sd"]) == (40, 2, 0, 0.0)
    assert metrics["annotator"] == "simulated annotator opinions.py:longer"
    with Store(url, gold_share=0.0) as store:
        made = store.records().rankings
        assert {one.annotator for one in made} == {"simulated:opinions.py:longer"}
        by_id = {one.id: one for one in made}
        for one in tasks:
            ranking = by_id[one.id]
            assert (ranking.prompt, ranking.responses, ranking.source) == (one.prompt, one.responses, "policy-v1")
            assert ranking.ranks == tuple(5 - len(response.text) for response in one.responses)
        shown = {one.labeling.shown for one in made}
        assert len(shown) > 10  # drawn, not as they stand
        assert all(one.labeling == Labeling(at=one.labeling.at, shown=one.labeling.shown) for one in made)
        progress = store.progress()
        assert (progress.labels, progress.out, progress.wanted) == (40, 0, 82)
        audit = [entry for entry in store.audit(limit=200) if entry.by == "simulated:opinions.py:longer"]
        assert [entry.kind for entry in audit] == ["label"] * 40 + ["skip"] * 2
        people = {one.name: one.role for one in store.annotators()}
        assert people == {"simulated:opinions.py:longer": "annotator"}
    assert rank(capsys, url, "longer", "--flip-probability", "0")["labels"] == 0


def test_noise_follows_from_the_seed_and_the_texts(folder, url, tasks, capsys):
    """The realised rate is about P; two runs under one seed rank alike whatever order the cards had; names differ."""
    with Store(url) as store:
        store.add_tasks(tasks, Queue(overlap=3))
    made = {name: rank(capsys, url, "longer", "--name", name) for name in ("one", "two")}
    assert all(0.12 < one["inversion_rate"] < 0.38 for one in made.values())  # 240 pairs, clustered by 40 tasks: 4 sd
    with Store(url) as store:
        by_name = {one.annotator: {} for one in store.records().rankings}
        for one in store.records().rankings:
            by_name[one.annotator][one.id] = one.ranks
    assert set(by_name) == {"simulated:one", "simulated:two"}
    assert by_name["simulated:one"] != by_name["simulated:two"]
    again = [simulated_again(folder, tasks, capsys, number, seed) for number, seed in ((1, 0), (2, 0), (3, 7))]
    assert again[0] == again[1] == by_name["simulated:one"]
    assert again[2] != again[0]


def simulated_again(folder, tasks, capsys, number: int, seed: int) -> dict:
    with Store(f"again-{number}.db") as store:
        store.add_tasks(tasks)
    rank(capsys, f"again-{number}.db", "longer", "--name", "simulated:one", "--seed", str(seed))
    with Store(f"again-{number}.db") as store:
        return {one.id: one.ranks for one in store.records().rankings}


def test_agreement_and_position_figures_see_it(folder, url, tasks, capsys):
    """Two who think alike agree wholly; one who always prefers the first card is found by where it was shown."""
    distinct = [replace(one, responses=tuple(dict.fromkeys(one.responses))) for one in tasks]
    with Store(url) as store:
        store.add_tasks(distinct, Queue(overlap=3))
    for name, function in (("a", "longer"), ("b", "longer"), ("c", "first")):
        rank(capsys, url, function, "--name", name, "--flip-probability", "0")
    with Store(url) as store:
        labels = [slots_of(one) for one in store.records().rankings]
    alike = [one for one in labels if one.annotator != "simulated:c"]
    assert alpha_of_ranks(alike).value == pytest.approx(1.0)
    assert alpha_of_ranks(labels).value < 0.6
    biased = left_wins([one for one in labels if one.annotator == "simulated:c"])
    assert biased.share == 1.0
    assert not biased.low <= 1.0 <= biased.high
    fair = left_wins(alike)
    assert fair.low <= fair.share <= fair.high


def test_gold_items_are_mixed_in_and_scored(folder, url, tasks, capsys, monkeypatch):
    known = [
        Ranking(one.id, one.prompt, one.responses, tuple(5 - len(r.text) for r in one.responses)) for one in tasks[:6]
    ]
    with Store(url) as store:
        store.add_tasks(tasks[6:])
        store.add_gold(known)
    with monkeypatch.context() as patch:
        patch.setattr(simulating, "existing", lambda url: Store(url, create=False, gold_share=1.0))
        metrics = rank(capsys, url, "longer", "--flip-probability", "0")
    assert metrics["labels"] == 40
    with Store(url) as store:
        answers, said = store.known_answers(), store.labels(Choice(purpose="gold"))
        assert [tuple(label.body["ranks"]) for label in said] == [answers[label.task] for label in said]
        assert len(said) == len(known) == 6
        assert len(store.records().rankings) == 34


def test_max_labels_and_a_run_that_goes_on(folder, url, tasks, capsys):
    with Store(url) as store:
        store.add_tasks(tasks)
    assert rank(capsys, url, "longer", "--max-labels", "7")["labels"] == 7
    assert rank(capsys, url, "longer")["labels"] == 33


def test_what_the_store_did_not_acknowledge_is_sent_again(folder, url, tasks, capsys, monkeypatch):
    """The commit happened, the answer was lost: the same key finds the label that is there."""
    with Store(url) as store:
        store.add_tasks(tasks[:3])
    monkeypatch.setattr(simulating, "WAITS", (0.0, 0.0))
    real, lost = Store.submit, []

    def submit(self, *given, **named):
        receipt = real(self, *given, **named)
        if len(lost) < 2:
            lost.append(receipt.event)
            raise Unavailable("the disk is full")
        assert receipt.repeated == (receipt.event in lost)
        return receipt

    monkeypatch.setattr(Store, "submit", submit)
    assert rank(capsys, url, "longer")["labels"] == 3
    with Store(url) as store:
        assert store.info()["labels"] == 3


def test_labels_by_align_rank_and_its_own_are_of_one_annotator(folder, url, tasks, capsys):
    """Rankings of `align rank` that were imported are signed alike."""
    name = "simulated:opinions.py:longer"
    with Store(url) as store:
        store.import_records([Ranking(content_id("p"), "prompt p", tasks[1].responses, (1, 2, 3, 4), name)])
        store.add_tasks(tasks[:2])
    rank(capsys, url, "longer")
    with Store(url) as store:
        assert [one.annotator for one in store.records().rankings] == [name] * 3


def test_mistakes_are_one_sentence(folder, tasks, capsys):
    given = command("store rank")
    with Store("labels.db") as store:
        store.add_tasks(tasks[:3])
        store.add_annotator("simulated:bad")
        store.quarantine("simulated:bad", "flips")
    with Store("empty.db") as store:
        store.add_tasks(prompts(1), kind="write")
        store.import_records([Ranking("1", "prompt", sets(1)[0].responses, (1, 2, 3))])
    for words, phrases in (
        (["none.db", "--annotator", "opinions.py:longer"], ("STORE none.db: there is no store",)),
        (["empty.db", "--annotator", "opinions.py:longer"], ("STORE empty.db: holds nothing to rank",)),
        (["labels.db", "--annotator", "opinions.py:none"], ("--annotator", "no function 'none'")),
        (["labels.db", "--annotator", "opinions.py:same"], ("gives all responses of each prompt the same score",)),
        (["labels.db", "--annotator", "opinions.py:fails"], ("raised RuntimeError: no opinion",)),
        (["labels.db", "--annotator", "opinions.py:longer", "--flip-probability", ".5"], ("must be below 0.5",)),
        (
            ["labels.db", "--annotator", "opinions.py:longer", "--name", "x" * 95],
            ("--name is 'simulated:xxx", "100 printable"),
        ),
        (["labels.db", "--annotator", "opinions.py:longer", "--name", "a\nb"], ("--name is 'simulated:a\\nb'",)),
        (["labels.db", "--annotator", "opinions.py:longer", "--name", ""], ("--name is 'simulated:'",)),
        (["labels.db", "--annotator", "opinions.py:longer", "--name", "bad"], ("'simulated:bad' is quarantined",)),
        (["labels.db", "--annotator", "opinions.py:longer", "--max-labels", "0"], ("--max-labels is 0", "at least 1")),
    ):
        refused(capsys, given, words, folder, *phrases)
