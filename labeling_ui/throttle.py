"""How often somebody may try a password."""

from __future__ import annotations

import threading
from collections.abc import Callable

FREE = {"both": 5, "address": 30, "name": 100}
"""Wrong passwords before the waiting begins: of a name from one address, of an address, of a name from anywhere (which
others could otherwise lock out)."""

LONGEST_WAIT = 15 * 60
MOST_KEPT = 10_000


class Throttle:
    """After the free tries each wrong one doubles the wait, from 2 seconds to 15 minutes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._failed: dict[
            tuple[str, ...], tuple[int, float, float]
        ] = {}  # wrong ones, when the wait began, its seconds

    def wait(self, name: str, address: str) -> int:
        """Seconds until the next try is looked at; 0: now."""
        with self._lock:
            now = self._clock()
            return max(0, *(int(self._left(key, now) + 0.999) for key in _keys(name, address)))

    def failed(self, name: str, address: str) -> None:
        with self._lock:
            for key in _keys(name, address):
                count = self._failed.pop(key, (0, 0.0, 0.0))[0] + 1
                beyond = count - FREE[key[0]]
                wait = min(2.0 ** min(beyond, 20), LONGEST_WAIT) if beyond >= 0 else 0.0
                self._failed[key] = (count, self._clock(), wait)
            while len(self._failed) > MOST_KEPT:
                self._failed.pop(next(iter(self._failed)))  # the oldest

    def _left(self, key: tuple[str, ...], now: float) -> float:
        """A wait that began later than now, before the clock was set back, begins now, or it would last as long as that."""
        count, begun, wait = self._failed.get(key, (0, now, 0.0))
        if begun > now:
            begun = now
            self._failed[key] = (count, begun, wait)
        return begun + wait - now

    def passed(self, name: str, address: str) -> None:
        with self._lock:
            self._failed.pop(("both", name, address), None)


def _keys(name: str, address: str) -> tuple[tuple[str, ...], ...]:
    return ("both", name, address), ("address", address), ("name", name)
