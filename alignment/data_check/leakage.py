"""Prompts and groups that another file, held out, has too."""

from __future__ import annotations

from alignment.data_check.encoding import cleaned
from alignment.data_check.excerpt import excerpt
from alignment.data_check.findings import Findings
from alignment.data_check.lines import Entry, Source
from alignment.data_check.near import NearIndex
from alignment.progress import progress
from alignment.text_statistics import normalised

SHORTEST_START = 8
"""Words. A text that begins with a held-out prompt of fewer ("Once upon a time there was") need not be its answer."""


class HeldOut:
    """The prompts and groups of the other files, with where they are first: "FILE line N".

    Texts are compared as --fix will clean them, so that no mended line leaks."""

    def __init__(self, others: list[Source], threshold: float) -> None:
        self.groups: dict[str, str] = {}
        self._exact: dict[str, str] = {}
        self._places: list[str] = []
        self._near = NearIndex(threshold)
        for path, entry in [(other.path, entry) for other in others for entry in other.entries]:
            self._add(entry, f"{path.name} line {entry.line}")
        self._lengths = sorted({len(key.split()) for key in self._exact})

    def same(self, text: str) -> str | None:
        """Where the prompt is, word for word or but for case, spacing and punctuation."""
        return self._exact.get(normalised(cleaned(text)))

    def near(self, text: str) -> str | None:
        """Where a prompt is that is nearly the text, and how nearly."""
        hit = self._near.find(cleaned(text), add=False)
        return f"{hit[1]:.0%} like {self._places[hit[0]]}" if hit else None

    def start(self, text: str) -> str | None:
        """Where the longest prompt is that the text begins with."""
        words = normalised(cleaned(text)).split()
        lengths = [length for length in self._lengths if SHORTEST_START <= length < len(words)]
        places = (self._exact.get(" ".join(words[:length])) for length in reversed(lengths))
        return next((f"begins with {place}" for place in places if place), None)

    def _add(self, entry: Entry, place: str) -> None:
        if entry.group is not None:
            self.groups.setdefault(entry.group, place)
        text = cleaned(entry.subject)
        key = normalised(text)
        if text.strip() and key not in self._exact:
            self._exact[key] = place
            self._near.find(text, add=True)
            self._places.append(place)


def check(entries: list[Entry], others: list[Source], threshold: float, findings: Findings) -> None:
    """At most one finding of each kind a line; a near-duplicate only where the prompt itself is not there."""
    held_out = HeldOut(others, threshold)
    with progress(len(entries), "leaks", "record") as bar:
        for entry in entries:
            bar.update()
            if entry.group is not None and entry.group in held_out.groups:
                findings.add("leaked_group", entry.line, f"{excerpt(entry.group)!r}, {held_out.groups[entry.group]}")
            if entry.subject.strip():
                _prompt(entry, held_out, findings)


def _prompt(entry: Entry, held_out: HeldOut, findings: Findings) -> None:
    same = held_out.same(entry.subject)
    if same is not None:
        findings.add("leaked_prompt", entry.line, f"{same}: {excerpt(entry.subject)}")
        return
    near = held_out.near(entry.subject) or (None if entry.prompt else held_out.start(entry.subject))
    if near is not None:
        findings.add("leaked_near_duplicate", entry.line, f"{near}: {excerpt(entry.subject)}")
