"""Tables and objects with known column names, such as {question, answer}; and `--map`, which gives names to others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from alignment.formats.format import WHO, Format, Row, who
from alignment.records import described

PROMPT_NAMES = ("prompt", "question", "instruction", "input", "query")
RESPONSE_NAMES = ("response", "answer", "output", "completion")
"""Column names that are known to hold a prompt, and a response to it."""


def one_of(row: Row, names: Iterable[str]) -> str | None:
    """The only one of these names that the row has; None where it has none or several."""
    found = [name for name in names if name in row]
    return found[0] if len(found) == 1 else None


def text(row: Row, name: str) -> str:
    """A field that must be text. Whole numbers are taken as they are written: tables hold short answers such as 42."""
    value = row.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{name} is {'missing' if name not in row else described(value)}; it must be text")
    return value


def filled(row: Row, name: str) -> str:
    """A field that must be text with something in it."""
    value = text(row, name)
    if not value.strip():
        raise ValueError(f"{name} is empty; it must hold text")
    return value


def rename(row: Row, mapping: dict[str, str]) -> Row:
    """The row with the columns that `mapping` (our name → their name) speaks of under our names.

    Their name may lead inside (`answers.text`) and may join several (`instruction+context`, an empty line between)."""
    taken = {their for names in mapping.values() for their in names.split("+")}
    kept = {name: value for name, value in row.items() if name not in taken and name not in mapping}
    for our, names in mapping.items():
        values = [value for value in (_inside(row, their) for their in names.split("+")) if value not in (None, "")]
        if len(values) == 1:
            kept[our] = values[0]
        elif values:
            kept[our] = "\n\n".join(str(value) for value in values)
    return kept


def _inside(row: Row, path: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _kind_of(row: Row) -> str | None:
    if "chosen" in row or "rejected" in row or one_of(row, PROMPT_NAMES) is None:
        return None
    if any(name in row for name in RESPONSE_NAMES):
        return "demonstrations" if one_of(row, RESPONSE_NAMES) else None
    return "prompts"


def _names(row: Row) -> tuple[str, str]:
    prompt, response = one_of(row, PROMPT_NAMES), one_of(row, RESPONSE_NAMES)
    if prompt is None or response is None:
        raise ValueError(
            f"has the fields {sorted(row)}; it must have one of {', '.join(PROMPT_NAMES)} and one of "
            f"{', '.join(RESPONSE_NAMES)}: say which with --map prompt=NAME,response=NAME"
        )
    return prompt, response


def _demonstration(row: Row) -> list[Row]:
    prompt, response = _names(row)
    return [{"prompt": filled(row, prompt), "response": filled(row, response)}]


def _prompt(row: Row) -> list[Row]:
    name = one_of(row, PROMPT_NAMES)
    if name is None:
        raise ValueError(f"has the fields {sorted(row)}; it must have one of {', '.join(PROMPT_NAMES)}")
    return [{**who(row), "prompt": filled(row, name)}]


FORMAT = Format(
    name="columns",
    title="tables with known column names",
    example='{"question": "...", "answer": "..."}',
    remark=f"one of {', '.join(PROMPT_NAMES)} with one of {', '.join(RESPONSE_NAMES)}",
    fields=frozenset((*PROMPT_NAMES, *RESPONSE_NAMES, *WHO)),
    kind_of=_kind_of,
    read={"demonstrations": _demonstration, "prompts": _prompt},
    fallback=True,
)
