"""Stage 2: rankings → scalar reward model. `run` is the whole command."""

from __future__ import annotations

import math
import time
from itertools import islice
from typing import Any

import torch

from alignment.errors import UserError
from alignment.history import both, history
from alignment.learning_rates import learning_rate
from alignment.models import parameter_count, trainable
from alignment.progress import progress
from alignment.records import Ranking, write_jsonl
from alignment.run import output_directory, write_result
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
        data = split(settings)
        scorer = adapted(new_scorer(settings.base, settings.max_length), settings.lora_rank)
        train = encode(scorer, data.train, "reading rankings")
        held_out = encode(scorer, data.held_out, "reading held-out")
        trained = fit(scorer, train, settings, log)
        scorer = merged(scorer)
        mean, sd = normalise(scorer, _flat(_scores(scorer, train, "normalising")))
        scores = _scores(scorer, held_out, "measuring")
        metrics = {**_measure(scores, data, sd), **_counts(data, train + held_out), **trained}
        metrics |= {"score_mean_before": mean, "score_sd_before": sd, "seconds": time.time() - started}
        log({"reward_model/pair_accuracy": metrics["pair_accuracy"]}, int(metrics["steps"]))
        save(scorer, directory)
        write_jsonl(directory / "held_out.jsonl", map(held_out_record, data.held_out, scores))
        write_result(directory, "reward", settings, metrics, started)
    return metrics


def fit(scorer: Scorer, examples: list[Example], settings: RewardSettings, log: Log) -> dict[str, float]:
    """Trains in place. Returns the loss over the last epoch, the number of optimizer steps and the learning rate."""
    model = scorer.model
    highest = settings.lr or learning_rate("reward", parameter_count(model), lora=settings.lora_rank > 0)
    betas = (0.9, settings.adam_beta2)
    optimizer = torch.optim.AdamW(trainable(model), lr=highest, betas=betas, weight_decay=settings.weight_decay)
    generator = torch.Generator().manual_seed(settings.seed)
    steps = settings.epochs * math.ceil(len(examples) / settings.batch_size)
    step = 0
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
    norm = float(torch.nn.utils.clip_grad_norm_(trainable(scorer.model), settings.max_grad_norm))
    if not math.isfinite(norm):
        raise UserError(f"the gradient is {norm} at a loss of {loss}: training diverged; lower --lr (now {rate:.2g})")
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return loss, norm


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


def _counts(data: Split, examples: list[Example]) -> dict[str, int]:
    return {
        "n_rankings": len(data.train),
        "n_held_out_rankings": len(data.held_out),
        "without_pairs": data.without_pairs,
        "shared_with_held_out": data.shared,
        "cut_prompts": sum(example.prompt_cut for example in examples),
        "cut_responses": sum(example.responses_cut for example in examples),
    }


def _flat(scores: list[list[float]]) -> torch.Tensor:
    return torch.tensor([score for some in scores for score in some])
