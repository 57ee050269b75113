"""Plots of the work: labels by day, time per label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy
from matplotlib.ticker import MaxNLocator

from alignment.report import charts, words
from alignment.report.document import Figure
from alignment.report.plots import PAPER, SERIES, plot

HATCHES = ("", "///", "...", "xx")
"""So that kinds can be told apart without their colours."""

EPOCH = date(1970, 1, 1)

MOST_DAYS = 60

SLOWEST = 0.98
"""The share of times that is drawn: who goes for lunch over a task would leave no room for the others."""


def labels_by_day(days: Mapping[tuple[int, str], int], kinds: Sequence[str]) -> Figure | None:
    """Labels that were given on each day (UTC), by kind of task. days: (days since 1970, kind) → labels."""
    if not days:
        return None
    last = max(day for day, _ in days)
    first = max(min(day for day, _ in days), last - MOST_DAYS + 1)
    every = range(first, last + 1)
    drawn = [kind for kind in kinds if any(days.get((day, kind)) for day in every)]
    with plot("day (UTC)", "labels") as p:
        bottom = numpy.zeros(len(every))
        for number, kind in enumerate(drawn):
            counts = numpy.array([days.get((day, kind), 0) for day in every])
            style = {"color": SERIES[number], "hatch": HATCHES[number], "edgecolor": PAPER, "linewidth": 0}
            p.axes.bar(every, counts, 0.72, bottom=bottom, label=kind if len(drawn) > 1 else None, **style)
            bottom += counts
        p.axes.set_xlim(first - max(0.6, (6 - len(every)) / 2), last + max(0.6, (6 - len(every)) / 2))
        step = max(1, -(-len(every) // 5))
        ticks = list(every)[::-step][::-1]
        p.axes.set_xticks(ticks, [f"{_date(day):%-d %b}" for day in ticks])
        p.axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    told = "; ".join(
        f"{_date(day):%Y-%m-%d} " + ", ".join(f"{days[day, kind]:,} {kind}" for kind in drawn if days.get((day, kind)))
        for day in every
        if any(days.get((day, kind)) for kind in drawn)
    )
    caption = f"Of the last {MOST_DAYS} days." if min(day for day, _ in days) < first else ""
    return Figure("Labels by day", p.svg, f"Labels by day: {told}.", caption)


def time_per_label(seconds: Mapping[str, Sequence[float]]) -> Figure | None:
    """How long answers took. seconds: kind of task → seconds of each; the two most frequent kinds are drawn."""
    several = sorted(((kind, values) for kind, values in seconds.items() if values), key=lambda one: -len(one[1]))[:2]
    if not several:
        return None
    longest = float(numpy.quantile(numpy.concatenate([values for _, values in several]), SLOWEST))
    shown = [(kind, [one for one in values if one <= longest]) for kind, values in several]
    caption = f"The slowest {words.percent(1 - SLOWEST)}, above {words.number(longest)} seconds, are left out."
    return charts.histogram("Time per label", "seconds", shown, caption=caption)


def _date(day: int) -> date:
    return EPOCH + timedelta(days=day)
