"""`align doctor` and the warnings of a run: each fault is shown by a run broken on purpose, and by no healthy one.

Mutations seen to fail: every threshold of the table loosened, the noise left out of negative KL, value model and score, one
side of the length drift, gold not looked at (test_the_table_...), the value model judged early (test_trends_...); a warning at
every rollout or never, exit code 0 (test_a_run_broken_...), rewards on pads counted as on the response (score on a pad), the
log-probs alone compared with others (test_a_healthy_run_...)."""

import json
import math
from pathlib import Path

import pytest
import torch
import yaml
from models import tiny_model

from alignment.chat import Tokens
from alignment.command import main
from alignment.errors import UserError
from alignment.models import frozen_copy
from ppo import advantages
from ppo import engines as ppo_engines
from ppo import inputs as ppo_inputs
from ppo import rollout as ppo_rollout
from ppo import update as ppo_update
from ppo.config import PPOSettings
from ppo.doctor import COMMAND
from ppo.faults import TABLE, About, faults
from ppo.train import Trainer, run

PROMPTS = ["The cat", "Anna has a red kite. Tom keeps", "Where is the boat? The", "Tom", "The moon. The warm mat and"]
ABOUT = About(batch_size=32, kl_max=9.0)
GOOD_ROW = {
    "objective/score": 1.0, "objective/score_sd": 0.5, "objective/kl": 2.0, "objective/entropy": 3.0,
    "value/explained_variance": 0.4, "rollout/reward_error": 1e-6, "rollout/pad_error": 1e-6,
    "rollout/response_tokens": 20.0, "policy/first_ratio_error": 0.0, "objective/gold": 1.0, "objective/gold_sd": 0.5,
}  # fmt: skip


def letters(prompt: str, responses: list[str]) -> list[float]:
    return [float(text.count("e") - text.count("t")) + 0.01 * len(text) for text in responses]


def long(prompt: str, responses: list[str]) -> list[float]:
    return [float(len(text)) for text in responses]


def constant(prompt: str, responses: list[str]) -> list[float]:
    return [1.0 for _ in responses]


def rows(count: int = 24, last: int = 24, **changes) -> list[dict]:
    """A healthy history whose `last` rows have other values."""
    return [{**GOOD_ROW, "step": n, **(changes if n >= count - last else {})} for n in range(count)]


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("ratio is not 1 at the start", {"policy/first_ratio_error": 2e-3}, {"policy/first_ratio_error": 5e-4}),
        ("sampler is not the policy", {"sampler/mismatch": 0.06}, {"sampler/mismatch": 0.04}),
        ("sampler is not the policy", {"sampler/mismatch": None}, {}),
        ("negative KL", {"objective/kl": -1.1}, {"objective/kl": -0.9}),  # 32 responses: the noise may be 1
        ("exploding KL", {"objective/kl": 18.1}, {"objective/kl": 17.9}),
        ("exploding KL", {"objective/kl": None}, {}),
        ("score on a pad", {"rollout/reward_error": 2e-3}, {"rollout/reward_error": 5e-4}),
        ("pad leakage", {"rollout/pad_error": 0.02}, {"rollout/pad_error": 0.005}),
        ("infinite reward", {"objective/score": None}, {}),
        ("infinite reward", {"objective/score": math.inf}, {}),
        ("flat reward", {"objective/score_sd": 1e-7}, {"objective/score_sd": 1e-3}),
        ("value model explains nothing", {"value/explained_variance": 0.0}, {"value/explained_variance": 0.01}),
        ("length drift", {"rollout/response_tokens": 41.0}, {"rollout/response_tokens": 39.0}),
        ("length drift", {"rollout/response_tokens": 9.5}, {"rollout/response_tokens": 10.5}),
        ("entropy collapse", {"objective/entropy": 0.9}, {"objective/entropy": 1.1}),
        ("policy below SFT", {"objective/score": 0.55}, {"objective/score": 0.65}),  # 4 sd of the difference: .41
        ("policy below SFT", {"objective/gold": 0.55}, {"objective/gold": 0.65}),
    ],
)
def test_the_table_by_hand(name, bad, good):
    last = 10 if "value" in name else 3
    assert [found.name for found in faults(rows(last=last, **bad), ABOUT)] == [name]
    assert faults(rows(last=last, **good), ABOUT) == []


def test_trends_are_judged_late_only():
    trends = {"value/explained_variance": -1.0, "rollout/response_tokens": 90.0, "objective/entropy": 0.1}
    assert faults(rows(count=9, last=8, **trends, **{"objective/score": -9.0}), ABOUT) == []
    noisy = rows(count=24, last=0)
    for number, row in enumerate(noisy):  # about 0, with the noise of small rollouts: nothing is known
        row["value/explained_variance"] = -0.01 + 0.1 * (-1) ** number
    assert faults(noisy, ABOUT) == []


def test_a_row_without_a_metric_shows_nothing():
    assert faults([{"step": 0}, {"step": 1, "objective/kl": 0.0}], ABOUT) == []


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("doctor")
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    policy = tiny_model("llama", folder / "policy")
    return {"policy": policy, "prompts": str(folder / "prompts.jsonl"), "reward": f"{__file__}:letters"}


def settings(given: dict[str, str], output: Path, **changes) -> PPOSettings:
    small = {"batch_size": 32, "minibatch_size": 16, "max_new_tokens": 8, "steps": 2, "lr": 1e-3, "save_every": 0}
    small |= {"kl_max": 1e9, "approx_kl_target": None, "ppo_epochs": 2}
    return PPOSettings(**{**given, "output": str(output), **small, **changes})


def wrong_temperature(patch: pytest.MonkeyPatch) -> None:
    right = ppo_rollout.response_logprobs
    patch.setattr(ppo_rollout, "response_logprobs", lambda model, tokens, t: right(model, tokens, 1.1 * t))


def stale_sampler(patch: pytest.MonkeyPatch) -> None:
    """The sampler keeps the weights that it first saw."""
    right, stale = ppo_engines.generate, []

    def generate(policy, *others):
        stale.append(stale[0] if stale else frozen_copy(policy))
        return right(stale[0], *others)

    patch.setattr(ppo_engines, "generate", generate)


def score_on_the_pad(patch: pytest.MonkeyPatch) -> None:
    def shaped(scores, logprobs, ref_logprobs, mask, kl_coef):
        rewards = advantages.shaped_rewards(torch.zeros_like(scores), logprobs, ref_logprobs, mask, kl_coef)
        rewards[torch.arange(len(scores)), mask.sum(1).clamp(max=mask.shape[1] - 1)] += scores
        return rewards

    patch.setattr(ppo_rollout, "shaped_rewards", shaped)


def attention_to_pads(patch: pytest.MonkeyPatch) -> None:
    right = Tokens.model_inputs
    patch.setattr(
        Tokens, "model_inputs", lambda self: {**right(self), "attention_mask": torch.ones_like(self.input_ids)}
    )


def value_that_never_learns(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ppo_update, "value_loss", lambda new, *_: 0.0 * new)


def likely_eos(patch: pytest.MonkeyPatch) -> None:
    """Responses of the SFT policy are short."""
    right = ppo_inputs.load_policy

    def load(*arguments):
        model, tokenizer = right(*arguments)
        with torch.no_grad():
            model.model.embed_tokens.weight[tokenizer.eos_token_id] *= 6.0
        return model, tokenizer

    patch.setattr(ppo_inputs, "load_policy", load)


def turned_advantages(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ppo_rollout, "whitened", lambda a, mask: -advantages.whitened(a, mask))


BROKEN = [
    ("ratio is not 1 at the start", wrong_temperature, {}),
    ("negative KL", stale_sampler, {"steps": 6, "lr": 2e-2, "kl_coef": 0.0, "batch_size": 64}),
    ("exploding KL", None, {"steps": 6, "lr": 5e-2, "kl_max": 0.1, "kl_coef": 0.0}),
    ("score on a pad", score_on_the_pad, {"max_new_tokens": 24}),
    ("pad leakage", attention_to_pads, {}),
    ("flat reward", None, {"reward": f"{__file__}:constant", "normalize_scores": False}),
    ("value model explains nothing", value_that_never_learns, {"steps": 20}),
    ("length drift", likely_eos, {"steps": 12, "lr": 2e-2, "kl_coef": 0.0, "reward": f"{__file__}:long", "max_new_tokens": 48}),
    ("entropy collapse", None, {"steps": 16, "lr": 2e-2, "kl_coef": 0.0}),
    ("policy below SFT", turned_advantages, {"steps": 14, "lr": 1e-2, "kl_coef": 0.0}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "breaking", "changes"), BROKEN, ids=[name for name, *_ in BROKEN])
def test_a_run_broken_on_purpose_is_named(given, tmp_path, monkeypatch, capsys, name, breaking, changes):
    if breaking:
        breaking(monkeypatch)
    run(settings(given, tmp_path / "out", **changes))
    warned = capsys.readouterr().err
    assert f"warning: {name}: " in warned
    assert warned.count(f"warning: {name}: ") == 1
    assert main(COMMAND, [str(tmp_path / "out"), "--json"]) == 1
    printed = capsys.readouterr()
    assert name in {fault["name"] for fault in json.loads(printed.out)["faults"]}
    assert f"{name}\n  evidence  " in printed.err


def test_an_infinite_reward_is_named_before_the_run_ends(given, tmp_path, monkeypatch, capsys):
    made = Trainer(settings(given, tmp_path / "unused"))  # normalises by finite scores
    right = ppo_inputs.score_with_function
    calls: list[int] = []

    def infinite(*arguments):
        score = right(*arguments)

        def scored(prompts, tokens):
            calls.append(len(tokens))
            return score(prompts, tokens) * (1.0 if len(calls) == 1 else math.inf)

        return scored

    monkeypatch.setattr(ppo_inputs, "score_with_function", infinite)
    assert made.state.score_sd > 0
    with pytest.raises(UserError, match="diverged"):
        run(settings(given, tmp_path / "out"))
    assert "warning: infinite reward: " in capsys.readouterr().err


def test_a_healthy_run_has_no_fault(given, tmp_path, capsys):
    run(settings(given, tmp_path / "out", steps=22, lr=1e-3, batch_size=64, minibatch_size=16, approx_kl_target=0.006))
    assert "warning" not in capsys.readouterr().err
    assert main(COMMAND, [str(tmp_path / "out")]) == 0
    assert f"none of {len(TABLE)} faults in 23 rollouts" in capsys.readouterr().out


@pytest.mark.parametrize("spoil", ["empty", "other", "history", "config"])
def test_what_is_no_ppo_run_is_refused(given, tmp_path, capsys, spoil):
    folder = tmp_path / "run"
    folder.mkdir()
    if spoil != "empty":
        (folder / "run.json").write_text(json.dumps({"command": "sft" if spoil == "other" else "ppo"}))
        (folder / "history.jsonl").write_text("" if spoil == "history" else json.dumps({"step": 0, "objective/kl": 0}))
        (folder / "config.yaml").write_text(yaml.safe_dump({"kl_max": 1.0}))
    assert main(COMMAND, [str(folder)]) == 2
    error = capsys.readouterr().err
    sentence = {"history": "holds no rollout", "config": "lacks settings of `align ppo`"}.get(spoil, "holds no run of")
    assert sentence in error
    assert error.count("\n") == 1
