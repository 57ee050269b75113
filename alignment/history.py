"""`history.jsonl`: the metrics of a run, one line a step. What curves are drawn from."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alignment.processes import is_main
from alignment.tracking import Log, nothing

HISTORY = "history.jsonl"


@contextlib.contextmanager
def history(directory: str | Path) -> Iterator[Log]:
    """`with history(directory) as record: record({"sft/loss": 1.2}, step)`: a line {"step": …, "sft/loss": 1.2} a call.

    A number that is not finite becomes null, because NaN is not JSON."""
    if not is_main():
        yield nothing
        return
    with open(Path(directory) / HISTORY, "w", encoding="utf-8") as file:
        yield lambda values, step: print(_line(values, step), file=file)


def both(first: Log, second: Log) -> Log:
    """Gives what is logged to two logs."""

    def log(values: dict[str, float], step: int) -> None:
        first(values, step)
        second(values, step)

    return log


def _line(values: dict[str, float], step: int) -> str:
    finite: dict[str, Any] = {name: value if math.isfinite(value) else None for name, value in values.items()}
    return json.dumps({"step": step, **finite}, allow_nan=False)
