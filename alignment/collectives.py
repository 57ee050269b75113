"""What several processes tell each other, through accelerate: one value for all, each one's value, shares and sums.

In one process every function gives back what it was given. The processes must have met (`alignment/distributed.py`)."""

from __future__ import annotations

from typing import TypeVar

import torch

from alignment.processes import count, rank

T = TypeVar("T")


def same(value: T) -> T:
    """The main process's value, for what all must decide alike."""
    if count() == 1:
        return value
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0]


def gathered(value: T) -> list[T]:
    """Each process's value, in their order."""
    if count() == 1:
        return [value]
    from accelerate.utils import gather_object

    return gather_object([value])


def share(rows: list[T]) -> list[T]:
    """This process's part of the rows: the parts follow each other and are equally long, so that all do as many forward
    passes; what is left over repeats the first row. See `all_of`."""
    size = -(-len(rows) // count())
    padded = [*rows, *rows[:1] * (size * count() - len(rows))]
    return padded[rank() * size : (rank() + 1) * size]


def all_of(part: torch.Tensor, length: int | None = None) -> torch.Tensor:
    """(n, ...) of each process → all of them below each other, as `share` cut them: `length` rows."""
    if count() == 1:
        return part
    from accelerate.utils import gather

    whole = gather(part.contiguous())
    return whole[:length] if isinstance(whole, torch.Tensor) else whole


def all_of_any_length(part: torch.Tensor) -> torch.Tensor:
    """The same, where the parts are not equally long."""
    if count() == 1:
        return part
    return torch.cat([each.to(part.device) for each in gathered(part.cpu())])


def summed(tensor: torch.Tensor) -> torch.Tensor:
    """Σ over the processes."""
    if count() == 1:
        return tensor
    from accelerate.utils import reduce

    return reduce(tensor, "sum")
