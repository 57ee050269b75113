"""Names made of content: canonical JSON and its SHA-256. The same content has the same name in every store."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> str:
    """JSON with sorted keys, no spaces, letters as they are; equal values have equal texts."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def digest(text: str) -> str:
    """SHA-256 of the UTF-8 text, 64 hex digits."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def digest_of(value: Any) -> str:
    return digest(canonical(value))


def task_id(fixed: dict[str, Any], responses: list[tuple[str, str | None, bool]]) -> str:
    """Of all that never changes in a task; responses: (id, model, finished) by position."""
    return digest_of({**fixed, "responses": responses})


def event_digest(row: dict[str, Any], task: str | None, superseded: str | None) -> str:
    """Of an event: task and superseded event by their digests, since numbers are the database's own."""
    named = {name: row[name] for name in ("key", "annotator", "kind", "body", "request", "created")}
    return digest_of({**named, "task": task, "supersedes": superseded})
