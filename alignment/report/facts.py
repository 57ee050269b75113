"""What every page says of its runs: settings that differ, versions, machine; and the glossary of metrics."""

from __future__ import annotations

from typing import Any

from alignment.metrics import METRICS
from alignment.quantities import duration, size
from alignment.report import words
from alignment.report.document import Section, Table
from alignment.report.runs import Run

FAMILIES = {
    "sft": ("sft", "optim"),
    "reward": ("reward_model", "optim"),
    "ppo": ("objective", "policy", "value", "rollout", "optim", "time"),
    "eval": ("eval",),
    "demo": ("behaviour",),
}
"""Command → families of the metrics that its report shows."""

GOOD = {"up": "higher", "down": "lower", "watch": "depends"}


def changed_settings(run: Run) -> Table:
    """The settings that differ from the defaults, as the run itself recorded them."""
    changed: dict[str, Any] = run.record.get("changed", {})
    rows = [
        [name, words.visible(str(about["value"])), words.visible(str(about["default"]))]
        for name, about in changed.items()
    ]
    note = "" if rows else "None: every setting is at its default."
    return Table("Settings that differ from the defaults", ["setting", "here", "default"], rows, note)


def machine(runs: list[Run]) -> Section:
    """When each run ran, for how long, on what, in which versions."""
    rows = [
        [
            run.name,
            run.command,
            str(run.record.get("started", "–"))[:19].replace("T", " "),
            duration(run.record.get("seconds", 0.0)),
            str(run.record.get("device", "–")),
            words.shown(run.record.get("threads")),
            _size(run.record.get("process_peak_memory_bytes")),
            _size(run.record.get("device_peak_memory_bytes")),
        ]
        for run in runs
    ]
    head = ["run", "command", "started (UTC)", "took", "device", "threads", "most memory", "most GPU memory"]
    note = "Most memory is the whole process's; stages that ran in one process share it."
    return Section("machine", "Machine and versions", tables=[Table("Runs", head, rows, note), versions(runs)])


def versions(runs: list[Run]) -> Table:
    """Package → version; where runs differ, each is named."""
    found: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        for package, version in (run.record.get("versions") or {}).items():
            found.setdefault(package, {}).setdefault(version or "not installed", []).append(run.name)
    rows = [
        [
            package,
            next(iter(of))
            if len(of) == 1
            else "; ".join(f"{version} ({', '.join(names)})" for version, names in of.items()),
        ]
        for package, of in found.items()
    ]
    return Table("Versions", ["package", "version"], rows)


def glossary(commands: set[str]) -> Section:
    """Every metric of the commands' families, as `alignment/metrics.py` has it."""
    families = {family for command in commands for family in FAMILIES.get(command, ())}
    rows = [
        [metric.name, metric.label, metric.unit, metric.formula, GOOD[metric.good]]
        for metric in METRICS.values()
        if metric.name.partition("/")[0] in families
    ]
    head = ["metric", "called here", "unit", "what it is", "better"]
    return Section("glossary", "Glossary", tables=[Table("Metrics", head, rows)])


def _size(count: float | None) -> str:
    return "–" if count is None else size(count)
