"""Runs over each other: the same command under several seeds, or under several settings."""

from __future__ import annotations

from typing import Any

from alignment.metrics import METRICS
from alignment.repeat import numbers
from alignment.report import charts, words
from alignment.report.charts import Curve
from alignment.report.document import Figure, Section, Table, say
from alignment.report.facts import FAMILIES
from alignment.report.runs import Run, find
from alignment.report.training import capital

NOISY = ("sft/train_loss", "reward_model/loss", "optim/grad_norm")
"""Logged for each batch: drawn as running means."""


def seeds(run: Run, title: str) -> Section:
    """N runs that differ in their seed: curves over each other, mean ± sd of every metric."""
    runs = find(run.folder).stages
    verdict = [
        say(
            "The same settings under {}: {}. What differs below is chance.",
            words.plural(run.seeds, "seed"),
            ", ".join(map(str, run.metrics["seeds"])),
        )
    ]
    rows = [
        [name_of(run.command, name), words.number(one["mean"]), words.number(one["sd"])]
        for name, one in run.metrics["spread"].items()
    ]
    note = "sd is that of single runs (divisor N − 1), not of their mean."
    table = Table(f"Mean ± sd over {words.plural(run.seeds, 'seed')}", ["metric", "mean", "sd"], rows, note)
    return Section(run.anchor, title, verdict, overlays(runs), [table])


def overlays(runs: list[Run]) -> list[Figure]:
    """One figure a metric that any of the runs logged, their curves over each other."""
    figures = [overlay(runs, name) for name in METRICS if name.partition("/")[0] in FAMILIES.get(runs[0].command, ())]
    return [figure for figure in figures if figure]


def overlay(runs: list[Run], metric: str) -> Figure | None:
    about, lines, width = METRICS[metric], [], 1
    for run in runs:
        xs, ys = run.curve(metric)
        if metric in NOISY and len(ys):
            width = max(width, charts.smoothing(len(ys)))
            ys = charts.running_mean(ys, charts.smoothing(len(ys))).tolist()
        lines.append(Curve(run.name, xs, ys, dots=len(xs) == 2))
    if max(len(line.xs) for line in lines) < 2:
        return None
    caption = f"Lines: means over {words.plural(width, 'step')}." if width > 1 else ""
    return charts.curves(capital(about.label), about.axis, lines, caption=caption)


def final_metrics(runs: list[Run]) -> dict[str, dict[str, str]]:
    """metric → run → value: with its interval where the run has one, mean ± sd where it is one of several seeds."""
    flat = {run.name: _flat(run) for run in runs}
    names = dict.fromkeys(name for values in flat.values() for name in values)
    return {name: {run.name: flat[run.name].get(name, "–") for run in runs} for name in names}


def differing_settings(runs: list[Run]) -> dict[str, dict[str, Any]]:
    """setting → run → value, of the settings that are not the same in all."""
    names = dict.fromkeys(name for run in runs for name in run.config)
    table = {name: {run.name: run.config.get(name, "–") for run in runs} for name in names}
    return {
        name: row for name, row in table.items() if name != "output" and len({str(value) for value in row.values()}) > 1
    }


def name_of(command: str, key: str) -> str:
    """A metric of metrics.json with its unit, where it is registered."""
    for name in (key, *(f"{family}/{key}" for family in FAMILIES.get(command, ()))):
        if name in METRICS:
            return METRICS[name].axis
    return key


def _flat(run: Run) -> dict[str, str]:
    if run.seeds > 1:
        spread = run.metrics["spread"]
        return {name: f"{words.number(one['mean'])} ± {words.number(one['sd'])}" for name, one in spread.items()}
    values = dict(numbers(run.metrics))
    bounds = {name for name in values if name.endswith(("_low", "_high")) and name.rpartition("_")[0] in values}
    return {name: _valued(name, values) for name in values if name not in bounds}


def _valued(name: str, values: dict[str, float]) -> str:
    low, high = values.get(f"{name}_low"), values.get(f"{name}_high")
    if low is None or high is None:
        return words.number(values[name])
    return f"{words.number(values[name])} [{words.number(low)}, {words.number(high)}]"
