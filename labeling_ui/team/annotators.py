"""How each annotator works: how much, how fast, how right, and what the rule for setting aside says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from alignment.agreement.label import Label
from alignment.agreement.quality import GOLD_FLOOR, Quality, qualities, quarantine
from alignment.intervals import Estimate
from alignment.report import words
from alignment.report.agreement import consensus_forest, gold_forest
from alignment.report.document import Section, Table, say
from labeling_ui.team.material import Given, Material

MOST_ROWS = 100
"""Annotators in a table: of more, those with most labels."""

MOST_LINES = 20
"""Annotators in a plot with a line for each."""


def section(material: Material) -> Section:
    several = of_annotators(material)
    if not several:
        return Section("annotators", "Annotators", [say("Nobody has ranked anything yet.")])
    busy = most_labels(several, MOST_ROWS)
    advice = quarantine(several)
    drawn = most_labels(several, MOST_LINES)
    tables = [_quality(busy, material.quarantined, len(several)), _work(busy, material.given + material.gold)]
    return Section(
        "annotators",
        "Annotators",
        verdict=[_sentence(several, advice, material.quarantined)],
        figures=[one for one in (consensus_forest(drawn), gold_forest(drawn)) if one],
        tables=[*_advice(advice), *tables],
    )


def of_annotators(material: Material) -> list[Quality]:
    """Rankings and gold items together: who answers does not know which is which. Of a quarantined annotator the same
    figures, but in nobody else's consensus."""
    answers = [*material.independent, *(one.ranked for one in material.gold if one.ranked), *_skips(material)]
    hidden = material.quarantined
    found = qualities([one for one in answers if one.annotator not in hidden])
    if hidden:
        found += [one for one in qualities(answers) if one.annotator in hidden]
    return sorted(found, key=lambda one: one.annotator)


def most_labels(several: Sequence[Quality], most: int) -> list[Quality]:
    kept = sorted(several, key=lambda one: -one.labels)[:most]
    return sorted(kept, key=lambda one: one.annotator)


def _skips(material: Material) -> list[Label]:
    """A sample holds as large a share of them as of the labels."""
    counts = {name: round(count * material.share) for name, count in material.headway.skips.items()}
    one = Label("", "skipped", (), (), skipped=True)
    return [replace(one, annotator=name) for name, count in counts.items() for _ in range(count)]


def _sentence(several: list[Quality], advice: dict[str, list[str]], hidden: set[str]):
    told = "**{}** gave rankings."
    values: list[str] = [words.plural(sum(one.labels > 0 for one in several), "annotator")]
    if hidden:
        told += " **{}** set aside: their labels stay, and snapshots leave them out."
        values.append(f"{words.plural(len(hidden), 'annotator')} {'is' if len(hidden) == 1 else 'are'}")
    fresh = [name for name in advice if name not in hidden]
    told += (
        " The rule finds a reason to set aside **{}**."
        if fresh
        else " The rule finds no further reason to set anybody aside."
    )
    return say(told, *values, *([", ".join(fresh)] if fresh else []))


def _advice(advice: dict[str, list[str]]) -> list[Table]:
    rows = [[name, "; ".join(reasons)] for name, reasons in advice.items()]
    note = "A sign, no proof: look at the labels first. Nothing is set aside by itself."
    return [Table("What the rule says", ["annotator", "reasons"], rows, note)] if rows else []


def _quality(several: Sequence[Quality], hidden: set[str], count: int) -> Table:
    rows = [
        [
            one.annotator,
            "set aside" if one.annotator in hidden else "counts",
            _estimate(one.gold),
            _estimate(one.consensus),
            "–" if one.left is None else f"{one.left.share:.2f} ({one.left.low:.2f} to {one.left.high:.2f})",
            _estimate(one.consistency),
        ]
        for one in several
    ]
    head = ["annotator", "state", "gold items right", "with the others", "shown earlier wins", "same as before"]
    note = (
        f"In brackets: 95 % intervals; of “shown earlier wins” the 99 % band of chance. Gold: below {GOLD_FLOOR:.0%} with all of its "
        "interval is a reason to set aside. With the others: share of pairs ordered as the majority of the others."
    )
    if count > len(several):
        note += f" The {len(several)} of {count} annotators with most labels."
    return Table("Quality", head, rows, note)


def _work(several: Sequence[Quality], given: Sequence[Given]) -> Table:
    flagged = Counter[str]()
    for one in given:
        flagged[one.annotator] += one.flagged
    rows = [
        [
            one.annotator,
            f"{one.labels:,}",
            words.percent(one.share),
            words.shown(one.seconds),
            _share(one.ties),
            words.percent(one.skips),
            f"{flagged[one.annotator]:,}",
            f"{_share(one.unchanged)} ({_share(one.unchanged_by_chance)})",
        ]
        for one in several
    ]
    head = ["annotator", "rankings", "of all", "seconds", "ties", "skips", "flagged", "order as shown (chance)"]
    note = "Gold items are among the rankings. Seconds: the median. Flagged: responses. Order as shown: sent untouched, A > B > C …"
    return Table("Work", head, rows, note)


def _share(value: float | None) -> str:
    return "–" if value is None else words.percent(value)


def _estimate(one: Estimate | None) -> str:
    return "–" if one is None else f"{one.value:.2f} ({one.low:.2f} to {one.high:.2f}), n {one.n:,}"
