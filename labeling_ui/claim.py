"""One server for one SQLite file: a second one is refused, and told where the first is.

Two would harm no label, since the file makes writers wait for each other, at times for half a second. But the second is mostly a
mistake, and a file is for one machine. Several servers share PostgreSQL."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from alignment.errors import UserError
from alignment.preferences.store import Store
from alignment.run import locked


@contextlib.contextmanager
def only_server(store: Store, address: str) -> Iterator[None]:
    """Holds `FILE-server` beside the store's file while the block runs; the lock goes with the process, however it ends.

    address: what another `align label` is told to open instead. UserError where one holds it already."""
    if store.engine.dialect.name != "sqlite":
        yield
        return
    path = Path(f"{os.path.realpath(str(store.engine.url.database))}-server")
    handle = _opened(path, store.shown)
    try:
        _claim(handle, path, store.shown)
        try:
            os.truncate(handle, 0)
            os.write(handle, f"{address}, process {os.getpid()}\n".encode())
            yield
        finally:
            path.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _opened(path: Path, shown: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise UserError(
            f"--store {shown}: its folder cannot be written ({error.strerror}); give another place, or the right to write"
        ) from None


def _claim(handle: int, path: Path, shown: str) -> None:
    if not locked(handle, path):
        told = os.read(handle, 1000).decode().strip()
        raise UserError(
            f"--store {shown}: another `align label` serves it{told and f' ({told})'}; open that page, or stop it first "
            "(several servers need PostgreSQL)"
        )
