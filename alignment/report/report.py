"""`align report DIR`: a run, or a folder of runs, as one page."""

from __future__ import annotations

from alignment.report.config import ReportSettings
from alignment.report.write import write_report


def run(settings: ReportSettings) -> dict[str, str]:
    """Writes DIR/report.html; returns where it is."""
    return {"report": str(write_report(settings.run))}
