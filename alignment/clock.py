"""Where the time of a step goes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import torch


class Clock:
    """Seconds of each named part since `restart`. A GPU is waited for at both ends of a part, so that its work is counted
    where it was asked for."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forgets all parts; a step begins."""
        self.seconds: dict[str, float] = {}
        self.begun = time.perf_counter()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """`with clock.part("generate"): ...`; parts of one name add up, and they do not nest."""
        _wait()
        begun = time.perf_counter()
        try:
            yield
        finally:
            _wait()
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun

    def shares(self, names: tuple[str, ...]) -> dict[str, float]:
        """time/NAME_share of all the time since `restart`, and time/other_share for what is left: together 1."""
        whole = time.perf_counter() - self.begun
        parts = {name: self.seconds.get(name, 0.0) / whole for name in names}
        return {f"time/{name}_share": share for name, share in [*parts.items(), ("other", 1.0 - sum(parts.values()))]}


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
