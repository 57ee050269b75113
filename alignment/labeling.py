"""How a label came about: when, in what order the responses were shown, what else was said of them. Part of a record."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

FLAGS = ("harmful", "false", "off-topic", "does-not-follow", "names-itself")
"""What a response can be flagged as where nobody says otherwise; any word of the form below will do."""

FLAG = re.compile(r"[a-z][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class Labeling:
    """How a person came to a ranking, a verdict or a demonstration; each field is None where it is not known.

    at: when it was saved, UTC, ISO 8601. seconds: how long it took. shown: numbers of the responses (from 0) in the order
    shown; identical ones are shown once, so not all need be there. flags: for each response the words it was flagged with.
    none_acceptable: whether none of the responses is good enough.
    Example: `{"at": "2026-11-25T10:00:00.000Z", "seconds": 12.5, "shown": [2, 0, 1], "flags": [[], ["false"], []]}`."""

    at: str | None = None
    seconds: float | None = None
    shown: tuple[int, ...] | None = None
    flags: tuple[tuple[str, ...], ...] | None = None
    none_acceptable: bool | None = None


def parse_labeling(value: Any, responses: int) -> Labeling | None:
    """The `labeling` of a record with that many responses, 0 where it is one that somebody wrote; ValueError says what is
    wrong with it."""
    if value is None:
        return None
    known = list(Labeling.__dataclass_fields__) if responses else ["at", "seconds"]
    if not isinstance(value, dict) or value.keys() - set(known):
        raise ValueError(f"labeling must be an object with some of {', '.join(known)}")
    made = Labeling(
        at=None if value.get("at") is None else _time(value["at"]),
        seconds=None if value.get("seconds") is None else checked_seconds(value["seconds"], "labeling.seconds"),
        shown=None if value.get("shown") is None else _shown(value["shown"], responses),
        flags=None if value.get("flags") is None else _flags(value["flags"], responses),
        none_acceptable=value.get("none_acceptable"),
    )
    if made.none_acceptable not in (None, True, False):
        raise ValueError("labeling.none_acceptable must be true or false")
    return made if made != Labeling() else None


def plain_labeling(labeling: Labeling) -> dict[str, Any]:
    """As its record's line holds it: what is not known is left out."""
    return {name: value for name, value in asdict(labeling).items() if value is not None}


def iso_time(milliseconds: int) -> str:
    """Milliseconds since 1970 → `2026-11-25T10:00:00.000Z`."""
    stamp = datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{milliseconds % 1000:03d}Z"


def checked_seconds(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"{name} is {value!r}; it must be a number of seconds from 0")
    return float(value)


def checked_flags(value: Any, name: str) -> tuple[str, ...]:
    """The words, sorted, each once."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) and FLAG.fullmatch(one) for one in value):
        raise ValueError(
            f"{name} is {value!r}; it must be a list of words of a-z, 0-9 and hyphens, such as {FLAGS[0]!r}"
        )
    return tuple(sorted(set(value)))


def _time(value: Any) -> str:
    try:
        if datetime.fromisoformat(value).tzinfo is not None:
            return value
    except (TypeError, ValueError):
        pass
    raise ValueError(f"labeling.at is {value!r}; it must be an ISO 8601 time with its zone, 2026-11-25T10:00:00Z")


def _shown(value: Any, responses: int) -> tuple[int, ...]:
    numbers = value if isinstance(value, list | tuple) else []
    if not numbers or any(type(one) is not int or not 0 <= one < responses for one in numbers):
        raise ValueError(f"labeling.shown is {value!r}; it must be a list of numbers from 0 to {responses - 1}")
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"labeling.shown is {value!r}; it must name each response once at most")
    return tuple(numbers)


def _flags(value: Any, responses: int) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list | tuple) or len(value) != responses:
        raise ValueError(f"labeling.flags must be a list with one list of words for each of the {responses} responses")
    return tuple(checked_flags(one, "labeling.flags") for one in value)
