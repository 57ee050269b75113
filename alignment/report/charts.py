"""The kinds of figures that reports show: curves, intervals, histograms. Each says in its `alt` what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy
from matplotlib.ticker import FuncFormatter, MaxNLocator

from alignment.report import words
from alignment.report.document import Figure
from alignment.report.plots import DASHES, GRID, INK, MUTED, PAPER, SERIES, SIZE, plot

LINE = 46
"""Letters that fit over a row of estimates: a longer name is cut there; the text alternative has all of it."""

Values = Sequence[float] | numpy.ndarray

POINTS = 300
"""A curve with more points than this is drawn through the means of as many blocks."""


@dataclass(frozen=True)
class Curve:
    """A line. dots: few points, drawn as such."""

    label: str
    xs: Sequence[float]
    ys: Sequence[float]
    dots: bool = False


@dataclass(frozen=True)
class Mark:
    """A level that a curve is read against; where it lies outside of what is drawn it is left out."""

    y: float
    label: str


@dataclass(frozen=True)
class Estimate:
    """A share with its interval (none: low = high = None); beside it other shares on the same line, name → share."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None
    beside: tuple[tuple[str, float], ...] = ()


def curves(
    title: str,
    y: str,
    several: Iterable[Curve],
    *,
    x: str = "step",
    marks: Sequence[Mark] = (),
    kept: float | None = None,
    smooth: bool = False,
    caption: str = "",
) -> Figure | None:
    """Lines over steps; None where there is nothing to draw. kept: the step whose policy was kept, marked by a ring.

    smooth: each line also as a running mean over a twentieth of it, the points themselves faint."""
    drawn = [curve for curve in several if len(curve.xs)]
    if not drawn:
        return None
    with plot(x, y) as p:
        for number, curve in enumerate(drawn):
            _line(p.axes, curve, number, smooth, alone=len(drawn) == 1)
            if kept is not None and kept in curve.xs:
                ring = {"markersize": 8, "markerfacecolor": PAPER, "markeredgecolor": INK, "zorder": 5}
                p.axes.plot([kept], [curve.ys[list(curve.xs).index(kept)]], "o", **ring)
        p.axes.yaxis.set_major_locator(MaxNLocator(5))
        for mark in marks:
            _level(p.axes, mark)
        p.axes.margins(x=0.03, y=0.12)
        p.axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        p.axes.yaxis.set_major_formatter(FuncFormatter(tick))
    said = "; ".join(_told(curve, x) for curve in drawn)
    levels = "".join(f"; {mark.label} is {words.number(mark.y)}" for mark in marks)
    kept_said = f"; the policy kept is that of {x} {words.number(kept)}" if kept is not None else ""
    return Figure(title, p.svg, f"{y} over {x}: {said}{levels}{kept_said}.", caption)


def estimates(
    title: str, x: str, rows: Sequence[Estimate], *, level: float | None = 0.5, lowest: float = 0.0, caption: str = ""
) -> Figure | None:
    """Shares with their intervals, one a line, the name above each; level: a dashed line there, by default where a coin
    would be. lowest: the least that such a figure can be; a correlation's is −1."""
    if not rows:
        return None
    with plot(x, "", size=(SIZE[0], 0.85 + 0.56 * len(rows))) as p:
        axes = p.axes
        low, high = _range(rows, level, lowest)
        axes.set(xlim=(low, high), ylim=(len(rows) - 0.45, -0.75), yticks=[])
        if level is not None:
            axes.axvline(level, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        for row, one in enumerate(rows):
            _estimate(axes, row, one, low, high)
        for number, (name, _) in enumerate(rows[0].beside):
            axes.plot([], [], "D^"[number % 2], color=SERIES[number + 1], label=name, linestyle="none", markersize=6)
    return Figure(title, p.svg, f"{x}: " + "; ".join(map(_estimate_told, rows)) + ".", caption)


def histogram(
    title: str, x: str, several: Sequence[tuple[str, Sequence[float]]], *, caption: str = ""
) -> Figure | None:
    """How often each value occurs, for one or two sides, as outlines over each other."""
    several = [(label, values) for label, values in several if len(values)]
    if not several:
        return None
    every = numpy.concatenate([numpy.asarray(values, dtype=float) for _, values in several])
    edges = _edges(every)
    with plot(x, "answers") as p:
        for number, (label, values) in enumerate(several):
            counts, _ = numpy.histogram(values, edges)
            name = label if len(several) > 1 else None
            style = {"color": SERIES[number], "linestyle": DASHES[number], "linewidth": 1.8, "label": name}
            p.axes.stairs(counts, edges, baseline=0, **style)
            p.axes.stairs(counts, edges, fill=True, color=SERIES[number], alpha=0.14, linewidth=0)
        p.axes.margins(x=0.02)
        p.axes.yaxis.get_major_locator().set_params(integer=True)
    told = "; ".join(
        f"{label}: mean {words.number(float(numpy.mean(values)))}, middle half {words.number(float(numpy.quantile(values, 0.25)))} "
        f"to {words.number(float(numpy.quantile(values, 0.75)))}"
        for label, values in several
    )
    return Figure(title, p.svg, f"Distribution of {x} over answers: {told}.", caption)


def thinned(xs: Values, ys: Values, points: int = POINTS) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The same where there are few points, else the means of equal blocks."""
    x, y = numpy.asarray(xs, dtype=float), numpy.asarray(ys, dtype=float)
    if len(x) <= points:
        return x, y
    blocks = numpy.array_split(numpy.arange(len(x)), points)
    return numpy.array([x[block].mean() for block in blocks]), numpy.array([y[block].mean() for block in blocks])


def running_mean(ys: Sequence[float], width: int) -> numpy.ndarray:
    """Mean over the last `width` values (fewer at the start), as long as ys."""
    y = numpy.asarray(ys, dtype=float)
    total = numpy.concatenate([[0.0], numpy.cumsum(y)])
    ends = numpy.arange(1, len(y) + 1)
    starts = numpy.maximum(ends - width, 0)
    return (total[ends] - total[starts]) / (ends - starts)


def tick(value: float, _: int = 0) -> str:
    """A number beside an axis: 0.00025, 2.5e−5."""
    text = "0" if abs(value) < 1e-12 else f"{value:.6g}" if abs(value) >= 1e-4 else f"{value:.3g}"
    return text.replace("e-0", "e-").replace("-", "−")


def smoothing(count: int) -> int:
    """Over how many steps a noisy curve's running mean goes."""
    return max(count // 20, 1)


def _line(axes, curve: Curve, number: int, smooth: bool, alone: bool) -> None:
    color = SERIES[number % len(SERIES)]
    style = {"color": color, "linestyle": DASHES[number % len(DASHES)], "label": None if alone else curve.label}
    if curve.dots:
        axes.plot(curve.xs, curve.ys, **style | {"linestyle": "none", "marker": "D", "markersize": 6})
        return
    if smooth and smoothing(len(curve.ys)) > 1:
        axes.plot(*thinned(curve.xs, curve.ys), color=color, alpha=0.28, linewidth=0.9)
        axes.plot(*thinned(curve.xs, running_mean(curve.ys, smoothing(len(curve.ys)))), **style)
        return
    few = {"marker": "o", "markersize": 3} if len(curve.xs) <= 40 else {}
    axes.plot(*thinned(curve.xs, curve.ys), **style, **few)


def _level(axes, mark: Mark) -> None:
    low, high = axes.get_ylim()
    spread = high - low
    if not low - 0.6 * spread <= mark.y <= high + 0.6 * spread:
        return
    axes.axhline(mark.y, color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    axes.annotate(
        mark.label, (1, mark.y), xycoords=("axes fraction", "data"), xytext=(0, 3), textcoords="offset points",
        ha="right", va="bottom", color=MUTED, fontsize=9.6,
    )  # fmt: skip


def _estimate(axes, row: int, one: Estimate, low: float, high: float) -> None:
    color = SERIES[0]
    text = f"{one.value:.3f}"
    if one.low is not None and one.high is not None:
        axes.plot([one.low, one.high], [row, row], color=color, linewidth=2.2, solid_capstyle="butt")
        text += f"  [{one.low:.3f}, {one.high:.3f}]"
    axes.plot([one.value], [row], "o", color=color, markersize=7)
    for number, (_, share) in enumerate(one.beside):
        axes.plot([share], [row], "D^"[number % 2], color=SERIES[number + 1], markersize=6)
    behind = {"facecolor": PAPER, "edgecolor": "none", "pad": 1.5}  # so that the line of a coin crosses no letter
    room = LINE - len(text)
    label = one.label if len(one.label) <= room else one.label[: room - 1] + "…"
    axes.text(low, row - 0.38, label, ha="left", va="center", color=INK, bbox=behind)
    axes.text(high, row - 0.38, text, ha="right", va="center", color=MUTED, bbox=behind)
    if row:
        axes.axhline(row - 0.65, color=GRID, linewidth=0.7)


def _range(rows: Sequence[Estimate], level: float | None, lowest: float) -> tuple[float, float]:
    """Left and right end of the axis: all that is shown, the dashed line among it, with a little room."""
    values = [
        *([] if level is None else [level]),
        *(one.value for one in rows),
        *(share for one in rows for _, share in one.beside),
    ]
    values += [bound for one in rows for bound in (one.low, one.high) if bound is not None]
    low, high = min(values), max(values)
    room = max(0.08 * (high - low), 0.02)
    return max(low - room, lowest - 0.02), min(high + room, 1.02)


def _edges(values: numpy.ndarray) -> numpy.ndarray:
    """Edges of at most 30 equal bins; whole numbers get bins of whole width, around them."""
    low, high = float(values.min()), float(values.max())
    if (values == numpy.round(values)).all() and high > low:
        width = max(1, int(numpy.ceil((high - low + 1) / 30)))
        return numpy.arange(low - 0.5, high + width + 0.5, width)
    return numpy.linspace(low, high, 25) if high > low else numpy.array([low - 0.5, low + 0.5])


def _told(curve: Curve, x: str) -> str:
    xs, ys = list(curve.xs), list(curve.ys)
    if len(ys) == 1:
        return f"{curve.label} {words.number(ys[0])} at {x} {words.number(xs[0])}"
    return (
        f"{curve.label} from {words.number(ys[0])} at {x} {words.number(xs[0])} to {words.number(ys[-1])} at {x} "
        f"{words.number(xs[-1])}, lowest {words.number(min(ys))}, highest {words.number(max(ys))}"
    )


def _estimate_told(one: Estimate) -> str:
    bounds = "" if one.low is None or one.high is None else f" (95 % interval {one.low:.3f} to {one.high:.3f})"
    beside = "".join(f", {name} {share:.3f}" for name, share in one.beside)
    return f"{one.label} {one.value:.3f}{bounds}{beside}"
