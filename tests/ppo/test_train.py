"""`align ppo` as a user runs it, on tiny models.

Mutations seen to fail: `restore_best` left out of `run` (test_stops_at_kl_max_...), the comparison with --kl-max turned
round (test_stops_at_kl_max_...), the rate steered the wrong way (test_steering...), `seed_everything` left out
(test_same_seed_same_numbers), the gold scored outside `apart`, or normalised scores taken from it (test_gold_is_measured_...),
samples drawn outside `apart` (test_samples_...), or from the reference both times (test_samples_...)."""

import json
import random
from pathlib import Path

import numpy
import pytest
import torch
from models import KINDS, tiny_model
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from alignment.command import main
from alignment.metrics import METRICS
from alignment.models import load_policy
from ppo import train
from ppo.config import COMMAND, PPOSettings
from ppo.train import run, steered
from reward_model.model import new_scorer, save

PROMPTS = ["The cat", "Anna has a red kite. Tom keeps", "Where is the boat? The", "Tom", "The moon. The warm mat and"]

CALLS: list[str] = []


def reward(prompt: str, responses: list[str]) -> list[float]:
    return [float(text.count("e") - text.count("t")) + 0.01 * len(text) for text in responses]


def rising(prompt: str, responses: list[str]) -> list[float]:
    """Better at every call, so that the best step is the last one."""
    CALLS.append(prompt)
    return [len(CALLS) + score for score in reward(prompt, responses)]


def constant(prompt: str, responses: list[str]) -> list[float]:
    return [1.0 for _ in responses]


def drawing(prompt: str, responses: list[str]) -> list[float]:
    """A gold score that draws from every generator of the run."""
    return [random.random() + float(numpy.random.rand()) + float(torch.rand(())) for _ in responses]


def raising(prompt: str, responses: list[str]) -> list[float]:
    raise KeyError("lexicon")


def interrupting(prompt: str, responses: list[str]) -> list[float]:
    raise KeyboardInterrupt


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, str]:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    return {"policy": tiny_model("llama", tmp_path / "policy"), "prompts": str(prompts), "reward": f"{__file__}:reward"}


def settings(inputs: dict[str, str], output: Path, **changes) -> PPOSettings:
    small = {
        "batch_size": 8,
        "minibatch_size": 4,
        "max_new_tokens": 6,
        "ppo_epochs": 2,
        "steps": 2,
        "lr": 1e-3,
        "kl_max": 1e9,
    }
    return PPOSettings(**{**inputs, "output": str(output), **small, **changes})


@pytest.mark.parametrize("lora_rank", [0, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_every_family_trains_and_loads_elsewhere(inputs, tmp_path, kind, lora_rank):
    inputs["policy"] = tiny_model(kind, tmp_path / kind)
    result = run(settings(inputs, tmp_path / "out", lora_rank=lora_rank, reward=f"{__file__}:rising"))
    assert result["best"]["step"] == result["steps"] == 2
    out = tmp_path / "out"
    names = {path.name for path in out.iterdir()}
    assert {"metrics.json", "config.yaml", "history.jsonl"} <= names
    assert not {name for name in names if name.endswith((".bin", ".pt", ".pkl"))}
    assert json.loads((out / "metrics.json").read_text()) == result
    tokenizer = AutoTokenizer.from_pretrained(out)
    ids = torch.tensor([tokenizer("The cat sat").input_ids])
    ours, _ = load_policy(str(out), "--policy")
    theirs = AutoModelForCausalLM.from_pretrained(out)
    torch.testing.assert_close(theirs(ids).logits, ours(ids).logits, rtol=0, atol=1e-4)
    before, _ = load_policy(inputs["policy"], "--policy")
    assert not torch.equal(before(ids).logits, ours(ids).logits)
    if lora_rank:
        base = AutoModelForCausalLM.from_pretrained(inputs["policy"])
        adapted = PeftModel.from_pretrained(base, out)
        torch.testing.assert_close(adapted(ids).logits, ours(ids).logits, rtol=0, atol=1e-4)


def test_same_seed_same_numbers(inputs, tmp_path):
    first = run(settings(inputs, tmp_path / "a"))
    second = run(settings(inputs, tmp_path / "b"))
    other = run(settings(inputs, tmp_path / "c", seed=1))
    timed = {"seconds", "last_update"}
    assert {k: v for k, v in first.items() if k not in timed} == {k: v for k, v in second.items() if k not in timed}
    assert first["final"] != other["final"]
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_stops_at_kl_max_and_keeps_the_best_below_it(inputs, tmp_path):
    result = run(settings(inputs, tmp_path / "out", steps=30, lr=3e-2, kl_max=0.5, kl_coef=0.0))
    history = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").read_text().splitlines()]
    assert result["steps"] < 30
    assert "--kl-max" in result["stopped"]
    assert history[-1]["objective/kl"] > 0.5
    below = [step for step in history if step["objective/kl"] <= 0.5]
    best = max(below, key=lambda step: step["objective/rlhf_reward"])
    assert result["best"]["step"] == best["step"]
    assert result["best"]["objective/rlhf_reward"] == best["objective/rlhf_reward"]
    final = load_file(tmp_path / "out" / "model.safetensors")
    start = load_file(Path(inputs["policy"]) / "model.safetensors")
    same = all(torch.equal(final[name], start[name]) for name in final)
    assert same == (best["step"] == 0)  # the weights are those of the best step, not of the last


def test_ppo_raises_the_reward(inputs, tmp_path):
    result = run(settings(inputs, tmp_path / "out", steps=12, batch_size=64, minibatch_size=16, lr=3e-3, kl_coef=0.0))
    history = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").read_text().splitlines()]
    assert (
        result["best"]["objective/score"] > history[0]["objective/score"] + 2 * result["score_sd_reference"] / 64**0.5
    )


def test_every_logged_metric_is_registered(inputs, tmp_path):
    prompts = inputs["prompts"]
    save(new_scorer(inputs["policy"], None), tmp_path / "scorer")
    options = {"selection_reward_model": str(tmp_path / "scorer"), "selection_prompts": prompts}
    run(
        settings(
            inputs,
            tmp_path / "out",
            gold=f"{__file__}:reward",
            ptx_data=prompts_as_texts(tmp_path),
            ptx_coef=1.0,
            **options,
        )
    )
    first = json.loads((tmp_path / "out" / "history.jsonl").read_text().splitlines()[0])
    families = {name.split("/")[0] for name in first if "/" in name}
    registered = {name for name in METRICS if name.split("/")[0] in families}
    assert {name for name in first if "/" in name} == registered


def prompts_as_texts(folder: Path) -> str:
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": prompt}) + "\n" for prompt in PROMPTS))
    return str(folder / "texts.jsonl")


def untimed(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in lines]


def test_gold_is_measured_on_every_rollout_and_changes_nothing(inputs, tmp_path):
    run(settings(inputs, tmp_path / "plain", save_state=True))
    run(settings(inputs, tmp_path / "gold", save_state=True, gold=f"{__file__}:drawing"))
    plain, gold = untimed(tmp_path / "plain"), untimed(tmp_path / "gold")
    measured = [line.pop("objective/gold") for line in gold]
    assert len(set(measured)) == 3
    assert all(line.pop("objective/gold_sd") > 0 for line in gold)
    assert gold == plain
    for name in ("model.safetensors", "state/state.safetensors"):
        assert (tmp_path / "gold" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()


def test_gold_is_the_mean_over_the_rollout(inputs, tmp_path):
    run(settings(inputs, tmp_path / "out", gold=inputs["reward"]))
    for line in untimed(tmp_path / "out"):
        assert line["objective/gold"] == pytest.approx(line["objective/score"], abs=1e-6)


def test_samples_are_before_and_after_and_change_nothing(inputs, tmp_path, monkeypatch):
    large = {"lr": 0.1, "steps": 3, "reward": f"{__file__}:rising", "save_state": True}
    CALLS.clear()
    run(settings(inputs, tmp_path / "with", **large))
    monkeypatch.setattr(train, "before_and_after", lambda *_: [])
    CALLS.clear()
    run(settings(inputs, tmp_path / "without", **large))
    assert untimed(tmp_path / "with") == untimed(tmp_path / "without")
    for name in ("model.safetensors", "state/state.safetensors"):
        assert (tmp_path / "with" / name).read_bytes() == (tmp_path / "without" / name).read_bytes()
    samples = [json.loads(line) for line in (tmp_path / "with" / "samples.jsonl").read_text().splitlines()]
    assert [sample["prompt"] for sample in samples] == PROMPTS
    assert all(sample["start"].keys() == {"text", "finished", "score"} for sample in samples)
    assert [sample["start"]["text"] for sample in samples] != [sample["final"]["text"] for sample in samples]


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_the_first_samples_are_the_starting_policys(inputs, tmp_path, monkeypatch, lora_rank):
    """At a learning rate of nothing, before and after are the same words: both are drawn from one seed."""
    run(settings(inputs, tmp_path / "out", lr=1e-12, lora_rank=lora_rank, gold=inputs["reward"]))
    samples = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    assert all(sample["start"] == sample["final"] for sample in samples)
    assert all(sample["final"]["gold"] == pytest.approx(sample["final"]["score"]) for sample in samples)


def test_steering_moves_the_rate_toward_the_target():
    assert steered(1.0, approx_kl=0.05, target=0.015) == pytest.approx(1 / 1.5)
    assert steered(1.0, approx_kl=0.001, target=0.015) == pytest.approx(1.5)
    assert steered(1.0, approx_kl=0.015, target=0.015) == 1.0
    assert steered(1 / 8, approx_kl=1.0, target=0.015) == 1 / 8
    assert steered(8.0, approx_kl=0.0, target=0.015) == 8.0


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"reward": None}, "--reward-model and --reward: none of them given"),
        ({"reward-model": "x"}, "--reward-model and --reward: both given"),
        ({"reward": f"{__file__}:constant"}, "must tell responses apart"),
        ({"reward": f"{__file__}:raising"}, "raised KeyError: 'lexicon'"),
        ({"reward": f"{__file__}:missing"}, "has no function 'missing'"),
        ({"reward": "reward"}, "it must be MODULE:FUNCTION"),
        ({"gold": f"{__file__}:missing"}, "has no function 'missing'"),
        ({"gold": "reward"}, "--gold is 'reward'; it must be MODULE:FUNCTION"),
        ({"prompts": "absent.jsonl"}, "absent.jsonl: no such file"),
        ({"policy": "./absent"}, "--policy ./absent: no such directory"),
        ({"max-new-tokens": "200"}, "must fit into the model's context of 128"),
        ({"kl-coef": "nan"}, "--kl-coef is nan"),
        ({"minibatch-size": "0"}, "--minibatch-size is 0; it must be a whole number at least 1"),
        ({"kl-coeff": "1"}, "unknown setting '--kl-coeff' (did you mean '--kl-coef'?)"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(inputs, tmp_path, capsys, changes, sentence):
    assert main(COMMAND, arguments(inputs, tmp_path, changes)) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1 + error.count("\r")
    assert "Traceback" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy", "prompts.jsonl"]


def test_an_existing_output_is_refused_and_left_alone(inputs, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("kept")
    assert main(COMMAND, arguments(inputs, tmp_path, {})) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine").read_text() == "kept"


def test_ctrl_c_leaves_nothing(inputs, tmp_path, capsys):
    assert main(COMMAND, arguments(inputs, tmp_path, {"reward": f"{__file__}:interrupting"})) == 130
    assert "interrupted" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["policy", "prompts.jsonl"]


def arguments(inputs: dict[str, str], tmp_path: Path, changes: dict[str, str | None]) -> list[str]:
    given = {
        **inputs,
        "output": str(tmp_path / "out"),
        "steps": "1",
        "batch-size": "4",
        "minibatch-size": "4",
        "max-new-tokens": "4",
        **changes,
    }
    return [word for name, value in given.items() if value is not None for word in (f"--{name}", value)]


def test_tokens_a_second_and_shares_of_time_are_logged(inputs, tmp_path, capsys):
    run(settings(inputs, tmp_path / "out", approx_kl_target=None))
    lines = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").read_text().splitlines()]
    for line in lines[:-1]:
        tokens = round(8 * line["rollout/response_tokens"])
        assert line["optim/tokens"] == 2 * tokens  # two epochs
        assert line["time/rollout_tokens_per_second"] * line["time/rollout_seconds"] == pytest.approx(tokens)
        assert line["time/update_tokens_per_second"] * line["time/update_seconds"] == pytest.approx(2 * tokens)
    for line in lines:
        shares = {name: value for name, value in line.items() if name.endswith("_share")}
        assert sum(shares.values()) == pytest.approx(1.0)
        assert min(shares.values()) >= 0.0
        assert shares["time/generate_share"] > 0.0
    assert "tok/s" in capsys.readouterr().err
