"""How well annotators agree, each figure with its interval and what it was counted over; who agrees with whom."""

from __future__ import annotations

from collections.abc import Mapping

from alignment.agreement.pairwise import matrix
from alignment.agreement.summary import agreement
from alignment.intervals import Estimate
from alignment.metrics import METRICS
from alignment.report import words
from alignment.report.agreement import heat_map
from alignment.report.charts import Estimate as Row
from alignment.report.charts import estimates
from alignment.report.document import Figure, Section, Table, say
from labeling_ui.team.material import Material

BEYOND_CHANCE = ("agreement/alpha_ranks", "agreement/alpha_pairs", "agreement/tau_b")
SHARES = {
    "agreement/pairwise": "two annotators",
    "agreement/pairwise_strict": "… neither of whom ties",
    "agreement/consensus": "one and the others",
}
"""With names that are short enough for a plot's row."""


def section(material: Material) -> Section:
    found = agreement(material.rankings)
    if found["agreement/pairwise"] is None:
        lead = say("Nobody has met anybody yet: agreement needs tasks that two annotators ranked (`--overlap`).")
        return Section("agreement", "Agreement", [lead])
    figures = [_beyond_chance(found), _shares(found), heat_map(matrix(material.rankings))]
    return Section(
        "agreement",
        "Agreement",
        verdict=[*_sentences(found)],
        figures=[one for one in figures if one],
        tables=[_table(found)],
    )


def _sentences(found: Mapping[str, Estimate | None]):
    pairwise, alpha = found["agreement/pairwise"], found["agreement/alpha_ranks"]
    if pairwise:
        yield say(
            "Two annotators order two responses alike in **{}** of {} meetings.",
            words.percent(pairwise.value),
            f"{pairwise.n:,}",
        )
    if alpha:
        yield say("Krippendorff's α of the ranks is **{}**; 1 is full agreement, 0 is chance.", f"{alpha.value:.3f}")


def _beyond_chance(found: Mapping[str, Estimate | None]) -> Figure | None:
    rows = _rows(found, {name: METRICS[name].label for name in BEYOND_CHANCE})
    caption = "1: all agree; 0, the dashed line: as by chance. Lines: 95 % intervals by tasks."
    return estimates("Agreement beyond chance", "agreement", rows, level=0.0, lowest=-1.0, caption=caption)


def _shares(found: Mapping[str, Estimate | None]) -> Figure | None:
    caption = (
        "Of two annotators, and of each with the majority of the others. Without ties, chance is a half, the dashed line; with ties "
        "it is less. Lines: 95 % intervals by tasks."
    )
    return estimates("Agreement as a share", "share of pairs ordered alike", _rows(found, SHARES), caption=caption)


def _rows(found: Mapping[str, Estimate | None], named: Mapping[str, str]) -> list[Row]:
    several = [(label, found[name]) for name, label in named.items()]
    return [Row(label, one.value, one.low, one.high) for label, one in several if one]


def _table(found: Mapping[str, Estimate | None]) -> Table:
    rows = [
        [METRICS[name].axis, f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}", f"{one.n:,}", f"{one.clusters:,}"]
        for name in (*BEYOND_CHANCE, *SHARES)
        if (one := found[name])
    ]
    note = (
        "n: values of α, meetings of two annotators, or pairs against the others' majority. Left out: quarantined annotators, and "
        "what reviewers adjudicated."
    )
    return Table("Figures", ["figure", "value", "95 % interval", "n", "tasks"], rows, note)
