"""stdout and stderr. A reader that has gone (`| head`, `>&-`, a full disk behind `>`) must never cost a run its result."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any


class Stream:
    """A text stream that goes on when nobody reads it any more, and remembers that in `lost`."""

    def __init__(self, stream: Any) -> None:
        self.lost = stream is None  # what Python makes of `>&-`
        self.stream = open(os.devnull, "w", encoding="utf-8") if stream is None else stream  # noqa: SIM115

    def write(self, text: str) -> int:
        with self._going_on():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._going_on():
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    @contextlib.contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError):  # ValueError: closed
            self.lost = True
            with contextlib.suppress(OSError, ValueError):  # else the interpreter fails on the rest when it ends
                os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


@contextlib.contextmanager
def streams() -> Iterator[Stream]:
    """The block prints through `Stream`s; yields that of stdout."""
    _reserve()
    out, err = _stream(sys.stdout), _stream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            yield out
        finally:
            out.flush()
            err.flush()


def _stream(stream: Any) -> Stream:
    return stream if isinstance(stream, Stream) else Stream(stream)


def _reserve() -> None:
    """Opens 0, 1 and 2 where they are closed, else a file of the run would get that number and what is printed to it."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
