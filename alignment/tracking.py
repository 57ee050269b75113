"""Experiment trackers: tensorboard, trackio and wandb through accelerate's own integrations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from accelerate import tracking

from alignment.config import Settings, asdict
from alignment.errors import UserError
from alignment.processes import is_main

PROJECT = "instruct-loop"
Log = Callable[[dict[str, float], int], None]
"""log({"family/quantity": number, ...}, step)."""

_INSTALLED = {
    "tensorboard": tracking.is_tensorboard_available,
    "trackio": tracking.is_trackio_available,
    "wandb": tracking.is_wandb_available,
}


@contextlib.contextmanager
def tracker(report_to: str, directory: Path, settings: Settings) -> Iterator[Log]:
    """`with tracker(report_to, directory, settings) as log: log({"reward_model/loss": .69}, step)`.

    The settings are stored with the run; what a tracker keeps in files (tensorboard) goes to `directory`/instruct-loop.
    Enter it before the work starts: a tracker that is not installed is a UserError. "none" logs nothing."""
    require_installed(report_to)
    if report_to == "none" or not is_main():
        yield nothing
        return
    run = _start(report_to, directory)
    try:
        run.store_init_configuration({name: _plain(value) for name, value in asdict(settings).items()})
        yield lambda values, step: run.log(values, step=step)
    finally:
        run.finish()


def nothing(values: dict[str, float], step: int) -> None:
    """A log that keeps nothing."""


def require_installed(report_to: str) -> None:
    """UserError where the tracker is not installed."""
    if report_to != "none" and not _INSTALLED[report_to]():
        raise UserError(
            f"--report-to is {report_to!r}, which is not installed; run `pip install {report_to}`, or use none"
        )


def _start(report_to: str, directory: Path) -> Any:
    kind = tracking.LOGGER_TYPE_TO_CLASS[report_to]
    run = kind(PROJECT, logging_dir=directory) if kind.requires_logging_directory else kind(PROJECT)
    run.start()
    return run


def _plain(value: Any) -> Any:
    """Trackers take numbers, truth values and text."""
    return value if isinstance(value, bool | int | float | str) else str(value)
