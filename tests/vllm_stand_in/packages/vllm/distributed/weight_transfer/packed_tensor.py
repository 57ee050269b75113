"""All tensors as one run of bytes: vLLM packs them likewise, a gigabyte at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch

Named = tuple[str, torch.Tensor]


def packed_nccl_broadcast_producer(
    iterator: Iterator[Named], group: Any, src: int, post_iter_func: Callable[[Named], torch.Tensor]
) -> None:
    group.broadcast(torch.cat([_bytes(post_iter_func(item)) for item in iterator]), src=src)


def _bytes(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().view(torch.uint8).view(-1)
