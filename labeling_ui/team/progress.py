"""How far the labels are: by kind of task, by day, what is out, what was skipped and why, how long it takes."""

from __future__ import annotations

import statistics
from collections import defaultdict

from alignment.preferences.headway import Headway, Kind
from alignment.report import words
from alignment.report.document import Section, Table, say
from alignment.report.labeling import labels_by_day, time_per_label
from labeling_ui.team.material import Material

MOST_REASONS = 12
KINDS = {"rank": "ranking", "write": "writing", "edit": "editing", "judge": "judging"}


def section(material: Material) -> Section:
    head, seconds = material.headway, _seconds(material)
    named = {(day, KINDS[kind]): count for (day, kind), count in head.days.items()}
    figures = [labels_by_day(named, list(KINDS.values())), time_per_label(seconds)]
    return Section(
        "progress",
        "Progress",
        verdict=[say(text, *values) for text, *values in _sentences(head)],
        figures=[one for one in figures if one],
        tables=[_kinds(head.kinds, seconds), *_reasons(head)],
    )


def _sentences(head: Headway) -> list[tuple]:
    wanted, labels, out, skipped = (
        sum(getattr(one, name) for one in head.kinds) for name in ("wanted", "labels", "out", "skipped")
    )
    told: list[tuple] = [
        ("**{}** of {} labels are there, **{}** still wanted.", f"{labels:,}", f"{wanted:,}", f"{wanted - labels:,}")
    ]
    told.append(("**{}** on somebody's screen now; {}.", f"{out:,}", words.plural(skipped, "skip")))
    if head.brought:
        told.append(("{} more were made elsewhere and brought in.", f"{head.brought:,}"))
    return told


def _seconds(material: Material) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for one in material.given:
        if one.seconds is not None:
            found[KINDS[one.kind]].append(one.seconds)
    return found


def _kinds(kinds: list[Kind], seconds: dict[str, list[float]]) -> Table:
    rows = [
        [KINDS[one.kind], *(f"{value:,}" for value in (one.tasks, one.labels, one.wanted - one.labels, one.out, one.skipped)),
         _time(seconds.get(KINDS[one.kind], []))]
        for one in kinds
    ]  # fmt: skip
    head = ["task", "tasks", "labels", "still wanted", "out now", "skips", "seconds: median (middle half)"]
    return Table("By kind of task", head, rows, "Gold and practice items are left out.")


def _time(values: list[float]) -> str:
    if len(values) < 2:
        return words.number(values[0]) if values else words.shown(None)
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{words.number(middle)} ({words.number(low)} to {words.number(high)})"


def _reasons(head: Headway) -> list[Table]:
    if not head.reasons:
        return []
    shown = [[reason or "(no reason given)", f"{count:,}"] for reason, count in head.reasons[:MOST_REASONS]]
    left = sum(count for _, count in head.reasons[MOST_REASONS:])
    note = f"And {words.plural(left, 'skip')} for other reasons." if left else ""
    return [Table("Why tasks were skipped", ["reason", "skips"], shown, note)]
