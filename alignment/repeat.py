"""`--seeds N` on a stage: the same run under N seeds, and what the seed alone changes."""

from __future__ import annotations

import dataclasses
import gc
import statistics
import time
from collections.abc import Callable
from typing import Any

from alignment.config import StageSettings
from alignment.metrics import numbers
from alignment.run import workspace
from alignment.run_record import write_result

Run = Callable[[Any], dict[str, Any]]


def repeat(command: str, run: Run, settings: StageSettings, seeds: int) -> dict[str, Any]:
    """Runs with seeds s, s+1, …, s+N−1 (s = --seed) into OUTPUT/seed-s, …; OUTPUT itself holds mean and sd.

    command: its name, run: its function, settings: those of the first run, seeds: N ≥ 2.
    Returns what OUTPUT/metrics.json holds: the seeds, and `spread` of the runs' metrics. When one run fails, nothing
    stays. Example: `repeat("sft", sft.train.run, settings, 3)`."""
    started, numbers = time.time(), range(settings.seed, settings.seed + seeds)
    results = []
    with workspace(settings.output, "--output") as work:
        for seed in numbers:
            results.append(run(dataclasses.replace(settings, seed=seed, output=str(work / f"seed-{seed}"))))
            gc.collect()  # models hold reference cycles; the next run needs their memory
        metrics = {"seeds": list(numbers), "spread": spread(results)}
        write_result(work, command, settings, metrics, started, seeds=seeds)
    return metrics


def spread(results: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """name → {mean, sd} of every number that all N results have; nested names are joined by dots.

    sd = √(Σ (x − mean)² ÷ (N − 1)): of single runs, not of their mean. Source: the sample standard deviation."""
    flat = [dict(numbers(result)) for result in results]
    shared = [name for name in flat[0] if all(name in other for other in flat)]
    columns = {name: [one[name] for one in flat] for name in shared}
    return {name: {"mean": statistics.fmean(xs), "sd": statistics.stdev(xs)} for name, xs in columns.items()}
