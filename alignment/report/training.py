"""The parts of a page on a trained stage: SFT and the reward model."""

from __future__ import annotations

import math
from typing import Any

from alignment.calibration import Bin
from alignment.metrics import METRICS
from alignment.report import charts, measures, words
from alignment.report.charts import Curve, Estimate, Mark
from alignment.report.document import Figure, Section, Table, say
from alignment.report.reliability import diagram, reliability
from alignment.report.runs import Run

COIN = Mark(math.log(2), "a coin: ln 2")


def sft(run: Run, title: str) -> Section:
    """Loss, learning rate, gradient norm; quality on the held-out demonstrations before and after."""
    metrics = run.metrics
    verdict = [
        say(
            "Starting from {}, the policy learned from {} in {}.",
            words.short(run.config.get("base", "?")),
            words.plural(metrics["examples"], "demonstration"),
            words.plural(metrics["steps"], "step"),
        )
    ]
    if metrics["sft/loss"] is None:
        verdict.append(say("No demonstration was held out, so nothing says how well it does on new ones."))
    else:
        verdict.append(
            say(
                "On {} its loss went from {} to **{}** nats a token, and the share of tokens it gets right from {} to **{}**.",
                words.plural(metrics["held_out"], "held-out demonstration"),
                words.number(metrics["sft/loss_before"]),
                words.number(metrics["sft/loss"]),
                words.percent(metrics["sft/token_accuracy_before"]),
                words.percent(metrics["sft/token_accuracy"]),
            )
        )
    figures = [_sft_loss(run), curve(run, "optim/lr"), curve(run, "optim/grad_norm", smooth=True)]
    figures.append(measures.scaling(metrics, "demonstrations", METRICS["sft/loss"].axis, METRICS["sft/loss"].unit))
    return Section(run.anchor, title, verdict, [one for one in figures if one], [_sft_table(metrics)])


def reward(run: Run, title: str) -> Section:
    """Loss, pair accuracy beside its baselines, reliability."""
    metrics, held_out = run.metrics, run.lines("held_out.jsonl")
    annotators = words.annotators({line.get("annotator") for line in held_out})
    verdict = [
        say(
            "The reward model learned from {} and orders **{}** of {} as {} did (95 % interval {}).",
            words.plural(metrics["n_rankings"], "ranking"),
            words.percent(metrics["pair_accuracy"]),
            words.plural(metrics["n_pairs"], "held-out pair"),
            annotators,
            words.interval(metrics["pair_accuracy_low"], metrics["pair_accuracy_high"]),
        ),
        _beside_baselines(metrics),
        *measures.ceiling(metrics),
    ]
    figures = [_reward_loss(run), _accuracy(metrics), diagram(_bins(metrics, held_out))]
    figures.append(measures.scaling(metrics, "rankings", "share of held-out pairs ordered wrong", "points"))
    tables = [
        _by_source(metrics),
        *measures.groups(metrics),
        measures.calibration_table(metrics),
        measures.length_table(metrics),
        measures.ensemble_table(metrics),
    ]
    return Section(run.anchor, title, verdict, [one for one in figures if one], [one for one in tables if one])


def _bins(metrics: dict[str, Any], held_out: list[dict[str, Any]]) -> list[Bin]:
    """Reliability after the temperature, on the rankings that it was not fitted on."""
    found = metrics.get("calibration") or {}
    measured = [line for line in held_out if not (found.get("n_pairs_fitted") and line.get("fitted"))]
    return reliability(measured, metrics.get("score_sd_before", 1.0) / found.get("temperature", 1.0))


def curve(run: Run, metric: str, *, smooth: bool = False, **shape: Any) -> Figure | None:
    """One logged metric over the steps, named as the metric is."""
    about = METRICS[metric]
    if smooth:
        shape.setdefault("caption", smoothed(len(run.curve(metric)[0])))
    return charts.curves(
        capital(about.label), about.axis, [Curve(about.label, *run.curve(metric))], smooth=smooth, **shape
    )


def smoothed(count: int) -> str:
    """What a smooth curve's caption says of it."""
    width = charts.smoothing(count)
    return f"Line: mean over {words.plural(width, 'step')}." if width > 1 else ""


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sft_loss(run: Run) -> Figure | None:
    xs, ys = run.curve("sft/train_loss")
    lines = [Curve("training", xs, ys), Curve("held out", *run.curve("sft/loss"), dots=True)]
    return charts.curves("Loss", f"loss ({METRICS['sft/loss'].unit})", lines, smooth=True, caption=smoothed(len(xs)))


def _sft_table(metrics: dict[str, Any]) -> Table:
    rows = [
        [METRICS[name].axis, words.shown(metrics[f"{name}_before"]), words.shown(metrics[name])]
        for name in ("sft/loss", "sft/token_accuracy")
    ]
    note = (
        f"{words.plural(metrics['cut'], 'demonstration')} cut at the length limit, {metrics['dropped']:,} dropped because "
        f"the prompt fills it. Trained on {words.plural(metrics['tokens'], 'response token')}."
    )
    return Table("Held-out demonstrations", ["", "before", "after"], rows, note)


def _beside_baselines(metrics: dict[str, Any]) -> Any:
    length, first = metrics["length_baseline_accuracy"], metrics["position_baseline_accuracy"]
    best = max(length, 1 - length, first, 1 - first)
    if metrics["pair_accuracy_low"] > best:
        outcome = "it reads more than length and place"
    elif metrics["pair_accuracy"] > best:
        outcome = "that it reads more than length and place is not certain"
    else:
        outcome = "it does no better than a rule that reads no word"
    return say(
        "Always preferring the longer response gets {}, always the first {}: **{}**.",
        words.percent(length),
        words.percent(first),
        outcome,
    )


def _reward_loss(run: Run) -> Figure | None:
    about = METRICS["reward_model/loss"]
    xs, ys = run.curve(about.name)
    line, caption = [Curve(about.label, xs, ys)], smoothed(len(xs))
    return charts.curves("Training loss", f"loss ({about.unit})", line, smooth=True, marks=[COIN], caption=caption)


def _accuracy(metrics: dict[str, Any]) -> Figure | None:
    sources = metrics.get("by_source", {})
    rows = [("all sources", metrics), *(sources.items() if len(sources) > 1 else [])]
    estimates = [
        Estimate(
            name,
            one["pair_accuracy"],
            one["pair_accuracy_low"],
            one["pair_accuracy_high"],
            tuple((METRICS[f"reward_model/{key}"].label, one[key]) for key in _BASELINES),
        )
        for name, one in rows
    ]
    caption = "Bars are 95 % intervals over prompts; the dashed line is a coin's .5."
    return charts.estimates("Pair accuracy", METRICS["reward_model/pair_accuracy"].axis, estimates, caption=caption)


def _by_source(metrics: dict[str, Any]) -> Table:
    head = ["source", "pairs", METRICS["reward_model/pair_accuracy"].axis, "95 % interval"]
    head += [METRICS[f"reward_model/{key}"].label for key in _BASELINES]
    sources = metrics.get("by_source", {})
    rows = [
        [
            name,
            words.shown(one["n_pairs"]),
            f"{one['pair_accuracy']:.3f}",
            f"{one['pair_accuracy_low']:.3f} to {one['pair_accuracy_high']:.3f}",
            *(f"{one[key]:.3f}" for key in _BASELINES),
        ]
        for name, one in [*sources.items(), *([("all", metrics)] if len(sources) != 1 else [])]
    ]
    note = f"{METRICS['reward_model/log_loss'].axis}: {words.number(metrics['log_loss'])}; a coin's is .693."
    return Table("Held-out pairs by source", head, rows, note)


_BASELINES = ("length_baseline_accuracy", "position_baseline_accuracy")
