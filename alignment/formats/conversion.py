"""Rows of one format → records of ours, each checked; what is faulty or gives nothing is counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alignment.errors import UserError
from alignment.formats.detection import fitting
from alignment.formats.format import Format, Place, Row
from alignment.formats.kinds import convert
from alignment.formats.parsing import Fault
from alignment.records import RECORD_KINDS, encoded
from alignment.text_files import LONGEST_LINE


@dataclass(frozen=True)
class Conversion:
    """Records of ours, how many rows were faulty, and what there is to say about the rest."""

    records: list[Any]
    faulty: int
    notes: list[str]


def convert_rows(
    rows: list[tuple[Place, Row | Fault]], taken_for: Format, natural: str, kind: str, source: str, skip_faulty: bool
) -> Conversion:
    """Every row read, checked and made into the wanted kind. natural: the kind that the rows are of.

    The first faulty row is a UserError, or with `skip_faulty` all of them are counted."""
    if taken_for.gather:
        whole = [(place, row) for place, row in rows if not isinstance(row, Fault)]
        rows = [*((place, row) for place, row in rows if isinstance(row, Fault)), *taken_for.gather(whole)]
    read_as = kind if taken_for.several and kind in taken_for.read else natural
    records: list[Any] = []
    faults: list[str] = []
    without = 0
    for place, row in rows:
        try:
            if isinstance(row, Fault):
                raise ValueError(row.reason)
            found = [_checked(value, read_as) for value in taken_for.read[read_as](row)]
        except (ValueError, RecursionError) as error:
            faults.append(f"SOURCE {source}, {place}: {_other_format(row, taken_for) or error}")
            if not skip_faulty:
                raise UserError(
                    f"{faults[0]} (read as {taken_for.name}; --skip-faulty leaves such records out)"
                ) from None
            continue
        made = [one for record in found if (one := convert(record, read_as, kind)) is not None]
        without += not made
        records += made
    return _summed(records, faults, without, kind)


def _other_format(row: Row | Fault, taken_for: Format) -> str | None:
    """What to say of a faulty row that is in order as a row of another format."""
    others = [] if isinstance(row, Fault) else fitting(row)
    if not others or taken_for.name in (name for name, _ in others):
        return None
    return (
        f"looks like {others[0][0]} ({others[0][1]}), not like {taken_for.name}; import files of one format at a time"
    )


def _checked(value: Row, kind: str) -> Any:
    if len(encoded(value)) > LONGEST_LINE:
        raise ValueError(f"is longer than the {LONGEST_LINE // 2**20} MiB that a line of our files may have; cut it")
    return RECORD_KINDS[kind].parse(value)


def _summed(records: list[Any], faults: list[str], without: int, kind: str) -> Conversion:
    notes = []
    if faults:
        notes.append(f"faulty records left out: {len(faults)}; the first: {faults[0]}")
    if without:
        notes.append(f"records that give no {kind}: {without}")
    if kind == "prompts":  # several pairs or verdicts about one prompt
        unique = list({(one.id, str(one.prompt), one.group): one for one in records}.values())
        if len(unique) < len(records):
            notes.append(f"repeats of a prompt left out: {len(records) - len(unique)}")
        records = unique
    suggested = sum(str(getattr(one, "annotator", "")).startswith("suggestion:") for one in records)
    if suggested:
        notes.append(f"suggestions by a model, where no person had answered (annotator suggestion:...): {suggested}")
    return Conversion(records, len(faults), notes)
