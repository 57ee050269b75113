"""`align sft --dry-run`."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import BatchSampler

from alignment.memory import Held, require_memory
from alignment.models import add_lora, trainable
from alignment.outline import outline, saving
from alignment.plan import Plan, Read, directory_writes
from alignment.probe import Probe, by_length, padded
from alignment.run import require_free
from alignment.scaling import FRACTIONS
from sft.config import SFTSettings
from sft.data import Example
from sft.train import Prepared, base_dtype, check, prepare


def plan(settings: SFTSettings) -> Plan:
    check(settings)
    require_free(settings.output, "directory")
    require_memory([_least(settings)], settings)
    probe = Probe()
    with tempfile.TemporaryDirectory() as folder:
        ready = prepare(replace(settings, report_to="none"), Path(folder))
        probe.prepared()
        _training(probe, ready, settings)
        _measuring(probe, ready)
    counts = ready.counts()
    held = {"to learn from": counts["examples"], "held out": counts["held_out"]}
    plan = probe.plan(
        settings,
        [
            Read("--data", settings.data, held | {name: counts[name] for name in ("cut", "dropped")}),
            Read("--base", settings.base, {"parameters": ready.trainer.policy.num_parameters()}),
        ],
        {
            "to learn, an epoch": counts["tokens"],
            "with their prompts": sum(len(one.ids) for one in ready.learn.examples),
        },
        directory_writes(
            settings.output, f"the policy, a {'LoRA adapter' if settings.lora_rank else 'full model'}", "history.jsonl"
        ),
        steps=counts["steps"],
        saving=saving(ready.trainer.policy, settings.base),
    )
    return _with_parts(plan) if settings.scaling else plan


def _with_parts(plan: Plan) -> Plan:
    """The plan with the time of the smaller parts that --scaling trains on, measuring and loading included."""
    more = 1 + sum(FRACTIONS.values())
    times = {"training": more}
    parts = [replace(part, seconds=part.seconds * times.get(part.name, 1 + len(FRACTIONS))) for part in plan.parts]
    return replace(plan, parts=tuple(parts), notes=(*plan.notes, "--scaling: time is that of all parts"))


def _least(settings: SFTSettings) -> Held:
    """What the model needs at the very least; nothing is said of a base in 4 bits."""
    if settings.load_in_4bit:
        return Held(0)
    rank = settings.lora_rank
    return outline(settings.base, base_dtype(settings), lambda model: add_lora(model, rank) if rank else model)


def _training(probe: Probe, ready: Prepared, settings: SFTSettings) -> None:
    """Micro-batches of the first epoch, forward and backward; then what closes an optimizer step."""
    trainer = ready.trainer
    trainer.check()
    if settings.gradient_checkpointing:  # the trainer switches it on only when it begins to train
        policy: Any = trainer.policy
        getattr(policy, "activation_checkpointing_enable", policy.gradient_checkpointing_enable)()
    optimizer = trainer.create_optimizer()
    examples = ready.learn.examples
    sampler = BatchSampler(trainer._get_train_sampler(), trainer.args.per_device_train_batch_size, drop_last=False)
    micro_batches = [[examples[row] for row in rows] for rows in sampler]

    def forward_backward(micro: list[Example]) -> None:
        learned = torch.tensor(sum(one.learned for one in micro))
        trainer.training_step(trainer.policy, trainer.rows(micro), learned)

    def step(_: list[None]) -> None:
        torch.nn.utils.clip_grad_norm_(trainable(trainer.policy), settings.max_grad_norm or 1.0)
        optimizer.step()

    steps = trainer.args.max_steps
    epochs = steps / -(-len(examples) // settings.batch_size)
    seconds = probe.measure("training", micro_batches, forward_backward, padded(lambda one: len(one.ids)), epochs)
    seconds += probe.measure("optimizer", [[None]], step, len, steps)
    probe.add("training", steps, "steps", seconds)


def _measuring(probe: Probe, ready: Prepared) -> None:
    """The held-out demonstrations, before the first and after the last step."""
    trainer = ready.trainer

    def measure(some: list[Example]) -> None:
        trainer.held_out = some
        trainer.measure()

    def length(one: Example) -> int:
        return len(one.ids)

    batches = by_length(ready.held_out.examples, length, trainer.args.per_device_train_batch_size)
    if batches:
        seconds = probe.measure("measuring", batches, measure, padded(length), 2)
        probe.add(
            "measuring on the held-out, before and after", 2 * len(ready.held_out.examples), "demonstrations", seconds
        )
