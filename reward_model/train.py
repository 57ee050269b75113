"""Stage 2: rankings → scalar reward model. `run` is the whole command."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from alignment.checkpoint import Checkpoints
from alignment.distributed import require_whole
from alignment.durable import sync
from alignment.history import both, history
from alignment.processes import is_main
from alignment.run import output_directory
from alignment.run_record import write_result
from alignment.seeds import seed_everything
from alignment.tracking import Log, tracker
from reward_model.config import RewardSettings
from reward_model.ensemble import train_ensemble
from reward_model.making import READS, Prepared, make, prepare, write_held_out
from reward_model.model import save
from reward_model.scaling import smaller


def run(settings: RewardSettings) -> dict[str, Any]:
    """Trains, normalises, measures on what was held out, saves. Returns what `metrics.json` holds."""
    started = time.time()
    require_whole("reward")
    seed_everything(settings.seed, settings.threads)
    with (
        output_directory(settings.output) as directory,
        tracker(settings.report_to, directory, settings) as tracked,
        history(directory) as record,
    ):
        checkpoints = Checkpoints("reward", settings, READS)
        log = checkpoints.logged(both(tracked, record))
        ready = prepare(settings)
        metrics = _trained(ready, settings, directory, log, checkpoints) | {"seconds": time.time() - started}
        log({"reward_model/pair_accuracy": metrics["pair_accuracy"]}, int(metrics["steps"]))
        if is_main():
            write_result(directory, "reward", settings, metrics, started)
            if checkpoints.every:
                sync(directory)
    checkpoints.remove()
    return metrics


def _trained(
    ready: Prepared, settings: RewardSettings, directory: Path, log: Log, checkpoints: Checkpoints
) -> dict[str, Any]:
    """Trains and saves what the settings ask for: one model, or several. Returns the metrics."""
    if settings.ensemble > 1:
        return train_ensemble(ready, settings, directory, log, checkpoints)
    made = make(ready, settings, log, checkpoints)
    metrics = made.metrics(ready, settings)
    save(made.scorer, directory)
    write_held_out(directory, ready.split, made.scores)
    if not settings.scaling:
        return metrics
    return metrics | {"scaling": smaller(ready, settings, made)}
