"""How often people agree with each other, and how often one label can be right at all."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy

from alignment.intervals import bootstrap_ratio
from alignment.records import Ranking, prompt_text
from alignment.text_statistics import normalised

SIMULATED = "simulated:"
"""What the names of simulated annotators begin with: they are no people, and are left out."""


@dataclass(frozen=True)
class Votes:
    """Two people's labels on the same pair of responses: how many such meetings there are, and in how many they agree."""

    agree: int = 0
    count: int = 0


def human_ceiling(rankings: list[Ranking], units: list[int], seed: int = 0) -> dict[str, Any] | None:
    """Agreement A of people who ranked the same two responses, and what it allows: a = (1 + √(2A − 1)) / 2.

    If each label is right with probability a, independently given the pair, two agree with A = a² + (1 − a)². The error of
    A becomes that of a by da = dA / (2√(2A − 1)); the intervals are by bootstrap over units. a is None where A < ½.
    rankings: with an annotator's name; those without, and simulated annotators, are left out. units: the cluster of each.
    Returns None where no two people met."""
    by_unit: dict[int, Votes] = defaultdict(Votes)
    for (unit, *_), labels in _labels(rankings, units).items():
        met = list(itertools.combinations(labels.values(), 2))
        old = by_unit[unit]
        by_unit[unit] = Votes(old.agree + sum(one == other for one, other in met), old.count + len(met))
    votes = [one for one in by_unit.values() if one.count]
    if not votes:
        return None
    agree, count = (numpy.array(column) for column in zip(*((one.agree, one.count) for one in votes)))
    agreement, low, high = bootstrap_ratio(agree, count, seed=seed)
    return {
        "agreement": agreement,
        "agreement_low": low,
        "agreement_high": high,
        "n_meetings": int(count.sum()),
        "n_prompts": len(votes),
        "ceiling": single_label_accuracy(agreement),
        "ceiling_low": single_label_accuracy(max(low, 0.5)),
        "ceiling_high": single_label_accuracy(max(high, 0.5)),
    }


def single_label_accuracy(agreement: float) -> float | None:
    """a = (1 + √(2A − 1)) / 2, the probability that one label is right; None for A < ½, which no a gives.

    Example: A = .726 → a = .836."""
    return None if agreement < 0.5 else (1 + math.sqrt(2 * agreement - 1)) / 2


def _labels(rankings: list[Ranking], units: list[int]) -> dict[tuple[Any, ...], dict[str, bool]]:
    """(unit, prompt, text, other text), texts in alphabetical order → annotator → whether the first is the better one."""
    labels: dict[tuple[Any, ...], dict[str, bool]] = defaultdict(dict)
    for ranking, unit in zip(rankings, units, strict=True):
        if ranking.annotator is None or ranking.annotator.startswith(SIMULATED):
            continue
        prompt = normalised(prompt_text(ranking.prompt))
        for i, j in ranking.strict_pairs():
            better, worse = ranking.responses[i].text, ranking.responses[j].text
            if better != worse:
                key = (unit, prompt, *sorted((better, worse)))
                labels[key].setdefault(ranking.annotator, better < worse)
    return labels
