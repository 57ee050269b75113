"""`align reward --ensemble N`: N reward models that differ in their seed alone, on one split, as one directory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from alignment import ensembles
from alignment.checkpoint import Checkpoints
from alignment.seeds import seed_everything
from alignment.tracking import Log
from reward_model.config import RewardSettings
from reward_model.making import Prepared, fresh, make, measure, write_held_out
from reward_model.metrics import held_out_pairs, report
from reward_model.model import save


@dataclass(frozen=True)
class Member:
    """What is kept of a member once it is saved."""

    seed: int
    scores: list[list[float]]
    thumbs: list[float]
    metrics: dict[str, Any]


def train_ensemble(
    ready: Prepared, settings: RewardSettings, directory: Path, log: Log, checkpoints: Checkpoints
) -> dict[str, Any]:
    """Trains and saves member-0 …, each what `--seed` s, s + 1, … would give; measures their mean score.

    log, checkpoints: of the first member; the others' curves are not kept, and they start anew after a kill. Returns the ensemble's metrics, with those of each rule."""
    members = []
    for number in range(settings.ensemble):
        own = replace(settings, seed=settings.seed + number, ensemble=1)
        members.append(_member(ready, own, directory / f"member-{number}", number, log, checkpoints))
    scores = [torch.tensor(rows).mean(0).tolist() for rows in zip(*(member.scores for member in members))]
    thumbs = torch.tensor([member.thumbs for member in members]).mean(0).tolist()
    facts = {
        name: sum(one.metrics[name] for one in members) / len(members) for name in ("train_loss", "score_sd_before")
    }
    metrics = measure(scores, thumbs, ready, facts["score_sd_before"])
    names = [f"member-{number}" for number in range(len(members))]
    ensembles.write(directory, names, metrics["calibration"]["temperature"] / facts["score_sd_before"])
    write_held_out(directory, ready.split, scores)
    return {
        **metrics,
        **ready.counts(),
        **facts,
        **{name: members[0].metrics[name] for name in ("steps", "lr")},
        "members": {
            name: {key: member.metrics[key] for key in ("pair_accuracy", "log_loss")} | {"seed": member.seed}
            for name, member in zip(names, members)
        },
        "rules": _rules(members, ready),
    }


def _member(
    ready: Prepared, settings: RewardSettings, directory: Path, number: int, log: Log, checkpoints: Checkpoints
) -> Member:
    if number:
        seed_everything(settings.seed)
        ready = replace(ready, scorer=fresh(settings))
    first = (log, checkpoints) if number == 0 else (lambda values, step: None, None)
    made = make(ready, settings, *first)
    metrics = made.metrics(ready, settings)
    save(made.scorer, directory)
    return Member(settings.seed, made.scores, made.thumbs, metrics)


def _rules(members: list[Member], ready: Prepared) -> dict[str, float]:
    """Pair accuracy under each rule, at its default λ."""
    penalty = ensembles.EnsembleSettings().ensemble_lambda
    result: dict[str, float] = {}
    for rule in ensembles.RULES:
        scores = [
            ensembles.combined(torch.tensor(rows), rule, penalty).tolist()
            for rows in zip(*(member.scores for member in members))
        ]
        pairs = held_out_pairs(ready.split.held_out, scores, ready.split.held_out_units)
        result[rule] = report(pairs)["pair_accuracy"]
    return result
