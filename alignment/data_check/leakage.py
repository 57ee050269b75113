"""Prompts and groups that another file, held out, has too."""

from __future__ import annotations

from alignment.data_check.encoding import cleaned
from alignment.data_check.excerpt import excerpt
from alignment.data_check.findings import Findings
from alignment.data_check.lines import Entry, Source
from alignment.data_check.near import NearIndex
from alignment.progress import progress
from alignment.text_statistics import normalised


def check(entries: list[Entry], others: list[Source], threshold: float, findings: Findings) -> None:
    """At most one finding of each kind a line; a near-duplicate only where the prompt itself is not there."""
    exact: dict[str, str] = {}
    groups: dict[str, str] = {}
    index = NearIndex(threshold)
    places: list[str] = []
    for path, entry in [(other.path, entry) for other in others for entry in other.entries]:
        place = f"{path.name} line {entry.line}"
        if entry.group is not None:
            groups.setdefault(entry.group, place)
        if not entry.subject.strip():
            continue
        subject = cleaned(entry.subject)
        key = normalised(subject)
        if key not in exact:
            index.find(subject, add=True)
            places.append(place)
            exact[key] = place
    with progress(len(entries), "leaks", "record") as bar:
        for entry in entries:
            bar.update()
            if entry.group in groups:
                findings.add("leaked_group", entry.line, f"{excerpt(str(entry.group))!r}, {groups[entry.group or '']}")
            if entry.subject.strip():
                _prompt(entry, exact, index, places, findings)


def _prompt(entry: Entry, exact: dict[str, str], index: NearIndex, places: list[str], findings: Findings) -> None:
    subject = cleaned(entry.subject)  # what --fix will make of it, so that no mended line leaks
    same = exact.get(normalised(subject))
    if same is not None:
        findings.add("leaked_prompt", entry.line, f"{same}: {excerpt(entry.subject)}")
        return
    hit = index.find(subject, add=False)
    if hit is not None:
        findings.add(
            "leaked_near_duplicate", entry.line, f"{hit[1]:.0%} like {places[hit[0]]}: {excerpt(entry.subject)}"
        )
