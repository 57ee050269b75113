"""Stores for the tests: each test that asks for `url` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import REASON, Cluster, binaries

from alignment.preferences.store import Store


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if binaries() is None:
        pytest.skip(REASON)
    started = Cluster(fast=True)
    yield started
    started.stop()


@pytest.fixture(
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.xdist_group("postgresql"))],
)
def url(request) -> Iterator[str]:
    """Of an empty store."""
    if request.param == "postgresql":
        yield request.getfixturevalue("cluster").new_database()
        return
    memory = Path("/dev/shm")  # a disk is waited for at each commit; the tests of crashes use one
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield str(Path(folder) / "labels.db")


class Clock:
    """Seconds since 1970 that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_795_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(url, clock) -> Iterator[Store]:
    """With annotators ann and ben; cards are shuffled by a fixed seed, gold never comes unasked."""
    with Store(url, draw=random.Random(0), clock=clock, gold_share=0.0, lease_seconds=600) as opened:
        opened.add_annotator("ann")
        opened.add_annotator("ben")
        yield opened
