"""Records that are there twice, nearly twice, or in contradiction to an earlier one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from alignment.data_check.excerpt import excerpt
from alignment.data_check.findings import Findings
from alignment.data_check.lines import Entry
from alignment.data_check.near import NearIndex
from alignment.progress import progress
from alignment.records import Demonstration, Ranking, ResponseSet


def identity(record: Any, prompt: str) -> Hashable:
    """What makes two records the same: everything but id, group and source."""
    if isinstance(record, Demonstration):
        return prompt, record.response
    if isinstance(record, Ranking):
        return prompt, tuple(response.text for response in record.responses), record.ranks, record.annotator
    if isinstance(record, ResponseSet):
        return prompt, tuple(response.text for response in record.responses)
    return prompt


def check(entries: list[Entry], threshold: float, findings: Findings) -> int:
    """Adds the findings; returns how many texts were too crowded for the near-duplicate index (see near.py)."""
    rest = _exact(entries, findings)
    _ids(rest, findings)
    _conflicts(rest, findings)
    return _near(rest, threshold, findings)


def _exact(entries: list[Entry], findings: Findings) -> list[Entry]:
    """The entries without exact repetitions."""
    first: dict[Hashable, Entry] = {}
    rest = []
    for entry in entries:
        earlier = first.setdefault(identity(entry.record, entry.prompt), entry)
        if earlier is entry:
            rest.append(entry)
        else:
            findings.add("exact_duplicate", entry.line, f"same as line {earlier.line}")
    return rest


def _ids(entries: list[Entry], findings: Findings) -> None:
    first: dict[str, Entry] = {}
    for entry in entries:
        if entry.value.get("id") is None:
            continue
        earlier = first.setdefault(str(entry.value["id"]), entry)
        if earlier.prompt != entry.prompt:
            findings.add("duplicate_id", entry.line, f"id {excerpt(str(entry.value['id']))!r} as line {earlier.line}")


def _conflicts(entries: list[Entry], findings: Findings) -> None:
    first: dict[str, Entry] = {}
    ranked: dict[Hashable, list[Entry]] = {}
    for entry in entries:
        if not entry.prompt:
            continue
        earlier = first.setdefault(entry.prompt, entry)
        record = entry.record
        if isinstance(record, Demonstration):
            if earlier is not entry:
                detail = f"prompt of line {earlier.line}: {excerpt(record.response)}"
                findings.add("conflicting_response", entry.line, detail)
        elif isinstance(record, ResponseSet | Ranking):
            if sorted(entry.responses) != sorted(earlier.responses):
                findings.add("repeated_prompt", entry.line, f"prompt of line {earlier.line}")
            if isinstance(record, Ranking):
                _ranks(entry, ranked.setdefault((entry.prompt, tuple(sorted(entry.responses))), []), findings)


def _ranks(entry: Entry, others: list[Entry], findings: Findings) -> None:
    """Compares with the earlier rankings of the same responses, one's own first; then joins them."""
    own = entry.record.annotator
    for other in sorted(others, key=lambda other: other.record.annotator != own):
        if _order(other.record) == _order(entry.record):
            continue
        same = own is None or other.record.annotator in (None, own)
        kind = "conflicting_ranks" if same else "annotator_disagreement"
        findings.add(kind, entry.line, f"responses of line {other.line}, ranked otherwise")
        break
    others.append(entry)


def _order(ranking: Ranking) -> Hashable:
    """The ranking whatever the listing and the numbers: (text, place among the ranks used), sorted by text."""
    used = sorted({rank for rank in ranking.ranks if rank is not None})
    places = [-1 if rank is None else used.index(rank) for rank in ranking.ranks]
    return tuple(sorted(zip((response.text for response in ranking.responses), places, strict=True)))


def _near(entries: list[Entry], threshold: float, findings: Findings) -> int:
    index = NearIndex(threshold)
    seen: set[str] = set()
    lines: list[int] = []
    with progress(len(entries), "near-duplicates", "record") as bar:
        for entry in entries:
            bar.update()
            demonstration = isinstance(entry.record, Demonstration)
            text = f"{entry.prompt}\n{entry.record.response}" if demonstration else entry.prompt
            if text in seen or not text.strip():
                continue
            seen.add(text)
            lines.append(entry.line)
            hit = index.find(text, add=True)
            if hit is not None:
                findings.add("near_duplicate", entry.line, f"{hit[1]:.0%} like line {lines[hit[0]]}: {excerpt(text)}")
    return index.crowded
