"""Peak memory of PPO's four roles: four separate models, three (a LoRA policy that is its own reference), one base.

    python benchmarks/one_base.py [--output DIR]

The model is Llama-shaped and randomly initialised, about 30 M parameters (vocabulary 8,192, width 512, 8 layers), and so
is the reward model's adapter: memory does not depend on what the weights say. Every case runs one whole step (a rollout,
its scores, log-probs, reference log-probs and values, one update) in a process of its own, through `ppo.train.Trainer`,
and differs from the others only in how many copies of the weights it loads:

    four    policy with LoRA · reference: a frozen copy · reward model: a whole model · value model: a whole model with LoRA
    three   the same, the reference being the policy with its adapter off
    one     `align ppo --lora-rank` with a reward model of `align reward --lora-rank`: adapters and heads on one base

LoRA rank 16 on every linear layer and AdamW on the adapters alone, in each of them. The peak is the process's highest
resident memory above its level after the imports, before anything is loaded. Three batches are measured: in the smallest
the weights are nearly all there is, in the largest what is computed weighs more, and is the same in each case.
Prints a table, ends with one JSON line, and leaves it in `benchmarks/results/one_base.json`.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import dataclasses
import gc
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "kernels")]
CASES = ("four", "three", "one")
BATCHES = {"2 x 16": (2, 2, 1, 16), "8 x 32": (8, 8, 2, 32), "32 x 64": (32, 32, 8, 64)}
"""Name → responses of a rollout, of an optimizer step, computed at once; tokens of a response at most."""
RANK = 16
THREADS = os.environ.get("OMP_NUM_THREADS", "1")
PROMPTS = ["The cat sat on the mat.", "Anna has a red kite.", "Where is the boat?", "The moon is over the river."]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "one-base-run", help="made anew at each run")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--batch", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(options.case, options.batch, options.output)))
        return 0
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    result: dict[str, Any] = {"machine": machine(), "lora_rank": RANK, "batches": {}}
    result["parameters"] = make_models(options.output)
    for batch in BATCHES:
        result["batches"][batch] = compared({case: own_process(case, batch, options.output) for case in CASES})
        print(row(batch, result["batches"][batch]), flush=True)
    target = ROOT / "benchmarks" / "results" / "one_base.json"
    target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    shutil.rmtree(options.output)
    print(json.dumps(result))
    return 0


def make_models(folder: Path) -> dict[str, int]:
    """policy/ and reward/, a LoRA reward model of it with an adapter that is not zero. Returns their sizes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from alignment.models import parameter_count, trainable
    from reward_model.adapter import merged
    from reward_model.model import new_scorer, save

    torch.manual_seed(0)
    made = tokenizer()
    config = LlamaConfig(
        vocab_size=8192, hidden_size=512, intermediate_size=1376, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=8, max_position_embeddings=512, tie_word_embeddings=True,
        bos_token_id=made.bos_token_id, eos_token_id=made.eos_token_id, pad_token_id=made.pad_token_id,
    )  # fmt: skip
    policy = LlamaForCausalLM(config)
    policy.save_pretrained(folder / "policy")
    made.save_pretrained(folder / "policy")
    scorer = new_scorer(str(folder / "policy"), None, RANK)
    learning = trainable(scorer.model)
    with torch.no_grad():
        for parameter in learning:
            parameter.normal_(std=0.02)
    save(merged(scorer), folder / "reward")
    lines = "".join(json.dumps({"prompt": f"{prompt} {number}"}) + "\n" for number in range(32) for prompt in PROMPTS)
    (folder / "prompts.jsonl").write_text(lines, encoding="utf-8")
    return {"policy": parameter_count(policy), "adapter_and_head": sum(one.numel() for one in learning)}


def tokenizer() -> Any:
    """Bytes; the model's vocabulary is larger than what is used."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>"]
    words = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    words += [f"<{number}>" for number in range(8192 - len(words))]
    raw = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[]))
    raw.pre_tokenizer, raw.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def own_process(case: str, batch: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--case", case, "--batch", batch, "--output", str(folder)]
    one = {**os.environ, "OMP_NUM_THREADS": THREADS}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT, env=one)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(case: str, batch: str, folder: Path) -> dict[str, float]:
    """Peak bytes above the level after imports, and seconds, of loading and one whole step."""
    import ppo.inputs
    import ppo.value
    from ppo.config import PPOSettings
    from ppo.train import Trainer

    settings_of = dict(zip(("batch_size", "minibatch_size", "microbatch_size", "max_new_tokens"), BATCHES[batch]))
    settings = PPOSettings(
        policy=str(folder / "policy"), prompts=str(folder / "prompts.jsonl"), reward_model=str(folder / "reward"),
        output="unused", lora_rank=RANK, normalize_scores=False, ppo_epochs=1, steps=1, **settings_of,
    )  # fmt: skip
    load = ppo.inputs.load_scorer
    if case != "one":
        ppo.inputs.load_scorer = lambda *given: load(*given[:-1])  # without the base that it could share
        ppo.value._body = whole_body
    warm_up()
    before = level()
    started = time.perf_counter()
    trainer = Trainer(settings)
    if case == "four":
        trainer.roles = with_own_reference(trainer)
    rollout = trainer.rollout()
    trainer.state.step = 1
    trainer.update(rollout)
    return {"bytes": resident("VmHWM") - before, "before": before, "seconds": time.perf_counter() - started}


def whole_body(model: Any, lora_rank: int) -> Any:
    """The value model as a copy of the reward model, with an adapter of its own."""
    from alignment.models import add_lora, backbone

    return add_lora(copy.deepcopy(backbone(model)), lora_rank, task="FEATURE_EXTRACTION")


def with_own_reference(trainer: Any) -> Any:
    """The roles, the reference being a model of its own."""
    from alignment.models import load_policy
    from ppo.rollout import always

    reference, _ = load_policy(trainer.settings.policy, "--policy")
    return dataclasses.replace(trainer.roles, reference_model=reference.requires_grad_(False), reference=always())


def warm_up() -> None:
    """What the libraries load at their first use, before the level is taken: kernels, transformers' Llama, PEFT."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification

    from alignment.models import add_lora

    few = LlamaConfig(vocab_size=16, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    model = add_lora(LlamaForCausalLM(few), 2)
    LlamaForSequenceClassification(few)
    model.generate(input_ids=torch.ones(1, 2, dtype=torch.long), max_new_tokens=2, pad_token_id=0)
    model(input_ids=torch.ones(1, 2, dtype=torch.long)).logits.sum().backward()


def level() -> int:
    """Resident bytes now, what was freed handed back first; the highest level starts again from here."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return resident("VmRSS")


def resident(name: str) -> int:
    """Bytes, from /proc: VmRSS is now, VmHWM the highest so far."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def compared(cases: dict[str, dict[str, float]]) -> dict[str, Any]:
    shares = {f"one_of_{name}": cases["one"]["bytes"] / cases[name]["bytes"] for name in ("four", "three")}
    return {**cases, **shares}


def row(batch: str, found: dict[str, Any]) -> str:
    cases = "  ".join(f"{case} {found[case]['bytes'] / 1e6:,.0f} MB ({found[case]['seconds']:.1f} s)" for case in CASES)
    return f"{batch:>10} tokens: {cases}  one of four {found['one_of_four']:.1%}, of three {found['one_of_three']:.1%}"


def machine() -> dict[str, Any]:
    return {
        "processors": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version(),
        "load_before": os.getloadavg()[0], "threads": THREADS,
        **{name: version(name) for name in ("torch", "transformers", "peft")},
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
