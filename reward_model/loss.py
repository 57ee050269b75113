"""The K-way ranking loss: a ranking of K responses is one element of the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from alignment.records import Ranking


@dataclass(frozen=True)
class Pairs:
    """The strict pairs of R rankings whose responses lie one after the other in a vector of N scores.

    better, worse (M,) int64 places in that vector; ranking (M,) int64 in 0..R-1, the ranking that a pair belongs to;
    counts (R,) int64, pairs of each ranking, all at least 1.
    Example: ranks [1, 2] and [2, 1, 1] → better [0, 3, 4], worse [1, 2, 2], ranking [0, 1, 1], counts [1, 2].
    """

    better: torch.Tensor
    worse: torch.Tensor
    ranking: torch.Tensor
    counts: torch.Tensor

    def to(self, device: torch.device) -> Pairs:
        return Pairs(*(part.to(device) for part in (self.better, self.worse, self.ranking, self.counts)))


def strict_pairs(rankings: list[Ranking]) -> Pairs:
    """The pairs of rankings that each hold a strict one: ties and responses that were not compared make none.

    Raises ValueError for a ranking without a strict pair: it says nothing, and its mean would divide by zero."""
    return _collected(rankings, Ranking.strict_pairs, "strict pair")


def compared_pairs(rankings: list[Ranking]) -> tuple[Pairs, torch.Tensor]:
    """The strict pairs and the ties of each ranking, for a model of ties; and (M,) bool, which pairs are ties.

    Raises ValueError for a ranking in which nothing is compared."""
    pairs = _collected(rankings, lambda ranking: ranking.strict_pairs() + ranking.tied_pairs(), "compared pair")
    tied = [flag for one in rankings for flag in [False] * len(one.strict_pairs()) + [True] * len(one.tied_pairs())]
    return pairs, torch.tensor(tied)


def _collected(rankings: list[Ranking], of: Callable[[Ranking], list[tuple[int, int]]], what: str) -> Pairs:
    better: list[int] = []
    worse: list[int] = []
    counts: list[int] = []
    start = 0
    for ranking in rankings:
        pairs = of(ranking)
        if not pairs:
            raise ValueError(f"ranking {ranking.id!r} has no {what}; leave it out")
        better += [start + i for i, _ in pairs]
        worse += [start + j for _, j in pairs]
        counts.append(len(pairs))
        start += len(ranking.responses)
    sizes = torch.tensor(counts)
    owner = torch.arange(len(rankings)).repeat_interleave(sizes)
    return Pairs(torch.tensor(better), torch.tensor(worse), owner, sizes)


def ranking_losses(scores: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """loss_r = 1/|P_r| Σ_{(i,j) ∈ P_r} −log σ(s_i − s_j), P_r = the strict pairs of ranking r, i ranked above j.

    scores: (N,) one a response, each from one forward pass. Returns (R,) nats a pair; ln 2 where all scores are equal.
    A batch's loss is their mean, so a ranking of 9 weighs as much as one of 2, and micro-batches of whole rankings add
    up to it. Source: InstructGPT, arXiv 2203.02155, eq. 1; it divides by C(K,2), the number of pairs without ties."""
    return means(torch.nn.functional.softplus(scores[pairs.worse] - scores[pairs.better]), pairs)


def means(losses: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """(M,) one a pair → (R,) the mean over the pairs of each ranking."""
    sums = torch.zeros(len(pairs.counts), dtype=losses.dtype, device=losses.device)
    return sums.index_add(0, pairs.ranking, losses) / pairs.counts
