"""What a reward model is measured by on held-out rankings, beside two baselines that never read a word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy
import pandas

from alignment.calibration import (
    binned,
    calibration_line,
    error_by_chance,
    expected_error,
    fitted_temperature,
    log_loss,
    stated_and_right,
)
from alignment.intervals import bootstrap_ratio
from alignment.mcnemar import mcnemar
from alignment.records import Ranking
from alignment.text_statistics import of_like_length
from alignment.winrates import outcome

MOST_GROUPS = 20
"""Annotators or sources that are told one by one, those with the most pairs; the rest are one group."""

REST = "all others"


@dataclass(frozen=True)
class HeldOutPairs:
    """The strict pairs of held-out rankings; each array has one entry a pair.

    correct, longer, earlier: 1 where the preferred response has the higher score, is the longer one (characters), is
    the one listed first; ½ where the two are equal. gap: the preferred response's score minus the other's, in logits of
    the training loss. matched: of like length. unit: the cluster. fitted: whether the temperature is fitted on it."""

    correct: numpy.ndarray
    longer: numpy.ndarray
    earlier: numpy.ndarray
    gap: numpy.ndarray
    matched: numpy.ndarray
    unit: numpy.ndarray
    source: numpy.ndarray
    annotator: numpy.ndarray
    strength: numpy.ndarray
    fitted: numpy.ndarray


def held_out_pairs(
    rankings: list[Ranking],
    scores: list[list[float]],
    units: list[int],
    scale: float = 1.0,
    fitted: list[bool] | None = None,
) -> HeldOutPairs:
    """scores: K a ranking. units: the cluster of each ranking. scale: the sd that the scores were divided by, so that
    σ(gap) = σ(scale · (s_i − s_j)) is the probability that training fitted. fitted: for each ranking; None: none."""
    rows: list[tuple[Any, ...]] = []
    for ranking, its_scores, unit, fit in zip(rankings, scores, units, fitted or [False] * len(rankings), strict=True):
        lengths = [len(response.text) for response in ranking.responses]
        about = (
            unit,
            ranking.source or "unknown",
            ranking.annotator or "",
            "" if ranking.strength is None else str(ranking.strength),
            fit,
        )
        for i, j in ranking.strict_pairs():
            difference, longer = its_scores[i] - its_scores[j], lengths[i] - lengths[j]
            matched = of_like_length(lengths[i], lengths[j])
            rows.append((outcome(difference), outcome(longer), outcome(j - i), scale * difference, matched, *about))
    return HeldOutPairs(*(numpy.array(column) for column in zip(*rows, strict=True)))


def report(pairs: HeldOutPairs, seed: int = 0) -> dict[str, Any]:
    """The metrics of all pairs; under `by_source`, `by_annotator`, `by_strength` those of each, where records name them;
    under `length_matched` those of pairs of like length (None: there is none)."""
    every = numpy.ones(len(pairs.correct), dtype=bool)
    return {
        **_figures(pairs, every, seed),
        "log_loss": log_loss(pairs.gap),
        "by_source": _by(pairs, pairs.source, seed),
        "by_annotator": _by(pairs, pairs.annotator, seed),
        "by_strength": _by(pairs, pairs.strength, seed),
        "length_matched": _figures(pairs, pairs.matched, seed) if pairs.matched.any() else None,
        "mcnemar_length": mcnemar(pairs.correct, pairs.longer, pairs.unit),
    }


def calibration(pairs: HeldOutPairs) -> dict[str, Any]:
    """The temperature, fitted on the pairs marked for it, and on the others what it changes.

    Where either part is empty nothing is fitted: temperature 1, measured on all pairs. slope, intercept: of the pairs'
    outcomes on the logits after the temperature, seen from the response listed first; None where they have none.
    ece_by_chance, ece_by_chance_95: what a perfectly calibrated model of the same size would show, and the 95 % point."""
    fit = pairs.fitted if pairs.fitted.any() and not pairs.fitted.all() else numpy.zeros(len(pairs.gap), dtype=bool)
    temperature = fitted_temperature(pairs.gap[fit]) if fit.any() else 1.0
    before = pairs.gap[~fit]
    after = before / temperature
    first = numpy.where(pairs.earlier[~fit] == 1, 1.0, -1.0)
    line = calibration_line(first * after, (first > 0).astype(float))
    chance, chance_95 = error_by_chance(stated_and_right(after)[0])
    return {
        "temperature": temperature,
        "n_pairs_fitted": int(fit.sum()),
        "n_pairs": int((~fit).sum()),
        "log_loss_before": log_loss(before),
        "log_loss": log_loss(after),
        "slope_before": line.slope / temperature if line else None,
        "slope": line.slope if line else None,
        "intercept": line.intercept if line else None,
        "ece_before": expected_error(binned(*stated_and_right(before))),
        "ece": expected_error(binned(*stated_and_right(after))),
        "ece_by_chance": chance,
        "ece_by_chance_95": chance_95,
    }


def spearman(first: list[float], second: list[float]) -> float | None:
    """Spearman's ρ: the correlation of ranks, equal values sharing their mean rank; None where either is constant."""
    one, other = pandas.Series(first).rank(), pandas.Series(second).rank()
    if one.nunique() < 2 or other.nunique() < 2:
        return None
    return float(numpy.corrcoef(one, other)[0, 1])


def _by(pairs: HeldOutPairs, names: numpy.ndarray, seed: int) -> dict[str, Any]:
    """The metrics of each name that is not empty, by name; of the rarest together where there are many."""
    counts = Counter(name for name in names.tolist() if name)
    told = sorted(name for name, _ in counts.most_common(MOST_GROUPS))
    grouped = {name: names == name for name in told}
    if len(counts) > MOST_GROUPS:
        grouped[REST] = ~numpy.isin(names, [*told, ""])
    return {name: _figures(pairs, chosen, seed) for name, chosen in grouped.items()}


def _figures(pairs: HeldOutPairs, chosen: numpy.ndarray, seed: int) -> dict[str, Any]:
    """Share of pairs ordered as the annotators did, with its 95 % interval by clusters; the baselines on the same pairs."""
    _, cluster = numpy.unique(pairs.unit[chosen], return_inverse=True)
    right, total = numpy.bincount(cluster, pairs.correct[chosen]), numpy.bincount(cluster)
    accuracy, low, high = bootstrap_ratio(right, total, seed=seed)
    return {
        "pair_accuracy": accuracy,
        "pair_accuracy_low": low,
        "pair_accuracy_high": high,
        "n_pairs": int(chosen.sum()),
        "length_baseline_accuracy": float(pairs.longer[chosen].mean()),
        "position_baseline_accuracy": float(pairs.earlier[chosen].mean()),
    }
