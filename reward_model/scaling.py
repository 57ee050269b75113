"""`align reward --scaling`: the same model from 1/8, 1/4 and 1/2 of the rankings, measured on the same held-out pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy

from alignment.scaling import ALL, FRACTIONS, curve, share_of
from alignment.seeds import seed_everything
from reward_model.config import RewardSettings
from reward_model.making import Made, Prepared, fresh, make
from reward_model.metrics import HeldOutPairs, held_out_pairs
from reward_model.split import lowest_hashes


def smaller(ready: Prepared, settings: RewardSettings, whole: Made) -> dict[str, Any]:
    """Trains on each part, a new start from the same seed each time; returns error (1 − pair accuracy) against rankings.

    whole: the model of all rankings, the last point. Parts are whole units, the smaller within the larger."""
    hashes = lowest_hashes(ready.split.train, ready.split.train_units, "scaling")
    made: dict[str, tuple[int, HeldOutPairs]] = {}
    for name, fraction in FRACTIONS.items():
        chosen = share_of(hashes, fraction)
        part = [one for one, unit in zip(ready.train, ready.split.train_units, strict=True) if unit in chosen]
        seed_everything(settings.seed)
        small = make(replace(ready, scorer=fresh(settings), train=part), settings, lambda values, step: None)
        made[name] = (len(part), _pairs(ready, small))
    made[ALL] = (len(ready.train), _pairs(ready, whole))
    return pairs_curve(made, settings.seed)


def pairs_curve(made: dict[str, tuple[int, HeldOutPairs]], seed: int = 0) -> dict[str, Any]:
    """Part → (rankings, held-out pairs as its model ordered them) to error against rankings, by cluster."""
    unit = next(iter(made.values()))[1].unit
    _, cluster = numpy.unique(unit, return_inverse=True)
    errors = {name: numpy.bincount(cluster, 1 - pairs.correct) for name, (_, pairs) in made.items()}
    return curve({name: count for name, (count, _) in made.items()}, errors, numpy.bincount(cluster), seed)


def _pairs(ready: Prepared, made: Made) -> HeldOutPairs:
    return held_out_pairs(ready.split.held_out, made.scores, ready.split.held_out_units)
