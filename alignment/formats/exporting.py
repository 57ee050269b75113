"""`align export`: our own JSONL → another format; what that format cannot hold is counted, never bent."""

from __future__ import annotations

import csv
import json
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from alignment.command import Command
from alignment.config import Settings, setting
from alignment.errors import UserError
from alignment.formats import own
from alignment.formats.details import details
from alignment.formats.format import Format, Row
from alignment.formats.table import FORMATS
from alignment.records import RECORD_KINDS, read_jsonl
from alignment.run import output_file
from alignment.run_record import write_result

WRITABLE = tuple(name for name, one in FORMATS.items() if one.write)


@dataclass(frozen=True)
class ExportSettings(Settings):
    """Settings of `align export`."""

    records: str = setting(
        positional=True,
        help="JSONL of our records: demonstrations, prompts, rankings, ...; or store:URL@SNAPSHOT, a snapshot of the "
        "preference store",
    )
    format: str = setting(help=f"what to write: {', '.join(WRITABLE)}; docs/formats.md shows each")
    output: str = setting(
        help="the file that is written, its type by its name: .jsonl, .json (one array), .csv or .parquet; must not exist"
    )
    kind: Literal["auto", "rankings", "demonstrations", "verdicts"] = setting(
        "auto", help="which records of a snapshot; auto: the kind that it holds and the format takes", source="ours"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.format not in WRITABLE:
            raise UserError(f"--format is {self.format!r}; it must be one of {', '.join(WRITABLE)}")
        if Path(self.output).suffix.lower() not in WRITERS:
            raise UserError(f"--output is {self.output!r}; its name must end with {', '.join(WRITERS)}")


COMMAND = Command(
    "export",
    "write demonstrations, prompts, rankings or verdicts in another format",
    ExportSettings,
    "alignment.formats.exporting:run",
)


def run(settings: ExportSettings) -> dict[str, Any]:
    """Writes the rows to `output`, with `.config.yaml`, `.metrics.json` and `.run.json` beside it."""
    started = time.time()
    into = FORMATS[settings.format]
    with output_file(settings.output) as path:
        kind, records = read_own(settings, into)
        rows, left_out, notes = write_rows(into, kind, records)
        if not rows:
            raise UserError(
                f"--format {into.name}: can hold none of the records of {settings.records}; {'; '.join(notes)}"
            )
        WRITERS[Path(settings.output).suffix.lower()](path, rows, settings.output)
        metrics = {
            "format": f"{into.name} ({into.title})",
            "kind": kind,
            "read": len(records),
            "left_out": left_out,
            "written": len(rows),
            "note": notes,
        }
        write_result(path, "export", settings, metrics, started)
    return metrics


def read_own(settings: ExportSettings, into: Format) -> tuple[str, list[Any]]:
    """(kind, records), of a kind that the format takes."""
    if settings.records.startswith("store:"):
        return _of_a_snapshot(settings, into)
    votes = Counter(own.FORMAT.kind_of(value) for value in read_jsonl(settings.records, "RECORDS", dict))
    kind = next((kind for kind, _ in votes.most_common() if kind is not None), None)
    if kind is None:
        raise UserError(f"RECORDS {settings.records}: holds no records of ours; bring it in with `align import` first")
    if settings.kind not in ("auto", kind):
        raise UserError(f"--kind is {settings.kind}; {settings.records} holds {kind}")
    _require_taken(into, settings.records, [kind])
    return kind, read_jsonl(settings.records, "RECORDS", RECORD_KINDS[kind].parse)


def _of_a_snapshot(settings: ExportSettings, into: Format) -> tuple[str, list[Any]]:
    from alignment.preferences.references import snapshot_at, tell_newest  # load a database

    where, held = snapshot_at(settings.records, "RECORDS")
    if settings.kind != "auto":
        if settings.kind not in held:
            raise UserError(f"--kind is {settings.kind}; {where} holds {' and '.join(held)}")
        held = {settings.kind: held[settings.kind]}
    _require_taken(into, where, list(held))
    taken = [kind for kind in held if kind in into.write]
    if len(taken) > 1:
        raise UserError(f"RECORDS {where} holds {' and '.join(taken)}; say which with --kind")
    tell_newest(settings.records, "RECORDS")
    return taken[0], held[taken[0]]


def _require_taken(into: Format, source: str, kinds: list[str]) -> None:
    if not set(kinds) & into.write.keys():
        able = [name for name in WRITABLE if set(kinds) & FORMATS[name].write.keys()]
        raise UserError(
            f"--format {into.name}: takes {' or '.join(into.write)}; {source} holds {' and '.join(kinds)}, which "
            f"{', '.join(able)} can take"
        )


def write_rows(into: Format, kind: str, records: list[Any]) -> tuple[list[Row], int, list[str]]:
    """(rows, records left out, a sentence for each detail that the format cannot hold)."""
    rows: list[Row] = []
    refused: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    left_out = 0
    for record in records:
        used = details(record)
        if used & into.refuses:
            left_out += 1
            refused.update(used & into.refuses)
            continue
        dropped.update(used & into.drops)
        rows += into.write[kind](record)
    of = f"of {len(records)} records"
    notes = [f"{into.title} holds no {one}: {count} {of} left out" for one, count in sorted(refused.items())]
    notes += [f"{into.title} holds no {one}: lost in {count} {of}" for one, count in sorted(dropped.items())]
    return rows, left_out, notes


def _write_jsonl(path: Path, rows: list[Row], output: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(_dumped(row, output) + "\n" for row in rows)


def _write_json(path: Path, rows: list[Row], output: str) -> None:
    path.write_text("[\n" + ",\n".join(_dumped(row, output) for row in rows) + "\n]\n", encoding="utf-8")


def _dumped(row: Row, output: str) -> str:
    try:
        return json.dumps(row, ensure_ascii=False, allow_nan=False)
    except RecursionError:
        raise UserError(
            f"--output {output}: a chat has too many turns to be nested in JSON; choose another --format"
        ) from None


def _write_csv(path: Path, rows: list[Row], output: str) -> None:
    import pandas

    for number, row in enumerate(rows, start=1):
        wrong = next((name for name, value in row.items() if isinstance(value, dict | list | tuple)), None)
        if wrong is not None:
            raise UserError(
                f"--output {output}: a CSV cell holds one text, but {wrong} of row {number} is a list or an object; "
                "write .jsonl, .json or .parquet"
            )
    pandas.DataFrame(rows).to_csv(path, index=False, quoting=csv.QUOTE_ALL, lineterminator="\n", encoding="utf-8")


def _write_parquet(path: Path, rows: list[Row], output: str) -> None:
    import pyarrow
    import pyarrow.parquet

    names = dict.fromkeys(name for row in rows for name in row)
    try:
        table = pyarrow.table({name: [row.get(name) for row in rows] for name in names})
        pyarrow.parquet.write_table(table, path)
    except pyarrow.ArrowException as error:
        raise UserError(
            f"--output {output}: a Parquet column holds one type ({str(error).splitlines()[0][:120]}); write .jsonl, "
            "or bring all prompts into one form with `align import --prompt-form`"
        ) from None


WRITERS = {".jsonl": _write_jsonl, ".json": _write_json, ".csv": _write_csv, ".parquet": _write_parquet}
"""A file's type, by the end of its name."""
