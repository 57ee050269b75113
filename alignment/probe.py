"""Short measurements of real work on this device, and what they say of all of it.

A probe runs a stage's own functions on a few of the run's own batches. It never starts with a whole batch: a few rows go
first, and where these say that a whole one would take too long or too much memory, they alone are extrapolated."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psutil
import torch

from alignment.config import Settings
from alignment.memory import advice, free_memory
from alignment.plan import Part, Plan, Read
from alignment.progress import silent
from alignment.run_record import peak_memory

WHOLE = 10.0  # seconds that one whole batch may take, else a few of its rows must do; ours, like the rest here
BUDGET = 3.0  # seconds after which no further batch of the same kind of work is run
FEW = 8  # the first rows are this part of a batch
PLACES = (0.5, 0.25, 0.75, 0.125, 0.625, 0.875)  # which batches follow the largest, in rising order of size
MOST_BATCHES = 1 + len(PLACES)
TICK = 0.002  # seconds between two looks at the memory

T = TypeVar("T")


@dataclass
class Cost:
    """What some work took: seconds, and bytes above what was held before."""

    seconds: float = 0.0
    growth: int = 0


class Probe:
    """The measurements of one dry run: its parts, and the memory that they needed or would need."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.expected = 0  # highest peak that was extrapolated, not reached
        self.partial: list[str] = []  # the work of which no whole batch was run
        self.free = free_memory() + _held()  # to a run that starts now instead of this one
        self.started = time.perf_counter()

    def prepared(self) -> None:
        """Reading, loading and tokenizing have been done in full: they take as long as they took."""
        self.add("reading and loading", 1, "", time.perf_counter() - self.started)

    def measure(
        self,
        name: str,
        batches: Sequence[list[T]],
        work: Callable[[list[T]], object],
        size: Callable[[list[T]], float],
        times: float = 1.0,
    ) -> float:
        """Seconds that `work` takes for all `batches`, `times` over, from a few of them: seconds grow with `size`."""
        if not batches:
            return 0.0
        with silent():
            falling = sorted(batches, key=size, reverse=True)  # the first of equal ones stays first
            every, once = self._all(name, falling[::-1], work, size)
        return times * every + once

    def add(self, name: str, count: int, unit: str, seconds: float, most: bool = False) -> None:
        self.parts.append(Part(name, count, unit, seconds, most))

    def plan(
        self,
        settings: Settings,
        reads: Sequence[Read],
        tokens: dict[str, int],
        writes: dict[str, str],
        steps: int | None = None,
        grows: int = 0,
        saving: int = 0,
        notes: Sequence[str] = (),
    ) -> Plan:
        """The plan of a run from what was measured.

        grows: bytes that the run's process will come to hold besides, such as its results; saving: what writing them
        takes on top. Peak of the process = grows + the most of: the probe's own peak, what was extrapolated, and what
        is held after the probe + saving."""
        on_gpu = torch.cuda.is_available()
        after = psutil.Process().memory_info().rss + saving
        process = grows + max(peak_memory(), after, 0 if on_gpu else self.expected)
        device_peak = max(torch.cuda.max_memory_allocated(), self.expected) if on_gpu else None
        remarks = [*notes]
        if self.partial:
            remarks.append(
                f"{', '.join(self.partial)}: extrapolated from a few rows, a whole batch was too much for a probe"
            )
        if (device_peak or process) > self.free:
            remarks.append(f"this is more memory than is free; {advice(settings)}")
        return Plan(
            tuple(reads), tokens, steps, tuple(self.parts), process, device_peak, self.free, writes, tuple(remarks)
        )

    def _all(
        self, name: str, batches: list[list[T]], work: Callable[[list[T]], object], size: Any
    ) -> tuple[float, float]:
        """(seconds of all batches, seconds that only the first call takes: it makes what later ones find)."""
        heaviest = batches[-1]
        few = heaviest[: max(len(heaviest) // FEW, 1)]
        with clocked() as first:
            work(few)
        with watched() as small:
            work(few)
        once, share = max(first.seconds - small.seconds, 0.0), size(heaviest) / size(few)
        if small.seconds * share > WHOLE or small.growth * share > free_memory():
            return self._extrapolated(name, batches, work, size, small, few), once
        sizes, seconds = 0.0, 0.0
        for number in _spread(len(batches)):
            if seconds and seconds + seconds / sizes * size(batches[number]) > BUDGET:
                break
            with clocked() as cost:
                work(batches[number])
            sizes, seconds = sizes + size(batches[number]), seconds + cost.seconds
        return seconds / sizes * sum(map(size, batches)), once

    def _extrapolated(
        self, name: str, batches: list[list[T]], work: Callable[[list[T]], object], size: Any, small: Cost, few: list[T]
    ) -> float:
        """Seconds = a call's own + so much for each unit of size, from two sizes below that of a batch."""
        self.partial.append(name)
        self.expected = max(self.expected, _held() + round(small.growth * size(batches[-1]) / size(few)))
        slope, start = small.seconds / size(few), 0.0
        if len(few) > 1 and size(few[:1]) < size(few):
            with clocked() as one:
                work(few[:1])
            slope = max((small.seconds - one.seconds) / (size(few) - size(few[:1])), 0.0)
            start = max(small.seconds - slope * size(few), 0.0)
        return start * len(batches) + slope * sum(map(size, batches))


def by_length(items: Sequence[T], length: Callable[[T], int], batch_size: int) -> list[list[T]]:
    """The items in batches of like length, as those functions make them that take any number of items."""
    ordered = sorted(items, key=length)
    return [list(ordered[start : start + batch_size]) for start in range(0, len(ordered), batch_size)]


def padded(length: Callable[[T], int]) -> Callable[[list[T]], float]:
    """The size of a batch: rows · longest, the tokens that are computed."""
    return lambda batch: len(batch) * max(map(length, batch))


@contextmanager
def clocked() -> Iterator[Cost]:
    """Fills in the seconds of the block."""
    cost, begun = Cost(), time.perf_counter()
    yield cost
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    cost.seconds = time.perf_counter() - begun


@contextmanager
def watched() -> Iterator[Cost]:
    """Fills in the seconds of the block and what it holds at its highest, looked at every 2 ms. The looking takes time of
    its own, much of it on a busy machine: batches whose seconds count are only clocked."""
    stop = threading.Event()
    before = highest = _held()

    def look() -> None:
        nonlocal highest
        while not stop.wait(TICK):
            highest = max(highest, _held())

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        with clocked() as cost:
            yield cost
    finally:
        stop.set()
        watcher.join()
    cost.growth = max(highest, _held()) - before


def _held() -> int:
    """Bytes held now: by torch on the GPU where there is one, else by this process."""
    return torch.cuda.memory_allocated() if torch.cuda.is_available() else psutil.Process().memory_info().rss


def _spread(count: int) -> list[int]:
    """Up to 7 of `count` batches in rising order of size: the last one, which needs most memory, then from all over."""
    return list(dict.fromkeys([count - 1, *(int(place * count) for place in PLACES)]))
