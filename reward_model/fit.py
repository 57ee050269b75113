"""The training loop of stage 2: batches, micro-batches, optimizer steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from alignment.checkpoint import Checkpoints
from alignment.collectives import all_of_any_length, gathered
from alignment.distributed import accumulating, join, joined, leave
from alignment.errors import UserError
from alignment.learning_rates import learning_rate
from alignment.models import parameter_count, trainable
from alignment.processes import count, rank
from alignment.progress import progress
from alignment.scorer import Scorer
from alignment.tracking import Log
from alignment.training_state import load_moments, load_state, load_tensors, moments, trainable_tensors
from reward_model.config import RewardSettings
from reward_model.data import Example, batches, micro_batches
from reward_model.objective import Objective, bradley_terry
from reward_model.thumbs import Thumb, portions, thumb_losses

T = TypeVar("T")


@dataclass(frozen=True)
class Lesson:
    """What one optimizer step learns from. thumbs_a_step: how many there are on average, what their sum is divided by."""

    batch: list[Example]
    thumbs: Sequence[Thumb] = ()
    thumbs_a_step: float = 1.0


def fit(
    scorer: Scorer,
    examples: list[Example],
    settings: RewardSettings,
    log: Log,
    losses: Objective = bradley_terry,
    thumbs: Sequence[Thumb] = (),
    checkpoints: Checkpoints | None = None,
) -> dict[str, float]:
    """Trains in place. Returns the loss over the last epoch, the number of optimizer steps and the learning rate.

    checkpoints: where it goes on from, and saves to. The order of the rankings is drawn again from the seed."""
    highest = settings.lr or learning_rate("reward", parameter_count(scorer.model), lora=settings.lora_rank > 0)
    join(scorer.model)
    optimizer = new_optimizer(scorer, highest, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    steps, step = optimizer_steps(len(examples), settings), 0
    totals: list[tuple[float, int]] = []
    done, totals_done = _go_on(scorer, optimizer, checkpoints)
    with progress(settings.epochs * len(examples), "reward model", "ranking") as bar:
        for _ in range(settings.epochs):
            totals = []
            for lesson in lessons(examples, thumbs, settings, generator):
                bar.update(len(lesson.batch))
                step += 1
                if step <= done:
                    totals = totals_done
                    continue
                rate = highest * lr_factor(step - 1, steps, settings)
                loss, norm = _step(scorer, lesson, optimizer, rate, settings, losses)
                totals.append((loss * len(lesson.batch), len(lesson.batch)))
                log({"reward_model/loss": loss, "optim/lr": rate, "optim/grad_norm": norm}, step)
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                if checkpoints and checkpoints.due(step):
                    parts = {"scorer": trainable_tensors(scorer.model), "optimizer": moments(optimizer)}
                    checkpoints.save(step, parts, {"step": step, "totals": totals})
    leave(scorer.model)
    total, rankings = map(sum, zip(*totals))
    return {"train_loss": total / rankings, "steps": step, "lr": highest}


def _go_on(
    scorer: Scorer, optimizer: torch.optim.Optimizer, checkpoints: Checkpoints | None
) -> tuple[int, list[tuple[float, int]]]:
    """Takes over the newest checkpoint. Returns its step and the losses of the epoch that it was in; 0 where there is none."""
    if checkpoints is None or checkpoints.start is None:
        return 0, []
    parts, values = load_state(checkpoints.start)
    load_tensors(scorer.model, parts["scorer"])
    load_moments(optimizer, parts["optimizer"])
    return values["step"], [(loss, count) for loss, count in values["totals"]]


def lessons(
    examples: list[Example], thumbs: Sequence[Thumb], settings: RewardSettings, generator: torch.Generator
) -> list[Lesson]:
    """One epoch: every ranking once, every thumb once."""
    cut = list(batches(examples, settings.batch_size, generator))
    if not thumbs:
        return [Lesson(batch) for batch in cut]
    shares = portions(thumbs, len(cut), generator)
    return [Lesson(batch, some, len(thumbs) / len(cut)) for batch, some in zip(cut, shares, strict=True)]


def new_optimizer(scorer: Scorer, lr: float, settings: RewardSettings) -> torch.optim.Optimizer:
    betas = (0.9, settings.adam_beta2)
    return torch.optim.AdamW(trainable(scorer.model), lr=lr, betas=betas, weight_decay=settings.weight_decay)


def optimizer_steps(examples: int, settings: RewardSettings) -> int:
    return settings.epochs * math.ceil(examples / settings.batch_size)


def batch_loss(
    scorer: Scorer, batch: list[Example], settings: RewardSettings, losses: Objective = bradley_terry
) -> float:
    """Adds the gradient of the mean over rankings of their losses; each response goes through the model once."""
    return lesson_loss(scorer, Lesson(batch), settings, losses)


def lesson_loss(scorer: Scorer, lesson: Lesson, settings: RewardSettings, losses: Objective) -> float:
    """Adds the gradient of mean over rankings + verdict_weight · (sum over thumbs ÷ thumbs a step). Returns the loss.

    A thumb is read against the mean score of the step's ranked responses, so those go first. Processes share rankings and
    thumbs; gradients are averaged over them."""
    own, weight = _own(sorted(lesson.batch, key=lambda example: example.tokens))
    total, seen = 0.0, []
    micros = list(micro_batches(own, settings.microbatch_size))
    for number, micro in enumerate(micros, start=1):
        with accumulating(scorer.model, more=number < len(micros) or len(lesson.thumbs) > 0):
            scores = _scores(scorer, [sequence for example in micro for sequence in example.sequences], settings)
            loss = weight * losses(scores, [example.ranking for example in micro]).sum() / len(lesson.batch)
            loss.backward()
        total += loss.item()
        seen.append(scores.detach())
    if lesson.thumbs:
        ranked = torch.cat(seen) if weight else torch.cat(seen)[:0]
        reference = all_of_any_length(ranked).mean()
        total += _thumbs_loss(scorer, lesson, settings, reference, size=max(map(len, seen)))
    return sum(gathered(total)) / count()


def _thumbs_loss(scorer: Scorer, lesson: Lesson, settings: RewardSettings, reference: torch.Tensor, size: int) -> float:
    """Adds the gradient of verdict_weight · sum over thumbs ÷ thumbs a step, `size` thumbs at a time. Returns the loss."""
    own, weight = _own(lesson.thumbs)
    weight *= settings.verdict_weight / lesson.thumbs_a_step
    total = 0.0
    for start in range(0, len(own), size):
        some = own[start : start + size]
        with accumulating(scorer.model, more=start + size < len(own)):
            scores = _scores(scorer, [thumb.sequence for thumb in some], settings)
            good = torch.tensor([thumb.good for thumb in some], device=scores.device)
            loss = weight * thumb_losses(scores, good, reference).sum()
            loss.backward()
        total += loss.item()
    return total


def _own(rows: Sequence[T]) -> tuple[list[T], float]:
    """This process's rows, and what their loss is multiplied by before gradients are averaged: 0 where there are fewer rows
    than processes, for each must take part."""
    own = [*rows[rank() :: count()]]
    return (own, float(count())) if own else ([*rows[:1]], 0.0)


def _scores(scorer: Scorer, sequences: list[list[int]], settings: RewardSettings) -> torch.Tensor:
    with torch.autocast(scorer.model.device.type, torch.bfloat16, enabled=settings.dtype == "bfloat16"):
        return joined(scorer.model, lambda: scorer.score_ids(sequences))


def lr_factor(step: int, steps: int, settings: RewardSettings) -> float:
    """What the highest learning rate is multiplied by at step 0..steps-1: rises to 1 over the warm-up, then falls to a
    tenth along a cosine (InstructGPT, app. C.2), linearly to 0, or not at all."""
    warmup = round(settings.warmup_fraction * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(steps - warmup, 1)
    if settings.lr_schedule == "cosine":
        return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done if settings.lr_schedule == "linear" else 1.0


def _step(
    scorer: Scorer,
    lesson: Lesson,
    optimizer: torch.optim.Optimizer,
    rate: float,
    settings: RewardSettings,
    losses: Objective,
) -> tuple[float, float]:
    """One optimizer step. Returns the loss and the norm of its gradient before clipping."""
    optimizer.zero_grad(set_to_none=True)
    loss = lesson_loss(scorer, lesson, settings, losses)
    return loss, take_step(scorer, loss, optimizer, rate, settings)


def take_step(
    scorer: Scorer, loss: float, optimizer: torch.optim.Optimizer, rate: float, settings: RewardSettings
) -> float:
    """Moves the weights along the gradient that is there. Returns its norm before clipping."""
    norm = float(torch.nn.utils.clip_grad_norm_(trainable(scorer.model), settings.max_grad_norm))
    if not math.isfinite(norm):
        raise UserError(f"the gradient is {norm} at a loss of {loss}: training diverged; lower --lr (now {rate:.2g})")
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return norm
