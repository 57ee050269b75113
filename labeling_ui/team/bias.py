"""Whether the place on the screen, or the length of a response, decides; for all and for each annotator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from alignment.agreement.label import Label
from alignment.agreement.position import BAND, LeftWins, left_wins, slot_wins
from alignment.agreement.quality import Quality
from alignment.agreement.summary import lengths
from alignment.intervals import Estimate
from alignment.metrics import METRICS
from alignment.report import words
from alignment.report.agreement import left_forest, slot_bars
from alignment.report.charts import Estimate as Row
from alignment.report.charts import estimates
from alignment.report.document import Figure, Section, Table, say
from labeling_ui.team.annotators import MOST_LINES, MOST_ROWS, most_labels, of_annotators
from labeling_ui.team.material import Material

MOST_PLOTS = 12
"""Annotators with a plot of their slots: first those outside of the band, then those with most labels."""


def section(material: Material) -> Section:
    everybody = material.rankings
    several = [one for one in of_annotators(material) if one.left]
    if not several:
        lead = say("No ranking tells yet in which order its responses were shown.")
        return Section("bias", "Position and length", [lead])
    chosen = sorted(several, key=lambda one: (not _outside(one), -one.labels))
    long = lengths(everybody)
    figures = [slot_bars(slot_wins(everybody)), left_forest(chosen[:MOST_LINES]), _lengths(long)]
    figures += _slots(material, [one.annotator for one in chosen[:MOST_PLOTS]])
    return Section(
        "bias",
        "Position and length",
        verdict=[_all(left_wins(everybody)), _found(several), *_longer(long)],
        figures=[one for one in figures if one],
        tables=[_table(chosen, len(several))],
    )


def _outside(one: Quality) -> bool:
    return one.left is not None and one.left.outside


def _all(left: LeftWins | None):
    if left is None:
        return say("Nobody's place on the screen is known.")
    verdict = "more than chance gives" if left.outside else "as chance gives"
    return say(
        "The response shown earlier wins **{}** of {} pairs, {} ({} to {}).",
        words.percent(left.share), f"{left.pairs:,}", verdict, words.percent(left.low), words.percent(left.high),
    )  # fmt: skip


def _found(several: Sequence[Quality]):
    names = [one.annotator for one in several if _outside(one)]
    if not names:
        return say("No annotator lies outside of the {:.0f} % band.", 100 * BAND)
    return say("Outside of the {:.0f} % band: **{}**.", 100 * BAND, ", ".join(names))


def _longer(found: Mapping[str, Estimate | None]):
    longer = found["bias/longer_wins"]
    if longer:
        yield say("The longer response wins **{}**.", words.percent(longer.value))


def _slots(material: Material, names: Sequence[str]) -> list[Figure | None]:
    by_name: dict[str, list[Label]] = {name: [] for name in names}
    gold = [one.ranked for one in material.gold if one.ranked]
    for one in [*material.independent, *gold]:
        if one.annotator in by_name:
            by_name[one.annotator].append(one)
    return [slot_bars(slot_wins(labels), name) for name, labels in by_name.items()]


def _lengths(found: Mapping[str, Estimate | None]) -> Figure | None:
    named = {"bias/longer_wins": "all pairs", "bias/longer_wins_matched": "pairs of like length"}
    several = [(label, found[name]) for name, label in named.items()]
    rows = [Row(label, one.value, one.low, one.high) for label, one in several if one]
    caption = "Above a half is no fault by itself: longer may be better. Lines: 95 % intervals by tasks."
    return estimates("Does the longer one win?", METRICS["bias/longer_wins"].axis, rows, caption=caption)


def _table(chosen: Sequence[Quality], count: int) -> Table:
    rows = [
        [
            one.annotator,
            f"{one.left.share:.3f}",
            f"{one.left.low:.3f} to {one.left.high:.3f}",
            f"{one.left.pairs:,}",
            "outside" if one.left.outside else "within",
        ]
        for one in most_labels(chosen, MOST_ROWS)
        if one.left
    ]
    note = "The band is exact: an unbiased annotator lies outside in at most 1 of 100 looks. Gold items are among the pairs."
    if count > len(rows):
        note += f" The {len(rows)} of {count} annotators with most labels."
    return Table("Shown earlier wins", ["annotator", "share", "99 % band of chance", "pairs", "verdict"], rows, note)
