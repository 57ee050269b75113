"""The Plackett–Luce loss of a ranking: the best is chosen out of all, the next out of the rest, and so on."""

from __future__ import annotations

import torch

from alignment.records import Ranking


def plackett_luce(scores: torch.Tensor, rankings: list[Ranking]) -> torch.Tensor:
    """loss_r = 1/|C_r| Σ_{i ∈ C_r} [log(e^{s_i} + Σ_{j below i} e^{s_j}) − s_i], C_r = the responses with one below them.

    "j below i": both compared and rank j > rank i. Without ties it is −log P(order) ÷ (K − 1), a nat a choice; for K = 2
    it is the pair's −log σ(Δ). Tied responses are each chosen out of themselves and what lies below them, never out of
    each other: a tie says nothing, as for pairs. A null is never chosen, nor chosen from.

    scores: (N,) one a response, rankings in order. Returns (R,) nats a choice. Raises ValueError for a ranking without a
    strict pair. Source: Plackett 1975; Luce 1959."""
    sizes = [len(ranking.responses) for ranking in rankings]
    width = max(sizes)
    below = torch.stack([_below(ranking, width) for ranking in rankings]).to(scores.device)
    if not below.any(2).any(1).all():
        raise ValueError("a ranking has no strict pair; leave it out")
    rows = torch.nn.utils.rnn.pad_sequence(list(scores.split(sizes)), batch_first=True)
    pool = below | torch.eye(width, dtype=torch.bool, device=scores.device)
    choices = rows[:, None, :].expand_as(pool).masked_fill(~pool, -torch.inf).logsumexp(2) - rows
    chosen = below.any(2)
    return choices.masked_fill(~chosen, 0).sum(1) / chosen.sum(1)


def _below(ranking: Ranking, width: int) -> torch.Tensor:
    """(width, width) bool: whether response j lies below response i."""
    matrix = torch.zeros(width, width, dtype=torch.bool)
    for i, j in ranking.strict_pairs():
        matrix[i, j] = True
    return matrix
