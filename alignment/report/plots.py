"""Plots as inline SVG: text stays text, colours are the page's own variables, so that it follows light and dark."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
from markupsafe import Markup
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Canvas

INK, MUTED, GRID, PAPER = "#1f2429", "#5b636d", "#dfe2e6", "#fffefb"
SERIES = ("#2b5f91", "#b0502a", "#3a7650", "#7a4f94", "#8a6d1f", "#4c5560")
"""The first is what the page is about, the second what it is compared with. Each has 4.5 : 1 against the paper."""

DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (7, 2, 1.5, 2)), (0, (3, 1)), (0, (1, 3)))
"""So that lines can be told apart without their colours."""

VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"} | {
    color: f"series-{number}" for number, color in enumerate(SERIES, start=1)
}
SIZE = (4.0, 2.8)
"""Inches; the narrowest column, 330 px, shows a point as 1.15 px, so that the smallest text has 11 px."""

LEGEND = 36
"""Letters in a row of a legend, about."""

STYLE: Any = {
    "svg.fonttype": "none", "svg.hashsalt": "align", "text.parse_math": False,
    "font.family": "DejaVu Sans", "font.size": 10, "axes.labelsize": 10, "axes.titlesize": 10, "axes.titlepad": 8,
    "xtick.labelsize": 9.6, "ytick.labelsize": 9.6, "legend.fontsize": 10,
    "text.color": INK, "axes.labelcolor": MUTED, "xtick.color": MUTED, "ytick.color": MUTED,
    "axes.edgecolor": GRID, "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False,
    "axes.grid": True, "axes.grid.axis": "y", "grid.color": GRID, "grid.linewidth": 0.7, "axes.axisbelow": True,
    "xtick.major.size": 3, "ytick.major.size": 0, "axes.linewidth": 0.9, "lines.linewidth": 1.8,
    "figure.facecolor": "none", "axes.facecolor": "none", "legend.frameon": False, "legend.handlelength": 2.2,
    "axes.formatter.limits": (-3, 5), "axes.formatter.useoffset": False,
}  # fmt: skip

_count = itertools.count(1)


class Plot:
    """One plot being drawn: `axes` to draw on, and after the `with` block `svg`."""

    def __init__(self, canvas: Canvas, axes: Any) -> None:
        self.canvas, self.axes, self.svg = canvas, axes, Markup("")


@contextmanager
def plot(x: str, y: str, rows: int = 1, size: tuple[float, float] = SIZE, **shape: Any) -> Iterator[Plot]:
    """`with plot("step", "loss (nats)") as p: p.axes.plot(...)`; then `p.svg`. x, y: the axes' names, with units.

    rows: panels over each other that share x; `axes` is then a list, and y names the first. Names of the vertical axes
    stand above them, where they can be read without turning the head."""
    with matplotlib.rc_context(STYLE):
        canvas = Canvas(figsize=size, layout="constrained")
        FigureCanvasSVG(canvas)
        panels = canvas.subplots(rows, 1, sharex=True, squeeze=False, **shape)[:, 0]
        panels[-1].set_xlabel(x)
        panels[0].set_title(y, loc="left", color=MUTED)
        result = Plot(canvas, panels[0] if rows == 1 else list(panels))
        yield result
        handles, labels = panels[0].get_legend_handles_labels()
        if labels:
            columns = max(1, min(len(labels), LEGEND // max(map(len, labels))))
            canvas.legend(handles, labels, loc="outside upper left", ncols=columns, borderaxespad=0, columnspacing=1.4)
        file = io.StringIO()
        canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
        result.svg = Markup(inline(file.getvalue(), next(_count)))


def inline(svg: str, number: int) -> str:
    """matplotlib's SVG as a part of a page: no header, ids that no other plot has, no font and no size of its own."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="plot{number}-{m[1]}"' if m[1] in used else "", svg)
    svg = re.sub(r"url\(#|href=\"#", lambda m: f"{m[0]}plot{number}-", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font: ([\d.]+)px[^;\"]*", r"font-size: \1px", svg)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    for color, name in VARIABLES.items():
        svg = svg.replace(color, f"var(--{name})")
    return re.sub(r"\n\s*", "\n", svg).strip()
