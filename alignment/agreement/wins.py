"""What kind of response wins: the longer one, that of a certain model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from alignment.agreement.label import Label
from alignment.intervals import Estimate, clustered_mean
from alignment.records import strict_pairs
from alignment.text_statistics import of_like_length
from alignment.winrates import outcome


def longer_wins(labels: Iterable[Label], *, matched: bool = False, seed: int = 0) -> Estimate | None:
    """Share of strict pairs that the longer response wins (characters), equal lengths a half; interval by tasks.

    matched: only pairs of like length (`of_like_length`), where length can hardly be what decides: what is left above ½
    there is not length alone. Above ½ over all pairs is no fault by itself, longer may be better.
    Labels without lengths are left out; None where no pair is left. Source: as reward_model/length_baseline_accuracy."""
    won = []
    for label in labels:
        lengths = label.lengths
        if lengths is not None:
            won += [
                (label.cluster, outcome(lengths[i] - lengths[j]))
                for i, j in strict_pairs(label.ranks)
                if not matched or of_like_length(lengths[i], lengths[j])
            ]
    return clustered_mean([each for _, each in won], [cluster for cluster, _ in won], seed)


def source_wins(labels: Iterable[Label], seed: int = 0) -> dict[str, Estimate]:
    """Source → share of strict pairs against other sources that its responses win; interval by tasks.

    Shares depend on whom each source met: compare sources that met on the same tasks."""
    won: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for label in labels:
        sources = label.sources
        for i, j in strict_pairs(label.ranks) if sources is not None else []:
            winner, loser = sources[i], sources[j]  # type: ignore[index]
            if winner is not None and loser is not None and winner != loser:
                won[winner].append((label.cluster, 1.0))
                won[loser].append((label.cluster, 0.0))
    found = {
        source: clustered_mean([each for _, each in pairs], [cluster for cluster, _ in pairs], seed)
        for source, pairs in sorted(won.items())
    }
    return {source: estimate for source, estimate in found.items() if estimate}
