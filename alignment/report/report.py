"""`align report DIR`: a run, or a folder of runs, as one page."""

from __future__ import annotations

from alignment.errors import UserError
from alignment.report.config import ReportSettings
from alignment.report.write import write_report


def run(settings: ReportSettings) -> dict[str, str]:
    """Writes DIR/report.html; returns where it is."""
    try:
        return {"report": str(write_report(settings.run))}
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{settings.run}: its files are not as a run leaves them ({type(error).__name__}: {error}); "
            "run the command again"
        ) from error
