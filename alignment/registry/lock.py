"""One writer at a time. The system frees the lock of a process that was killed; nothing has to be cleaned up."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from alignment.labeling import iso_time
from alignment.registry.errors import Locked

WAIT = 5.0
"""Seconds that a writer waits for another. Nobody holds the lock while bytes are copied or hashed, so it is free again in
milliseconds; who waits longer meets a process that hangs."""

PAUSE = 0.01


@contextlib.contextmanager
def held(path: Path, by: str, wait: float | None = None) -> Iterator[None]:
    """Holds the lock file while the block runs; Locked, with its owner's name, where another process keeps it.

    by: what is told to those who wait. wait: seconds, `WAIT` where none are given. On a folder that knows no locks the block runs all the same: there the number of a
    log entry, which can be taken only once, decides."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _take(handle, path, time.monotonic() + (WAIT if wait is None else wait))
        os.truncate(handle, 0)
        os.pwrite(handle, _owner(by).encode(), 0)
        yield
    finally:
        os.close(handle)


def _take(handle: int, path: Path, end: float) -> None:
    while True:
        try:
            return fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise Locked(f"{path.parent}: is held by {_told(path)}; wait for that one to end and repeat") from None
            time.sleep(PAUSE)
        except OSError:
            return None


def _owner(by: str) -> str:
    about = {"by": by, "process": os.getpid(), "host": socket.gethostname(), "since": iso_time(int(time.time() * 1000))}
    return json.dumps(about) + "\n"


def _told(path: Path) -> str:
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return f"{about['by']} (process {about['process']} on {about['host']}, since {about['since']})"
    except (OSError, ValueError, LookupError, TypeError):
        return "another process"
