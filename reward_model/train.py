"""Stage 2: rankings → scalar reward model. `run` is the whole command."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch

from alignment.errors import UserError
from alignment.history import both, history
from alignment.learning_rates import learning_rate
from alignment.models import parameter_count, trainable
from alignment.progress import progress
from alignment.records import Ranking, write_jsonl
from alignment.run import output_directory
from alignment.run_record import write_result
from alignment.scorer import Scorer
from alignment.seeds import seed_everything
from alignment.tracking import Log, tracker
from reward_model.config import RewardSettings
from reward_model.data import Example, Split, batches, encode, micro_batches, split
from reward_model.loss import ranking_losses, strict_pairs
from reward_model.metrics import held_out_pairs, report
from reward_model.model import adapted, merged, new_scorer, normalise, save

SCORE_BATCH = 64


def run(settings: RewardSettings) -> dict[str, Any]:
    """Trains, normalises, measures on what was held out, saves. Returns what `metrics.json` holds."""
    started = time.time()
    seed_everything(settings.seed, settings.threads)
    with (
        output_directory(settings.output) as directory,
        tracker(settings.report_to, directory, settings) as tracked,
        history(directory) as record,
    ):
        log = both(tracked, record)
        ready = prepare(settings)
        trained = fit(ready.scorer, ready.train, settings, log)
        scorer = merged(ready.scorer)
        mean, sd = normalise(scorer, _flat(_scores(scorer, ready.train, "normalising")))
        scores = _scores(scorer, ready.held_out, "measuring")
        metrics = {**_measure(scores, ready.split, sd), **ready.counts(), **trained}
        metrics |= {"score_mean_before": mean, "score_sd_before": sd, "seconds": time.time() - started}
        log({"reward_model/pair_accuracy": metrics["pair_accuracy"]}, int(metrics["steps"]))
        save(scorer, directory)
        write_jsonl(directory / "held_out.jsonl", map(held_out_record, ready.split.held_out, scores))
        write_result(directory, "reward", settings, metrics, started)
    return metrics


@dataclass(frozen=True)
class Prepared:
    """All that training needs. train, held_out: the tokenized rankings of `split`."""

    split: Split
    scorer: Scorer
    train: list[Example]
    held_out: list[Example]

    def counts(self) -> dict[str, int]:
        """What is known before the first step."""
        examples = self.train + self.held_out
        return {
            "n_rankings": len(self.train),
            "n_held_out_rankings": len(self.held_out),
            "without_pairs": self.split.without_pairs,
            "shared_with_held_out": self.split.shared,
            "cut_prompts": sum(example.prompt_cut for example in examples),
            "cut_responses": sum(example.responses_cut for example in examples),
        }


def prepare(settings: RewardSettings) -> Prepared:
    """Reads, splits, loads, tokenizes."""
    data = split(settings)
    scorer = adapted(new_scorer(settings.base, settings.max_length), settings.lora_rank)
    train = encode(scorer, data.train, "reading rankings")
    return Prepared(data, scorer, train, encode(scorer, data.held_out, "reading held-out"))


def fit(scorer: Scorer, examples: list[Example], settings: RewardSettings, log: Log) -> dict[str, float]:
    """Trains in place. Returns the loss over the last epoch, the number of optimizer steps and the learning rate."""
    highest = settings.lr or learning_rate("reward", parameter_count(scorer.model), lora=settings.lora_rank > 0)
    optimizer = new_optimizer(scorer, highest, settings)
    generator = torch.Generator().manual_seed(settings.seed)
    steps, step = optimizer_steps(len(examples), settings), 0
    losses: list[tuple[float, int]] = []
    with progress(settings.epochs * len(examples), "reward model", "ranking") as bar:
        for _ in range(settings.epochs):
            losses = []
            for batch in batches(examples, settings.batch_size, generator):
                rate = highest * lr_factor(step, steps, settings)
                loss, norm = _step(scorer, batch, optimizer, rate, settings)
                step += 1
                losses.append((loss * len(batch), len(batch)))
                log({"reward_model/loss": loss, "optim/lr": rate, "optim/grad_norm": norm}, step)
                bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                bar.update(len(batch))
    total, count = map(sum, zip(*losses))
    return {"train_loss": total / count, "steps": step, "lr": highest}


def new_optimizer(scorer: Scorer, lr: float, settings: RewardSettings) -> torch.optim.Optimizer:
    betas = (0.9, settings.adam_beta2)
    return torch.optim.AdamW(trainable(scorer.model), lr=lr, betas=betas, weight_decay=settings.weight_decay)


def optimizer_steps(examples: int, settings: RewardSettings) -> int:
    return settings.epochs * math.ceil(examples / settings.batch_size)


def batch_loss(scorer: Scorer, batch: list[Example], settings: RewardSettings) -> float:
    """Adds the gradient of the mean over rankings of `ranking_losses`; each response goes through the model once."""
    total = 0.0
    device = scorer.model.device
    for micro in micro_batches(batch, settings.microbatch_size):
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.dtype == "bfloat16"):
            scores = scorer.score_ids([sequence for example in micro for sequence in example.sequences])
        pairs = strict_pairs([example.ranking for example in micro]).to(device)
        loss = ranking_losses(scores, pairs).sum() / len(batch)
        loss.backward()
        total += loss.item()
    return total


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
    scorer: Scorer, batch: list[Example], optimizer: torch.optim.Optimizer, rate: float, settings: RewardSettings
) -> tuple[float, float]:
    """One optimizer step. Returns the batch's loss and the norm of its gradient before clipping."""
    optimizer.zero_grad(set_to_none=True)
    loss = batch_loss(scorer, batch, settings)
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


def _scores(scorer: Scorer, examples: list[Example], name: str | None = None) -> list[list[float]]:
    """K scores for each example."""
    sequences = [sequence for example in examples for sequence in example.sequences]
    scores = iter(scorer.score_many(sequences, SCORE_BATCH, name))
    return [list(islice(scores, len(example.sequences))) for example in examples]


def held_out_record(ranking: Ranking, scores: list[float]) -> dict[str, Any]:
    """What is needed to recompute everything that is measured on a held-out ranking, without its texts.

    scores: K, as the saved reward model gives them; P(i above j) = σ(score_sd_before · (s_i − s_j))."""
    who = {"annotator": ranking.annotator} if ranking.annotator is not None else {}
    return {"id": ranking.id, "source": ranking.source, **who, "ranks": ranking.ranks, "scores": scores}


def _measure(scores: list[list[float]], data: Split, sd: float) -> dict[str, Any]:
    flat = _flat(scores)
    pairs = held_out_pairs(data.held_out, scores, data.held_out_units, sd)
    return {
        **report(pairs),
        "held_out_score_mean": flat.mean().item(),
        "held_out_score_sd": flat.std(correction=0).item(),
    }


def _flat(scores: list[list[float]]) -> torch.Tensor:
    return torch.tensor([score for some in scores for score in some])
