"""Progress bars with the time left, on stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from tqdm import tqdm

_SILENT = ContextVar("silent", default=False)


def progress(total: int, name: str, unit: str, done: int = 0) -> Any:
    """A bar to use in a `with`; silent where stderr is no terminal only if it would flood a log (one line every 10 s).

    done: how much of it an earlier process has done."""
    import sys

    interval = 0.1 if sys.stderr.isatty() else 10.0
    return tqdm(
        total=total, initial=done, desc=f"{name:<22}", unit=unit, mininterval=interval, dynamic_ncols=True,
        disable=_SILENT.get(),
    )  # fmt: skip


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """No bars inside: for work that is only measured."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)
