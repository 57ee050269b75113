"""The measurements of a dry run, with a clock and a memory that the tests set.

Mutations seen to fail: the sum over all batches replaced by their number (test_seconds_follow_the_size); the largest batch
not among those run (test_the_largest_batch_is_run_first); no limit on the time (test_a_probe_stops); whole batches
run where a few rows say no (test_too_slow..., test_too_large...); a call's own seconds left out of the extrapolation
(test_too_slow...); what the first call takes more left out, or
counted for every batch (test_the_first_call_counts_once); `grows` or `saving` left out of the peak
(test_peak)."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from alignment import probe as module
from alignment.config import GenerationSettings
from alignment.probe import BUDGET, MOST_BATCHES, WHOLE, Cost, Probe, by_length, padded

GB = 10**9


class World:
    """Work whose cost is known: `start` seconds a call and `slope` a row, `room` bytes a row; the first call costs 50 s."""

    def __init__(self, monkeypatch, start=0.0, slope=0.0, room=0, free=10 * GB, first=0.0) -> None:
        self.start, self.slope, self.room, self.first = start, slope, room, first
        self.calls: list[int] = []
        for name in ("watched", "clocked"):
            monkeypatch.setattr(module, name, self.watched)
        monkeypatch.setattr(module, "free_memory", lambda: free)
        monkeypatch.setattr(module, "_held", lambda: 1 * GB)

    def work(self, batch: list) -> None:
        self.calls.append(len(batch))

    def watched(self):
        world = self

        class Watch:
            def __enter__(self):
                self.cost, self.before = Cost(), len(world.calls)
                return self.cost

            def __exit__(self, *_):
                [rows] = world.calls[self.before :]
                self.cost.seconds = world.start + world.slope * rows + world.first * (self.before == 0)
                self.cost.growth = world.room * rows

        return Watch()


def batches(*sizes: int) -> list[list[int]]:
    return [[0] * size for size in sizes]


def test_seconds_follow_the_size(monkeypatch):
    world = World(monkeypatch, slope=0.01)
    several = batches(*range(1, 41))
    assert Probe().measure("x", several, world.work, len) == pytest.approx(0.01 * sum(range(1, 41)))
    assert Probe().measure("x", several, world.work, len, times=3) == pytest.approx(0.03 * sum(range(1, 41)))
    assert Probe().measure("x", [], world.work, len) == 0


def test_the_largest_batch_is_run_first(monkeypatch):
    world = World(monkeypatch, slope=0.01)
    Probe().measure("x", batches(8, 64, 16, 24, 32), world.work, len)
    assert world.calls[:3] == [8, 8, 64]  # an eighth of it, twice, then all of it
    assert set(world.calls[3:]) <= {8, 16, 24, 32}


def test_of_equal_batches_the_first_comes_first(monkeypatch):
    world = World(monkeypatch)
    seen: list[int] = []
    Probe().measure("x", [[1, 1], [2, 2], [3, 3], [4]], lambda some: (world.work(some), seen.append(some[0])), len)
    assert seen[0] == 1


def test_the_first_call_counts_once(monkeypatch):
    world = World(monkeypatch, slope=0.01, first=50.0)
    assert Probe().measure("x", batches(40, 40), world.work, len, times=3) == pytest.approx(3 * 0.8 + 50)


def test_a_probe_stops(monkeypatch):
    """One batch of 2 s may run, a second would pass the budget; quick ones are run up to a number."""
    slow = World(monkeypatch, slope=2 / 64)
    assert Probe().measure("x", batches(*[64] * 1000), slow.work, len) == pytest.approx(2000)
    assert slow.calls == [8, 8, 64]
    assert BUDGET < 2 * 2
    quick = World(monkeypatch, slope=1e-4)
    Probe().measure("x", batches(*[64] * 1000), quick.work, len)
    assert len(quick.calls) == 2 + MOST_BATCHES


def test_too_slow_for_a_whole_batch(monkeypatch):
    """Only rows of the largest batch are run, an eighth of it at most; seconds = calls · start + rows · slope."""
    world = World(monkeypatch, start=0.5, slope=WHOLE / 40, room=1000)
    probe = Probe()
    seconds = probe.measure("slow work", batches(64, 64, 32), world.work, len)
    assert seconds == pytest.approx(3 * 0.5 + 160 * WHOLE / 40)
    assert world.calls == [8, 8, 1]
    assert probe.expected == 1 * GB + 64 * 1000
    assert probe.partial == ["slow work"]


def test_too_large_for_a_whole_batch(monkeypatch):
    world = World(monkeypatch, slope=1e-3, room=GB // 4, free=15 * GB)
    probe = Probe()
    probe.measure("large work", batches(64), world.work, len)
    assert max(world.calls) == 8
    assert probe.expected == 1 * GB + 64 * GB // 4
    fits = World(monkeypatch, slope=1e-3, room=GB // 4, free=17 * GB)
    Probe().measure("large work", batches(64), fits.work, len)
    assert max(fits.calls) == 64


def test_peak(monkeypatch):
    """grows + the most of: the peak reached, held now + saving, what was extrapolated."""
    World(monkeypatch, free=5 * GB)
    settings = GenerationSettings()
    probe = Probe()
    monkeypatch.setattr(module, "peak_memory", lambda: 3 * GB)
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=2 * GB))
    monkeypatch.setattr(module.psutil, "Process", lambda: process)

    def peak(**more: int) -> int:
        return probe.plan(settings, [], {}, {}, **more).process_peak_memory_bytes

    assert peak() == 3 * GB
    assert peak(grows=7) == 3 * GB + 7
    assert peak(saving=5 * GB) == 7 * GB
    assert peak(grows=7, saving=5 * GB) == 7 * GB + 7
    assert probe.plan(settings, [], {}, {}).notes == ()
    assert probe.plan(settings, [], {}, {}).free_memory_bytes == 6 * GB  # free, and what this process holds
    probe.expected, probe.partial = 9 * GB, ["a", "b"]
    assert peak() == 9 * GB
    partial, large = probe.plan(settings, [], {}, {}).notes
    assert partial.startswith("a, b: extrapolated from a few rows")
    assert large == "this is more memory than is free; give --batch-size 1, or a smaller model"


def test_batches_of_like_length():
    assert by_length(["aaa", "b", "cc", "dddd"], len, 2) == [["b", "cc"], ["aaa", "dddd"]]
    assert padded(len)(["b", "cc", "aaa"]) == 9


def test_watched_sees_time_and_memory():
    with module.watched() as cost:
        block = bytearray(64 * 2**20)
        block[::4096] = b"x" * len(block[::4096])
    assert cost.growth > 50 * 2**20
    assert 0 < cost.seconds < 10
