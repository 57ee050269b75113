"""`align compare RUN RUN…`: what differs between runs of one command, in their settings and in what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alignment.command import Outcome
from alignment.errors import UserError
from alignment.report import several, words
from alignment.report.config import CompareSettings
from alignment.report.document import Page, Section, Table, say
from alignment.report.facts import glossary, machine
from alignment.report.runs import Run, find
from alignment.report.write import check_ours, write


def run(settings: CompareSettings) -> Outcome:
    """Writes the page; the metrics are {report, runs, settings: {setting: {run: value}}, metrics: {metric: {run:
    {value, low?, high?} or, of several seeds, {mean, sd}}}}."""
    runs = _runs(settings.runs)
    target = Path(settings.output)
    check_ours(target)
    result = {
        "report": str(target),
        "runs": [one.name for one in runs],
        "settings": several.differing_settings(runs),
        "metrics": several.final_metrics(runs),
    }
    write(target, _page(runs, result), f"align compare {' '.join(settings.runs)}")
    return Outcome(result, table(result))


def table(result: dict[str, Any]) -> str:
    """The comparison as it is printed on a terminal."""
    names = result["runs"]
    lines = [
        *_aligned(["setting that differs", *names], _rows(result["settings"], names)),
        "",
        *_aligned(["metric", *names], _metric_rows(result)),
        "",
        f"page: {result['report']}",
    ]
    return "\n".join(lines)


def _runs(folders: tuple[str, ...]) -> list[Run]:
    if len(folders) < 2:
        raise UserError(f"RUNS holds {len(folders)} directory; a comparison needs two or more")
    names = _names(folders)
    runs = []
    for folder, name in zip(folders, names, strict=True):
        own = find(folder, name).own
        if own is None:
            raise UserError(f"{folder}: is no run of its own but a folder of several; give the directory of a stage")
        runs.append(own)
    commands = {run.command for run in runs}
    if len(commands) > 1:
        told = ", ".join(f"{run.name} is of `align {run.command}`" for run in runs)
        raise UserError(f"{told}; only runs of one command can be compared")
    return runs


def _names(folders: tuple[str, ...]) -> list[str]:
    """The last parts of the paths where these differ, else the paths as given."""
    short = [Path(folder).resolve().name for folder in folders]
    names = short if len(set(short)) == len(short) else [folder.rstrip("/") for folder in folders]
    if len(set(names)) < len(names):
        raise UserError(f"RUNS names {next(name for name in names if names.count(name) > 1)} twice; give each run once")
    return names


def _page(runs: list[Run], result: dict[str, Any]) -> Page:
    names = result["runs"]
    command = runs[0].command
    settings = Table("Settings that differ", ["setting", *names], _rows(result["settings"], names))
    if not settings.rows:
        settings = Table("Settings that differ", [], [], "None: the runs had the same settings.")
    metrics = _metric_rows(result)
    finals = Table(
        "Final metrics", ["metric", *names], [[several.name_of(command, row[0]), *row[1:]] for row in metrics]
    )
    differ = (
        f"their settings differ in {', '.join(result['settings'])}" if result["settings"] else "of the same settings"
    )
    verdict = [
        say("{} of {}, {}.", words.plural(len(runs), "run"), f"align {command}", differ),
        *several.headlines(runs, result["metrics"]),
    ]
    figures = several.overlays(runs)
    body = [Section("outcome", "Settings and outcome", tables=[settings, finals])]
    if figures:
        body.append(Section("curves", "Curves", figures=figures))
    title = " · ".join(names)
    return Page(
        title, "Comparison of runs", [f"align {command}"], verdict, [], [*body, machine(runs), glossary({command})]
    )


def _rows(table: dict[str, dict[str, str]], names: list[str]) -> list[list[str]]:
    return [[key, *(row[name] for name in names)] for key, row in table.items()]


def _metric_rows(result: dict[str, Any]) -> list[list[str]]:
    return [
        [metric, *(several.in_words(row[name]) for name in result["runs"])] for metric, row in result["metrics"].items()
    ]


def _aligned(head: list[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in [head, *rows]]
    return [lines[0], "─" * (sum(widths) + 2 * (len(widths) - 1)), *(lines[1:] or ["(none)"])]
