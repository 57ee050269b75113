"""Runs over each other: the same command under several seeds, or under several settings."""

from __future__ import annotations

from markupsafe import Markup

from alignment.metrics import METRICS, numbers
from alignment.report import charts, words
from alignment.report.charts import Curve
from alignment.report.document import Figure, Section, Table, say
from alignment.report.facts import FAMILIES
from alignment.report.runs import Run, find
from alignment.report.training import capital

HEADLINES = {
    "sft": ("sft/loss", "sft/token_accuracy"),
    "reward": ("pair_accuracy", "log_loss"),
    "ppo": ("best.objective/score", "best.objective/gold", "best.objective/kl"),
    "eval": ("win_rate", "length_controlled_win_rate", "kl"),
}
"""Command → the metrics that its runs are judged by."""

NOISY = ("sft/train_loss", "reward_model/loss", "optim/grad_norm")
"""Logged for each batch: drawn as running means."""


def seeds(run: Run, title: str) -> Section:
    """N runs that differ in their seed: curves over each other, mean ± sd of every metric."""
    runs = find(run.folder).stages
    several = words.plural(run.seeds, "seed")
    verdict = [
        say("The same settings under {}; what differs below is chance.", several),
        *headlines([run], final_metrics([run])),
    ]
    rows = [
        [name_of(run.command, name), words.number(one["mean"]), f"{one['sd']:.2g}"]
        for name, one in run.metrics["spread"].items()
    ]
    note = "sd is that of single runs (divisor N − 1), not of their mean."
    return Section(
        run.anchor,
        title,
        verdict,
        overlays(runs),
        [Table(f"Mean ± sd over {several}", ["metric", "mean", "sd"], rows, note)],
    )


def headlines(runs: list[Run], metrics: dict[str, dict[str, dict[str, float]]]) -> list[Markup]:
    """A sentence a metric that a run of this command is judged by."""
    sentences = []
    for key in HEADLINES.get(runs[0].command, ()):
        if key in metrics:
            each = [(run.name, in_words(metrics[key][run.name])) for run in runs]
            told = ", ".join(f"{name} {value}" for name, value in each) if len(each) > 1 else each[0][1]
            sentences.append(say("{}: **{}**.", capital(name_of(runs[0].command, key)), told))
    return sentences


def overlays(runs: list[Run]) -> list[Figure]:
    """One figure a metric that any of the runs logged, their curves over each other."""
    figures = [overlay(runs, name) for name in METRICS if name.partition("/")[0] in FAMILIES.get(runs[0].command, ())]
    return [figure for figure in figures if figure]


def overlay(runs: list[Run], metric: str) -> Figure | None:
    about, lines, width = METRICS[metric], [], 1
    for run in runs:
        xs, ys = curve(run, metric)
        if metric in NOISY and len(ys):
            width = max(width, charts.smoothing(len(ys)))
            ys = charts.running_mean(ys, charts.smoothing(len(ys))).tolist()
        lines.append(Curve(run.name if run.seeds == 1 else f"{run.name}, mean", xs, ys))
    if max(len(line.xs) for line in lines) < 2:
        return None
    caption = f"Lines: means over {words.plural(width, 'step')}." if width > 1 else ""
    return charts.curves(capital(about.label), about.axis, lines, caption=caption)


def curve(run: Run, metric: str) -> tuple[list[float], list[float]]:
    """(steps, values); of a run with several seeds the mean over them, at the steps that all of them have."""
    if run.seeds == 1:
        return run.curve(metric)
    each = [dict(zip(*one.curve(metric))) for one in find(run.folder).stages]
    steps = sorted(set.intersection(*(set(one) for one in each)))
    return steps, [sum(one[step] for one in each) / len(each) for step in steps]


def final_metrics(runs: list[Run]) -> dict[str, dict[str, dict[str, float]]]:
    """metric → run → {value}, {value, low, high} where it has an interval, or {mean, sd} of a run with several seeds;
    {} where a run does not have it."""
    measured = {run.name: _measured(run) for run in runs}
    names = dict.fromkeys(name for values in measured.values() for name in values)
    return {name: {run.name: measured[run.name].get(name, {}) for run in runs} for name in names}


def in_words(measured: dict[str, float]) -> str:
    """{value, low, high} → "0.875 [0.841, 0.907]", {mean, sd} → "0.627 ± 0.005"."""
    number = {name: words.number(value) for name, value in measured.items()}
    if "sd" in number:
        return f"{number['mean']}\u00a0±\u00a0{measured['sd']:.2g}"
    bounds = f" [{number['low']}, {number['high']}]" if "low" in number else ""
    return number.get("value", "–") + bounds


def differing_settings(runs: list[Run]) -> dict[str, dict[str, str]]:
    """setting → run → value as the user writes it, of the settings that are not the same in all."""
    names = dict.fromkeys(name for run in runs for name in run.config if name != "output")
    table = {name: {run.name: _written(name, run, runs) for run in runs} for name in names}
    return {name: row for name, row in table.items() if len(set(row.values())) > 1}


def name_of(command: str, key: str) -> str:
    """A metric of metrics.json with its unit, where it is registered: `best.objective/kl`, `mean_tokens_against`."""
    place, _, bare = key.rpartition(".")
    for suffix in ("", "_before", "_against"):
        stem = bare.removesuffix(suffix) if suffix else bare
        for name in (stem, *(f"{family}/{stem}" for family in FAMILIES.get(command, ()))):
            if name in METRICS and bare.endswith(suffix):
                words_of = METRICS[name].axis + (f", {suffix[1:]}" if suffix else "")
                return f"{place.replace('.', ', ')}: {words_of}" if place else words_of
    return key


def _written(name: str, run: Run, runs: list[Run]) -> str:
    """A setting's value with the word that stands for None, which run.json has where any run changed it."""
    own = run.record.get("changed", {}).get(name)
    if own is not None:
        return words.visible(str(own["value"]))
    defaults = [other.record.get("changed", {}).get(name) for other in runs]
    if run.config.get(name) is None:
        return next((str(about["default"]) for about in defaults if about is not None), "none")
    return words.visible(str(run.config[name]))


def _measured(run: Run) -> dict[str, dict[str, float]]:
    if run.seeds > 1:
        return run.metrics["spread"]
    values = dict(numbers(run.metrics))
    bounds = {name for name in values if name.endswith(("_low", "_high")) and name.rpartition("_")[0] in values}
    return {name: _bounded(name, values) for name in values if name not in bounds}


def _bounded(name: str, values: dict[str, float]) -> dict[str, float]:
    bounds = {bound: values[f"{name}_{bound}"] for bound in ("low", "high") if f"{name}_{bound}" in values}
    return {"value": values[name], **bounds}
