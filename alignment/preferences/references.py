"""`store:URL@SNAPSHOT` where a setting takes a file of records."""

from __future__ import annotations

import sys
from typing import Any, cast

from alignment.errors import UserError
from alignment.preferences.engine import reference, shown_url, store_url
from alignment.preferences.reading import Kind
from alignment.preferences.store import existing


def records_at(text: str, name: str, kind: str) -> list[Any]:
    """The records of that kind in the snapshot; without @SNAPSHOT in the newest, and stderr says which that is.

    A UserError speaks of the setting `name`."""
    found = reference(text)
    if found is None:
        raise UserError(f"{name} is {text!r}; it must be store:URL@SNAPSHOT, for example store:labels.db@1f0c9a7e")
    url, snapshot = found
    try:
        with existing(url) as store:
            if snapshot is None:
                snapshot = _newest(store)
                print(f"{name} store:{store.shown}: its newest snapshot, {snapshot[:12]}", file=sys.stderr)
            records = store.records(snapshot).of(cast(Kind, kind))
    except UserError as error:
        raise UserError(
            f"{name} store:{shown_url(store_url(url))}: {str(error).partition(': ')[2] or error}"
        ) from error
    if not records:
        raise UserError(f"{name} store:{url}: its snapshot {snapshot[:12]} holds no {kind}")
    return records


def _newest(store: Any) -> str:
    snapshots = store.snapshots()
    if not snapshots:
        raise UserError("has no snapshot yet; make one with `align store snapshot`")
    return snapshots[-1].digest
