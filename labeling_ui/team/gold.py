"""Items with a known answer: how many answered each, how many got it right."""

from __future__ import annotations

from collections import defaultdict

from alignment.agreement.quality import answered_right, qualities
from alignment.report import words
from alignment.report.agreement import gold_forest
from alignment.report.document import Section, Table, say
from labeling_ui.team.annotators import MOST_LINES, most_labels
from labeling_ui.team.material import Material

MOST_ITEMS = 200


def section(material: Material) -> Section:
    labels = [one.ranked for one in material.gold if one.ranked]
    items: dict[int, list[bool]] = defaultdict(list)
    for label in labels:
        right = answered_right(label)
        if right is not None:
            items[int(label.task)].append(right)
    if not items:
        known = "Known items are mixed in where the store has any (`--gold-share`)."
        return Section("gold", "Gold items", [say("Nobody has answered an item with a known answer yet. " + known)])
    forest = gold_forest(most_labels(qualities(labels), MOST_LINES))
    answers = [each for several in items.values() for each in several]
    lead = say(
        "**{}** of {} answers to {} were right.",
        words.percent(sum(answers) / len(answers)), f"{len(answers):,}", words.plural(len(items), "item"),
    )  # fmt: skip
    return Section("gold", "Gold items", [lead], [forest] if forest else [], [_table(items, material.prompts)])


def _table(items: dict[int, list[bool]], prompts: dict[int, str]) -> Table:
    """Lowest share first: those are the items to read again."""
    order = sorted(items, key=lambda task: (sum(items[task]) / len(items[task]), task))
    rows = [
        [
            prompts[task],
            f"{sum(items[task]):,}",
            f"{len(items[task]):,}",
            words.percent(sum(items[task]) / len(items[task])),
        ]
        for task in order[:MOST_ITEMS]
    ]
    note = "Right: every pair of the known answer is ordered so. An item that few get right may itself be wrong."
    return Table("Items", ["item", "right", "answers", "share"], rows, note)
