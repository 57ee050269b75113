"""Random numbers: everything drawn comes from the run's seed."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy
import torch

from alignment.processes import rank as own_rank

RANK_STRIDE = 100_003  # lm-human-preferences: process r draws from seed + r · 100003


def seed_everything(seed: int, threads: int | None = None, rank: int | None = None) -> None:
    """Seeds Python, numpy and torch with seed + rank · 100003; sets torch's CPU threads where asked. rank: this process's
    number where none is given."""
    if threads is not None:
        torch.set_num_threads(threads)
    value = seed + (own_rank() if rank is None else rank) * RANK_STRIDE
    random.seed(value)
    numpy.random.seed(value % 2**32)
    torch.manual_seed(value)


@contextlib.contextmanager
def apart(seed: int | None = None) -> Iterator[None]:
    """What is drawn inside leaves the draws outside as they would have been; inside, `seed` where one is given.

    For measurements in the middle of a run, which must not change its numbers."""
    python, arrays = random.getstate(), numpy.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            if seed is not None:
                seed_everything(seed)
            yield
        finally:
            random.setstate(python)
            numpy.random.set_state(arrays)
