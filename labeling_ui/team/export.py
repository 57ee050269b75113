"""Snapshots for the page: what each is called, holds, and is used with."""

from __future__ import annotations

import shlex
from typing import Any

from alignment.preferences.snapshots import Snapshot

DIGITS = 12
"""Of a snapshot's name that are shown; eight are enough for a store."""


def shown_snapshot(store: str, snapshot: Snapshot) -> dict[str, Any]:
    """{name, digest, created, counts, command}; store: as the user wrote it, without a password."""
    name = snapshot.digest[:DIGITS]
    source = shlex.quote(f"store:{store}@{name}")
    command = f"align reward --base sft --rankings {source} --output reward-model"
    counts = {"counts": snapshot.counts, "created": snapshot.created}
    return {"name": name, "digest": snapshot.digest, **counts, "command": command}
