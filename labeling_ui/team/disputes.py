"""Tasks whose answers differ most, for a reviewer to rank; and tasks on which the better annotators do worse."""

from __future__ import annotations

from typing import Any

from alignment.agreement.consensus import discrimination
from alignment.agreement.pairwise import to_adjudicate
from alignment.report.document import Section, Table, say
from labeling_ui.team.material import Material
from labeling_ui.team.pictures import plain_section

MOST = 200
MOST_ODD = 10


def section(material: Material) -> dict[str, Any]:
    """With `disputes`: [{task, share, meetings, annotators, prompt}], most disputed first, without those that are settled.
    The server takes out what the reviewer labelled, and names (`routes.py`)."""
    found = to_adjudicate(material.rankings)
    settled = {one.task for one in material.given if one.adjudicates}
    open_ones = [one for one in found if int(one.task) not in settled]
    lead = say(
        "**{}** of {} tasks on which annotators disagree are adjudicated.",
        f"{len(found) - len(open_ones):,}",
        f"{len(found):,}",
    )
    shown = plain_section(Section("disputes", "Disagreements", [lead], tables=_odd(material)))
    rows = [
        {"task": int(one.task), "share": one.share, "meetings": one.meetings, "annotators": one.annotators,
         "prompt": material.prompts[int(one.task)]}
        for one in open_ones[:MOST]
    ]  # fmt: skip
    return {**shown, "disputes": rows}


def _odd(material: Material) -> list[Table]:
    odd = [one for one in discrimination(material.rankings, lambda label: label.task) if one.r < 0]
    if not odd:
        return []
    rows = [[material.prompts[int(one.key)], f"{one.r:.2f}", f"{one.labels:,}"] for one in odd[:MOST_ODD]]
    note = (
        "Who agrees with the others elsewhere disagrees here: the majority may be wrong, or the guideline unclear. Of few annotators it "
        "is a reason to read the task, no proof."
    )
    return [Table("Where the better annotators do worse", ["task", "r", "annotators"], rows, note)]
