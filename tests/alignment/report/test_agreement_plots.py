"""Plots of labels say in words what they show.

Mutations seen to fail (alignment/report/agreement.py):
- annotators cut off by name in place of by meetings -> test_heat_map
- a slot hatched inside of its band -> test_slot_bars
- highest first -> test_forests
"""

from __future__ import annotations

import numpy
from labels import label, simulated

from alignment.agreement.pairwise import matrix
from alignment.agreement.position import slot_wins
from alignment.agreement.quality import qualities
from alignment.report import agreement


def test_heat_map():
    labels = [
        label("ann", "t", (1, 2, 3)),
        label("bob", "t", (1, 3, 2)),
        label("<eve>", "u", (1, 2)),
        label("ann", "u", (2, 1)),
    ]
    figure = agreement.heat_map(matrix(labels))
    assert figure.alt == "Pairwise agreement: <eve> and ann 0.000 of 1 meeting; ann and bob 0.667 of 3 meetings."
    assert figure.svg.count(">.67<") == 2
    assert "<eve>" not in figure.svg
    assert agreement.heat_map(matrix(labels[:1])) is None
    few = [label("0 rare", "t0", (1, 2, 3, 4))]
    many = agreement.heat_map(matrix(few + simulated(numpy.random.default_rng(0), 3, annotators=10)))
    assert "The 10 of 11 annotators who met most." in many.caption
    assert "rare" not in many.alt


def test_slot_bars():
    labels = [label("x", f"{n}", (1, 2), slots=(0, 1) if n < 40 else (1, 0)) for n in range(50)]
    figure = agreement.slot_bars(slot_wins(labels), "x")
    assert figure.title == "Which slot wins: x"
    assert "slot 1 0.800 of 50, by chance 0.318 to 0.682; slot 2 0.200 of 50" in figure.alt
    assert "more than chance gives (χ² 18.0, 1 degree of freedom, p below .001)" in figure.caption
    assert "pattern" in figure.svg  # hatched
    honest = agreement.slot_bars(slot_wins(labels[:30] + labels[40:] * 2))
    assert "within chance" in honest.caption
    assert "pattern" not in honest.svg
    assert agreement.slot_bars(None) is None


def test_forests():
    gold = [label(name, f"g{n}", (1, 2) if n < right else (2, 1), expected=(1, 2), slots=(0, 1))
            for name, right in (("ann", 19), ("bob", 6), ("cat", 18)) for n in range(20)]  # fmt: skip
    several = qualities(gold)
    figure = agreement.gold_forest(several)
    assert [figure.alt.index(name) for name in ("bob", "cat", "ann")] == sorted(
        map(figure.alt.index, ("ann", "bob", "cat"))
    )
    assert "bob (20) 0.300 (95 % interval 0.119 to 0.543)" in figure.alt
    assert "0.75, the dashed line" in figure.caption
    assert figure.alt.startswith("gold items right (share): ")
    against = agreement.consensus_forest(several)
    assert against.alt.index("bob") < against.alt.index("ann")
    left = agreement.left_forest(several)
    assert left.alt.index("ann 0.950 of 20 pairs, by chance 0.200 to 0.800") < left.alt.index("bob 0.300")
    nothing = qualities([label("ann", "t", (1, 2))])
    assert (
        agreement.gold_forest(nothing) is agreement.consensus_forest(nothing) is agreement.left_forest(nothing) is None
    )
