"""`--dry-run`: what a plan says, and the plans of sample, rank and eval.

Mutations seen to fail: the seconds of --seeds not multiplied, or its steps (test_several_seeds);
the parent folders of --output left behind (test_a_plan_of_sample); generators not put back
(test_a_plan_of_...); `max_prompts` not used, or a prompt counted once and not K times (test_a_plan_of_sample); a
file beside the output not looked for (test_bad_inputs_of_sample); the annotator's ties not noticed (test_bad_inputs_of_rank);
best-of-n left out of the tokens or of the parts (test_a_plan_of_eval); `--dry-run` offered by a command that has no plan
(test_only_commands_with_a_plan_offer_it)."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from models import tiny_model
from plans import planned, ran, refused_alike, wrote_what_was_planned
from refusals import refused

from alignment import evaluate, rank, sample
from alignment.chat import encode_prompt
from alignment.command import Command, main
from alignment.config import StageSettings
from alignment.models import load_tokenizer
from alignment.plan import Part, Plan, Read, directory_writes, file_writes
from alignment.plan import planned as plan_of

PROMPTS = ["The cat", "Anna has a red kite. Where is it?", "Tom", "The boat is at", "A"]


def letters(prompt: str, responses: list[str]) -> list[float]:
    return [text.count("e") + 0.01 * len(text) for text in responses]


def constant(prompt: str, responses: list[str]) -> list[float]:
    return [1.0 for _ in responses]


def raising(prompt: str, responses: list[str]) -> list[float]:
    raise KeyError("lexicon")


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> str:
    return tiny_model("llama", tmp_path_factory.mktemp("policy"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    sets = [{"prompt": prompt, "responses": ["a bee", "a sea", "tea"]} for prompt in PROMPTS]
    (tmp_path / "responses.jsonl").write_text("".join(json.dumps(one) + "\n" for one in sets))
    monkeypatch.chdir(tmp_path)
    return tmp_path


EXAMPLE = Plan(
    reads=(Read("--data", "d.jsonl", {"to learn from": 1900, "dropped": 3}),),
    tokens={"to learn": 1234567},
    steps=60,
    parts=(Part("reading", 1, "", 2.0), Part("training", 60, "steps", 100.0, most=True)),
    process_peak_memory_bytes=1_500_000_000,
    device_peak_memory_bytes=None,
    free_memory_bytes=8_000_000_000,
    writes={"out": "the policy", "out/run.json": ""},
    notes=("a remark",),
)


def test_the_text():
    assert EXAMPLE.text("align sft").splitlines() == [
        "align sft: a dry run, nothing was written",
        "",
        "reads   --data d.jsonl: 1,900 to learn from, 3 dropped",
        "tokens  1,234,567 to learn",
        "steps   60",
        "time    about 1 min 42 s, at most",
        "               2.0 s  reading",
        "          1 min 40 s  training, 60 steps",
        "memory  about 1.50 GB at the peak, libraries included; 8.00 GB are free",
        "writes  out  the policy",
        "        out/run.json",
        "note    a remark",
    ]
    on_gpu = replace(EXAMPLE, device_peak_memory_bytes=3_000_000_000).text("align sft")
    assert "about 3.00 GB of the device; 8.00 GB are free. Process: about 1.50 GB" in on_gpu


def test_where_results_go():
    assert list(file_writes("a/r.jsonl", "x")) == ["a/r.jsonl", "a/r.config.yaml", "a/r.metrics.json", "a/r.run.json"]
    files = ["o", "o/history.jsonl", "o/config.yaml", "o/metrics.json", "o/run.json", "o/report.html"]
    assert list(directory_writes("o", "x", "history.jsonl")) == files


def test_several_seeds():
    plan = plan_of(lambda _: EXAMPLE, StageSettings(output="out", seed=4), seeds=3)
    assert plan.seconds == 3 * 102.0
    assert [part.count for part in plan.parts] == [3, 180]
    assert list(plan.writes) == ["out/seed-4", "out/seed-5", "out/seed-6", "out"]
    assert plan.process_peak_memory_bytes == EXAMPLE.process_peak_memory_bytes
    assert "time is that of all runs" in plan.notes[-1]


def test_only_commands_with_a_plan_offer_it(capsys):
    assert main(Command("x", "", StageSettings, "nowhere:run"), ["--output", "o", "--dry-run"]) == 2
    assert "unknown setting '--dry-run'" in capsys.readouterr().err


def test_a_plan_of_sample(policy, folder, capsys, monkeypatch):
    arguments = ["--policy", policy, "--prompts", "prompts.jsonl", "--output", "new/r.jsonl"]
    arguments += ["--max-new-tokens", "8", "--max-prompts", "4", "--responses-per-prompt", "3", "--batch-size", "8"]
    plan = planned(capsys, monkeypatch, sample.COMMAND, arguments, folder)
    tokenizer = load_tokenizer(policy, "--policy")
    lengths = [len(encode_prompt(tokenizer, prompt)) for prompt in PROMPTS[:4]]
    assert plan["tokens"] == {
        "of prompts, each read once a response": 3 * sum(lengths),
        "of responses, at most": 12 * 8,
    }
    metrics = ran(capsys, sample.COMMAND, arguments)
    assert plan["reads"][0] == {
        "setting": "--prompts",
        "path": "prompts.jsonl",
        "holds": {"prompts": metrics["prompts"]},
    }
    assert plan["parts"][1]["count"] == metrics["responses"]
    assert set(plan["writes"]) == {f"new/{path.name}" for path in (folder / "new").iterdir()}


def test_a_plan_of_rank(folder, capsys, monkeypatch):
    arguments = ["--responses", "responses.jsonl", "--annotator", f"{__file__}:letters", "--output", "k.jsonl"]
    plan = planned(capsys, monkeypatch, rank.COMMAND, arguments, folder)
    metrics = ran(capsys, rank.COMMAND, arguments)
    assert plan["reads"][0]["holds"] == {"prompts": metrics["prompts"], "responses": metrics["responses"]}
    assert plan["parts"][1]["count"] == metrics["prompts"]
    assert set(plan["writes"]) == {path.name for path in folder.glob("k.*")}


def test_a_plan_of_eval(policy, folder, capsys, monkeypatch, tmp_path_factory):
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    scorer = str(tmp_path_factory.mktemp("scorer"))
    AutoModelForSequenceClassification.from_pretrained(policy, num_labels=1).save_pretrained(scorer)
    AutoTokenizer.from_pretrained(policy).save_pretrained(scorer)
    arguments = ["--policy", policy, "--against", policy, "--prompts", "prompts.jsonl", "--output", "out"]
    arguments += ["--judge", f"{__file__}:letters", "--max-new-tokens", "4", "--batch-size", "4"]
    plain = planned(capsys, monkeypatch, evaluate.COMMAND, arguments, folder)
    assert plain["tokens"]["of responses, at most"] == 2 * 5 * 4
    arguments += ["--reward-model", scorer, "--best-of", "2,6"]
    plan = planned(capsys, monkeypatch, evaluate.COMMAND, arguments, folder)
    assert plan["tokens"]["of responses, at most"] == (2 + 6) * 5 * 4
    counts = {part["name"]: part["count"] for part in plan["parts"]}
    assert counts["best of 6: answers and their rewards"] == 6 * 5
    assert counts["judge"] == 5 * (1 + 2)
    metrics = ran(capsys, evaluate.COMMAND, arguments)
    assert plan["reads"][0]["holds"] == {"prompts": metrics["n"]}
    wrote_what_was_planned(plan, Path("out"))


@pytest.mark.parametrize(
    ("more", "phrase"),
    [
        (["--prompts", "absent.jsonl"], "absent.jsonl: no such file"),
        (["--policy", "./absent"], "--policy ./absent: no such directory"),
        (["--max-new-tokens", "200"], "context of 128"),
        (["--output", "prompts.jsonl"], "exists already"),
        (["--output", "prompts.jsonl/deeper/r.jsonl"], "cannot be written"),
        (["--output", "other.jsonl"], "other.run.json: exists already"),
        (["--responses-per-prompt", "1"], "--responses-per-prompt is 1"),
    ],
)
def test_bad_inputs_of_sample(policy, folder, capsys, more, phrase):
    (folder / "other.run.json").write_text("mine")
    arguments = ["--policy", policy, "--prompts", "prompts.jsonl", "--output", "out.jsonl"]
    refused_alike(capsys, sample.COMMAND, [*arguments, *more], phrase)


@pytest.mark.parametrize(("annotator", "phrase"), [("constant", "the same score"), ("raising", "raised KeyError")])
def test_bad_inputs_of_rank(folder, capsys, annotator, phrase):
    arguments = ["--responses", "responses.jsonl", "--annotator", f"{__file__}:{annotator}", "--output", "k.jsonl"]
    refused_alike(capsys, rank.COMMAND, arguments, phrase)


@pytest.mark.parametrize(
    ("more", "phrase"),
    [
        (["--judge", f"{__file__}:raising"], "raised KeyError"),
        (["--against", "./absent"], "--against ./absent"),
        (["--best-of", "0"], "--best-of is '0'"),
        (["--policy-prefix", "absent.txt"], "absent.txt: no such file"),
    ],
)
def test_bad_inputs_of_eval(policy, folder, capsys, more, phrase):
    arguments = ["--policy", policy, "--against", policy, "--prompts", "prompts.jsonl", "--output", "out"]
    arguments += ["--judge", f"{__file__}:letters", "--max-new-tokens", "4"]
    refused_alike(capsys, evaluate.COMMAND, [*arguments, *more], phrase)


def test_what_another_run_is_writing_stays_untouched(policy, folder, capsys):
    """A folder that a killed run has left is not cleared by a dry run; one that a live run holds is refused."""
    import fcntl

    (folder / ".out.jsonl.partial").mkdir()
    (folder / ".out.jsonl.partial" / "half").write_text("left")
    arguments = ["--policy", policy, "--prompts", "prompts.jsonl", "--output", "out.jsonl", "--max-new-tokens", "4"]
    assert main(sample.COMMAND, [*arguments, "--dry-run"]) == 0
    assert (folder / ".out.jsonl.partial" / "half").read_text() == "left"
    capsys.readouterr()
    lock = os.open(folder / ".out.jsonl.partial", os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    refused(capsys, sample.COMMAND, [*arguments, "--dry-run"], folder, "another run is writing it")
    os.close(lock)
