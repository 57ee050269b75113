"""What holds while a command of the table runs."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from unittest import mock

from alignment.run import output_directory, output_file

NOBODY = 65534


@contextlib.contextmanager
def nobody() -> Iterator[None]:
    """Permissions count: root, who may do everything, becomes another user."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """No file can grow beyond 300 bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def small_demo() -> AbstractContextManager[object]:
    """The demo has little to draw before its work begins."""
    return mock.patch.multiple("alignment.pipeline", DEMONSTRATIONS=20, RANKED=20, PPO_PROMPTS=20, EVAL_PROMPTS=20)


@contextlib.contextmanager
def full_disk_in_the_demo() -> Iterator[None]:
    with small_demo(), full_disk():
        yield


@contextlib.contextmanager
def another_run() -> Iterator[None]:
    """Another run is writing the directory `out`."""
    with contextlib.suppress(KeyboardInterrupt), output_directory("out"):
        yield
        raise KeyboardInterrupt


@contextlib.contextmanager
def another_file_run() -> Iterator[None]:
    """Another run is writing the file `out`."""
    with contextlib.suppress(KeyboardInterrupt), output_file("out"):
        yield
        raise KeyboardInterrupt


@contextlib.contextmanager
def no_stdout() -> Iterator[None]:
    """What Python makes of `>&-`."""
    with contextlib.redirect_stdout(None):
        yield


@contextlib.contextmanager
def hub_cache() -> Iterator[None]:
    """The folder `hub` is what was downloaded from the Hub."""
    with mock.patch("huggingface_hub.constants.HF_HUB_CACHE", os.path.abspath("hub")):
        yield


def not_installed(*packages: str) -> Callable[[], AbstractContextManager[object]]:
    return lambda: mock.patch.dict(sys.modules, dict.fromkeys(packages))


@contextlib.contextmanager
def little_memory() -> Iterator[None]:
    """What is read is never held whole: less than 80 MiB for a file of 100."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 80 * 2**20
    finally:
        tracemalloc.stop()
