"""`align registry add`: a directory becomes an artifact and the next version of a name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignment.durable import file_sha256, sync
from alignment.errors import UserError
from alignment.registry import contents, listing, log, provenance, views
from alignment.registry.artifacts import copied, seal
from alignment.registry.listing import MANIFEST, RECORDS
from alignment.registry.log import Entry
from alignment.registry.manifest import File, Manifest, Parent, artifact_name, content_digest, split_name
from alignment.registry.model import Model, check_base, check_contents, check_kind, read_model
from alignment.registry.names import COMMAND_KINDS, KINDS
from alignment.registry.standing import Standing
from alignment.registry.who import now, user

if TYPE_CHECKING:
    from alignment.registry.registry import Registry


@dataclass(frozen=True)
class About:
    """What the caller says of a model besides what its run's files tell. parents: references. metrics: added to the run's."""

    parents: tuple[str, ...] = ()
    metrics: dict[str, Any] | None = None
    gates: Any = None
    by: str | None = None
    why: str = ""


def add(registry: Registry, directory: Path, name: str, kind: str | None, about: About) -> int:
    """The number of the version. All is copied and checked before the lock is taken; under it the artifact is renamed to its
    place, and then the log says that it is a version."""
    where = f"DIR {directory}"
    folder = listing.model_directory(directory, where)
    facts, named = provenance.run_facts(folder), provenance.newest_snapshots(folder)
    kind = _kind(kind, facts["command"], where)
    _require_family(registry.standing(name), kind)
    model = read_model(folder, where, registry.artifacts)
    check_kind(folder, [one.name for one in model.of("model")], kind, where)
    with registry.artifacts.staged(registry.locked(f"registry add {directory}")) as staged:
        files, records = _copy(model, staged, where)
        check_contents(staged, list(files), where)  # of what was copied: the directory may have changed since
        check_base(staged, model.base, where)
        made = _manifest(registry, kind, (files, records), facts, named, model.base, about)
        (staged / MANIFEST).write_text(made.text(), encoding="utf-8")
        seal(staged / MANIFEST)
        sync(staged)
        if registry.artifacts.path(kind, made.digest).exists():
            registry.artifacts.check(kind, made.digest)
        return _publish(registry, name, made, staged, about)


def _kind(given: str | None, command: str | None, where: str) -> str:
    kind = given or COMMAND_KINDS.get(str(command))
    if kind not in KINDS:
        raise UserError(
            f"--kind is {given or 'auto'!r}, and {where} has no run.json of `align sft`, `reward` or `ppo`; it must be one of "
            f"{', '.join(KINDS)}"
        )
    return kind


def _require_family(now: Standing, kind: str) -> None:
    other = next((one.kind for one in now.versions.values() if KINDS[one.kind] != KINDS[kind]), None)
    if other:
        raise UserError(
            f"--name is {now.name!r}, whose versions are {other} models; give a {kind} model a name of its own"
        )


def _copy(model: Model, staged: Path, where: str) -> tuple[dict[str, File], dict[str, File]]:
    files, records = {}, {}
    for one in model.of("model"):
        target = staged / one.name
        if one.name in model.rewritten:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(model.rewritten[one.name])
            files[one.name] = seal(target)
        else:
            files[one.name] = copied(one.path, target, where)
    for one in model.of("record"):
        records[one.name] = copied(one.path, staged / RECORDS / one.name, where)
        contents.check(staged / RECORDS / one.name, one.name, where)
    return files, records


def _manifest(
    registry: Registry,
    kind: str,
    files: tuple[dict[str, File], dict[str, File]],
    facts: provenance.Facts,
    named: provenance.Facts,
    base: str | None,
    about: About,
) -> Manifest:
    parents, inputs = provenance.sources(facts["settings"], named, registry.artifacts)
    parents += [Parent("parent", base)] if base and base not in {one.artifact for one in parents} else []
    parents += [Parent("parent", registry.version(reference).artifact) for reference in about.parents]
    own = artifact_name(kind, content_digest(files[0]))
    kept = {(one.role, one.artifact): one for one in parents if one.artifact != own}
    facts = facts | {"metrics": {**facts["metrics"], **(about.metrics or {})}, "gates": about.gates, "inputs": inputs}
    return Manifest(kind, files[0], now(), about.by or user(), files[1], tuple(kept.values()), base, **facts)


def _publish(registry: Registry, name: str, made: Manifest, staged: Path, about: About) -> int:
    with registry.locked(f"registry add --name {name}"):
        standing = registry.standing(name)
        _require_family(standing, made.kind)
        lost = [one.artifact for one in made.parents if not registry.artifacts.path(*split_name(one.artifact)).is_dir()]
        if lost:
            raise UserError(f"{lost[0]}, which it was made from, was deleted just now; repeat the command")
        artifact = artifact_name(made.kind, made.digest)
        there = next((one.number for one in standing.live if one.artifact == artifact), None)
        if there is None:
            final = registry.artifacts.keep(staged, made)
            number = max(standing.versions, default=0) + 1
            entry = Entry("add", number, made.by, now(), about.why, artifact, file_sha256(final / MANIFEST))
            log.append(registry.artifacts.store, name, standing.entries, entry)
        views.refresh(registry, name)
        return there or number
