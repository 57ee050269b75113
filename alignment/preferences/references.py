"""`store:URL@SNAPSHOT` where a setting takes a file of records."""

from __future__ import annotations

import sys
from typing import Any

from alignment.errors import UserError
from alignment.preferences.engine import reference, shown_url, store_url
from alignment.preferences.reading import KINDS
from alignment.preferences.store import Store, existing
from alignment.sources import SNAPSHOTS


def records_at(text: str, name: str, kind: str) -> list[Any]:
    """The records of that kind in the snapshot; without @SNAPSHOT in the newest, and stderr says which that is.

    A UserError speaks of the setting `name`."""
    where, held = snapshot_at(text, name)
    if kind not in held:
        raise UserError(f"{name} {where} holds no {kind}, but {' and '.join(held)}")
    tell_newest(text, name)
    return held[kind]


def tell_newest(text: str, name: str) -> None:
    """Says on stderr which snapshot stands for a reference that named none; once it was fit to be used."""
    if text in SNAPSHOTS:
        url, _, snapshot = SNAPSHOTS[text].removeprefix("store:").rpartition("@")
        print(f"{name} store:{shown_url(store_url(url))}: its newest snapshot, {snapshot[:12]}", file=sys.stderr)


def snapshot_at(text: str, name: str) -> tuple[str, dict[str, list[Any]]]:
    """(how a sentence names it, kind → records, for each kind that the snapshot holds)."""
    found = reference(text)
    if found is None:
        raise UserError(f"{name} is {text!r}; it must be store:URL@SNAPSHOT, for example store:labels.db@1f0c9a7e")
    url, snapshot = found
    try:
        with existing(url) as store:
            name_of = snapshot or _newest(store)
            made = store.records(name_of)
    except UserError as error:
        shown = shown_url(store_url(url))
        raise UserError(f"{name} store:{shown}: {str(error).removeprefix(f'STORE {shown}: ')}") from error
    if snapshot is None:
        SNAPSHOTS[text] = f"{text}@{name_of}"
    where = f"store:{store.shown}: its snapshot {name_of[:12]}"
    return where, {kind: made.of(kind) for kind in KINDS if made.of(kind)}


def _newest(store: Store) -> str:
    snapshots = store.snapshots()
    if not snapshots:
        raise UserError("has no snapshot yet; make one with `align store snapshot`")
    return snapshots[-1].digest
