"""A reward model of stage 2, step by step: read, split, tokenize; train, normalise, score; measure what was held out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import torch

from alignment.body import recompute_activations
from alignment.checkpoint import Checkpoints
from alignment.collectives import gathered, share
from alignment.processes import is_main
from alignment.records import Ranking, write_jsonl
from alignment.scorer import Scorer
from alignment.tracking import Log
from reward_model.adapter import merged
from reward_model.ceiling import human_ceiling
from reward_model.config import RewardSettings
from reward_model.data import Example, encode
from reward_model.fit import fit
from reward_model.metrics import calibration, held_out_pairs, report, spearman
from reward_model.model import new_scorer, normalise
from reward_model.objective import Objective, objective
from reward_model.split import Split, split
from reward_model.thumbs import Thumb, agreement, encode_thumbs

SCORE_BATCH = 64
READS = ("rankings", "eval_rankings", "verdicts")  # settings whose files may not change while a run is stopped


@dataclass(frozen=True)
class Prepared:
    """All that training needs. train, held_out: the tokenized rankings of `split`; thumbs, held_out_thumbs: its verdicts."""

    split: Split
    scorer: Scorer
    train: list[Example]
    held_out: list[Example]
    losses: Objective
    thumbs: list[Thumb]
    held_out_thumbs: list[Thumb]

    def counts(self) -> dict[str, int]:
        """What is known before the first step."""
        examples = self.train + self.held_out
        thumbs = {"n_verdicts": len(self.thumbs), "n_held_out_verdicts": len(self.held_out_thumbs)}
        return {
            "n_rankings": len(self.train),
            "n_held_out_rankings": len(self.held_out),
            "without_pairs": self.split.without_pairs,
            "shared_with_held_out": self.split.shared,
            "cut_prompts": sum(example.prompt_cut for example in examples),
            "cut_responses": sum(example.responses_cut for example in examples),
            **(thumbs if self.thumbs or self.held_out_thumbs else {}),
        }


def prepare(settings: RewardSettings) -> Prepared:
    """Reads, splits, loads, tokenizes."""
    data = split(settings)
    losses = objective(settings, data.tie_probability)
    scorer = fresh(settings)
    train = encode(scorer, data.train, "reading rankings")
    held_out = encode(scorer, data.held_out, "reading held-out")
    thumbs = [
        encode_thumbs(scorer, some, "reading verdicts") if some else []
        for some in (data.verdicts, data.held_out_verdicts)
    ]
    return Prepared(data, scorer, train, held_out, losses, *thumbs)


def fresh(settings: RewardSettings) -> Scorer:
    """The base under a new head, with an adapter where asked for; draws from the random numbers as they stand."""
    scorer = new_scorer(settings.base, settings.max_length, settings.lora_rank)
    if settings.gradient_checkpointing:
        recompute_activations(scorer.model)
    return scorer


@dataclass(frozen=True)
class Made:
    """A trained and normalised reward model. scores: K for each held-out ranking. facts: of its training.

    thumbs: its scores of the held-out verdicts."""

    scorer: Scorer
    scores: list[list[float]]
    facts: dict[str, float]
    thumbs: list[float]

    def metrics(self, ready: Prepared, settings: RewardSettings) -> dict[str, Any]:
        """Everything that is measured; sets the scorer's temperature to what was fitted."""
        sd = self.facts["score_sd_before"]
        measured = measure(self.scores, self.thumbs, ready, sd)
        self.scorer.temperature = measured["calibration"]["temperature"] / sd
        tie = {} if ready.split.tie_probability is None else {"tie_probability": ready.split.tie_probability}
        return {**measured, **ready.counts(), **tie, **self.facts}


def make(ready: Prepared, settings: RewardSettings, log: Log, checkpoints: Checkpoints | None = None) -> Made:
    """Trains the scorer that is ready, merges, normalises, scores what was held out."""
    facts = fit(ready.scorer, ready.train, settings, log, ready.losses, ready.thumbs, checkpoints)
    scorer = merged(ready.scorer)
    mean, sd = normalise(scorer, _flat(score_examples(scorer, ready.train, "normalising")))
    scores = score_examples(scorer, ready.held_out, "measuring")
    thumbs = scorer.score_many([thumb.sequence for thumb in ready.held_out_thumbs], SCORE_BATCH)
    return Made(scorer, scores, {**facts, "score_mean_before": mean, "score_sd_before": sd}, thumbs)


def score_examples(scorer: Scorer, examples: list[Example], name: str | None = None) -> list[list[float]]:
    """K scores for each example; each process scores its share of the responses."""
    own = share([sequence for example in examples for sequence in example.sequences])
    scores = chain.from_iterable(gathered(scorer.score_many(own, SCORE_BATCH, name)))
    return [list(islice(scores, len(example.sequences))) for example in examples]


def write_held_out(directory: Path, data: Split, scores: list[list[float]]) -> None:
    """`held_out.jsonl`: a line a held-out ranking. The main process writes it."""
    if is_main():
        write_jsonl(directory / "held_out.jsonl", map(held_out_record, data.held_out, scores, data.calibration))


def held_out_record(ranking: Ranking, scores: list[float], fitted: bool = False) -> dict[str, Any]:
    """What is needed to recompute everything that is measured on a held-out ranking, without its texts.

    scores: K, as the saved reward model gives them; P(i above j) = σ(score_sd_before / temperature · (s_i − s_j)).
    fitted: whether the temperature was fitted on it."""
    who = {name: value for name in ("annotator", "strength") if (value := getattr(ranking, name)) is not None}
    of = {"ranks": ranking.ranks, "scores": scores, "lengths": [len(response.text) for response in ranking.responses]}
    return {"id": ranking.id, "source": ranking.source, **who, **of, "fitted": fitted}


def measure(scores: list[list[float]], thumbs: list[float], ready: Prepared, sd: float) -> dict[str, Any]:
    """All that held-out scores tell. sd: what the scores were divided by."""
    data, flat = ready.split, _flat(scores)
    pairs = held_out_pairs(data.held_out, scores, data.held_out_units, sd, data.calibration)
    lengths = [float(len(response.text)) for ranking in data.held_out for response in ranking.responses]
    good = [thumb.good for thumb in ready.held_out_thumbs]
    return {
        **report(pairs),
        "calibration": calibration(pairs),
        "score_length_spearman": spearman(flat.tolist(), lengths),
        "human_ceiling": human_ceiling(data.train + data.held_out, data.train_units + data.held_out_units),
        "held_out_score_mean": flat.mean().item(),
        "held_out_score_sd": flat.std(correction=0).item(),
        **({"verdict_accuracy": agreement(thumbs, good)} if good else {}),
    }


def _flat(scores: list[list[float]]) -> torch.Tensor:
    return torch.tensor([score for some in scores for score in some])
