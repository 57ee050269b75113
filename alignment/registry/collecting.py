"""`align registry gc`: what nothing reaches."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignment.registry import log, views
from alignment.registry.log import Entry
from alignment.registry.manifest import artifact_name, split_name
from alignment.registry.standing import Standing, Version
from alignment.registry.who import now

if TYPE_CHECKING:
    from alignment.registry.registry import Registry


@dataclass(frozen=True)
class Garbage:
    """versions: that lose their files. artifacts: to delete, KIND/sha256-…. bytes: that this frees. kept: artifacts that stay."""

    versions: list[Version]
    artifacts: list[str]
    bytes: int
    kept: int


def collect(registry: Registry, keep: int, delete: bool, by: str) -> Garbage:
    """Finds it and, where asked, deletes it. The log first says that a version's files are gone, then they go: a killed
    collection leaves artifacts that the next one finds."""
    with registry.locked("registry gc"):
        found = garbage(registry, keep)
        if not delete:
            return found
        for version in found.versions:
            at = registry.standing(version.name)
            entry = Entry("remove", version.number, by, now(), f"gc, --keep {keep}", artifact=version.artifact)
            log.append(registry.artifacts.store, version.name, at.entries, entry)
        views.refresh(registry)
        trash = [registry.artifacts.remove(*split_name(artifact)) for artifact in found.artifacts]
    for folder in trash:
        shutil.rmtree(folder, ignore_errors=True)
    return found


def garbage(registry: Registry, keep: int) -> Garbage:
    standings = [registry.standing(name) for name in registry.names()]
    reached = _reached(registry, {one.artifact for now in standings for one in _roots(now, keep)})
    there = [artifact_name(*one) for one in registry.artifacts.every()]
    lost = [artifact for artifact in there if artifact not in reached]
    versions = [one for now in standings for one in now.live if one.artifact not in reached]
    size = sum(registry.artifacts.read(*split_name(artifact)).size for artifact in lost)
    return Garbage(versions, lost, size, len(there) - len(lost))


def _roots(now: Standing, keep: int) -> list[Version]:
    """The versions with an alias, and the newest."""
    numbers = set(now.aliases.values()) | {one.number for one in now.live[-keep:]}
    return [now.versions[number] for number in numbers]


def _reached(registry: Registry, roots: set[str]) -> set[str]:
    """These artifacts and all that they were made from, as far as it is there."""
    reached: set[str] = set()
    waiting = set(roots)
    while waiting:
        artifact = waiting.pop()
        if registry.artifacts.path(*split_name(artifact)).is_dir():
            reached.add(artifact)
            waiting |= {one.artifact for one in registry.artifacts.read(*split_name(artifact)).parents} - reached
    return reached
