"""The cleaned copy: lines dropped that no stage can use, texts without what no text needs. The original stays as it is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path

from alignment.data_check.duplicates import identity
from alignment.data_check.encoding import cleaned
from alignment.data_check.findings import Findings
from alignment.data_check.lines import Entry, Source, map_texts
from alignment.data_check.pii import RULES, placeholders
from alignment.records import RECORD_KINDS, prompt_text

DROPPED = (
    "not_utf8",
    "not_json",
    "invalid_record",
    "blank_line",
    "exact_duplicate",
    "leaked_prompt",
    "leaked_near_duplicate",
    "leaked_group",
    "empty_prompt",
)
"""Findings whose line is dropped; the first that a line has is the reason given."""
CHANGED = ("byte_order_mark", "crlf_line", "control_character", "bom_in_text", "not_nfc")


@dataclass
class Mended:
    """lines: what to write. dropped: lines by reason. changed: lines kept by what was mended in them."""

    lines: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)


def fixed_path(file: str) -> Path:
    """`rankings.jsonl` → `rankings.fixed.jsonl` in the same folder."""
    return Path(file).with_name(f"{Path(file).stem}.fixed.jsonl")


def mend(source: Source, findings: Findings, mask_pii: bool) -> Mended:
    """Lines without a fault are kept character for character."""
    entries = {entry.line: entry for entry in source.entries}
    reasons: dict[int, str] = {}
    for kind in DROPPED:
        for line in findings.lines(kind):
            reasons.setdefault(line, kind)
    changing = {kind: findings.lines(kind) for kind in (*CHANGED, *(RULES if mask_pii else ()))}
    result, seen = Mended(), set[Hashable]()
    for number in range(1, source.lines + 1):
        kept = None if number in reasons else _kept(entries[number], source, mask_pii, seen)
        if isinstance(kept, str):
            result.lines.append(kept)
            result.changed.update(kind for kind, lines in changing.items() if number in lines)
        else:
            result.dropped[reasons.get(number) or (kept.reason if kept else "")] += 1
    return result


@dataclass(frozen=True)
class Drop:
    reason: str


def _kept(entry: Entry, source: Source, mask_pii: bool, seen: set[Hashable]) -> str | Drop:
    """The line to write, or why there is none once its texts are clean."""
    clean: Callable[[str, str], str] = lambda place, text: placeholders(cleaned(text)) if mask_pii else cleaned(text)  # noqa: E731
    value = map_texts(entry.value, clean)
    try:
        record = RECORD_KINDS[source.kind].parse(value)
    except ValueError:
        return Drop("invalid_record")  # for example a response of control characters alone
    texts = [text.text for text in getattr(record, "responses", ())]
    if texts and not any(text.strip() for text in texts):
        return Drop("empty_response")
    if not prompt_text(record.prompt).strip() and entry.prompt:
        return Drop("empty_prompt")
    key = identity(record, prompt_text(record.prompt))
    if key in seen:
        return Drop("exact_duplicate")
    seen.add(key)
    return source.raw[entry.line] if value == entry.value else json.dumps(value, ensure_ascii=False, allow_nan=False)
