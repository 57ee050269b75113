"""Several processes do what one does, launched as a user launches them: two real processes on the CPU.

Where runs are compared, responses are invented (`process_worker.answers`), because each process draws from a seed of its own;
everything else is the commands' own.

Mutations seen to fail: the policy's loss, the value loss or PPO-ptx divided by all processes' count; a reward model's share
of a batch not weighted by the number of processes; the epoch's stop decided by each process alone (they wait for each other
until the launch's time is up).
"""

from __future__ import annotations

import json
from pathlib import Path

import process_worker
import pytest
import torch
from launching import launch, run_jobs
from models import tiny_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from alignment.cli import command
from alignment.command import main
from reward_model.model import new_scorer, save

pytestmark = pytest.mark.xdist_group("processes")  # one worker: each launch takes two cores
PROMPTS = ["The cat", "Anna has a red kite. Tom keeps", "Where is the boat? The", "Tom", "The moon. The warm mat and"]
EXACT = 1e-5  # between one process and two: sums of floats in another order
SMALL = "--steps 2 --batch-size 8 --minibatch-size 4 --max-new-tokens 6 --kl-max 1e9"
REWARDS = """
import os

def length(prompt, responses):
    calls = int(os.environ.get("CALLS", 0)) + 1
    os.environ["CALLS"] = str(calls)
    if calls == 13:  # in both processes, once
        raise ValueError("no more")
    return [len(one) for one in responses]

def partial(prompt, responses):
    if os.environ["RANK"] == "1":
        raise ValueError("only here")
    return [len(one) for one in responses]
"""
EVERYTHING = (
    "--microbatch-size 1 --ptx-coef 0.5 --ema 0.9 --kl-target 1 --missing-eos penalty --score-clip 1.5 --save-state"
    " --approx-kl-target 0.003"  # at which the first rollout's second epoch stops early: all must stop at the same step
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What all runs read."""
    place = tmp_path_factory.mktemp("processes")
    policy = tiny_model("llama", place / "policy")
    for name, seed in (("reward-model", 1), ("judge", 2)):
        torch.manual_seed(seed)
        save(new_scorer(policy, None), place / name)
    lines = [json.dumps({"prompt": prompt}) for prompt in PROMPTS]
    (place / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    shown = [json.dumps({"prompt": prompt, "response": " the boat" * n}) for n, prompt in enumerate(PROMPTS, start=1)]
    (place / "demonstrations.jsonl").write_text("\n".join(shown) + "\n")
    verdicts = [
        json.dumps({"prompt": "Tom", "response": {"text": f"kite {n}"}, "verdict": ("bad", "good")[n % 2]})
        for n in range(13)
    ]
    ranked = [
        json.dumps({"prompt": f"Tom {n}", "responses": ["a boat", f"the river {n}", "red"], "ranks": [1, 2, n % 3 + 1]})
        for n in range(13)
    ]
    learned = [json.dumps({"prompt": f"Tom {n}", "response": " the boat" * (n % 4 + 1)}) for n in range(12)]
    for name, lines in (("verdicts", verdicts), ("rankings", ranked), ("shown", learned)):
        (place / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (place / "rewards.py").write_text(REWARDS)
    return place


def ppo(folder: Path, output: str, more: str = "") -> tuple[str, list[str], bool]:
    """A job that runs `align ppo` with everything that takes part in an update, on invented responses."""
    reads = f"--policy {folder}/policy --prompts {folder}/prompts.jsonl --reward-model {folder}/reward-model"
    judge = f"--selection-reward-model {folder}/judge --selection-prompts {folder}/prompts.jsonl"
    ptx = f"--ptx-data {folder}/demonstrations.jsonl"
    return "ppo", f"{reads} {judge} {ptx} {SMALL} {EVERYTHING} --output {folder}/{output} {more}".split(), True


def drawn(folder: Path, output: str, more: str = "") -> tuple[str, list[str], bool]:
    """A job that runs `align ppo` with the policy's own responses and a checkpoint a step."""
    reads = f"--policy {folder}/policy --prompts {folder}/prompts.jsonl --reward {folder}/rewards.py:length"
    return "ppo", f"{reads} {SMALL} --save-every 1 --output {folder}/{output} {more}".split(), False


def reward(folder: Path, output: str) -> tuple[str, list[str], bool]:
    """13 rankings and 13 verdicts in batches of 4: the last batch has one."""
    reads = f"--base {folder}/policy --rankings {folder}/rankings.jsonl --verdicts {folder}/verdicts.jsonl"
    small = "--epochs 2 --batch-size 4 --microbatch-size 1 --lr 1e-3 --holdout-fraction 0.2"
    return "reward", f"{reads} {small} --output {folder}/{output}".split(), False


def sft(folder: Path, output: str) -> tuple[str, list[str], bool]:
    small = "--epochs 2 --batch-size 4 --microbatch-size 1 --lr 1e-3 --holdout-fraction 0"
    return (
        "sft",
        f"--base {folder}/policy --data {folder}/shown.jsonl {small} --output {folder}/{output}".split(),
        False,
    )


@pytest.fixture(scope="module")
def alone(folder) -> Path:
    """What one process makes of the same command lines."""
    with pytest.MonkeyPatch.context() as patch:
        for module in process_worker.GENERATING:
            patch.setattr(f"{module}.generate", process_worker.answers)
        patch.setattr("alignment.report.write.draw", lambda folder, final: None)
        jobs = [ppo(folder, "alone"), ppo(folder, "alone-lora", "--lora-rank 4")]
        for name, line, _ in (*jobs, reward(folder, "alone-reward"), sft(folder, "alone-sft")):
            assert main(command(name), line) == 0
    return folder


def jobs(folder: Path, kind: str) -> list[tuple[str, list[str], bool]]:
    return [
        ppo(folder, kind),
        ppo(folder, f"{kind}-lora", "--lora-rank 4"),
        drawn(folder, f"{kind}-stopped"),  # fails at its 13th answer
        drawn(folder, f"{kind}-stopped"),  # goes on
        drawn(folder, f"{kind}-whole"),
        drawn(folder, f"{kind}-refused", "--batch-size 9 --minibatch-size 3"),
    ]


@pytest.fixture(scope="module")
def ddp(alone, folder) -> tuple[list[int], str]:
    one = ["--policy", "x", "--against", "y", "--prompts", "z", "--judge", "m:f", "--output", "w"]
    more = [reward(folder, "ddp-reward"), sft(folder, "ddp-sft"), ("eval", one, False)]
    return run_jobs("ddp", [*jobs(folder, "ddp"), *more], folder)


@pytest.fixture(scope="module")
def fsdp(alone, folder) -> tuple[list[int], str]:
    more = [reward(folder, "fsdp-reward"), sft(folder, "fsdp-sft"), drawn(folder, "fsdp-adapter", "--lora-rank 4")]
    return run_jobs("fsdp2", [*jobs(folder, "fsdp"), *more], folder)


def state(run: Path) -> dict[str, torch.Tensor]:
    """All tensors of a run's state but the generators; the parts of several processes one after the other."""
    files = [load_file(file) for file in sorted((run / "state").glob("*.safetensors"), key=lambda file: len(file.name))]
    names = [name for name in files[0] if not name.startswith("generator")]
    whole = {}
    for name in names:
        parts = [file[name] for file in files if name in file]
        whole[name] = torch.cat(parts) if parts[0].dim() and len(parts) > 1 else parts[0]
    return whole


def names(run: Path) -> list[str]:
    return sorted(str(path.relative_to(run)) for path in run.rglob("*") if path.parent.name != "state")


def history(run: Path) -> list[dict[str, float]]:
    rows = [json.loads(row) for row in (run / "history.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("time/")} for row in rows]


def difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


@pytest.mark.parametrize("lora", ["", "-lora"])
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_two_processes_make_the_update_of_one(kind, lora, folder, request):
    codes, _ = request.getfixturevalue(kind)
    assert codes[:2] == [0, 0]
    figure = difference(state(folder / f"{kind}{lora}"), state(folder / f"alone{lora}"))
    print(f"\n{kind}{lora}: weights and moments of policy and value model differ by at most {figure:.1e}")
    assert figure < EXACT
    for row, expected in zip(history(folder / f"{kind}{lora}"), history(folder / f"alone{lora}"), strict=True):
        assert row == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_a_run_that_stopped_goes_on_bitwise(kind, folder, request):
    codes, _ = request.getfixturevalue(kind)
    assert codes[2:5] == [2, 0, 0]
    stopped, whole = folder / f"{kind}-stopped", folder / f"{kind}-whole"
    assert history(stopped) == history(whole)
    assert (stopped / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert not stopped.with_name(f"{stopped.name}.checkpoints").exists()


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_mistakes_are_said_once(kind, folder, request):
    codes, printed = request.getfixturevalue(kind)
    assert codes[5] == 2
    assert printed.count("--batch-size is 9; 2 processes share it, so it must be a multiple of 2, for example 10") == 1
    assert printed.count("going on from") == 1
    assert not list(folder.glob("*refused*")) + list(folder.glob(".*partial"))


def test_what_one_process_does_is_refused(ddp, fsdp):
    codes, printed = ddp
    assert codes[-1] == 2
    assert printed.count("align eval: runs in one process, and 2 were started") == 1
    assert fsdp[0][6:8] == [2, 2]
    assert fsdp[1].count("align reward keeps its whole model in each process") == 1


@pytest.mark.parametrize("name", ["reward", "sft"])
def test_the_other_stages_learn_the_same(ddp, folder, name):
    assert ddp[0][6:8] == [0, 0]
    weights = [load_file(folder / f"{kind}-{name}" / "model.safetensors") for kind in ("ddp", "alone")]
    figure = difference(*weights)
    print(f"\nddp-{name}: weights differ by at most {figure:.1e}")
    assert figure < EXACT
    for row, expected in zip(history(folder / f"ddp-{name}"), history(folder / f"alone-{name}"), strict=True):
        assert row == pytest.approx(expected, abs=EXACT)


def test_parts_are_saved_as_a_plain_model(fsdp, folder):
    """The same files with the same tensors as a run in one process, and the commands that follow take them."""
    assert fsdp[0][8] == 0
    for run in ("fsdp", "fsdp-lora"):
        alone = folder / run.replace("fsdp", "alone")
        assert names(folder / run) == names(alone)
        file = "adapter_model.safetensors" if "lora" in run else "model.safetensors"
        assert difference(load_file(folder / run / file), load_file(alone / file)) < EXACT
    model = AutoModelForCausalLM.from_pretrained(folder / "fsdp")
    assert {name for name, _ in model.named_parameters()} <= set(load_file(folder / "fsdp" / "model.safetensors"))
    reads = f"--policy {folder}/fsdp --prompts {folder}/prompts.jsonl --max-new-tokens 4"
    assert main(command("sample"), f"{reads} --output {folder}/sampled.jsonl".split()) == 0
    judge = f"--against {folder}/policy --judge {folder}/rewards.py:length"
    assert main(command("eval"), f"{reads} {judge} --output {folder}/comparison".split()) == 0
    reads = f"--policy {folder}/fsdp-adapter --prompts {folder}/prompts.jsonl --max-new-tokens 4"
    assert main(command("sample"), f"{reads} --output {folder}/sampled-adapter.jsonl".split()) == 0


def test_a_failure_in_one_process_ends_all(folder):
    """The failing process says why, once; nothing is left."""
    _, line, _ = drawn(folder, "failed")
    line[line.index(f"{folder}/rewards.py:length")] = f"{folder}/rewards.py:partial"
    done = launch("ddp", ["-m", "alignment", "ppo", *line], folder)
    assert done.returncode != 0
    assert done.stderr.count("align ppo: ") == 1
    assert "only here" in done.stderr
    assert "onnection" not in done.stderr
    assert not list(folder.glob("*failed*")) + list(folder.glob(".*failed*"))
