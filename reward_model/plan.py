"""`align reward --dry-run`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from alignment.checkpoint import Checkpoints
from alignment.ensembles import FILE
from alignment.memory import MOMENTS, require_memory, tensor_bytes
from alignment.models import add_lora, backbone, trainable
from alignment.outline import outline
from alignment.plan import Plan, Read, directory_writes
from alignment.probe import Probe, by_length, padded
from alignment.run import require_free
from alignment.scaling import FRACTIONS
from alignment.seeds import seed_everything
from alignment.shared_base import FOLDER
from alignment.tracking import require_installed
from reward_model.config import RewardSettings
from reward_model.data import Example, batches, micro_batches
from reward_model.fit import batch_loss, new_optimizer, optimizer_steps, take_step
from reward_model.making import READS, SCORE_BATCH, Prepared, prepare

TRAINING, SCORING = "training", "normalising and measuring"
"""What is done for each model of an ensemble, and for each part of --scaling."""


def plan(settings: RewardSettings) -> Plan:
    seed_everything(settings.seed, settings.threads)
    require_free(settings.output, "directory")
    checkpoints = Checkpoints("reward", settings, READS, look=True)
    require_installed(settings.report_to)
    rank = settings.lora_rank
    body = outline(
        settings.base,
        adapt=lambda model: add_lora(backbone(model), rank, "FEATURE_EXTRACTION") if rank else backbone(model),
    )
    require_memory([body], settings)
    probe = Probe()
    ready = prepare(settings)
    probe.prepared()
    _training(probe, ready, settings)
    _scoring(probe, ready)
    counts = ready.counts()
    held = {"to learn from": counts["n_rankings"], "held out": counts["n_held_out_rankings"]}
    left_out = {name.replace("_", " "): counts[name] for name in counts if not name.startswith("n_")}
    inputs = [Read("--rankings", settings.rankings, held | left_out)]
    if settings.eval_rankings:
        inputs.append(Read("--eval-rankings", settings.eval_rankings, {}))
    if settings.verdicts:
        thumbs = {"to learn from": len(ready.thumbs), "held out": len(ready.held_out_thumbs)}
        inputs.append(Read("--verdicts", settings.verdicts, thumbs))
    members = [f"member-{number}" for number in range(settings.ensemble)] if settings.ensemble > 1 else []
    plan = probe.plan(
        settings,
        [*inputs, Read("--base", settings.base, {})],
        {"of prompts and responses to learn from, an epoch": sum(map(len, _sequences(ready.train)))},
        directory_writes(
            settings.output,
            "the reward models" if members else "the reward model",
            "history.jsonl",
            "held_out.jsonl",
            *([*members, FILE] if members else []),
            *([str(Path(member) / FOLDER) for member in members or ["."]] if settings.lora_rank else []),
        ),
        steps=optimizer_steps(len(ready.train), settings),
        saving=_saving(ready, settings),
        notes=checkpoints.notes(),
    )
    return _several(plan, settings)


def _several(plan: Plan, settings: RewardSettings) -> Plan:
    """The plan with the time of all models that are trained; reading is done once."""
    times = settings.ensemble + (sum(FRACTIONS.values()) if settings.scaling else 0)
    if times == 1:
        return plan
    parts = [
        replace(part, seconds=part.seconds * (times if part.name in (TRAINING, SCORING) else 1)) for part in plan.parts
    ]
    what = (
        "--scaling: time is that of all parts"
        if settings.scaling
        else f"--ensemble {times}: time is that of all members"
    )
    return replace(plan, parts=tuple(parts), notes=(*plan.notes, what))


def _saving(ready: Prepared, settings: RewardSettings) -> int:
    """The whole model, merged, is written by way of a copy, its adapter kept apart; a checkpoint takes two copies of all
    that learns."""
    learning = tensor_bytes(trainable(ready.scorer.model))
    saves = 0 < settings.save_every <= optimizer_steps(len(ready.train), settings)
    whole = tensor_bytes(list(ready.scorer.model.parameters())) + (learning if settings.lora_rank else 0)
    return max(whole, 2 * learning * (1 + MOMENTS) if saves else 0)


def _training(probe: Probe, ready: Prepared, settings: RewardSettings) -> None:
    """The micro-batches of the first epoch, forward and backward; then what closes an optimizer step."""
    optimizer = new_optimizer(ready.scorer, 0.0, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    micros = [
        micro
        for batch in batches(ready.train, settings.batch_size, generator)
        for micro in micro_batches(batch, settings.microbatch_size)
    ]

    def tokens(micro: list[Example]) -> int:
        """Computed for a micro-batch, padding included."""
        return len(_sequences(micro)) * max(one.tokens for one in micro)

    steps = optimizer_steps(len(ready.train), settings)
    seconds = probe.measure(
        "training",
        micros,
        lambda micro: batch_loss(ready.scorer, micro, settings, ready.losses),
        tokens,
        settings.epochs,
    )
    seconds += probe.measure(
        "optimizer", [[None]], lambda _: take_step(ready.scorer, 0.0, optimizer, 0.0, settings), len, steps
    )
    ranked = sum(map(len, _sequences(ready.train)))
    seconds *= (
        1 + sum(len(thumb.sequence) for thumb in ready.thumbs) / ranked
    )  # verdicts cost what rankings do, a token
    probe.add(TRAINING, steps, "steps", seconds)


def _scoring(probe: Probe, ready: Prepared) -> None:
    """After training: the training responses, to normalise the scores, and the held-out ones."""
    sequences = _sequences(ready.train + ready.held_out)
    seconds = probe.measure(
        "scoring",
        by_length(sequences, len, SCORE_BATCH),
        lambda some: ready.scorer.score_many(some, SCORE_BATCH),
        padded(len),
    )
    probe.add(SCORING, len(sequences), "responses", seconds)


def _sequences(examples: list[Example]) -> list[list[int]]:
    return [sequence for example in examples for sequence in example.sequences]
