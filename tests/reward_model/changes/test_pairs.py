"""What changed on pairs whose scores are known, worked by hand.

Two prompts. The ranking of p prefers "a" to "bb" and "ccc"; the models score them 1, 2, 0 and 3, 2, 3, so the margins go
from −1 to 1 (turned towards the label) and from 1 to 0 (away). The ranking of q prefers "e" to "dd": 0 over 1, then 5 over 2, the
margin goes from −1 to 3 (towards).

Right before: 0, 1, 0; after: 1, ½, 1. A resample of the two prompts is p p, p q or q q with probability ¼, ½, ¼, so the
95 % interval goes from p's own value to q's.

Mutations seen to fail:
- pairs resampled in place of prompts; equal scores as 1 in place of ½; ties of the label as pairs -> test_figures_by_hand
- a response counted once for each of its rankings; Pearson in place of Spearman -> test_figures_by_hand
- turned from or to equal scores not counted -> test_figures_by_hand
- `unseen` of all -> test_parts
- the least changed first; several of a prompt; texts not cut -> test_the_most_changed
- all points kept; the first in place of random ones -> test_points
"""

from __future__ import annotations

import math

import pytest

from alignment.records import Ranking, Response
from alignment.winrates import turned
from reward_model.changes.pairs import LONGEST, POINTS, Scored, by_part, figures, most_changed, people, points


def ranking(prompt: str, texts: list[str], ranks: tuple[int, ...], annotator: str | None = "ann") -> Ranking:
    return Ranking(prompt, prompt, tuple(map(Response, texts)), ranks, annotator)


def scored(one: Ranking, old: list[float], new: list[float], unit: int, part="new", unseen=False) -> Scored:
    return Scored(one, old, new, part, unit, unseen)


P = scored(ranking("p", ["a", "bb", "ccc"], (1, 2, 2)), [1, 2, 0], [3, 2, 3], 0)
Q = scored(ranking("q", ["dd", "e"], (2, 1), "simulated:score"), [1, 0], [2, 5], 1)


def about(value: float, low: float, high: float):
    return {"value": pytest.approx(value), "low": pytest.approx(low), "high": pytest.approx(high)}


def test_figures_by_hand():
    again = scored(ranking("p", ["a", "bb"], (1, 1), "bob"), [1, 2], [3, 2], 0)
    found = figures([P, Q, again])
    assert found == {
        "n_rankings": 3,
        "n_annotators": 2,
        "n_simulated_annotators": 1,
        "n_pairs": 3,
        "n_units": 2,
        "accuracy_old": about(1 / 3, 0, 1 / 2),
        "accuracy_new": about(2.5 / 3, 0.75, 1),
        "accuracy_change": about(1.5 / 3, 0.25, 1),
        "p": pytest.approx(math.erfc(math.sqrt((0.5 + 1) ** 2 / (0.5**2 + 1**2) / 2))),
        "margin_change": about((2 - 1 + 4) / 3, 1 / 2, 4),
        "towards": about(2 / 3, 1 / 2, 1),
        "away": about(1 / 3, 0, 1 / 2),
        "n_responses": 5,
        # ranks: old 3½ 5 1½ 3½ 1½, new 3½ 1½ 3½ 1½ 5, length 1½ 3½ 5 3½ 1½; Σ of squares 9 each
        "scores_spearman": pytest.approx(-7.25 / 9),
        "length_spearman_old": pytest.approx(-0.25 / 9),
        "length_spearman_new": pytest.approx(-4.25 / 9),
    }
    assert figures([again]) is None


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [(-1, 2, 1), (1, -2, -1), (1, 3, 0), (-1, -3, 0), (0, 1, 1), (0, -1, -1), (1, 0, -1), (-1, 0, 1), (0, 0, 0)],
)
def test_turned(before, after, expected):
    assert turned(before, after) == expected


def test_parts():
    shared = scored(Q.ranking, [1, 0], [0, 1], 1, "shared", unseen=True)
    tied = scored(ranking("r", ["a", "b"], (1, 1)), [0, 1], [0, 1], 2, "held_out")
    found = by_part([P, Q, shared, tied])
    assert found["new"] == {**figures([P, Q]), "unseen": None}
    assert found["shared"] == {**figures([shared]), "unseen": figures([shared])}
    assert found["held_out"] is None
    assert "held_out" not in by_part([P])


def test_people():
    found = [ranking("p", ["a", "b"], (1, 2), name) for name in ("ann", "bob", "ann", None, "simulated:m:f")]
    assert people(found) == {"n_annotators": 2, "n_simulated_annotators": 1}


def test_the_most_changed():
    long = scored(ranking("r", ["x" * (LONGEST + 1), "y"], (1, 2)), [0, 0], [0.5, 0], 2, "shared", unseen=True)
    first, second, third = most_changed([P, long, Q], 20)
    assert first == {
        "prompt": "q", "chosen": "e", "rejected": "dd", "annotator": "simulated:score", "part": "new", "unseen": False,
        "margin_old": -1, "margin_new": 3, "turned": 1,
    }  # fmt: skip
    assert (second["chosen"], second["rejected"], second["margin_new"]) == ("a", "bb", 1)
    assert third["chosen"] == "x" * (LONGEST - 1) + "…"
    assert third["unseen"]
    assert most_changed([P, long, Q], 1) == [first]
    assert most_changed([P, long, Q], 0) == []


def test_points():
    assert points([P, Q]) == {"new": [[-1, 1], [1, 0], [-1, 3]]}
    many = [
        scored(ranking(f"{n}", ["a", "b"], (1, 2)), [n, 0], [n + 0.00001, 0], n, "shared") for n in range(3 * POINTS)
    ]
    kept = points(many)["shared"]
    assert len(kept) == POINTS
    assert all(old == new for old, new in kept)
    assert sum(old < POINTS for old, _ in kept) == pytest.approx(POINTS / 3, abs=40)
    assert points(many) == points(many)
    assert points(many, seed=1) != points(many)
