"""`align sft --dry-run`. Mutations seen to fail: held-out demonstrations counted as learned, epochs left out of the steps or
of the time (test_counts_are_those_of_the_run, test_the_time_grows_with_the_epochs), gradient checkpointing
not switched on (test_the_probe_checkpoints_as_the_run_does), the tracker left on
(test_a_tracker_is_not_started), packing not checked (test_bad_inputs)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from models import tiny_model
from plans import planned, ran, refused_alike, wrote_what_was_planned

from alignment.models import backbone
from alignment.plan import Plan
from alignment.probe import Probe
from sft.config import COMMAND, SFTSettings
from sft.data import Rows
from sft.plan import _training
from sft.plan import plan as plan_of
from sft.train import prepare

LINES = [
    {"prompt": f"{name} has {number}", "response": " red kites" + " and a boat" * (number % 4) + "."}
    for number in range(8)
    for name in ("Tom", "Anna", "The cat", "Lily", "Sam")
]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return tiny_model("llama", tmp_path_factory.mktemp("base"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("more", [[], ["--lora-rank", "4", "--packing"], ["--max-length", "14"]])
def test_counts_are_those_of_the_run(base, folder, capsys, monkeypatch, more):
    arguments = ["--base", base, "--data", "d.jsonl", "--output", "new/out", "--epochs", "1.5", "--batch-size", "6"]
    arguments += ["--holdout-fraction", "0.4", *more]
    plan = planned(capsys, monkeypatch, COMMAND, arguments, folder)
    metrics = ran(capsys, COMMAND, arguments)
    assert metrics["held_out"] > 0
    holds = {"to learn from": metrics["examples"], "held out": metrics["held_out"]}
    assert plan["reads"][0]["holds"] == holds | {name: metrics[name] for name in ("cut", "dropped")}
    assert plan["steps"] == metrics["steps"]
    assert plan["tokens"]["to learn, an epoch"] == metrics["tokens"]
    counts = {part["name"]: part["count"] for part in plan["parts"]}
    assert counts["training"] == metrics["steps"]
    assert counts["measuring on the held-out, before and after"] == 2 * metrics["held_out"]
    wrote_what_was_planned(plan, Path("new/out"))


def test_the_time_grows_with_the_epochs(base, folder, monkeypatch):
    """With a clock that knows only the number of calls: 40 demonstrations in steps of 8 are 5 micro-batches an epoch."""
    monkeypatch.setattr(
        "alignment.probe.Probe._all", lambda self, name, batches, work, size: (float(len(batches)), 0.0)
    )

    def planned_for(epochs: float) -> Plan:
        return plan_of(
            SFTSettings(base=base, data="d.jsonl", output="o", epochs=epochs, batch_size=8, holdout_fraction=0)
        )

    [training] = [part for part in planned_for(3).parts if part.name == "training"]
    assert (training.count, training.seconds) == (
        15,
        3 * 5 + 15,
    )  # 3 epochs of micro-batches, and a second for each step
    [training] = [part for part in planned_for(0.4).parts if part.name == "training"]
    assert (training.count, training.seconds) == (2, 2 + 2)


@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("on", [False, True])
def test_the_probe_checkpoints_as_the_run_does(base, folder, on, rank):
    settings = SFTSettings(base=base, data="d.jsonl", output="o", gradient_checkpointing=on, lora_rank=rank)
    ready = prepare(settings, folder)
    _training(Probe(), ready, settings)
    layers = [layer.gradient_checkpointing for layer in backbone(ready.trainer.policy).layers]
    assert layers == [on, on]


def test_a_tracker_is_not_started(base, folder, capsys, monkeypatch):
    arguments = ["--base", base, "--data", "d.jsonl", "--output", "out", "--report-to", "tensorboard"]
    monkeypatch.setattr("sft.trainer.trainer_config", _silent(__import__("sft.trainer").trainer.trainer_config))
    planned(capsys, monkeypatch, COMMAND, arguments, folder)


def _silent(config):
    def checked(settings, *rest):
        assert settings.report_to == "none"
        return config(settings, *rest)

    return checked


@pytest.mark.parametrize(
    ("more", "phrase"),
    [
        (["--data", "absent.jsonl"], "absent.jsonl: no such file"),
        (["--data", "bad.jsonl"], "bad.jsonl, line 1"),
        (["--base", "./absent"], "--base ./absent: no such directory"),
        (["--max-length", "2"], "every prompt fills the 2 tokens"),
        (["--output", "d.jsonl"], "exists already"),
        (["--output", "d.jsonl/out"], "cannot be written"),
        (["--load-in-4bit"], "--load-in-4bit needs adapters"),
        (["--report-to", "wandb"], "not installed"),
        (["--epochs", "0"], "--epochs is 0"),
    ],
)
def test_bad_inputs(base, folder, capsys, more, phrase):
    (folder / "bad.jsonl").write_text('{"prompt": "x"}\n')
    refused_alike(capsys, COMMAND, ["--base", base, "--data", "d.jsonl", "--output", "out", *more], phrase)


def test_packing_that_the_model_cannot_do(base, folder, capsys, monkeypatch):
    monkeypatch.setattr(Rows, "model_inputs", lambda self: {"input_ids": self.input_ids})
    arguments = ["--base", base, "--data", "d.jsonl", "--output", "out", "--packing"]
    refused_alike(capsys, COMMAND, arguments, "demonstrations in one row see each other")
