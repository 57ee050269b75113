"""How often people agree with each other, and how often one label can be right at all."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from alignment.agreement.label import Label, from_ranking
from alignment.agreement.pairwise import pairwise_agreement
from alignment.records import Ranking, prompt_text
from alignment.text_statistics import normalised

SIMULATED = "simulated:"
"""What the names of simulated annotators begin with: they are no people, and are left out."""


def human_ceiling(rankings: list[Ranking], units: list[int], seed: int = 0) -> dict[str, Any] | None:
    """Agreement A of people who ranked the same two responses, and what it allows: a = (1 + √(2A − 1)) / 2.

    If each label is right with probability a, independently given the pair, two agree with A = a² + (1 − a)². The error of
    A becomes that of a by da = dA / (2√(2A − 1)); the intervals are by bootstrap over units. a is None where A < ½.
    rankings: with an annotator's name; those without, and simulated annotators, are left out. units: the cluster of each.
    Returns None where no two people met."""
    labels = [
        _label(ranking, unit)
        for ranking, unit in zip(rankings, units, strict=True)
        if ranking.annotator is not None and not ranking.annotator.startswith(SIMULATED)
    ]
    found = pairwise_agreement(labels, ties=False, seed=seed)
    if found is None:
        return None
    return {
        "agreement": found.value,
        "agreement_low": found.low,
        "agreement_high": found.high,
        "n_meetings": found.n,
        "n_prompts": found.clusters,
        "ceiling": single_label_accuracy(found.value),
        "ceiling_low": single_label_accuracy(max(found.low, 0.5)),
        "ceiling_high": single_label_accuracy(max(found.high, 0.5)),
    }


def single_label_accuracy(agreement: float) -> float | None:
    """a = (1 + √(2A − 1)) / 2, the probability that one label is right; None for A < ½, which no a gives.

    Example: A = .726 → a = .836."""
    return None if agreement < 0.5 else (1 + math.sqrt(2 * agreement - 1)) / 2


def _label(ranking: Ranking, unit: int) -> Label:
    """The task is the unit's prompt but for case and signs, so that orders of other responses to it meet this one."""
    task = f"{unit} {normalised(prompt_text(ranking.prompt))}"
    return replace(from_ranking(ranking), task=task, group=str(unit))
