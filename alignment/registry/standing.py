"""Where a name stands: its versions and aliases, which follow from its log and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field

from alignment.registry.errors import Damaged
from alignment.registry.log import Entry
from alignment.registry.names import ALIASES


@dataclass(frozen=True)
class Version:
    """artifact: KIND/sha256-…. manifest: sha256 of its MANIFEST.json. removed: when its files were deleted, if they were."""

    name: str
    number: int
    artifact: str
    manifest: str
    added: str
    by: str
    removed: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@v{self.number}"

    @property
    def kind(self) -> str:
        return self.artifact.partition("/")[0]

    @property
    def digest(self) -> str:
        return self.artifact.partition("/sha256-")[2]


@dataclass
class Standing:
    """Of one name, after its newest entry.

    entries: how many there are. token: number of the entry that made the champion, 0 where there is none: who has seen a
    higher one knows that this is old. champions: those that stand behind each other, the present one last."""

    name: str
    entries: int = 0
    token: int = 0
    versions: dict[int, Version] = field(default_factory=dict)
    placed: dict[str, int] = field(default_factory=dict)
    champions: list[int] = field(default_factory=list)

    @property
    def champion(self) -> int | None:
        return self.champions[-1] if self.champions else None

    @property
    def previous(self) -> int | None:
        """Where a rollback goes: the champion before that is still there."""
        return next((one for one in reversed(self.champions[:-1]) if not self.versions[one].removed), None)

    @property
    def aliases(self) -> dict[str, int]:
        """Alias → version, in the order in which they are told."""
        found = {**self.placed, "champion": self.champion, "previous": self.previous}
        return {alias: found[alias] for alias in ALIASES if found.get(alias)}  # type: ignore[misc]

    @property
    def live(self) -> list[Version]:
        """The versions whose files are there, oldest first."""
        return [one for one in self.versions.values() if not one.removed]

    def aliases_of(self, number: int) -> list[str]:
        return [alias for alias, version in self.aliases.items() if version == number]


def standing(name: str, entries: list[Entry]) -> Standing:
    """The log, read from its first entry to its last."""
    made = Standing(name, entries=len(entries))
    for entry in entries:
        try:
            _APPLY[entry.action](made, entry)
        except (LookupError, TypeError):
            raise Damaged(
                f"log/{name}: entry {entry.token} speaks of a version that is not there; restore a copy"
            ) from None
    return made


def _add(made: Standing, entry: Entry) -> None:
    artifact, manifest = str(entry.artifact), str(entry.manifest)
    made.versions[entry.version] = Version(made.name, entry.version, artifact, manifest, entry.when, entry.by)


def _place(made: Standing, entry: Entry) -> None:
    version = made.versions[entry.version]
    if entry.alias != "champion":
        made.placed[str(entry.alias)] = version.number
        return
    made.champions.append(entry.version)
    made.token = entry.token
    made.placed.setdefault("best-ever", entry.version)  # the first; whoever compares them moves it
    if made.placed.get("challenger") == entry.version:
        del made.placed["challenger"]


def _rollback(made: Standing, entry: Entry) -> None:
    """The champions after `version` are none any more: a second rollback goes further back, never to what was taken down."""
    taken_down = set()
    while made.champions[-1] != entry.version:
        taken_down.add(made.champions.pop())
    made.token = entry.token
    if made.placed.get("best-ever") in taken_down:
        made.placed["best-ever"] = entry.version


def _remove(made: Standing, entry: Entry) -> None:
    old = made.versions[entry.version]
    made.versions[entry.version] = Version(**{**old.__dict__, "removed": entry.when})


_APPLY = {"add": _add, "place": _place, "rollback": _rollback, "remove": _remove}
