"""Plots of labels: who agrees with whom, which slot wins, how each annotator does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from alignment.agreement.pairwise import Matrix
from alignment.agreement.position import SlotWins
from alignment.agreement.quality import GOLD_FLOOR, Quality
from alignment.metrics import METRICS
from alignment.report import charts, words
from alignment.report.charts import Estimate
from alignment.report.document import Figure
from alignment.report.plots import GRID, INK, MUTED, PAPER, SERIES, SIZE, plot

MOST = 10
"""Annotators that fit in the heat map with a number in each cell: of more, those who met most are shown."""

DEEPEST = 0.5
"""Opacity of a cell of agreement 1 or 0, so that the number in it stays legible on light and on dark paper; ½ is clear."""

NAME = 12
"""Letters of an annotator's name beside a map; the text alternative has all of it."""


def heat_map(matrix: Matrix) -> Figure | None:
    """Pairwise agreement of every two annotators, the number in each cell; None where no two met."""
    if not len(matrix.annotators):
        return None
    shown = sorted(numpy.argsort(-matrix.meetings.sum(axis=1), kind="stable")[:MOST].tolist())
    names = [matrix.annotators[row] for row in shown]
    size = len(names)
    with plot("", METRICS["agreement/pairwise"].axis, size=(SIZE[0], 1.1 + 0.34 * size)) as p:
        for row, one in enumerate(shown):
            for column, other in enumerate(shown):
                _cell(p.axes, row, column, float(matrix.agreement[one, other]), small=size > 7)
        p.axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
        short = [name if len(name) <= NAME else name[: NAME - 1] + "…" for name in names]
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if max(map(len, short)) * size > 36 else {}
        p.axes.set_xticks(range(size), short, **turned)
        p.axes.set_yticks(range(size), short)
        p.axes.grid(False)
        p.axes.spines["bottom"].set_visible(False)
        p.axes.tick_params(length=0)
    caption = (
        "Share of pairs that both compared and ordered alike; a tie agrees with a tie alone. Deeper: further from a "
        "half, blue above, brown below. Empty: they never met."
    )
    if size < len(matrix.annotators):
        caption += f" The {size} of {len(matrix.annotators)} annotators who met most."
    return Figure("Who agrees with whom", p.svg, f"Pairwise agreement: {_told(matrix, shown)}.", caption)


def slot_bars(found: SlotWins | None, who: str = "") -> Figure | None:
    """P(win | slot) as bars from the half, with the 99 % band of chance behind each. who: whose labels, for the title."""
    if found is None:
        return None
    slots = [slot for slot, pairs in enumerate(found.pairs) if pairs]
    shares = [float(found.share[slot]) for slot in slots]
    with plot("slot, in the order shown", METRICS["bias/slot_wins"].axis) as p:
        for place, slot in enumerate(slots):
            half = float(found.band[slot])
            p.axes.add_patch(
                Rectangle((place - 0.42, 0.5 - half), 0.84, 2 * half, color=MUTED, alpha=0.25, linewidth=0)
            )
            outside = abs(found.share[slot] - 0.5) > half
            color, hatch = (SERIES[1], "//") if outside else (SERIES[0], "")
            p.axes.bar(place, shares[place] - 0.5, 0.5, 0.5, color=color, hatch=hatch, edgecolor=PAPER, linewidth=0)
        p.axes.axhline(0.5, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        reach = 1.15 * max(0.1, *(abs(share - 0.5) for share in shares), *(float(found.band[slot]) for slot in slots))
        p.axes.set(xlim=(-0.6, len(slots) - 0.4), ylim=(max(0.5 - reach, -0.02), min(0.5 + reach, 1.02)))
        p.axes.set_xticks(range(len(slots)), ["ABCDEFGHI"[slot] if slot < 9 else str(slot + 1) for slot in slots])
        p.axes.yaxis.set_major_locator(MaxNLocator(5))
    told = "; ".join(
        f"slot {slot + 1} {found.share[slot]:.3f} of {found.pairs[slot]:,.0f}, by chance {0.5 - found.band[slot]:.3f} to "
        f"{0.5 + found.band[slot]:.3f}"
        for slot in slots
    )
    verdict = "more than chance gives" if found.p < 0.01 else "within chance"
    caption = (
        f"Grey: where a slot lies in 99 of 100 cases if its place sways nobody; hatched: outside of it. All slots together: {verdict} "
        f"(χ² {words.number(found.chi_square)}, {words.plural(found.df, 'degree')} of freedom, p {_p(found.p)})."
    )
    title = "Which slot wins" + (f": {who}" if who else "")
    return Figure(title, p.svg, f"Share of strict pairs won: {told}.", caption)


def consensus_forest(several: Sequence[Quality]) -> Figure | None:
    """Each annotator's agreement with the majority of the others, lowest first, with its 95 % interval."""
    rows = [
        Estimate(f"{one.annotator} ({one.labels})", one.consensus.value, one.consensus.low, one.consensus.high)
        for one in several
        if one.consensus
    ]  # fmt: skip
    caption = "Share of pairs ordered as the majority of the other annotators; a tie counts half. In brackets: labels. Intervals by tasks."
    return charts.estimates(
        "Against the others", METRICS["agreement/consensus"].axis, _lowest_first(rows), caption=caption
    )


def gold_forest(several: Sequence[Quality]) -> Figure | None:
    """Each annotator's accuracy on gold items, lowest first, with its exact 95 % interval."""
    rows = [
        Estimate(f"{one.annotator} ({one.gold.n})", one.gold.value, one.gold.low, one.gold.high)
        for one in several
        if one.gold
    ]
    caption = (
        f"Set aside: whose whole interval lies below {GOLD_FLOOR:.2f}, the dashed line. In brackets: items. Intervals are "
        "exact (Clopper–Pearson)."
    )
    axis = METRICS["annotator/gold"].axis
    return charts.estimates("Gold items", axis, _lowest_first(rows), level=GOLD_FLOOR, caption=caption)


def left_forest(several: Sequence[Quality]) -> Figure | None:
    """How often the response shown earlier wins, most first, with each annotator's 99 % band of chance."""
    rows = [one for one in several if one.left]
    if not rows:
        return None
    rows.sort(key=lambda one: -one.left.share if one.left else 0)
    with plot(METRICS["bias/left_wins"].axis, "", size=(SIZE[0], 0.85 + 0.34 * len(rows))) as p:
        for row, one in enumerate(rows):
            left = one.left
            assert left is not None
            band = Rectangle((left.low, row - 0.3), left.high - left.low, 0.6, color=MUTED, alpha=0.25, linewidth=0)
            p.axes.add_patch(band)
            p.axes.plot([left.share], [row], "D" if left.outside else "o", color=SERIES[left.outside], markersize=7)
        p.axes.axvline(0.5, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        p.axes.set(xlim=(-0.02, 1.02), ylim=(len(rows) - 0.5, -0.5))
        short = [one.annotator if len(one.annotator) <= NAME else one.annotator[: NAME - 1] + "…" for one in rows]
        p.axes.set_yticks(range(len(rows)), short)
        p.axes.grid(False)
    told = "; ".join(
        f"{one.annotator} {one.left.share:.3f} of {words.plural(one.left.pairs, 'pair')}, by chance {one.left.low:.3f} to "
        f"{one.left.high:.3f}"
        for one in rows
        if one.left
    )
    caption = "Grey: where 99 of 100 unbiased annotators with as many pairs lie (exact); diamond: outside of it."
    return Figure("Does the left side win?", p.svg, f"Response shown earlier wins: {told}.", caption)


def _cell(axes, row: int, column: int, share: float, small: bool) -> None:
    if numpy.isnan(share):
        return
    color, alpha = SERIES[int(share < 0.5)], DEEPEST * abs(2 * share - 1)
    axes.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, facecolor=color, alpha=alpha, linewidth=0))
    axes.add_patch(Rectangle((column - 0.47, row - 0.47), 0.94, 0.94, fill=False, edgecolor=GRID, linewidth=0.7))
    text = f"{share:.2f}".replace("0.", ".") if share < 1 else "1"
    axes.text(column, row, text, ha="center", va="center", color=INK, fontsize=8.5 if small else 9.6)


def _told(matrix: Matrix, shown: list[int]) -> str:
    cells = [
        f"{matrix.annotators[one]} and {matrix.annotators[other]} {matrix.agreement[one, other]:.3f} of "
        f"{words.plural(int(matrix.meetings[one, other]), 'meeting')}"
        for number, one in enumerate(shown)
        for other in shown[number + 1 :]
        if matrix.meetings[one, other]
    ]
    return "; ".join(cells)


def _lowest_first(rows: list[Estimate]) -> list[Estimate]:
    return sorted(rows, key=lambda row: row.value)


def _p(p: float) -> str:
    return "below .001" if p < 0.001 else f"{p:.3f}".replace("0.", ".")
