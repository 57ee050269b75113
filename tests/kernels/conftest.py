"""Inputs for one output head, and NaN in every uninitialised tensor while a kernel test runs."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

Head = tuple[Tensor, Tensor, Tensor]


@pytest.fixture(autouse=True)
def poisoned_memory() -> Iterator[None]:
    """torch.empty gives NaN, so that an output or a tile that is read before it is written shows."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert torch.empty(3).isnan().all()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.fixture
def head() -> Callable[..., Head]:
    """head(N, D, V, dtype, seed) -> hidden (N, D), weight (V, D), both requiring grad, targets (N,) with 0
    and V-1 in."""

    def make(n: int, d: int, v: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Head:
        generator = torch.Generator().manual_seed(seed)
        hidden = torch.randn(n, d, generator=generator).to(dtype)
        weight = (2.0 * torch.randn(v, d, generator=generator) / d**0.5).to(dtype)
        targets = torch.randint(v, (n,), generator=generator)
        if n > 1:
            targets[0], targets[-1] = v - 1, 0
        return hidden.requires_grad_(), weight.requires_grad_(), targets

    return make


@pytest.fixture
def exact_head() -> Callable[..., Head]:
    """As `head`, with small binary fractions whose logits fp32 holds exactly, all of them shifted by `shift`.

    So an error in the log-prob is the softmax's own, also where logits are large.
    """

    def make(n: int, d: int, v: int, shift: float = 0.0, seed: int = 0) -> Head:
        generator = torch.Generator().manual_seed(seed)
        hidden = torch.randint(-4, 5, (n, d), generator=generator) / 4.0
        weight = torch.randint(-4, 5, (v, d), generator=generator) / 8.0
        hidden[:, 0], weight[:, 0] = 1.0, shift
        return hidden.requires_grad_(), weight.requires_grad_(), torch.randint(v, (n,), generator=generator)

    return make
