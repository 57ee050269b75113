"""What was computed last, for all visitors: nobody waits in a request, and one computation runs at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

KEEP_SECONDS = 10.0

REST = 10
"""What took s seconds is not computed again before REST · s have passed: at most a tenth of one core's time."""


@dataclass
class Result:
    data: dict[str, Any]
    made: float
    took: float
    old: bool = False


class Kept:
    """compute(name) may take long; `get` never does."""

    def __init__(self, compute: Callable[[str], dict[str, Any]], clock: Callable[[], float] = time.monotonic) -> None:
        self._compute, self._clock = compute, clock
        self._results: dict[str, Result] = {}
        self._asked: set[str] = set()
        self._changes = 0
        self._lock, self._one = threading.Lock(), threading.Lock()

    def get(self, name: str, fresh: bool = False) -> dict[str, Any] | None:
        """The newest result with `age` in seconds and `took`, or None: ask again in a second. An old one is given once
        more while the next is computed (`computing`). fresh: whatever its age, the next is wanted."""
        with self._lock:
            last = self._results.get(name)
            if last is None or fresh or last.old or self._clock() - last.made >= max(KEEP_SECONDS, REST * last.took):
                self._ask(name)
            computing = name in self._asked
        if last is None:
            return None
        return {**last.data, "age": self._clock() - last.made, "took": last.took, "computing": computing}

    def outdate(self) -> None:
        """What is there is old: the next who asks gets it once more, and what follows is new."""
        with self._lock:
            self._changes += 1
            for one in self._results.values():
                one.old = True

    def _ask(self, name: str) -> None:
        if name not in self._asked:
            self._asked.add(name)
            threading.Thread(target=self._work, args=(name,), name=f"team-{name}", daemon=True).start()

    def _work(self, name: str) -> None:
        with self._one:
            began, changes = self._clock(), self._changes
            try:
                data = self._compute(name)
            except Exception as error:
                data = {"problem": f"the figures could not be computed: {type(error).__name__}: {error}"}
            with self._lock:
                self._results[name] = Result(data, began, self._clock() - began, old=changes != self._changes)
                self._asked.discard(name)
