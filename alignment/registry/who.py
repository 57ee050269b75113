"""Who did it, and when: what every entry of the log says."""

from __future__ import annotations

import getpass
import os
import socket
import time

from alignment.labeling import iso_time


def user() -> str:
    """Who runs this process."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"


def now() -> str:
    """UTC, `2026-11-25T10:00:00.000Z`."""
    return iso_time(time.time_ns() // 1_000_000)
