"""`align store ...`: what each command does."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

from alignment.command import Outcome
from alignment.errors import UserError
from alignment.exit_codes import DONE, FOUND
from alignment.formats.importing import bring as bring_source
from alignment.preferences import copying, opening, verifying
from alignment.preferences.adding import Queue
from alignment.preferences.command import (
    StoreBackupSettings,
    StoreExportSettings,
    StoreImportSettings,
    StoreRestoreSettings,
    StoreSettings,
)
from alignment.preferences.engine import make_engine, shown_url, store_url
from alignment.preferences.migrations import MIGRATIONS
from alignment.preferences.store import Store, existing
from alignment.records import ResponseSet, write_jsonl
from alignment.run import output_file
from alignment.run_record import write_result

SHOWN = 20
"""Faults that `verify` prints; it counts all."""


def bring(settings: StoreImportSettings) -> dict[str, Any]:
    """`align store import`: labels as label events, responses and prompts as tasks. All or nothing."""
    brought = bring_source(settings)
    records, notes = brought.records, list(brought.notes)
    if brought.kind == "responses":
        records, left_out = _rankable(settings.source, records)
        notes += left_out
    with opening.made_or_gone(settings.store), Store(settings.store) as store:
        if brought.kind in ("responses", "prompts"):
            queue = Queue(settings.overlap, settings.duplicate_share)
            kind = "rank" if brought.kind == "responses" else "write"
            added = store.add_tasks(records, queue, kind=kind, by="align store import")
        else:
            added = store.import_records(records, by="align store import")
    what = "tasks" if brought.kind in ("responses", "prompts") else "labels"
    counts = {f"new_{what}": added.new, f"known_{what}": added.known, "faulty": brought.faulty}
    return {"format": brought.format, "kind": brought.kind, "read": brought.read, **counts, "note": notes}


def _rankable(source: str, records: list[ResponseSet]) -> tuple[list[ResponseSet], list[str]]:
    """(those that have something to compare, a sentence about the others). A sampler that repeats itself is no mistake."""
    kept = [one for one in records if len({response.text for response in one.responses}) > 1]
    if not kept:
        raise UserError(f"SOURCE {source}: all responses of each prompt are the same; there is nothing to rank")
    alike = len(records) - len(kept)
    return kept, [f"{alike} of {len(records)} prompts left out: all their responses are the same"] if alike else []


def export(settings: StoreExportSettings) -> dict[str, Any]:
    """The records as JSONL, with `.config.yaml`, `.metrics.json` and `.run.json` beside it."""
    started = time.time()
    with output_file(settings.output) as path, existing(settings.store) as store:
        records = store.records(settings.snapshot).of(settings.kind)
        if not records:
            raise UserError(
                f"STORE {store.shown}: holds no {settings.kind}" + " in that snapshot" * bool(settings.snapshot)
            )
        write_jsonl(path, records)
        metrics = {"kind": settings.kind, "written": len(records)}
        write_result(path, "store export", settings, metrics, started)
    return metrics


def snapshot(settings: StoreSettings) -> dict[str, Any]:
    with existing(settings.store) as store:
        made = store.snapshot(by="align store snapshot")
        return {
            "snapshot": made.digest,
            **made.counts,
            "created": made.created,
            "use": f"store:{store.shown}@{made.digest[:12]}",
        }


def info(settings: StoreSettings) -> dict[str, Any]:
    with existing(settings.store) as store:
        progress, made = store.progress(), store.snapshots()
        people = store.annotators()
        facts = store.info() | {"version": len(MIGRATIONS), "annotators": len(people)}
        facts["quarantined"] = [one.name for one in people if one.quarantined]
        facts |= {"wanted": progress.wanted, "counted": progress.labels, "on_screen": progress.out}
        facts["snapshot"] = [f"{one.digest[:12]} {one.created} {_counts(one.counts)}" for one in made[-5:]]
    return facts


def backup(settings: StoreBackupSettings) -> dict[str, Any]:
    """Written, then verified: what is there in the end can be restored."""
    with output_file(settings.output) as path, existing(settings.store) as store:
        try:
            copying.back_up(store, path)
        except sqlite3.Error as error:  # the copy's own: the store's are sentences already
            raise UserError(
                f"--output {settings.output}: cannot be written ({error}); make room or choose another place"
            ) from error
        with existing(str(path)) as copy:
            faults = list(copy.read(lambda connection: list(verifying.faults(connection))))
            held, digest = copy.info(), copy.digest()
        if faults:
            raise UserError(
                f"STORE {shown_url(store_url(settings.store))}: {faults[0]}; `align store verify` lists all"
            )
    return {
        "output": settings.output,
        "digest": digest,
        **{name: held[name] for name in ("prompts", "responses", "tasks", "labels", "events")},
    }


def restore(settings: StoreRestoreSettings) -> dict[str, Any]:
    url = store_url(settings.store)
    with existing(settings.backup) as source:
        if url.drivername == "sqlite":
            with output_file(str(url.database), "STORE") as path:
                copying.back_up(source, path)
        else:
            with Store(settings.store) as into:
                copying.restore(source, into)
    with existing(settings.store) as made:
        return {
            "restored": made.shown,
            "digest": made.digest(),
            "snapshots": len(made.snapshots()),
            **made.info(),
        }


def verify(settings: StoreSettings) -> Outcome:
    with existing(settings.store) as store:
        held = store.info()
        faults = store.read(lambda connection: list(verifying.faults(connection)))
    metrics = {"faults": len(faults), "fault": faults[:SHOWN], **held}
    if not faults:
        text = f"{held['events']:,} events, {held['tasks']:,} tasks, {held['prompts'] + held['responses']:,} texts: all as saved"
        return Outcome(metrics, text, DONE)
    more = f"\n... and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return Outcome(metrics, "\n".join(faults[:SHOWN]) + more + "\nrestore a backup with `align store restore`", FOUND)


def migrate(settings: StoreSettings) -> dict[str, Any]:
    """An older store is brought to this version, in one transaction; where there is none, an empty one is made."""
    url = store_url(settings.store)
    engine = make_engine(url)
    opening.found_version(engine, shown_url(url))
    before, now = opening.migrate(engine, shown_url(url))
    engine.dispose()
    return {"store": shown_url(url), "version_before": before, "version": now}


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
