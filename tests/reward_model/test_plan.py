"""`align reward --dry-run`. Mutations seen to fail: the held-out rankings counted as trained on, their tokens too, the epochs
left out of the steps (test_counts_are_those_of_the_run), the scores of the held-out left out (test_counts...)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from models import tiny_model
from plans import planned, ran, refused_alike, wrote_what_was_planned

from reward_model.config import COMMAND, RewardSettings
from reward_model.making import prepare

WORDS = ["a boat", "the river", "a red kite", "the moon and the warm mat"]
LINES = [
    {"prompt": f"Tom {number}", "responses": [f"{word} {number}" for word in WORDS], "ranks": ranks}
    for number, ranks in enumerate([[1, 2, 3, 4], [2, 1, 1, None], [1, 1, 1, 1], [4, 3, 2, 1]] * 6)
]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return tiny_model("llama", tmp_path_factory.mktemp("base"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    thumbs = [{"prompt": line["prompt"], "response": " a boat", "verdict": "good"} for line in LINES]
    (tmp_path / "thumbs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in thumbs))
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES[:5]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "more",
    [
        [],
        ["--ensemble", "2", "--verdicts", "thumbs.jsonl"],
        ["--eval-rankings", "held.jsonl", "--lora-rank", "4"],
        ["--max-length", "6", "--epochs", "3"],
    ],
)
def test_counts_are_those_of_the_run(base, folder, capsys, monkeypatch, more):
    arguments = ["--base", base, "--rankings", "r.jsonl", "--output", "out", "--holdout-fraction", "0.3", *more]
    plan = planned(capsys, monkeypatch, COMMAND, arguments, folder)
    metrics = ran(capsys, COMMAND, arguments)
    assert plan["reads"][0]["holds"] == {
        "to learn from": metrics["n_rankings"],
        "held out": metrics["n_held_out_rankings"],
        "without pairs": metrics["without_pairs"],
        "shared with held out": metrics["shared_with_held_out"],
        "cut prompts": metrics["cut_prompts"],
        "cut responses": metrics["cut_responses"],
    }
    assert metrics["without_pairs"] > 0
    if "--verdicts" in more:
        assert plan["reads"][-2]["holds"] == {
            "to learn from": metrics["n_verdicts"],
            "held out": metrics["n_held_out_verdicts"],
        }
    assert plan["steps"] == metrics["steps"]
    values = dict(zip((name.removeprefix("--").replace("-", "_") for name in arguments[::2]), arguments[1::2]))
    ready = prepare(RewardSettings(**values))
    assert list(plan["tokens"].values()) == [sum(map(len, (ids for one in ready.train for ids in one.sequences)))]
    counts = {part["name"]: part["count"] for part in plan["parts"]}
    assert counts["training"] == metrics["steps"]
    assert counts["normalising and measuring"] == 4 * (metrics["n_rankings"] + metrics["n_held_out_rankings"])
    wrote_what_was_planned(plan, Path("out"))


@pytest.mark.parametrize(
    ("more", "phrase"),
    [
        (["--rankings", "absent.jsonl"], "absent.jsonl: no such file"),
        (["--rankings", "tied.jsonl"], "no ranking with a strict pair"),
        (["--base", "./absent"], "--base ./absent: no such directory"),
        (["--max-length", "500"], "reads at most 128 tokens"),
        (["--output", "r.jsonl"], "exists already"),
        (["--report-to", "wandb"], "not installed"),
    ],
)
def test_bad_inputs(base, folder, capsys, more, phrase):
    (folder / "tied.jsonl").write_text(json.dumps(LINES[2]) + "\n")
    given = ["--rankings", "r.jsonl", "--eval-rankings", "held.jsonl", "--output", "out"]
    refused_alike(capsys, COMMAND, [*given, "--base", base, *more], phrase)
