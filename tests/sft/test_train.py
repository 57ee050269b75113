"""`align sft` as a whole: the step it takes, what it leaves on disk, what it refuses.

Mutations seen to fail: the loss divided by the microbatch's own tokens, or also by the accumulation steps, and packed rows
without restarting positions (step_gradient); dropout left on (no_dropout, step_gradient[gpt2]); held-out demonstrations
trained on (held_out_is_not_trained_on); the model saved as it was before training, and quality "after" taken before
(loads_elsewhere, lora_is_an_adapter); history that counts from the start instead of from the last line (history); a LoRA run that trains the base (lora_is_an_adapter); no check of packing
(packing_is_refused); an interrupt that is swallowed (interrupt_leaves_nothing)."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from models import KINDS, tiny_model
from peft import PeftModel
from refusals import refused
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

from alignment.command import main
from alignment.errors import UserError
from alignment.metrics import METRICS
from alignment.models import load_policy
from alignment.records import read_demonstrations
from sft.config import COMMAND, SFTSettings
from sft.data import Example, Rows, StepSampler, encode, split_by_prompt
from sft.train import run
from sft.trainer import Trainer, check_packing, without_dropout

NAMES = ["Tom", "Anna", "The cat", "Lily", "Sam"]
LINES = [
    {"prompt": f"{name} has {number}", "response": " red kites" + " and a boat" * (number % 4) + "."}
    for number in range(8)
    for name in NAMES
]


@pytest.fixture(scope="module", params=KINDS)
def base(request, tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_model(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_model("llama", tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("data") / "demonstrations.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    return str(path)


class Captured(TrainerCallback):
    """The gradients of every optimizer step."""

    def __init__(self):
        self.steps = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        self.steps.append({name: weight.grad.clone() for name, weight in model.named_parameters()})


def step_gradients(
    base: str, data: str, folder: Path, **changes
) -> tuple[list[dict[str, torch.Tensor]], list[Example]]:
    """Gradients of the two steps of a run with 6 demonstrations in steps of 4 at a learning rate of nearly 0."""
    values = {"batch_size": 4, "lr": 1e-12, "max_grad_norm": 0.0, "holdout_fraction": 0.0} | changes
    settings = SFTSettings(base=base, data=data, output=str(folder / "out"), **values)
    model, tokenizer = load_policy(base, "--base")
    examples = encode(tokenizer, read_demonstrations(data)[:6], 100).examples
    without_dropout(model)
    trainer = Trainer(settings, model, tokenizer, examples, [], folder, settings.lr)
    captured = Captured()
    trainer.add_callback(captured)
    trainer.run()
    order = list(trainer._get_train_sampler())
    return captured.steps, [examples[index] for index in order]


EVERY_MODEL = [{"microbatch_size": 1}, {"microbatch_size": 4, "packing": True}]
ONE_MODEL = [{"microbatch_size": 4}, {"microbatch_size": 3}, {"microbatch_size": 4, "gradient_checkpointing": True}]
CASES = [(kind, changes) for kind in KINDS for changes in EVERY_MODEL + (ONE_MODEL if kind == "llama" else [])]


@pytest.mark.parametrize(("kind", "changes"), CASES, ids=str)
def test_step_gradient_is_that_of_the_sum_over_tokens(kind, changes, data, tmp_path):
    """∂/∂θ [Σ −log π / number of response tokens in the step], whatever the microbatches; also in the short last step."""
    base = tiny_model(kind, tmp_path / "base")
    steps, order = step_gradients(base, data, tmp_path, **changes)
    assert len(steps) == 2
    model, _ = load_policy(base, "--base")
    for captured, examples in zip(steps, (order[:4], order[4:])):
        model.zero_grad()
        total = sum(nll(model, one) for one in examples) / sum(one.learned for one in examples)
        total.backward()
        for name, weight in model.named_parameters():
            scale = float(weight.grad.abs().max())
            torch.testing.assert_close(captured[name], weight.grad, rtol=1e-4, atol=2e-5 * scale)


def nll(model, example: Example) -> torch.Tensor:
    ids = torch.tensor([example.ids])
    every = torch.log_softmax(model(input_ids=ids).logits[0, :-1].double(), -1)
    return -every.gather(1, ids[0, 1:, None])[example.prompt_length - 1 :].sum()


def test_run_loads_elsewhere_and_learned(base, data, tmp_path):
    output = tmp_path / "out"
    metrics = run(SFTSettings(base=base, data=data, output=str(output), epochs=6, batch_size=8, holdout_fraction=0.2))
    assert metrics["examples"] + metrics["held_out"] == len(LINES)
    assert metrics["steps"] == 6 * math.ceil(metrics["examples"] / 8)
    assert metrics["sft/loss"] < metrics["sft/loss_before"] - 1
    assert metrics["sft/token_accuracy"] > metrics["sft/token_accuracy_before"] + 0.2
    assert json.loads((output / "metrics.json").read_text()) == metrics
    model = AutoModelForCausalLM.from_pretrained(output)
    tokenizer = AutoTokenizer.from_pretrained(output)
    _, held_out = split_by_prompt(read_demonstrations(data), 0.2)
    examples = encode(tokenizer, held_out, 100).examples
    with torch.no_grad():
        total = sum(float(nll(model, one)) for one in examples)
    assert metrics["sft/loss"] == pytest.approx(total / sum(one.learned for one in examples), rel=1e-5)
    kept = {path.name for path in output.iterdir()}
    assert kept <= {
        "config.json", "config.yaml", "generation_config.json", "history.jsonl", "report.html", "metrics.json", "model.safetensors", "run.json", "tokenizer.json",
        "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt",
    }  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_held_out_is_not_trained_on(llama, data, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(Trainer, "__init__", spy(Trainer.__init__, seen))
    run(SFTSettings(base=llama, data=data, output=str(tmp_path / "out"), holdout_fraction=0.2))
    trained, measured = ({tuple(one.ids) for one in part} for part in seen[0])
    assert measured
    assert not trained & measured


def spy(original, seen):
    def init(self, settings, model, tokenizer, examples, held_out, *rest):
        seen.append((examples, held_out))
        original(self, settings, model, tokenizer, examples, held_out, *rest)

    return init


def test_lora_is_an_adapter_of_an_untouched_base(base, data, tmp_path):
    output = tmp_path / "out"
    metrics = run(SFTSettings(base=base, data=data, output=str(output), lora_rank=4, holdout_fraction=0.2, epochs=3))
    assert not (output / "model.safetensors").exists()
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), output).eval()
    _, held_out = split_by_prompt(read_demonstrations(data), 0.2)
    examples = encode(AutoTokenizer.from_pretrained(output), held_out, 100).examples
    with torch.no_grad():
        after = sum(float(nll(adapted, one)) for one in examples) / sum(one.learned for one in examples)
        with adapted.disable_adapter():
            before = sum(float(nll(adapted, one)) for one in examples) / sum(one.learned for one in examples)
    assert metrics["sft/loss"] == pytest.approx(after, rel=1e-5)
    assert metrics["sft/loss_before"] == pytest.approx(before, rel=1e-5)
    assert after < before - 0.1


def test_lora_on_an_adapter_starts_from_that_adapter(llama, data, tmp_path):
    first = run(SFTSettings(base=llama, data=data, output=str(tmp_path / "a"), lora_rank=4, holdout_fraction=0.2))
    second = run(
        SFTSettings(base=str(tmp_path / "a"), data=data, output=str(tmp_path / "b"), lora_rank=4, holdout_fraction=0.2)
    )
    assert second["sft/loss_before"] == pytest.approx(first["sft/loss"], rel=1e-5)
    again = run(SFTSettings(base=str(tmp_path / "b"), data=data, output=str(tmp_path / "c"), holdout_fraction=0.2))
    assert again["sft/loss_before"] == pytest.approx(second["sft/loss"], rel=1e-5)


def test_bfloat16_trains_float32_weights(llama, data, tmp_path):
    options = {"base": llama, "data": data, "holdout_fraction": 0.2, "epochs": 3}
    exact = run(SFTSettings(output=str(tmp_path / "a"), **options))
    half = run(SFTSettings(output=str(tmp_path / "b"), dtype="bfloat16", **options))
    assert half["sft/loss"] == pytest.approx(exact["sft/loss"], rel=0.03)
    assert half["sft/loss"] != exact["sft/loss"]
    assert {tensor.dtype for tensor in load_file(tmp_path / "b" / "model.safetensors").values()} == {torch.float32}


def test_same_seed_same_numbers(llama, data, tmp_path):
    def once(name: str, seed: int) -> dict[str, torch.Tensor]:
        settings = SFTSettings(base=llama, data=data, output=str(tmp_path / name), seed=seed, batch_size=8)
        run(settings)
        return load_file(tmp_path / name / "model.safetensors")

    first, again, other = once("a", 1), once("b", 1), once("c", 2)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_no_dropout(tmp_path):
    model, tokenizer = load_policy(tiny_model("gpt2", tmp_path), "--base")
    ids = torch.tensor([tokenizer("The cat sat on the mat.").input_ids])
    model.train()
    assert not torch.equal(model(ids).logits, model(ids).logits)
    without_dropout(model)
    assert torch.equal(model(ids).logits, model(ids).logits)


def test_packing_is_refused_where_documents_would_see_each_other(llama, monkeypatch):
    model, _ = load_policy(llama, "--base")
    examples = [Example([1, 20, 30, 40], 1), Example([1, 50, 60], 1)]
    check_packing(model, examples, 0)
    monkeypatch.setattr(Rows, "model_inputs", lambda self: {"input_ids": self.input_ids})
    with pytest.raises(UserError, match="--packing"):
        check_packing(model, examples, 0)


def test_tensorboard_logs_lie_in_the_output(llama, data, tmp_path):
    pytest.importorskip("tensorboard", reason="needs tensorboard: pip install tensorboard")
    run(SFTSettings(base=llama, data=data, output=str(tmp_path / "out"), report_to="tensorboard"))
    assert len(list((tmp_path / "out").rglob("events.out.tfevents*"))) == 1


def test_output_of_the_command_is_one_bar_and_one_json_line(llama, data, tmp_path, capfd):
    code = main(COMMAND, ["--base", llama, "--data", data, "--output", str(tmp_path / "out"), "--json"])
    out, err = capfd.readouterr()
    assert code == 0
    assert json.loads(out)["examples"] == len(LINES)
    above = err.split("sft/loss")[0]
    assert "Warning" not in err
    assert all(line.startswith("sft  ") for line in above.replace("\r", "\n").split("\n") if line.strip())


def test_config_is_quick():
    script = "import sys, sft.config; assert not {'torch', 'transformers', 'trl'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_mistakes(llama, data, tmp_path, capsys, monkeypatch):
    def said(phrase: str, base: str, data: str, *more: str) -> None:
        refused(capsys, COMMAND, ["--base", base, "--data", data, "--output", "out", *more], tmp_path, phrase)

    said("no such file", llama, "none.jsonl")
    (tmp_path / "broken.jsonl").write_text('{"prompt": "a", "response": "b"}\n\n{"prompt": "a"}\n')
    said("line 3", llama, "broken.jsonl")
    said("did you mean '--epochs'", llama, data, "--epoch", "2")
    said("--max-length", llama, data, "--max-length", "2")
    said("give a lower one", llama, data, "--lr", "1e39")
    said("--lora-rank", llama, data, "--load-in-4bit")
    AutoModelForCausalLM.from_pretrained(llama).save_pretrained(tmp_path / "bare")
    said("tokenizer", "bare", data)
    (tmp_path / "there").mkdir()
    said("exists already", llama, data, "--output", "there")
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    said("pip install bitsandbytes", llama, data, "--load-in-4bit", "--lora-rank", "4")
    said("pip install wandb", llama, data, "--report-to", "wandb")


def test_interrupt_leaves_nothing(llama, data, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "compute_loss", interrupted)
    arguments = ["--base", llama, "--data", data, "--output", "out"]
    refused(capsys, COMMAND, arguments, tmp_path, "interrupted", code=130)


def test_history_has_a_line_a_step_and_the_held_out_before_and_after(llama, data, tmp_path):
    metrics = run(
        SFTSettings(base=llama, data=data, output=str(tmp_path / "out"), batch_size=8, holdout_fraction=0.3, epochs=2)
    )
    lines = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").read_text().splitlines()]
    trained = [line for line in lines if "sft/train_loss" in line]
    assert [line["step"] for line in trained] == list(range(1, metrics["steps"] + 1))
    assert trained[0]["optim/lr"] == pytest.approx(metrics["lr"])
    assert trained[-1]["optim/lr"] < trained[0]["optim/lr"]
    held_out = [line for line in lines if "sft/loss" in line]
    assert [line["step"] for line in held_out] == [0, metrics["steps"]]
    assert [line["sft/loss"] for line in held_out] == [metrics["sft/loss_before"], metrics["sft/loss"]]
    assert all(name in METRICS for line in lines for name in line if name != "step")


def test_history_adds_up_to_the_loss_over_all_steps(llama, data, tmp_path):
    """One demonstration a step: the steps' losses, weighted by their tokens, are train_loss."""
    metrics = run(SFTSettings(base=llama, data=data, output=str(tmp_path / "out"), batch_size=1, holdout_fraction=0.0))
    lines = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").read_text().splitlines()]
    losses = [line["sft/train_loss"] for line in lines if "sft/train_loss" in line]
    _, tokenizer = load_policy(llama, "--base")
    examples = encode(tokenizer, read_demonstrations(data), 100).examples
    order = list(StepSampler([len(one.ids) for one in examples], 1, 0))
    tokens = [examples[index].learned for index in order]
    assert sum(loss * count for loss, count in zip(losses, tokens, strict=True)) / sum(tokens) == pytest.approx(
        metrics["train_loss"], abs=1e-9
    )
