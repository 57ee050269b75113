"""What a trained model's page says beyond its headline: calibration, groups of pairs, the ceiling, the scaling curve."""

from __future__ import annotations

from typing import Any

import numpy
from markupsafe import Markup
from matplotlib.ticker import FuncFormatter, NullLocator

from alignment.report import words
from alignment.report.charts import tick
from alignment.report.document import Figure, Table, say
from alignment.report.plots import MUTED, SERIES, plot

STRENGTHS = {"0": "negligibly better", "1": "slightly better", "2": "better", "3": "significantly better"}


def ceiling(metrics: dict[str, Any]) -> list[Markup]:
    """How often one label can be right; a warning where the model agrees with labels more often than that."""
    found = metrics.get("human_ceiling")
    if not found or found["ceiling"] is None:
        return []
    told = say(
        "Where people ranked the same two responses, they agreed on {} of {} (95 % interval {}): one label is then right "
        "about **{}** of the time ({}), if people err independently.",
        words.percent(found["agreement"]),
        words.plural(found["n_meetings"], "meeting"),
        words.interval(found["agreement_low"], found["agreement_high"]),
        words.percent(found["ceiling"]),
        words.interval(found["ceiling_low"], found["ceiling_high"]),
    )
    if metrics["pair_accuracy_low"] <= found["ceiling_high"]:
        return [told]
    return [told, say("The reward model agrees with the labels more often than that: **look for leakage**.")]


def calibration_table(metrics: dict[str, Any]) -> Table | None:
    """Log-loss, expected error, slope and intercept, before and after the temperature."""
    found = metrics.get("calibration")
    if not found:
        return None
    rows = [
        ["log-loss (nats a pair)", words.shown(found["log_loss_before"]), words.shown(found["log_loss"])],
        ["expected calibration error", words.shown(found["ece_before"]), words.shown(found["ece"])],
        ["slope (1 = as sure as right)", words.shown(found["slope_before"]), words.shown(found["slope"])],
        [
            "intercept (0 = the first listed has no edge)",
            words.shown(found["intercept"]),
            words.shown(found["intercept"]),
        ],
    ]
    if found["n_pairs_fitted"]:
        fitted = f"Temperature {words.number(found['temperature'])}, fitted on {words.plural(found['n_pairs_fitted'], 'pair')} of other prompts"
    else:
        fitted = "No temperature was fitted: too few prompts are held out"
    note = (
        f"{fitted}; measured on {words.plural(found['n_pairs'], 'pair')}. A perfectly calibrated model of this size would show "
        f"an expected error of {words.number(found['ece_by_chance'])} by chance, up to {words.number(found['ece_by_chance_95'])} in 95 % of draws."
    )
    return Table("Calibration", ["", "before", "after"], rows, note)


def groups(metrics: dict[str, Any]) -> list[Table]:
    """Pair accuracy by annotator and by strength of preference, where the rankings name them."""
    tables = []
    for key, title, names in (("by_annotator", "annotator", {}), ("by_strength", "strength of preference", STRENGTHS)):
        found: dict[str, Any] = metrics.get(key) or {}
        rows = [[names.get(name, name), *_accuracy(one)] for name, one in found.items()]
        if rows:
            tables.append(Table(f"Held-out pairs by {title}", [title, "pairs", "pair accuracy", "95 % interval"], rows))
    return tables


def length_table(metrics: dict[str, Any]) -> Table | None:
    """What length has to do with the scores."""
    test, matched = metrics.get("mcnemar_length"), metrics.get("length_matched")
    if test is None:
        return None
    rows = [["all", *_accuracy(metrics)]]
    if matched:
        rows.append(["of like length (within 10 %)", *_accuracy(matched)])
    p = "p < 0.001" if test["p"] < 0.001 else f"p = {test['p']:.3f}"
    rho = metrics.get("score_length_spearman")
    note = (
        f"Against always preferring the longer: {100 * test['difference']:+.1f} points (McNemar's test by prompt, "
        f"χ² = {words.number(test['chi_square'])}, {p}). "
    ) + (f"Spearman's ρ of score and characters: {rho:.2f}." if rho is not None else "")
    return Table("Length", ["pairs", "number", "pair accuracy", "95 % interval"], rows, note.replace("-", "−"))


def ensemble_table(metrics: dict[str, Any]) -> Table | None:
    """Members one by one, and the rules that join them."""
    members: dict[str, Any] = metrics.get("members") or {}
    rows = [[name, f"{one['pair_accuracy']:.3f}", words.shown(one["log_loss"])] for name, one in members.items()]
    rows += [[f"rule {name}", f"{accuracy:.3f}", "–"] for name, accuracy in (metrics.get("rules") or {}).items()]
    return Table("Ensemble", ["", "pair accuracy", "log-loss"], rows) if members else None


def scaling(metrics: dict[str, Any], of: str, y: str, unit: str) -> Figure | None:
    """Error against labels with intervals, and the line through them up to twice as many. of: what the labels are."""
    found = metrics.get("scaling")
    if not found:
        return None
    points = list(found["points"].values())
    xs, ys = [one["n"] for one in points], [one["error"] for one in points]
    with plot(of, y) as p:
        for one in points:
            p.axes.plot([one["n"]] * 2, [one["error_low"], one["error_high"]], color=SERIES[0], linewidth=2)
        p.axes.plot(xs, ys, "o", color=SERIES[0], markersize=6, label="measured")
        p.axes.set_xscale("log", base=2)
        ticks = sorted({*xs, *([2 * xs[-1]] if found["doubling"] else [])})
        if found["doubling"]:
            ends = numpy.array([xs[0], 2 * xs[-1]], dtype=float)
            line = found["error_at_twice"] - found["doubling"]["gain"] * numpy.log2(ends / ends[-1])
            p.axes.plot(ends, line, color=MUTED, linewidth=1.2, linestyle=(0, (3, 3)), label="fit")
            p.axes.plot(ends[1:], line[1:], "o", color=MUTED, markerfacecolor="none", label="fit, at twice as many")
        p.axes.set_xticks(ticks)
        p.axes.xaxis.set_minor_locator(NullLocator())
        p.axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        p.axes.yaxis.set_major_formatter(FuncFormatter(tick))
        p.axes.margins(x=0.05, y=0.12)
    told = "; ".join(
        f"{one['n']:,}: {words.number(one['error'])} ({one['error_low']:.3f} to {one['error_high']:.3f})"
        for one in points
    )
    return Figure("What more labels are worth", p.svg, f"{y} by {of}: {told}.", _doubling(found, of, y, unit))


def _doubling(found: dict[str, Any], of: str, y: str, unit: str) -> str:
    """What the next doubling is worth, or that nothing is shown; and how the two kinds of interval go together."""
    if not found["doubling"]:
        return "The parts have one size: no line."
    one, error = found["doubling"], found["points"]["all"]["error"]
    scale = 100 if unit == "points" else 1
    gain, low, high = (scale * one[key] for key in ("gain", "gain_low", "gain_high"))
    between = f"95 % interval {low:.2g} to {high:.2g}".replace("-", "−")
    change = f"{abs(gain):.2g} {unit} {'less' if gain >= 0 else 'more'}"
    worth = f"Twice as many {of} would be worth {change}: about {words.number(found['error_at_twice'])} ({between})"
    shown = "" if low > 0 else " An interval that holds 0 shows no gain."
    return (
        f"Now: {words.number(error)}, {y.partition(' (')[0]}. {worth}.{shown} The interval is of the differences between the parts, which "
        "were measured on the same held-out ones: it is narrower than the bars (95 % too) look. Another seed is in neither."
    )


def _accuracy(one: dict[str, Any]) -> list[str]:
    bounds = f"{one['pair_accuracy_low']:.3f} to {one['pair_accuracy_high']:.3f}"
    return [words.shown(one["n_pairs"]), f"{one['pair_accuracy']:.3f}", bounds]
