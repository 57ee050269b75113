"""Which records come next: all of them once in a random order, then all again in another. A function of how many were
taken, so that a run can go on anywhere."""

from __future__ import annotations

import torch

from alignment.seeds import RANK_STRIDE


def prompt_rows(taken: int, size: int, count: int, seed: int) -> list[int]:
    """The next `size` of `count` rows after `taken` were used."""
    rows: list[int] = []
    while len(rows) < size:
        cycle, offset = divmod(taken + len(rows), count)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed + RANK_STRIDE * (cycle + 1)))
        rows += order[offset : offset + size - len(rows)].tolist()
    return rows
