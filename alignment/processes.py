"""How many processes run this command, and which one this is: what `accelerate launch`, torchrun or mpirun say in the
environment. Without torch, so that the command line may ask."""

from __future__ import annotations

import os
import sys
from typing import Any

LAUNCHERS = ("", "PMI_", "OMPI_COMM_WORLD_", "MV2_COMM_WORLD_")  # as accelerate reads them


def count() -> int:
    """The number of processes, 1 without a launcher."""
    return _number("WORLD_SIZE", "SIZE", 1)


def rank() -> int:
    """This process's number, from 0."""
    return _number("RANK", "RANK", 0)


def is_main() -> bool:
    """Whether this process is the one that writes, logs and warns."""
    return rank() == 0


def first_to_fail() -> bool:
    """Whether this process is the first one to give up, and so the one that says why: the others lose their connection to
    it, or are stopped by the launcher. Before the processes have met, all of them fail alike and the main one speaks."""
    if count() == 1:
        return True
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return is_main()
    try:
        return distributed.distributed_c10d._get_default_store().add("align/failures", 1) == 1
    except RuntimeError:  # the store has gone with the process that held it
        return False


def _number(plain: str, name: str, default: int) -> int:
    for launcher in LAUNCHERS:
        value = os.environ.get(f"{launcher}{name}" if launcher else plain)
        if value is not None:
            return int(value)
    return default
