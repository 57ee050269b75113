"""Memory before a run: what is free, what models need at the very least, and the sentence where that is too much."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import psutil
import torch
from torch import nn

from alignment.config import Settings, flag
from alignment.errors import UserError
from alignment.quantities import size

MOMENTS = 2  # AdamW keeps two numbers for each weight that learns
CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Held:
    """The tensors of one model in a run: bytes of all its weights, and of those that learn."""

    weights: int
    learning: int = 0

    @property
    def frozen(self) -> Held:
        """The same model in a run in which it does not learn."""
        return Held(self.weights)


def tensor_bytes(tensors: Sequence[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def held(model: nn.Module) -> Held:
    return Held(
        tensor_bytes(list(model.parameters())),
        tensor_bytes([tensor for tensor in model.parameters() if tensor.requires_grad]),
    )


def least_bytes(models: Sequence[Held]) -> int:
    """Σ weights + learning · (1 gradient + 2 moments of AdamW), in the types they have. Activations come on top."""
    return sum(model.weights + model.learning * (1 + MOMENTS) for model in models)


def require_memory(models: Sequence[Held], settings: Settings) -> None:
    """UserError where the weights, gradients and moments alone are more than what is free."""
    needed, free = least_bytes(models), free_memory()
    if needed <= free:
        return
    learning = sum(model.learning for model in models)
    raise UserError(
        f"the models need at least {size(needed)} (weights {size(sum(model.weights for model in models))}, gradients "
        f"{size(learning)}, AdamW's moments {size(MOMENTS * learning)}), but {size(free)} are free on this "
        f"{'GPU' if torch.cuda.is_available() else 'machine'}; {advice(settings)}"
    )


@contextlib.contextmanager
def explained_memory(settings: Settings) -> Iterator[None]:
    """A device that runs out of memory inside is a UserError."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"the probe ran out of the device's memory ({str(error).splitlines()[0]}); {advice(settings)}"
        ) from error


def advice(settings: Settings) -> str:
    """The memory settings that the command has and that are not used yet: "give --lora-rank 16, ...".

    Example: "give --dtype bfloat16, or a smaller model"."""
    savers = {
        "lora_rank": ("16", lambda rank: rank == 0),
        "dtype": ("bfloat16", lambda dtype: dtype == "float32"),
        "microbatch_size": ("1", lambda size: size != 1),
        "gradient_checkpointing": ("", lambda on: not on),
        "batch_size": ("1", lambda size: size > 1),
    }
    names = [field.name for field in fields(settings)]
    if "microbatch_size" in names:  # then batch_size is no question of memory
        savers.pop("batch_size")
    unused = [
        f"{flag(name)} {value}".strip()
        for name, (value, helps) in savers.items()
        if name in names and helps(getattr(settings, name))
    ]
    return f"give {', '.join([*unused, 'or a smaller model'])}" if unused else "give a smaller model"


def free_memory() -> int:
    """Bytes that a run may still take where the models live: of the GPU, or of the machine and its container."""
    if torch.cuda.is_available():
        return torch.cuda.mem_get_info()[0]
    return min([psutil.virtual_memory().available, *_container()])


def _container() -> list[int]:
    """What the control group of a container leaves; nothing where there is no limit."""
    try:
        limit, used = ((CGROUP / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        return [] if limit == "max" else [max(int(limit) - int(used), 0)]
    except (OSError, ValueError):
        return []
