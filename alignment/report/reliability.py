"""How often a reward model is right when it is so sure: the reliability diagram, with counts and binomial intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy

from alignment.calibration import BINS, Bin, binned, expected_error, stated_and_right
from alignment.report import words
from alignment.report.document import Figure
from alignment.report.plots import MUTED, SERIES, SIZE, plot

Z = 1.959963984540054
"""The 97.5 % point of the normal distribution: intervals of 95 %."""


def reliability(records: Iterable[dict[str, Any]], sd: float, bins: int = BINS) -> list[Bin]:
    """Pairs of `held_out.jsonl`, by the probability p = σ(sd · |s_i − s_j|) ≥ ½ that the higher score is the better one.

    Bins of equal width over ½ … 1; empty ones are left out. sd: `score_sd_before`, what the scores were divided by."""
    stated, right = pairs(records, sd)
    return binned(stated, right, bins) if len(stated) else []


def pairs(records: Iterable[dict[str, Any]], sd: float) -> tuple[numpy.ndarray, numpy.ndarray]:
    """(stated probability, right) of every strict pair; right is 1 where the annotators agree, ½ for equal scores."""
    gaps = [
        sd * (record["scores"][i] - record["scores"][j])
        for record in records
        for i, better in enumerate(record["ranks"])
        for j, worse in enumerate(record["ranks"])
        if better is not None and worse is not None and better < worse
    ]
    return stated_and_right(numpy.array(gaps, dtype=float))


def wilson(right: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of independent trials: (p + z²/2n ± z √(p(1−p)/n + z²/4n²)) / (1 + z²/n).

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference"."""
    share = right / count
    middle = share + Z * Z / (2 * count)
    half = Z * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count))
    scale = 1 + Z * Z / count
    return max((middle - half) / scale, 0.0), min((middle + half) / scale, 1.0)


def diagram(bins: list[Bin]) -> Figure | None:
    """Share right over stated probability, the counts below."""
    if not bins:
        return None
    x, y = "stated probability of being right", "share of pairs ordered right"
    with plot(x, y, rows=2, size=(SIZE[0], SIZE[1] + 0.5), height_ratios=[3, 1]) as p:
        top, bottom = p.axes
        top.plot([0.5, 1], [0.5, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)), label="as sure as right")
        for one in bins:
            low, high = wilson(one.right, one.count)
            top.plot([one.stated, one.stated], [low, high], color=SERIES[0], linewidth=2)
        top.plot([one.stated for one in bins], [one.share for one in bins], "o", color=SERIES[0], markersize=6)
        lowest = min(wilson(one.right, one.count)[0] for one in bins)
        top.set(xlim=(0.49, 1.01), ylim=(min(0.45, lowest - 0.03), 1.03))
        bottom.bar([one.stated for one in bins], [one.count for one in bins], width=0.026, color=SERIES[0], alpha=0.5)
        bottom.set_title("pairs", loc="left", color=MUTED)
        bottom.yaxis.get_major_locator().set_params(integer=True, nbins=3)
    told = "; ".join(
        "stated {:.2f}, right {:.2f} [{:.2f}, {:.2f}] of {:,}".format(
            one.stated, one.share, *wilson(one.right, one.count), one.count
        )
        for one in bins
    )
    caption = (
        f"Points on the dashed line: right as often as stated. Whiskers are 95 % binomial (Wilson) intervals; pairs of one "
        f"prompt are not independent, so they are a little too short. Expected calibration error {words.number(expected_error(bins))}."
    )
    return Figure("How sure, how often right", p.svg, f"{y} by {x}: {told}.", caption)
