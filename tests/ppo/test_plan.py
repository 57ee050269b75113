"""`align ppo --dry-run`. Mutations seen to fail: the last rollout, which no update follows, left out, or the passes over a
rollout left out of the steps (test_counts_are_those_of_the_run); the learning rate left as it is
(test_the_probe_changes_no_weight); scores not normalised, so that a constant reward passes (test_bad_inputs)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from models import tiny_model
from plans import planned, ran, refused_alike, wrote_what_was_planned

from alignment.probe import Probe
from ppo.config import COMMAND, PPOSettings
from ppo.plan import _steps
from ppo.train import Trainer

PROMPTS = ["The cat", "Anna has a red kite. Tom keeps", "Where is the boat? The", "Tom", "The moon. The warm mat and"]


def reward(prompt: str, responses: list[str]) -> list[float]:
    return [float(text.count("e") - text.count("t")) + 0.01 * len(text) for text in responses]


def constant(prompt: str, responses: list[str]) -> list[float]:
    return [1.0 for _ in responses]


def raising(prompt: str, responses: list[str]) -> list[float]:
    raise KeyError("lexicon")


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> str:
    return tiny_model("llama", tmp_path_factory.mktemp("policy"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "p.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(policy: str, *more: str) -> list[str]:
    small = ["--batch-size", "8", "--minibatch-size", "4", "--max-new-tokens", "5", "--steps", "2", "--ppo-epochs", "2"]
    free = ["--kl-max", "1e9", "--approx-kl-target", "off", "--lr", "1e-4"]
    named = ["--policy", policy, "--prompts", "p.jsonl", "--output", "out", "--reward", f"{__file__}:reward"]
    return [*named, *small, *free, *more]


@pytest.mark.parametrize("more", [[], ["--lora-rank", "4", "--save-state"]])
def test_counts_are_those_of_the_run(policy, folder, capsys, monkeypatch, more):
    plan = planned(capsys, monkeypatch, COMMAND, arguments(policy, *more), folder)
    taken: list[int] = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *a, **k: (taken.append(1), step(self, *a, **k))[1])
    metrics = ran(capsys, COMMAND, arguments(policy, *more))
    history = Path("out/history.jsonl").read_text().splitlines()
    counts = {part["name"]: part["count"] for part in plan["parts"]}
    assert (counts["rollouts"], counts["updates"]) == (len(history), metrics["steps"])
    assert plan["steps"] == len(taken) / 2 == 8  # the policy's and the value model's
    assert plan["reads"][0]["holds"] == {"prompts": len(PROMPTS)}
    assert plan["tokens"] == {"of responses, at most": len(history) * 8 * 5}
    wrote_what_was_planned(plan, Path("out"))


def test_the_probe_changes_no_weight(policy, folder):
    settings = PPOSettings(policy=policy, prompts="p.jsonl", reward=f"{__file__}:reward", output="o", lr=0.1, steps=2)
    trainer = Trainer(settings)
    before = [weight.clone() for weight in trainer.roles.policy.parameters()]
    assert all(0 < length <= settings.max_new_tokens for length in _steps(Probe(), trainer, settings))
    assert all(map(torch.equal, before, trainer.roles.policy.parameters()))


@pytest.mark.parametrize(
    ("more", "phrase"),
    [
        (["--reward", f"{__file__}:constant"], "must tell responses apart"),
        (["--reward", f"{__file__}:raising"], "raised KeyError"),
        (["--reward", f"{__file__}:missing"], "has no function 'missing'"),
        (["--reward-model", "x"], "both given"),
        (["--prompts", "absent.jsonl"], "absent.jsonl: no such file"),
        (["--policy", "./absent"], "--policy ./absent: no such directory"),
        (["--max-new-tokens", "200"], "context of 128"),
        (["--output", "p.jsonl"], "exists already"),
        (["--report-to", "wandb"], "not installed"),
        (["--kl-coef", "nan"], "--kl-coef is nan"),
    ],
)
def test_bad_inputs(policy, folder, capsys, more, phrase):
    refused_alike(capsys, COMMAND, arguments(policy, *more), phrase)
