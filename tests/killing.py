"""A kill at a system call: a forked child dies in place of its n-th call, and nothing is cleaned up."""

from __future__ import annotations

import os
from collections.abc import Callable

KILLED = 9


def killed_at(number: int, calls: tuple[str, ...], work: Callable[[], int]) -> int:
    """Does `work` in a forked child that dies in place of its `number`-th call of the `os` functions `calls`. Returns its
    exit code: KILLED, or what `work` returned when it made fewer calls."""
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1), os.dup2(quiet, 2)
        left = [number]

        def counted(call):
            def instead(*arguments, **named):
                left[0] -= 1
                if left[0] == 0:
                    os._exit(KILLED)
                return call(*arguments, **named)

            return instead

        for name in calls:
            setattr(os, name, counted(getattr(os, name)))
        try:
            os._exit(work())
        finally:  # whatever it raised must not go on in the child as if it were the test
            os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
