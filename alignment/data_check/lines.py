"""A file → its lines → records, never stopping at a fault: each line's fault is a finding."""

from __future__ import annotations

import codecs
import difflib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from alignment.data_check.excerpt import excerpt
from alignment.data_check.findings import Findings
from alignment.errors import UserError
from alignment.records import (
    RECORD_KINDS,
    Demonstration,
    NotJSONError,
    Ranking,
    ResponseSet,
    group_of,
    parse_line,
    prompt_text,
)
from alignment.text_files import check_start

FOREIGN_FIELDS = {"chosen", "rejected", "completion", "conversations", "instruction", "output", "label", "answer"}
"""Fields of other projects' formats: with one of these a prompt, a text or a chat alone is no record of ours."""
IMPORT = "`align import` turns other formats into them"


@dataclass
class Entry:
    """A line that holds a valid record. value: its JSON. group: what it must stay together with, None for nothing."""

    line: int
    value: dict[str, Any]
    record: Any
    group: str | None

    @cached_property
    def prompt(self) -> str:
        return prompt_text(self.record.prompt)

    @cached_property
    def subject(self) -> str:
        """What leaks: the prompt; of a {text} record all of it."""
        return self.prompt or (self.record.response if isinstance(self.record, Demonstration) else "")

    @cached_property
    def responses(self) -> list[str]:
        if isinstance(self.record, Demonstration):
            return [self.record.response]
        return [response.text for response in self.record.responses] if isinstance(self.record, HAS_RESPONSES) else []

    @cached_property
    def texts(self) -> list[tuple[str, str]]:
        """(place, text) of every text, for example ("responses[1]", "...")."""
        found: list[tuple[str, str]] = []

        def keep(place: str, text: str) -> str:
            found.append((place, text))
            return text

        map_texts(self.value, keep)
        return found


HAS_RESPONSES = (ResponseSet, Ranking)


@dataclass
class Source:
    """A file as read. lines: how many it has (a last empty one aside). skipped: those that hold no valid record.
    other_fields: columns that no command reads, with the number of records that have them."""

    path: Path
    kind: str
    lines: int
    bytes: int
    entries: list[Entry]
    findings: Findings
    raw: dict[int, str] = field(repr=False)
    other_fields: dict[str, int] = field(default_factory=dict)

    @property
    def skipped(self) -> int:
        return self.lines - len(self.entries) - len(self.findings.lines("blank_line"))


def read(path: str, name: str, kind: str, group_fields: tuple[str, ...]) -> Source:
    """Every line parsed by the parser of its kind. `kind` "auto": what most lines' fields say.

    name: the setting that an error speaks of. Raises UserError when the file cannot be read, is no text, holds no JSON
    object at all, or holds other records than ours."""
    content = _content(path, name)
    findings = Findings()
    if content.startswith(codecs.BOM_UTF8):
        findings.add("byte_order_mark", 1)
        content = content[len(codecs.BOM_UTF8) :]
    raw = _lines(content, findings)
    values: dict[int, dict[str, Any]] = {}
    for number, line in raw.items():
        value = _parsed(line, lambda value: value, number, findings)
        if value is not None:
            values[number] = value
    chosen = _kind(path, name, values, content) if kind == "auto" else kind
    parse = RECORD_KINDS[chosen].parse
    entries = []
    for number, value in values.items():
        record = _parsed(None, parse, number, findings, value)
        if record is not None:
            group = group_of(value, group_fields)
            entries.append(Entry(number, value, record, None if group is None else str(group)))
    other = _unknown_fields(entries, RECORD_KINDS[chosen].fields | set(group_fields), findings)
    if not entries and kind != "auto":
        raise UserError(f"{name} {path}: none of its lines is one of {kind}; {_first_fault(findings)}")
    count = content.count(b"\n") + (not content.endswith(b"\n"))
    return Source(Path(path), chosen, count, len(content), entries, findings, raw, other)


def map_texts(value: dict[str, Any], change: Callable[[str, str], str]) -> dict[str, Any]:
    """A copy of a record's JSON in which `change(place, text)` stands for each text of prompt and responses."""
    new = dict(value)
    for name in ("prompt", "response", "text"):
        if isinstance(value.get(name), str):
            new[name] = change(name, value[name])
    for name, key in (("prompt", "content"), ("messages", "content"), ("responses", "text")):
        if isinstance(value.get(name), list):
            new[name] = [_changed(f"{name}[{i}]", inner, key, change) for i, inner in enumerate(value[name])]
    return new


def _changed(place: str, inner: Any, key: str, change: Callable[[str, str], str]) -> Any:
    """One message (key "content") or response (key "text", or bare text)."""
    if isinstance(inner, str):
        return change(place, inner)
    if isinstance(inner, dict) and isinstance(inner.get(key), str):
        return {**inner, key: change(place, inner[key])}
    return inner


def _content(path: str, name: str) -> bytes:
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{name} {path}: no such file; give a JSONL file") from None
    except OSError as error:
        raise UserError(f"{name} {path}: cannot be read ({error.strerror}); give a JSONL file") from None
    check_start(content[:4096], f"{name} {path}")
    if not content.strip():
        raise UserError(f"{name} {path}: holds no record; write one JSON object a line")
    return content


def _lines(content: bytes, findings: Findings) -> dict[int, str]:
    """The text of each line that has one, without its line end."""
    lines = content.split(b"\n")
    last = len(lines) - (not lines[-1])
    raw = {}
    for number, line in enumerate(lines[:last], start=1):
        if line.endswith(b"\r"):
            findings.add("crlf_line", number)
            line = line[:-1]
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as error:
            findings.add("not_utf8", number, f"byte 0x{line[error.start]:02x} at column {error.start + 1}")
            continue
        if text.strip():
            raw[number] = text
        else:
            findings.add("blank_line", number)
    return raw


def _parsed(line: str | None, parse: Callable[[dict], Any], number: int, findings: Findings, value: Any = None) -> Any:
    """parse of the line's JSON (or of `value`); None, and a finding, where it is faulty."""
    try:
        return parse(value) if line is None else parse_line(line, parse)
    except NotJSONError as error:
        findings.add("not_json", number, str(error))
    except ValueError as error:
        findings.add("invalid_record", number, excerpt(str(error), 200))
    return None


def _kind(path: str, name: str, values: dict[int, dict[str, Any]], content: bytes) -> str:
    """The kind that most lines have the fields of."""
    counts = Counter(_kind_of(value) for value in values.values())
    known = [(count, kind) for kind, count in counts.items() if kind]
    if known and max(known)[0] >= counts[None]:
        return max(known)[1]
    document = _document(content) if content.lstrip().startswith(b"[") else None
    if document or not values:
        raise UserError(
            f"{name} {path}: {document or 'no line of it is a JSON object'}, not our JSONL records; {IMPORT}"
        )
    raise UserError(
        f"{name} {path}: is not one of our records (its fields are {_names(list(values.values()))}); "
        f"{IMPORT}, or say what it is with --kind"
    )


def _kind_of(value: dict[str, Any]) -> str | None:
    if "ranks" in value:
        return "rankings"
    if "responses" in value:
        return "responses"
    if "prompt" in value and "response" in value:
        return "demonstrations"
    if FOREIGN_FIELDS & value.keys():
        return None
    if "messages" in value or "text" in value:
        return "demonstrations"
    return "prompts" if "prompt" in value else None


def _document(content: bytes) -> str | None:
    """What a file is that is one JSON list as a whole; None where it is not."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return f"is one JSON list of {len(value)} items (their fields are {_names(value)})"


def _names(values: list[Any]) -> str:
    """The commonest fields, in the order of their first appearance."""
    counts = Counter(field for value in values if isinstance(value, dict) for field in value)
    return ", ".join(excerpt(field) for field, _ in counts.most_common(8)) or "none"


def _unknown_fields(entries: list[Entry], known: frozenset[str], findings: Findings) -> dict[str, int]:
    """How many records have each field that is not known; where it may be a slip, a finding instead."""
    counts = Counter(name for entry in entries for name in entry.value if name not in known)
    close = {name: difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75) for name in counts}
    doubtful = {name for name, count in counts.items() if close[name] or count < len(entries) / 2}
    for entry in entries:
        for name in (name for name in entry.value if name in doubtful):
            hint = f" (did you mean {close[name][0]!r}?)" if close[name] else ""
            findings.add("unknown_field", entry.line, f"{excerpt(name)!r}{hint}")
    return {name: count for name, count in counts.most_common() if name not in doubtful}


def _first_fault(findings: Findings) -> str:
    faults = [case for kind in findings.found("error") for case in findings.of(kind)]
    first = min(faults, key=lambda case: case.line or 0)
    return f"line {first.line}: {first.detail}"
