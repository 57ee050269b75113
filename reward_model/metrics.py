"""What a reward model is measured by on held-out rankings, beside two baselines that never read a word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

from alignment.intervals import bootstrap_ratio
from alignment.records import Ranking


@dataclass(frozen=True)
class HeldOutPairs:
    """The strict pairs of held-out rankings; each array has one entry a pair.

    correct, longer, earlier: 1 where the preferred response has the higher score, is the longer one (characters), is
    the one listed first; ½ where the two are equal. log_loss: −log σ(score difference), nats. unit: the cluster."""

    correct: numpy.ndarray
    longer: numpy.ndarray
    earlier: numpy.ndarray
    log_loss: numpy.ndarray
    unit: numpy.ndarray
    source: numpy.ndarray


def held_out_pairs(
    rankings: list[Ranking], scores: list[list[float]], units: list[int], scale: float = 1.0
) -> HeldOutPairs:
    """scores: K a ranking. units: the cluster of each ranking. scale: the sd that the scores were divided by, so that
    log_loss is that of σ(scale · (s_i − s_j)), the probability that training fitted."""
    rows: list[tuple[float, float, float, float, int, str]] = []
    for ranking, its_scores, unit in zip(rankings, scores, units, strict=True):
        lengths = [len(response.text) for response in ranking.responses]
        for i, j in ranking.strict_pairs():
            difference = its_scores[i] - its_scores[j]
            loss = float(numpy.logaddexp(0.0, -scale * difference))
            longer, earlier = _win(lengths[i] - lengths[j]), _win(j - i)
            rows.append((_win(difference), longer, earlier, loss, unit, ranking.source or "unknown"))
    return HeldOutPairs(*(numpy.array(column) for column in zip(*rows, strict=True)))


def report(pairs: HeldOutPairs, seed: int = 0) -> dict[str, Any]:
    """The metrics of all pairs, and under `by_source` those of each source."""
    sources = sorted(set(pairs.source.tolist()))
    return {
        **_figures(pairs, numpy.ones(len(pairs.correct), dtype=bool), seed),
        "log_loss": float(pairs.log_loss.mean()),
        "by_source": {source: _figures(pairs, pairs.source == source, seed) for source in sources},
    }


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


def _win(difference: float) -> float:
    return 0.5 if difference == 0 else float(difference > 0)
