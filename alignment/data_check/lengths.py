"""Empty, cut and very long texts; how long texts are."""

from __future__ import annotations

import math
import re
from typing import Any

from alignment.data_check.excerpt import excerpt
from alignment.data_check.findings import Findings
from alignment.data_check.lines import Entry
from alignment.records import Demonstration

SENTENCE_END = re.compile(r"[.!?…][\"')\]”’»*_]*\s|[。！？]")
"""A text with one inside is prose."""
CUT = re.compile(r"[\w,;(\-–—](?<![。！？])$")
"""How prose ends that was cut: in a letter, a comma, an opened bracket."""
NO_PROSE_LINE = re.compile(r"\s*(?:[-*•+>|#]|\d+[.)]|[A-Za-z][.)]\s|\w[\w ]{0,30}:|https?://)|.*https?://\S*$|.*[|}=]")
"""A last line that needs no full stop: list items, headings, tables, `Name: value`, addresses, code."""
REPETITION = re.compile(r"([^\W\d_])\1{15}|\b([^\W\d_]{2,})(?:[ ,.!?]+\2\b){5}")
SHORTEST_PROSE = 80
"""Characters; a short answer needs no full stop."""
SHORTEST_LAST_LINE = 5
"""Words; a signature or a title needs none either."""


def check(entries: list[Entry], max_characters: int | None, findings: Findings) -> None:
    """max_characters: None where lengths are counted in tokens (see tokens.py)."""
    for entry in entries:
        _empty(entry, findings)
        for place, text in entry.texts:
            loop = REPETITION.search(text)
            if loop:
                findings.add("repetition", entry.line, f"{place}: {excerpt(loop[0], 40)}")
        _cut(entry, findings)
        for place, text in entry.texts if max_characters is not None else []:
            if len(text) > (max_characters or 0):
                findings.add("very_long", entry.line, f"{place}: {len(text):,} characters")


def characters(entries: list[Entry]) -> dict[str, dict[str, int]]:
    """Quantiles of the characters in a prompt and in a response."""
    prompts = [len(entry.prompt) for entry in entries if entry.prompt]
    responses = [len(text) for entry in entries for text in entry.responses]
    return {name: quantiles(values) for name, values in (("prompt", prompts), ("response", responses)) if values}


def quantiles(values: list[int]) -> dict[str, int]:
    """p: the smallest value that at least p % of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    ranks = {f"p{p}": ordered[math.ceil(p / 100 * len(ordered)) - 1] for p in (50, 90, 99)}
    return {**ranks, "max": ordered[-1]}


def looks_cut(text: str) -> bool:
    """Prose whose last sentence has no end, or code whose fence is not closed."""
    text = text.rstrip()
    if text.count("```") % 2:
        return True
    last = text[text.rfind("\n") + 1 :]
    prose = len(text) >= SHORTEST_PROSE and SENTENCE_END.search(text) is not None
    if not prose or "```" in last or NO_PROSE_LINE.match(last) or len(last.split()) < SHORTEST_LAST_LINE:
        return False
    return CUT.search(last) is not None


def _empty(entry: Entry, findings: Findings) -> None:
    whole_text = isinstance(entry.record, Demonstration) and "prompt" not in entry.value
    if not entry.prompt.strip() and not whole_text:
        findings.add("empty_prompt", entry.line, "the prompt")
    for index, text in enumerate(entry.responses):
        if not text.strip():
            findings.add("empty_response", entry.line, f"responses[{index}]")


def _cut(entry: Entry, findings: Findings) -> None:
    for index, text in enumerate(entry.responses):
        response: Any = None if isinstance(entry.record, Demonstration) else entry.record.responses[index]
        place = "" if response is None else f"responses[{index}]: "
        if response is not None and not response.finished:
            findings.add("unfinished", entry.line, f"{place}…{excerpt(text[-50:])}")
        elif looks_cut(text):
            findings.add("truncated", entry.line, f"{place}…{excerpt(text.rstrip()[-50:])}")
