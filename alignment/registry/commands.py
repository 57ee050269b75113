"""`align registry ...`, `align promote`, `align rollback`, `align lineage`: what each command does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from alignment.command import Outcome
from alignment.errors import UserError
from alignment.exit_codes import DONE, INTEGRITY
from alignment.registry.command import (
    AddSettings,
    GcSettings,
    ListSettings,
    PromoteSettings,
    ReferenceSettings,
    RegistrySettings,
    RollbackSettings,
)
from alignment.registry.log import Entry
from alignment.registry.names import parse, parse_version, require_name
from alignment.registry.registry import Registry
from alignment.registry.standing import Standing, Version

SHOWN = 20
"""Faults that `verify` prints; it counts all."""


def add(settings: AddSettings) -> dict[str, Any]:
    parents = tuple(one.strip() for one in (settings.parent or "").split(",") if one.strip())
    for one in parents:
        parse(one, "--parent")
    with _registry(settings, make=True) as registry:
        made = registry.add(
            settings.directory, settings.name, settings.kind, parents=parents, by=settings.by, why=settings.why
        )
    roles = [f"{one.role} {one.artifact}" for one in made.manifest.parents]
    return {
        "version": str(made.version),
        "artifact": made.version.artifact,
        "bytes": made.manifest.size,
        "parents": roles,
    }


def listed(settings: ListSettings) -> Outcome:
    with _registry(settings) as registry:
        names = [require_name(settings.name, "NAME")] if settings.name else registry.names()
        standings = [_known(registry, name) for name in names]
    metrics = {stands.name: _values(stands) for stands in standings}
    lines = [row for stands in standings for row in _rows(stands)]
    return Outcome(metrics, "\n".join(_aligned(lines)) or "no version yet; `align registry add` brings the first")


def show(settings: ReferenceSettings) -> Outcome:
    with _registry(settings) as registry:
        found = registry.resolve(settings.reference)
        happened = [
            one for one in registry.history(found.version.name) if found.version.number in (one.version, one.before)
        ]
        aliases = registry.standing(found.version.name).aliases_of(found.version.number)
    made = found.manifest
    metrics = {
        "version": str(found.version),
        "path": str(found.path),
        "aliases": aliases,
        **asdict(made),
        "digest": made.digest,
    }
    metrics["history"] = [asdict(one) for one in happened]
    lines = [f"{found.version} ({', '.join(aliases)})" if aliases else str(found.version), f"at {found.path}", ""]
    lines += _aligned([(name, f"{one.bytes:,} bytes", f"sha256 {one.sha256[:12]}") for name, one in made.files.items()])
    lines += ["", *(_happened(one) for one in happened), "", "all files are as stored"]
    return Outcome(metrics, "\n".join(lines))


def verify(settings: RegistrySettings) -> Outcome:
    with _registry(settings) as registry:
        faults = registry.verify()
        artifacts, names = len(registry.artifacts.every()), registry.names()
    metrics = {"faults": len(faults), "fault": faults[:SHOWN], "artifacts": artifacts, "names": len(names)}
    if not faults:
        return Outcome(metrics, f"{artifacts} artifacts, {len(names)} names: all as stored", DONE)
    more = f"\n... and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return Outcome(metrics, "\n".join(faults[:SHOWN]) + more, INTEGRITY)


def rebuild(settings: RegistrySettings) -> dict[str, Any]:
    with _registry(settings) as registry:
        return {
            "links": registry.rebuild(),
            "names": len(registry.names()),
            "artifacts": len(registry.artifacts.every()),
        }


def gc(settings: GcSettings) -> Outcome:
    with _registry(settings) as registry:
        found = registry.gc(settings.keep, settings.delete, settings.by)
    versions = [str(one) for one in found.versions]
    metrics = {
        "deleted": settings.delete,
        "versions": versions,
        "artifacts": found.artifacts,
        "bytes": found.bytes,
        "kept": found.kept,
    }
    if not found.artifacts:
        return Outcome(metrics, f"nothing to delete: all {found.kept} artifacts are needed")
    did = "deleted" if settings.delete else "would delete"
    known = {one.artifact: str(one) for one in found.versions}
    lines = [f"{did} {known.get(artifact, 'no version')}  {artifact[:24]}" for artifact in found.artifacts]
    advice = "" if settings.delete else "; --delete does it"
    return Outcome(metrics, "\n".join([*lines, f"{found.bytes:,} bytes; {found.kept} artifacts stay{advice}"]))


def promote(settings: PromoteSettings) -> dict[str, Any]:
    wanted = parse(settings.reference, "REFERENCE")
    with _registry(settings) as registry:
        version = registry.version(wanted)
        before = registry.standing(wanted.name).aliases.get(settings.alias)
        expected = before if settings.expected is None else _expected(settings.expected)
        after = registry.promote(
            wanted.name,
            version.number,
            expected=expected,
            alias=settings.alias,
            token=settings.token,
            by=settings.by,
            why=settings.why,
        )
    return {settings.alias: str(version), "before": f"v{before}" if before else "nobody", "token": after.token}


def rollback(settings: RollbackSettings) -> dict[str, Any]:
    require_name(settings.name, "NAME")
    to, expected = (
        parse_version(text, flag) if text else None
        for text, flag in ((settings.to, "--to"), (settings.expected, "--expected"))
    )
    with _registry(settings) as registry:
        before = _known(registry, settings.name).champion
        after = registry.rollback(settings.name, to=to, expected=expected, by=settings.by, why=settings.why)
    return {"champion": f"{settings.name}@v{after.champion}", "before": f"v{before}", "token": after.token}


def lineage(settings: ReferenceSettings) -> Outcome:
    with _registry(settings) as registry:
        node = registry.lineage(settings.reference)
    return Outcome(node.values(), "\n".join(node.lines()))


@contextlib.contextmanager
def _registry(settings: RegistrySettings, make: bool = False) -> Iterator[Registry]:
    """What the system says when it cannot be read is one sentence, too."""
    try:
        yield Registry(settings.registry, make)
    except OSError as error:
        place = error.filename or settings.registry
        raise UserError(
            f"--registry: {place} cannot be read ({os.strerror(error.errno or 0)}); give another place"
        ) from error


def _known(registry: Registry, name: str) -> Standing:
    stands = registry.standing(name)
    if not stands.versions:
        raise UserError(
            f"NAME is {name!r}; there is no such name; there are {', '.join(registry.names()) or 'none yet'}"
        )
    return stands


def _expected(text: str) -> int | None:
    return None if text == "nobody" else parse_version(text, "--expected")


def _values(stands: Standing) -> dict[str, Any]:
    versions = [
        {"version": one.number, "artifact": one.artifact, "added": one.added, "by": one.by} for one in stands.live
    ]
    return {"token": stands.token, "aliases": stands.aliases, "versions": versions}


def _rows(stands: Standing) -> Iterator[tuple[str, ...]]:
    """The newest version first; those whose files were deleted are told as one line."""
    for one in reversed(stands.live):
        yield _row(stands, one)
    gone = len(stands.versions) - len(stands.live)
    if gone:
        yield (f"{stands.name}  {gone} older deleted", "", "", "", "")


def _row(stands: Standing, one: Version) -> tuple[str, ...]:
    aliases = ", ".join(stands.aliases_of(one.number))
    return str(one), aliases, one.kind, f"sha256-{one.digest[:12]}", f"{one.added[:16].replace('T', ' ')} {one.by}"


def _happened(one: Entry) -> str:
    did = {
        "add": f"added as v{one.version}",
        "place": f"v{one.version} became {one.alias}, before it {f'v{one.before}' if one.before else 'nobody'}",
        "rollback": f"rolled back to v{one.version} from v{one.before}",
        "remove": f"files of v{one.version} deleted",
    }[one.action]
    return f"{one.when[:19].replace('T', ' ')} {one.by}: {did}{f' ({one.why})' if one.why else ''}"


def _aligned(rows: Any) -> Any:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
