"""Kendall's τ-b: how alike two annotators order the responses of a task."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy

from alignment.agreement.label import Label, Ranks, by_task
from alignment.intervals import Estimate, bootstrap_ratio


def tau_b(first: Ranks, second: Ranks) -> float | None:
    """τ_b = (C − D) / √((n_0 − n_1)(n_0 − n_2)): C pairs ordered alike, D the other way round, n_0 = k(k − 1)/2 pairs,
    n_1 and n_2 of them tied by the first and by the second.

    first, second: (K,) ranks of the same responses; where either is None the response is left out.
    1 = the same order, −1 = the reverse; None where either ties everything. Source: Kendall 1945, Biometrika 33."""
    both = [(one, other) for one, other in zip(first, second, strict=True) if one is not None and other is not None]
    x, y = (numpy.array([pair[side] for pair in both], dtype=int) for side in (0, 1))
    over = numpy.triu_indices(len(both), 1)
    ahead, ahead_too = (numpy.sign(numpy.subtract.outer(ranks, ranks))[over] for ranks in (x, y))
    product = numpy.count_nonzero(ahead) * numpy.count_nonzero(ahead_too)
    return float((ahead * ahead_too).sum() / numpy.sqrt(product)) if product else None


def mean_tau_b(labels: Sequence[Label], seed: int = 0) -> Estimate | None:
    """Σ w τ_b / Σ w over tasks and every two annotators of a task; w = the pairs of responses that both compared.

    The weights keep a task of two responses, whose τ is 1 or −1, from counting as much as one of nine. Meetings where
    either ties everything have no τ and are left out. n counts meetings. Returns None where there is none.
    Interval: bootstrap over tasks. Source of the weights: ours, as `pairwise_agreement`, where each pair counts once."""
    sums: dict[str, list[float]] = {}
    meetings = 0
    for several in by_task(labels).values():
        for one, other in itertools.combinations(several.values(), 2):
            rank_of = dict(zip(other.responses, other.ranks))
            theirs = tuple(rank_of.get(response) for response in one.responses)
            tau = tau_b(one.ranks, theirs)
            if tau is not None:
                shared = sum(a is not None and b is not None for a, b in zip(one.ranks, theirs))
                total = sums.setdefault(one.cluster, [0.0, 0.0])
                total[0] += tau * shared * (shared - 1) / 2
                total[1] += shared * (shared - 1) / 2
                meetings += 1
    if not sums:
        return None
    weighted, weights = numpy.array(list(sums.values())).T
    return Estimate(*bootstrap_ratio(weighted, weights, seed=seed), meetings, len(sums))
