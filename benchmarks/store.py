"""Labels a second that the preference store takes, and how long an annotator waits, with 50 at once and no think time.

    python benchmarks/store.py [--labels N] [--annotators N] [--stored N] [--folder DIR]

Each annotator is a thread that asks for a task and answers it, again and again, against one open store: what the labeling
app adds is not in it. SQLite lies in a file in DIR (a disk, not memory), PostgreSQL is a fresh cluster on this machine with
its own defaults; both commit to the disk before a label is acknowledged. A label's time is that of `next_task` and `submit`
together. --stored labels are there already. Prints a line for each database and ends with one JSON line, which it leaves in
`benchmarks/results/store.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from answering import sets  # noqa: E402
from postgres import REASON, Cluster, binaries  # noqa: E402

from alignment.preferences.adding import Queue  # noqa: E402
from alignment.preferences.engine import durability  # noqa: E402
from alignment.preferences.store import Store  # noqa: E402
from alignment.records import Ranking  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--labels", type=int, default=3000)
    parser.add_argument("--annotators", type=int, default=50)
    parser.add_argument("--stored", type=int, default=0, help="labels that the store holds beforehand")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    result: dict[str, Any] = {
        "machine": machine(),
        **{name: getattr(options, name) for name in ("labels", "annotators", "stored")},
    }
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        result["sqlite"] = measured(str(Path(folder) / "labels.db"), options)
    if binaries() is None:
        print(REASON, file=sys.stderr)
    else:
        cluster = Cluster(fast=False)
        try:
            result["postgresql"] = measured(cluster.new_database(), options)
        finally:
            cluster.stop()
    result["load_after"] = os.getloadavg()[0]
    (ROOT / "benchmarks" / "results" / "store.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0


def measured(url: str, options: argparse.Namespace) -> dict[str, Any]:
    names = [f"annotator-{number}" for number in range(options.annotators)]
    with Store(url, gold_share=0.0) as store:
        for name in names:
            store.add_annotator(name)
        fill(store, options.stored)
        store.add_tasks(sets(options.labels, responses=4), Queue())
        seconds, cpu, waits = run(store, names)
        held = store.progress().labels
        row = {
            "durability": durability(store.engine),
            "labels_per_second": options.labels / seconds,
            "p50_ms": waits[len(waits) // 2] * 1000,
            "p95_ms": waits[int(0.95 * len(waits))] * 1000,
            "max_ms": waits[-1] * 1000,
            "own_cpu_ms_per_label": cpu / options.labels * 1000,
            "saved": held,
        }
    print(f"{row['labels_per_second']:7.0f} labels/s, p95 {row['p95_ms']:.0f} ms, {row['durability']}")
    return row


def fill(store: Store, count: int) -> None:
    """Labels of others, in portions."""
    for start in range(0, count, 2000):
        portion = sets(min(2000, count - start), responses=4, name=f"old{start}-")
        store.import_records(Ranking(one.id, one.prompt, one.responses, (1, 2, 3, 4), "somebody") for one in portion)


def run(store: Store, names: list[str]) -> tuple[float, float, list[float]]:
    """(seconds, seconds of this process's CPU, sorted waits) until no task is left."""
    waits: list[float] = []

    def label(name: str) -> None:
        while True:
            begun = time.perf_counter()
            task = store.next_task(name)
            if task is None:
                return
            store.submit(name, task.lease, {"tiers": [[card.slot] for card in task.cards]}, os.urandom(8).hex())
            waits.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=label, args=(name,)) for name in names]
    begun, cpu = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begun, time.process_time() - cpu, sorted(waits)


def machine() -> dict[str, Any]:
    return {
        "processors": os.cpu_count(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "load_before": os.getloadavg()[0],
    }


if __name__ == "__main__":
    sys.exit(main())
