"""`align lineage`: which labels, code, settings and parents made a model, as a tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignment.registry.manifest import Manifest, split_name

if TYPE_CHECKING:
    from alignment.registry.registry import Registry

SHORT = 12
"""Digits of a digest that people see."""


@dataclass(frozen=True)
class Node:
    """An artifact and what it was made from. roles: what its child used it for. known_as: versions that it is, with their
    aliases. manifest: None where its files are gone; what it was made from is then not known."""

    artifact: str
    roles: tuple[str, ...]
    known_as: tuple[str, ...]
    manifest: Manifest | None
    parents: tuple[Node, ...]

    def values(self) -> dict[str, Any]:
        """As plain values, for `--json`."""
        made = self.manifest
        told = (
            {}
            if made is None
            else {name: getattr(made, name) for name in ("command", "started", "settings", "versions", "inputs")}
        )
        return {
            "artifact": self.artifact, "roles": list(self.roles), "known_as": list(self.known_as), **told,
            "parents": [parent.values() for parent in self.parents],
        }  # fmt: skip

    def lines(self, told: set[str] | None = None) -> Iterator[str]:
        """The tree for people. told: artifacts that stand further up already; they are named, not told again."""
        told = set() if told is None else told
        role = f"{', '.join(self.roles)}: " if self.roles else ""
        kind, digest = split_name(self.artifact)
        again = self.artifact in told
        yield f"{role}{', '.join(self.known_as) or 'no version'}  {kind} sha256-{digest[:SHORT]}{', see above' if again else ''}"
        if again:
            return
        told.add(self.artifact)
        bar = "│" if self.parents else " "
        yield from (f"{bar}  {fact}" for fact in _facts(self.manifest))
        for number, parent in enumerate(self.parents, 1):
            branch, below = ("└─ ", "   ") if number == len(self.parents) else ("├─ ", "│  ")
            for place, line in enumerate(parent.lines(told)):
                yield f"{branch if place == 0 else below}{line}".rstrip()


def lineage(registry: Registry, artifact: str) -> Node:
    """The tree above one artifact."""
    known: dict[str, list[str]] = {}
    for name in registry.names():
        stands = registry.standing(name)
        for version in stands.live:
            aliases = stands.aliases_of(version.number)
            told = f"{version} ({', '.join(aliases)})" if aliases else str(version)
            known.setdefault(version.artifact, []).append(told)
    return _node(registry, artifact, (), known)


def _node(registry: Registry, artifact: str, roles: tuple[str, ...], known: dict[str, list[str]]) -> Node:
    there = registry.artifacts.path(*split_name(artifact)).is_dir()
    made = registry.artifacts.read(*split_name(artifact)) if there else None
    parents: dict[str, tuple[str, ...]] = {}
    for parent in made.parents if made else ():
        parents[parent.artifact] = (*parents.get(parent.artifact, ()), parent.role)
    above = tuple(_node(registry, name, role, known) for name, role in parents.items())
    return Node(artifact, roles, tuple(known.get(artifact, ())), made, above)


def _facts(made: Manifest | None) -> Iterator[str]:
    if made is None:
        yield "its files are gone: what it was made from is not known"
        return
    code = ", ".join(f"{name} {version}" for name, version in made.versions.items() if version)
    yield (
        f"made by align {made.command} at {made.started}" if made.command else f"brought by {made.by} at {made.created}"
    )
    if code:
        yield f"code: {code}"
    named = {*made.inputs, *(parent.role for parent in made.parents)}
    settings = [f"{name} {value}" for name, value in made.changed.items() if name not in named]
    if settings:
        yield f"settings: {', '.join(settings)}"
    for name, found in made.inputs.items():
        yield from (f"{name}: {_input(one)}" for one in found)


def _input(one: dict[str, Any]) -> str:
    if "snapshot" in one:
        snapshot = f"snapshot {one['snapshot'][:SHORT]}" if one["snapshot"] else "which snapshot, was not kept"
        return f"{one['given']}, {snapshot}"
    if "content" in one:
        content = f"content {one['content'][:SHORT]}" if one["content"] else "no model"
        return f"{one['given']}, not in the registry, {content}"
    return f"{one['given']}, sha256 {one['sha256'][:SHORT]}"
