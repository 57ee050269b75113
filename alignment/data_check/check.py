"""`align data check`: reads one file, runs every check, reports; with --fix writes a cleaned copy beside it."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from alignment.command import Outcome
from alignment.data_check import duplicates, encoding, leakage, lengths, lines, pii, rankings, report
from alignment.data_check.command import CheckSettings
from alignment.data_check.excerpt import excerpt
from alignment.data_check.findings import Findings
from alignment.data_check.fix import fixed_path, mend
from alignment.data_check.lines import Entry, Source
from alignment.errors import UserError
from alignment.exit_codes import DONE, FOUND
from alignment.run import output_file, write_json


def run(settings: CheckSettings) -> Outcome:
    """Exit code 1 where a finding is an error, else 0, also where --fix mended it in the copy: it speaks of FILE."""
    with contextlib.ExitStack() as stack:  # both places are taken, or refused, before the work
        report_path = stack.enter_context(output_file(settings.output)) if settings.output else None
        target = stack.enter_context(output_file(fixed_path(settings.file), "--fix")) if settings.fix else None
        source = lines.read(settings.file, "FILE", settings.kind, _group_fields(settings))
        others = _others(settings, source)
        figures = checked(settings, source, others)
        mended = _write_fixed(settings, source, target, figures) if target else None
        metrics = report.metrics(source, source.findings, figures)
        if report_path:
            write_json(report_path, metrics)
    summary = report.text(source, source.findings, figures, mended)
    return Outcome(metrics, summary, code=FOUND if source.findings.found("error") else DONE)


def checked(settings: CheckSettings, source: Source, others: list[Source]) -> dict[str, Any]:
    """Runs every check; the findings go into `source.findings`. Returns the figures."""
    entries, findings = source.entries, source.findings
    figures: dict[str, Any] = {"other_fields": {excerpt(name): count for name, count in source.other_fields.items()}}
    lengths.check(entries, None if settings.model else settings.max_characters, findings)
    figures["characters"] = lengths.characters(entries)
    if settings.model:
        from alignment.data_check import tokens  # loads torch and transformers

        figures["tokens"] = tokens.check(entries, settings.model, settings.max_length, findings)
    figures["scripts"] = encoding.check(entries, findings)
    _personal_data(entries, findings)
    if source.kind == "rankings":
        figures["rankings"] = rankings.check(entries, findings)
    if others:
        leakage.check(entries, others, settings.near_duplicate, findings)
        figures["against"] = {
            str(other.path): {"kind": other.kind, "records": len(other.entries), "skipped": other.skipped}
            for other in others
        }
    figures["near_duplicates_unchecked"] = duplicates.check(entries, settings.near_duplicate, findings)
    return figures


def _group_fields(settings: CheckSettings) -> tuple[str, ...]:
    return tuple(field.strip() for field in settings.group_field.split(","))


def _others(settings: CheckSettings, source: Source) -> list[Source]:
    if settings.against is None:
        return []
    paths = [path.strip() for path in settings.against.split(",")]
    for path in paths:
        if Path(path).resolve() == source.path.resolve():
            raise UserError(
                f"--against {path}: is the file that is checked; give the files it must share no prompt with"
            )
    return [lines.read(path, "--against", "auto", _group_fields(settings)) for path in paths]


def _personal_data(entries: list[Entry], findings: Findings) -> None:
    for entry in entries:
        for place, text in entry.texts:
            for rule, start, end in pii.matches(text):
                findings.add(rule, entry.line, f"{place}: {excerpt(pii.mask(rule, text[start:end]))}")


def _write_fixed(settings: CheckSettings, source: Source, target: Path, figures: dict[str, Any]) -> str:
    """Writes the copy, adds its counts to the figures, says it in words."""
    mended = mend(source, source.findings, settings.mask_pii)
    if not mended.lines:
        raise UserError(f"--fix would drop every line of {settings.file}; nothing was written")
    target.write_text("".join(line + "\n" for line in mended.lines), encoding="utf-8", newline="\n")
    path = str(fixed_path(settings.file))
    figures["fixed"] = {
        "file": path,
        "lines": len(mended.lines),
        "dropped": dict(mended.dropped),
        "mended": dict(mended.changed),
    }
    return report.mended_text(path, mended, source.lines)
