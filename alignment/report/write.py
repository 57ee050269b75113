"""Pages to files: rendered by the template, written whole or not at all, and never over a file that is not a report."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from alignment.errors import UserError
from alignment.report.document import Page
from alignment.run import umask, writing

REPORT = "report.html"
GENERATOR = "instruct-loop report"
"""Names the pages that are ours, in their head: others are never overwritten."""


def draw(folder: Path, final: str | Path) -> None:
    """`report.html` into a run's folder, by the run itself: what goes wrong is a sentence and never costs the result.

    final: where the folder will lie when the run is done."""
    try:
        write_report(folder, Path(final).absolute().name)
    except Exception as error:
        print(
            f"the report could not be drawn ({type(error).__name__}: {error}); the result is complete without it: "
            f"`align report {final}` draws it",
            file=sys.stderr,
        )


def write_report(folder: str | Path, name: str | None = None) -> Path:
    """`report.html` of the run or runs in a directory, into it; returns its path. UserError where there is no run."""
    from alignment.report.builder import page
    from alignment.report.runs import find

    target = Path(folder) / REPORT
    found = find(folder, name)
    check_ours(target)
    write(target, page(found), f"align report {found.folder.name if name is None else name}")
    return target


def check_ours(target: Path) -> None:
    """UserError where a file lies that is not a report of ours."""
    if not target.exists() and not target.is_symlink():
        return
    head = target.read_bytes()[:2000].decode("utf-8", "replace") if target.is_file() else ""
    if f'content="{GENERATOR}"' not in head:
        raise UserError(f"{target}: is not a report that align wrote, so it is not overwritten; move it away")


def write(target: Path, page: Page, command: str) -> None:
    """The page as one HTML file, put in place when it is whole."""
    text = render(page, command)
    with writing(target, "page"):
        handle, partial = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(partial, 0o666 & ~umask())
            os.replace(partial, target)
        except BaseException:
            os.unlink(partial)
            raise


def render(page: Page, command: str) -> str:
    """HTML. Everything that is text is escaped; the only markup let through is that of our own plots and sentences."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("alignment.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        finalize=_unbroken,
    )  # fmt: skip
    return environment.get_template("page.html.jinja").render(page=page, command=command, generator=GENERATOR)


def _unbroken(value: Any) -> Any:
    """No line ends between a number and its %."""
    return value.replace(" %", "\u00a0%") if isinstance(value, str) else value
