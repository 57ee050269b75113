"""`align reward changes` from the store to the store: two tiny reward models, trained on two snapshots of rankings by
SIMULATED annotators (a rule on the last word), and what the command says of them; with scorers whose scores are known, what it
counts; and what it refuses.

Mutations seen to fail:
- rankings matched by id alone, or with their source; gone ones not counted -> test_scores_that_are_known
- older and newer scores exchanged; one model scoring twice -> test_scores_that_are_known
- what either model held out taken for trained on, or the other way round -> test_scores_that_are_known
- the newest snapshot not recorded by the run, or not read from there -> test_from_the_store_to_the_store
- the change not kept, or kept before all is written; not kept where --store names a store -> test_from_the_store_..., test_kept_last
- each refusal's check left out -> test_refused
"""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

import pytest
from models import tiny_model
from refusals import listing, refused

from alignment.command import main
from alignment.config import asdict
from alignment.preferences.errors import Unavailable
from alignment.preferences.store import Store
from alignment.records import Ranking, Response, write_jsonl
from alignment.run import write_config, write_json
from alignment.scorer import load_scorer
from reward_model.changes import compare
from reward_model.changes.config import COMMAND, ChangesSettings
from reward_model.changes.origins import Origin
from reward_model.config import RewardSettings
from reward_model.split import split
from reward_model.train import run as reward

ENDS = [" moon", " kite", " boat"]  # the simulated annotators like them in this order
GOOD = ["rm-2", "--against", "rm-1", "--output", "out", "--threads", "1"]


def simulated(number: int, who: str) -> Ranking:
    draw = random.Random(number)
    ends = draw.sample(range(3), 3)
    texts = [f" {draw.choice(['red', 'warm', 'green'])}{' cat' * draw.randint(0, 3)}{ENDS[end]}" for end in ends]
    ranks = tuple(end + 1 for end in ends)
    return Ranking(f"r{number}", f"Where is the boat {number}", tuple(map(Response, texts)), ranks, f"simulated:{who}")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with the store, rm-1 (of its newest snapshot then, not named) and rm-2 (of a named one)."""
    folder, here = tmp_path_factory.mktemp("changes"), Path.cwd()
    os.chdir(folder)
    tiny_model("llama", folder / "base")
    common = {"base": "base", "lr": 2e-3, "holdout_fraction": 0.3, "save_every": 0, "threads": 1}
    with Store("labels.db") as store:
        store.import_records(simulated(number, "ann") for number in range(24))
        store.snapshot()
        reward(RewardSettings(rankings="store:labels.db", output="rm-1", **common))
        store.import_records(simulated(number, "bob") for number in range(24, 60))
        newer = store.snapshot().digest[:12]
        reward(RewardSettings(rankings=f"store:labels.db@{newer}", output="rm-2", **common))
    os.chdir(here)
    return folder


@pytest.fixture
def folder(trained, tmp_path, monkeypatch) -> Path:
    copied = tmp_path / "work"
    shutil.copytree(trained, copied)
    monkeypatch.chdir(copied)
    return copied


def test_from_the_store_to_the_store(folder, capsys):
    assert main(COMMAND, GOOD) == 0
    printed = capsys.readouterr().out
    assert "rm-2 was given 36 rankings that rm-1 was not, by 1 simulated annotator; 24 both were given." in printed
    assert "kept in the store labels.db" in printed
    assert "page: out/report.html" in printed
    change = json.loads(Path("out/changes.json").read_text())
    with Store("labels.db", create=False) as store:
        first, second = (one.digest for one in store.snapshots())
        (kept,) = store.reward_changes()
        before = {one.id for one in store.records(first).rankings}
        rankings = store.records(second).rankings
    assert change["old"] == {"model": "rm-1", "rankings": [f"store:labels.db@{first}"]}
    assert change["new"] == {"model": "rm-2", "rankings": [f"store:labels.db@{second[:12]}"]}
    assert kept.body == change
    assert (kept.kind, kept.by) == ("reward_change", "align reward changes")
    right = {"rm-1": 0, "rm-2": 0}
    for name in right:
        scorer = load_scorer(name, "test")
        for one in rankings:
            if one.id not in before:
                scores = scorer.score_responses([(one.prompt, response) for response in one.responses], 1)
                right[name] += sum(scores[i] > scores[j] for i, j in one.strict_pairs())
    found = change["parts"]["new"]
    assert (found["n_rankings"], found["n_pairs"], found["n_units"]) == (36, 108, 36)
    assert found["accuracy_old"]["value"] == pytest.approx(right["rm-1"] / 108)
    assert found["accuracy_new"]["value"] == pytest.approx(right["rm-2"] / 108)
    held_out = {one.id for one in split(RewardSettings(**_config("rm-2"))).held_out}
    assert found["unseen"]["n_rankings"] == len(held_out - before)
    metrics = json.loads(Path("out/metrics.json").read_text())
    assert metrics == {name: value for name, value in change.items() if name not in ("points", "most_changed")}


def test_the_same_again_is_kept_once(folder, capsys):
    for output in ("out", "again"):
        assert main(COMMAND, [*GOOD, "--output", output]) == 0
    with Store("labels.db", create=False) as store:
        assert len(store.reward_changes(10)) == 1


class Known:
    """A scorer whose scores are known: text → score."""

    def __init__(self, scores: dict[str, float]) -> None:
        self.scores, self.asked = scores, []

    def encode(self, prompt, response):
        self.asked.append((prompt, response.text))
        return type("Encoded", (), {"prompt_ids": [prompt], "response_ids": [response.text]})

    def score_many(self, sequences, batch_size, name=None):
        return [self.scores[text] for _, text in sequences]


def test_scores_that_are_known(tmp_path, monkeypatch):
    """Files, whose names must not make every ranking new. Of each label: text a over text b, c, ..."""
    monkeypatch.chdir(tmp_path)
    names = [f"prompt {number}" for number in range(40)]
    old = [_pair(name, "ab", "ann") for name in names[:20]]
    edited = [_pair(names[0], "ba", "ann"), *old[1:]]  # ann changed her mind on the first
    new = [*edited, *(_pair(name, "bc", "bob") for name in names[20:]), _pair(names[1], "ab", "bob")]
    _run("old-rm", tmp_path / "old.jsonl", old)
    _run("new-rm", tmp_path / "new.jsonl", new)
    write_jsonl("fresh.jsonl", [_pair("unknown", "ac", None), _pair(names[5], "ca", None)])
    scorers = {"old-rm": Known({"a": 3, "b": 1, "c": 2}), "new-rm": Known({"a": 3, "b": 2, "c": 1})}
    monkeypatch.setattr(compare, "load_scorer", lambda path, *_: scorers[path])
    settings = ChangesSettings(new="new-rm", against="old-rm", eval_rankings="fresh.jsonl", output="out")
    metrics = compare.run(settings).metrics
    counts = ("n_new", "n_shared", "n_gone", "n_annotators", "n_simulated_annotators")
    assert [metrics[name] for name in counts] == [22, 19, 1, 2, 0]
    parts = metrics["parts"]
    assert parts["new"]["accuracy_old"]["value"] == pytest.approx(1 / 22)  # bob's second: a over b
    assert parts["new"]["accuracy_new"]["value"] == pytest.approx(21 / 22)
    assert parts["new"]["towards"]["value"] == pytest.approx(20 / 22)
    assert parts["new"]["margin_change"]["value"] == pytest.approx((20 * 2 + 1 - 1) / 22)
    assert parts["shared"]["accuracy_change"]["value"] == 0
    assert parts["held_out"]["n_rankings"] == 2
    taught = {one.prompt for side in ("old-rm", "new-rm") for one in split(RewardSettings(**_config(side))).train}
    fresh = [name for name in ("unknown", names[5]) if name not in taught]
    assert parts["held_out"]["unseen"]["n_rankings"] == len(fresh)
    unseen = [name for name in [names[0], *names[20:], names[1]] if name not in taught]
    assert 0 < len(unseen) < 22
    assert parts["new"]["unseen"]["n_rankings"] == len(unseen)
    asked = scorers["new-rm"].asked
    assert len(asked) == len(set(asked))  # each response once
    assert not Path("labels.db").exists()


def test_kept_last(folder, monkeypatch, capsys):
    """Nothing is kept of a run that cannot be written, nothing written of one that cannot be kept."""

    def full(*_):
        raise Unavailable("STORE labels.db: the disk is full")

    before = listing(folder)
    with monkeypatch.context() as patched:
        patched.setattr(compare, "write_result", full)
        assert main(COMMAND, GOOD) == 2
    with Store("labels.db", create=False) as store:
        assert store.reward_changes() == []
    with monkeypatch.context() as patched:
        patched.setattr(Store, "add_reward_change", full)
        assert main(COMMAND, GOOD) == 2
    assert "the disk is full" in capsys.readouterr().err
    assert listing(folder) == before


def test_kept_where_it_is_told_to(folder):
    with Store("other.db"):
        pass
    assert main(COMMAND, [*GOOD, "--store", "other.db"]) == 0
    with Store("other.db") as other, Store("labels.db") as own:
        assert [len(store.reward_changes()) for store in (other, own)] == [1, 0]


def test_no_password_is_kept():
    of = Origin([], ["store:postgresql://ann:secret@host/labels@0123abcd", "a.jsonl"], frozenset())
    assert of.shown == ["store:postgresql://ann:***@host/labels@0123abcd", "a.jsonl"]


def _itself(folder: Path) -> list[str]:
    return ["--against", "./rm-2"]


def _base(folder: Path) -> list[str]:
    return ["--against", "base"]


def _no_run(folder: Path) -> list[str]:
    Path("rm-1/run.json").unlink()
    return []


def _other_command(folder: Path) -> list[str]:
    write_json(Path("rm-1/run.json"), {"command": "ppo"})
    return []


def _not_recorded(folder: Path) -> list[str]:
    record = json.loads(Path("rm-1/run.json").read_text())
    del record["snapshots"]
    write_json(Path("rm-1/run.json"), record)
    return []


def _moved(folder: Path) -> list[str]:
    Path("labels.db").rename("elsewhere.db")
    return []


def _other_store(folder: Path) -> list[str]:
    with Store("other.db") as store:
        store.import_records([simulated(number, "eve") for number in range(24)])
        digest = store.snapshot().digest[:12]
    return ["--against-rankings", f"store:other.db@{digest}"]


def _nothing_new(folder: Path) -> list[str]:
    with Store("labels.db", create=False) as store:
        return ["--rankings", f"store:labels.db@{store.snapshots()[0].digest[:12]}"]


def _ties(folder: Path) -> list[str]:
    with Store("labels.db", create=False) as store:
        old = store.records(store.snapshots()[0].digest).rankings
    write_jsonl("ties.jsonl", [*old, Ranking("t", "t", (Response("a"), Response("b")), (1, 1))])
    return ["--rankings", "ties.jsonl"]


def _no_store(folder: Path) -> list[str]:
    return ["--store", "none.db"]


@pytest.mark.parametrize(
    ("mistake", "phrases"),
    [
        (_itself, ["--against ./rm-2: is NEW itself; give the reward model that NEW came after"]),
        (_base, ["--against base: its score head is missing", "train it with `align reward`"]),
        (_no_run, ["--against rm-1: holds no run.json; give a directory that `align reward` wrote"]),
        (_other_command, ["--against rm-1: `align ppo` wrote it; give a directory that `align reward` wrote"]),
        (_not_recorded, ["--against rm-1: was trained on store:labels.db, and its run did not record which snapshot", "give --against-rankings store:labels.db@SNAPSHOT"]),
        (_moved, ["--against rm-1: it was trained with --rankings store:labels.db: there is no store", "where they have moved, give --against-rankings"]),
        (_other_store, ["--against rm-1: was trained on snapshot", "store:other.db, and NEW on a store without that snapshot, store:labels.db"]),
        (_nothing_new, ["NEW rm-2: has no new rankings: --against rm-1 was given all its 24 too", "newer snapshot"]),
        (_ties, ["NEW rm-2: none of its 1 new rankings has a strict pair to compare on"]),
        (_no_store, ["--store none.db: there is no store"]),
    ],
)  # fmt: skip
def test_refused(folder, capsys, mistake, phrases):
    added = mistake(folder)
    refused(capsys, COMMAND, [*GOOD, *added], folder, *phrases)


def _pair(prompt: str, texts: str, annotator: str | None) -> Ranking:
    return Ranking(prompt, prompt, tuple(map(Response, texts)), (1, 2), annotator)


def _run(name: str, path: Path, rankings: list[Ranking]) -> None:
    """A directory as a run of `align reward` leaves it, without the model."""
    write_jsonl(path, rankings)
    Path(name).mkdir()
    settings = RewardSettings(base="base", rankings=str(path), output=name, holdout_fraction=0.3)
    write_config(Path(name) / "config.yaml", settings)
    write_json(Path(name) / "run.json", {"command": "reward"})
    assert asdict(settings)["rankings"] == str(path)


def _config(folder: str) -> dict:
    import yaml

    config = yaml.safe_load(Path(folder, "config.yaml").read_text())
    record = json.loads(Path(folder, "run.json").read_text())
    return {**config, "rankings": record.get("snapshots", {}).get(config["rankings"], config["rankings"])}
