"""What new rankings changed, in words and pictures, from figures written by hand.

Mutations seen to fail:
- older and newer exchanged; "better" where the interval reaches 0; gone rankings not told -> test_the_verdict
- nothing said where no new pair is unseen by both -> test_the_verdict_without_a_test
- older margins over newer; a turned pair drawn as one that is as before -> test_figures
- a simulated annotator not called so; the responses exchanged; texts as markup -> test_the_most_changed, test_its_own_page
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from alignment.report import changes
from alignment.report.write import write_report

HOSTILE = "<script>alert(1)</script>"


def about(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def part(**other: Any) -> dict[str, Any]:
    return {
        "n_rankings": 40, "n_annotators": 2, "n_simulated_annotators": 1, "n_pairs": 1234, "n_units": 39,
        "accuracy_old": about(0.6, 0.5, 0.7), "accuracy_new": about(0.75, 0.7, 0.8), "accuracy_change": about(0.15, 0.01, 0.3),
        "p": 0.0312, "margin_change": about(0.5, -0.25, 1), "towards": about(0.2, 0.1, 0.3), "away": about(0.05, 0, 0.1),
        "n_responses": 77, "scores_spearman": 0.5, "length_spearman_old": None, "length_spearman_new": -0.25,
        "unseen": None, **other,
    }  # fmt: skip


UNSEEN = part(n_rankings=4, n_pairs=12, accuracy_change=about(0.1, 0.0, 0.2))
PAIR = {
    "prompt": HOSTILE, "chosen": "a red kite", "rejected": "a red boat", "annotator": "simulated:my.py:score", "part": "new",
    "unseen": True, "margin_old": -0.5, "margin_new": 1.25, "turned": 1,
}  # fmt: skip
CHANGE = {
    "old": {"model": "rm-1", "rankings": ["store:labels.db@01234567"]},
    "new": {"model": "rm-2", "rankings": ["store:labels.db@89abcdef"]},
    "n_new": 40, "n_shared": 1000, "n_gone": 3, "n_annotators": 2, "n_simulated_annotators": 1,
    "parts": {"new": part(unseen=UNSEEN), "shared": part(accuracy_change=about(-0.1, -0.2, -0.05)), "held_out": None},
    "points": {"new": [[-1, 2], [1, 2], [1, -1.5], [0, 1]]},
    "most_changed": [PAIR],
}  # fmt: skip


def changed(**other: Any) -> dict[str, Any]:
    return {**copy.deepcopy(CHANGE), **other}


def test_the_verdict():
    assert [str(one.striptags()) for one in changes.verdict(CHANGE)] == [
        "rm-2 was given 40 rankings that rm-1 was not, by 2 annotators and 1 simulated annotator; 1,000 both were given; "
        "3 that rm-1 had are gone.",
        "Of 1,234 pairs of the new rankings, rm-2 orders 75.0 % as the labels say and rm-1 60.0 %: +15.0 [+1.0 to +30.0] "
        "points, better.",
        "20.0 % turned towards the label, 5.0 % away from it.",
        "Of 12 pairs of the 4 of them whose prompts trained neither (only these are a test), rm-2 orders 75.0 % as the "
        "labels say and rm-1 60.0 %: +10.0 [+0.0 to +20.0] points, no clear change.",
        "Of 1,234 pairs of the shared rankings, rm-2 orders 75.0 % as the labels say and rm-1 60.0 %: −10.0 [−20.0 to −5.0] "
        "points, worse.",
    ]


def test_the_verdict_without_a_test():
    alone = changed(parts={"new": part()}, n_gone=0, n_annotators=0, n_simulated_annotators=0, old={"model": "rm-2"})
    told = [str(one.striptags()) for one in changes.verdict(alone)]
    assert told[0] == (
        "rm-2 (newer) was given 40 rankings that rm-2 (older) was not, by annotators whom they do not name; 1,000 both were given."
    )
    assert told[-1] == "The prompts of all of them trained a model, so nothing here is a test on other prompts."


def test_figures():
    accuracy, margins = changes.figures(CHANGE)
    assert "new rankings 0.750 (95 % interval 0.700 to 0.800), older 0.600" in accuracy.alt
    assert margins.title == "Margins, new rankings"
    assert margins.alt == (
        "Margins of 4 of 1,234 pairs, drawn at random, newer over older. the order is as before: 1; turned towards the label: "
        "2; turned away from the label: 1."
    )
    assert margins.svg.count("<use") >= 4


@pytest.mark.parametrize("place", [0, 1])
def test_margins_lie_older_along_and_newer_up(place, monkeypatch):
    """One pair, far along one axis alone: it is drawn near that axis's end."""
    drawn = {}
    monkeypatch.setattr(
        "matplotlib.axes.Axes.plot", lambda self, x, y, *a, **k: drawn.setdefault(k.get("label"), (x, y))
    )
    point = [0.1, 0.1]
    point[place] = 3
    changes.margins([point], "new", 1)
    assert drawn["the order is as before"] == ([point[0]], [point[1]])


def test_tables():
    right, turned, scores = changes.tables(CHANGE)
    names = ["new rankings", "new, unseen by both", "shared rankings"]
    assert [row[0] for row in right.rows] == [row[0] for row in turned.rows] == [row[0] for row in scores.rows] == names
    assert right.rows[0][1:] == ["40", "1,234", "39", "60.0 %", "75.0 %", "+15.0 [+1.0 to +30.0]", "0.031"]
    assert turned.rows[0][1:] == ["20.0 % [10.0 % to 30.0 %]", "5.0 % [0.0 % to 10.0 %]", "+0.50 [−0.25 to +1.00]"]
    assert scores.rows[0][1:] == ["77", "0.500", "–", "−0.250"]
    assert all(len(row) == len(table.head) for table in (right, turned, scores) for row in table.rows)


def test_the_most_changed():
    (exchange,) = changes.most_changed(CHANGE).exchanges
    preferred, other = exchange.answers
    assert preferred.who == "preferred by the simulated annotator (my.py:score)"
    assert preferred.note == "margin −0.50 → +1.25: turned towards the label"
    assert ("new", "kite") in preferred.pieces
    assert (other.who, "".join(text for _, text in other.pieces)) == ("not preferred", "a red boat")
    (named,) = changes.most_changed(changed(most_changed=[{**PAIR, "annotator": "zoe"}])).exchanges
    assert named.answers[0].who == "preferred by zoe"


def test_its_own_page(tmp_path):
    (tmp_path / "changes.json").write_text(json.dumps(CHANGE))
    (tmp_path / "run.json").write_text(json.dumps({"command": "reward changes"}))
    page = write_report(tmp_path).read_text()
    assert "What new rankings changed in the reward model" in page
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Glossary" not in page
