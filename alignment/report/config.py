"""Settings of `align report` and `align compare`."""

from __future__ import annotations

from dataclasses import dataclass

from alignment.command import Command
from alignment.config import Settings, setting


@dataclass(frozen=True)
class ReportSettings(Settings):
    """Settings of `align report`."""

    run: str = setting(help="directory that a stage wrote, or a folder that holds several of them", positional=True)


@dataclass(frozen=True)
class CompareSettings(Settings):
    """Settings of `align compare`."""

    runs: tuple[str, ...] = setting(help="directories that runs of one command wrote, two or more", positional=True)
    output: str = setting(
        "compare.html", help="the page to write; an older one of its kind is overwritten", source="ours"
    )


REPORT = Command(
    "report", "draw a run, or a folder of runs, as one page: report.html", ReportSettings, "alignment.report.report:run"
)
COMPARE = Command(
    "compare",
    "runs of one command beside each other: settings, curves, final metrics",
    CompareSettings,
    "alignment.report.compare:run",
)
