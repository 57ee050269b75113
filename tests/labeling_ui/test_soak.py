"""The server keeps nothing of a request once it is answered: a short soak, counted in blocks of memory. The long one, in
megabytes over 20 minutes, is `benchmarks/label_load.py --part soak`.

Mutations seen to fail: the guard keeps the headers of each request in a list."""

from __future__ import annotations

import asyncio
import gc
import itertools
import random
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from answering import sets
from labeling_server import Thread, opened

from alignment.preferences.adding import Queue

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
from http_annotators import Annotator, Server
from label_load import wander

CALLS, WARM, MORE = 80, 12, 7


def test_nothing_stays_of_a_request(tmp_path: Path) -> None:
    """Answers, drafts, skips, undo, history and progress; each round does the same number of calls. What is kept once (caches,
    compiled statements) is there after the first rounds. After that a round adds, in the median, less than half a block a
    call: one object kept of each would be more."""
    with opened(tmp_path) as store:
        store.add_annotator("local", "admin")
        store.add_tasks(sets(CALLS * (WARM + MORE), responses=3), Queue())
        server = Thread(store, practice=False)
        try:
            held = [_after_a_round(server, number) for number in range(WARM + MORE)]
        finally:
            server.close()
    growth = [later - earlier for earlier, later in itertools.pairwise(held[WARM - 1 :])]
    assert statistics.median(growth) < CALLS / 2, growth


def _after_a_round(server: Thread, number: int) -> int:
    """Blocks that are allocated once a round is over and nothing is left of its client."""
    address = Server("127.0.0.1", server.port)
    with ThreadPoolExecutor(1) as elsewhere:  # Playwright's event loop runs in this thread, where its tests came before
        elsewhere.submit(lambda: asyncio.run(_round(address, number))).result()
    gc.collect()
    return sys.getallocatedblocks()


async def _round(server: Server, number: int) -> None:
    one = Annotator(server, "local")
    assert await wander(one, random.Random(number), calls=CALLS, pause=0.0) == CALLS
    one.close()
