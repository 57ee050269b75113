"""`align import`: what a user brings → our own JSONL, checked record by record, all or nothing."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from alignment.command import Command
from alignment.config import Settings, setting
from alignment.errors import UserError
from alignment.formats.columns import rename
from alignment.formats.conversion import convert_rows
from alignment.formats.detection import detect, shown_fields
from alignment.formats.files import read_rows
from alignment.formats.format import Format, Place, Row
from alignment.formats.kinds import NOTES, in_form, kinds_from
from alignment.formats.parsing import Fault, Source
from alignment.formats.table import FORMATS
from alignment.records import write_jsonl
from alignment.run import output_file
from alignment.run_record import write_result

TARGETS = sorted(set().union(*(one.fields or () for one in FORMATS.values())) | {"fields", "responses"})
"""What `--map` may give: every field that some format reads."""


@dataclass(frozen=True)
class SourceSettings(Settings):
    """What a user brings, and how it is to be read."""

    source: str = setting(
        positional=True,
        help="a JSON, JSONL, CSV or Parquet file (JSON and CSV also .gz), a directory of them, or a Hub dataset id",
    )
    format: str = setting(
        "auto",
        help=f"what the source holds: auto (by its fields), {', '.join(FORMATS)}; docs/formats.md shows each",
        source="ours",
    )
    kind: Literal["auto", "demonstrations", "prompts", "responses", "rankings", "verdicts"] = setting(
        "auto", help="what to make of it; auto: what the format holds", source="ours"
    )
    map: str | None = setting(
        None,
        help="names for columns, OURS=THEIRS,...: prompt=question,response=answer; THEIRS may lead inside (answers.text) "
        "and join several (prompt=instruction+context)",
        source="ours",
    )
    prompt_form: Literal["as-is", "messages", "text"] = setting(
        "as-is",
        help="prompts as the format has them, as chat messages (for a model with a chat template) or as text (for one "
        "without)",
        source="ours",
    )
    skip_faulty: bool = setting(False, help="leave faulty records out and count them", source="ours: a fault stops")
    split: str | None = setting(
        None, help="the split of a Hub dataset or directory, for example train", source="ours: the only one"
    )
    subset: str | None = setting(None, help="the subset (configuration) of a Hub dataset", source="datasets")
    encoding: str = setting("utf-8", help="of text files, for example utf-16 or latin-1", source="ours")
    delimiter: str | None = setting(
        None, help="between the cells of a CSV file: one sign, or tab", none="auto", source="comma; tab for .tsv"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format != "auto" and self.format not in FORMATS:
            raise UserError(f"--format is {self.format!r}; it must be auto or one of {', '.join(FORMATS)}")
        if self.delimiter not in (None, "tab") and len(self.delimiter) != 1:
            raise UserError(f"--delimiter is {self.delimiter!r}; it must be one sign, or the word tab")
        mapping(self.map)


@dataclass(frozen=True)
class ImportSettings(SourceSettings):
    """Settings of `align import`."""

    output: str = setting(help="the JSONL file of our records that is written; must not exist yet")


COMMAND = Command(
    "import",
    "bring demonstrations, prompts, rankings or verdicts in from another format",
    ImportSettings,
    "alignment.formats.importing:run",
)


def run(settings: ImportSettings) -> dict[str, Any]:
    """Writes the records to `output`, with `.config.yaml`, `.metrics.json` and `.run.json` beside it."""
    started = time.time()
    with output_file(settings.output) as path:
        brought = bring(settings)
        write_jsonl(path, brought.records)
        metrics = {
            "format": brought.format,
            "kind": brought.kind,
            "read": brought.read,
            "written": len(brought.records),
            "faulty": brought.faulty,
            "note": [*brought.notes, *([NOTES[brought.kind]] if brought.kind in NOTES else [])],
        }
        write_result(path, "import", settings, metrics, started)
    return metrics


@dataclass(frozen=True)
class Brought:
    """Records of one kind out of a source. format: what it was taken for. read: rows; faulty: those left out."""

    format: str
    kind: str
    records: list[Any]
    read: int
    faulty: int
    notes: list[str]


def bring(settings: SourceSettings) -> Brought:
    """The records of the source, each checked; at least one."""
    rows = _rows(settings)
    good = [row for _, row in rows if not isinstance(row, Fault)]
    taken_for, natural = _format(settings, good)
    kind = _kind(settings, taken_for, natural)
    result = convert_rows(rows, taken_for, natural, kind, settings.source, settings.skip_faulty)
    if not result.records:
        raise UserError(f"SOURCE {settings.source}: gives no {kind}; {' '.join(result.notes) or 'it is empty'}")
    return Brought(
        format=f"{taken_for.name} ({taken_for.title})" + (", by its fields" * (settings.format == "auto")),
        kind=kind,
        records=[in_form(record, settings.prompt_form) for record in result.records],
        read=len(rows),
        faulty=result.faulty,
        notes=[*_unused(good, taken_for, settings), *result.notes],
    )


def mapping(text: str | None) -> dict[str, str]:
    """`prompt=question,response=answer` → {ours: theirs}."""
    pairs = [part.partition("=") for part in text.split(",")] if text else []
    for our, sign, their in pairs:
        if not sign or not their.strip() or our.strip() not in TARGETS:
            raise UserError(
                f"--map holds {our + sign + their!r}; write OURS=THEIRS, where OURS is one of {', '.join(TARGETS)}"
            )
    return {our.strip(): their.strip() for our, _, their in pairs}


def _rows(settings: SourceSettings) -> list[tuple[Place, Row | Fault]]:
    delimiter = "\t" if settings.delimiter == "tab" else settings.delimiter
    source = Source(settings.source, settings.split, settings.subset, settings.encoding, delimiter)
    rows = read_rows(source)
    names = mapping(settings.map)
    found = {name for _, row in rows if not isinstance(row, Fault) for name in row}
    for their in {part for names_ in names.values() for part in names_.split("+")}:
        if their.split(".")[0] not in found and their not in found:
            fields = shown_fields([row for _, row in rows if not isinstance(row, Fault)])
            raise UserError(
                f"--map speaks of {their!r}, which no record has; {settings.source} has the fields {fields}"
            )
    return [(place, row if isinstance(row, Fault) else rename(row, names)) for place, row in rows]


def _format(settings: SourceSettings, rows: list[Row]) -> tuple[Format, str]:
    """(format, the kind that it gives of itself)."""
    wanted = None if settings.kind == "auto" else settings.kind
    if settings.format == "auto":
        return detect(rows, settings.source, wanted) if rows else (FORMATS["own"], "prompts")
    chosen = FORMATS[settings.format]
    votes = Counter(kind for row in rows if (kind := chosen.kind_of(row)) is not None)
    if votes:
        return chosen, wanted if wanted is not None and wanted in votes else votes.most_common(1)[0][0]
    return chosen, wanted if wanted is not None and wanted in chosen.read else next(iter(chosen.read))


def _kind(settings: SourceSettings, taken_for: Format, natural: str) -> str:
    wanted = natural if settings.kind == "auto" else settings.kind
    possible = kinds_from(natural)
    if wanted not in possible:
        raise UserError(
            f"--kind is {wanted}; {settings.source} holds {natural} ({taken_for.name}), "
            f"which can become {' or '.join(possible)}"
        )
    return wanted


def _unused(rows: list[Row], taken_for: Format, settings: SourceSettings) -> list[str]:
    if taken_for.fields is None:
        return []
    names = dict.fromkeys(name for row in rows for name in row if name not in taken_for.fields)
    return [f"fields that were not used: {shown_fields([dict(names)])}"] if names else []
