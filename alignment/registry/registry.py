"""The registry of a workspace: what others call. Reading never writes and waits for nobody."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.durable import file_sha256, make_folder
from alignment.errors import UserError
from alignment.registry import adding, collecting, lock, log, verifying, views
from alignment.registry import lineage as tree
from alignment.registry.artifacts import Artifacts
from alignment.registry.errors import Changed, Damaged
from alignment.registry.listing import MANIFEST
from alignment.registry.log import Entry
from alignment.registry.manifest import Manifest, split_name
from alignment.registry.model import check_base, check_contents
from alignment.registry.names import PLACED, Reference, parse, require_name
from alignment.registry.standing import Standing, Version, standing
from alignment.registry.who import now, user
from alignment.run import writing

ENVIRONMENT, DEFAULT = "ALIGN_REGISTRY", "registry"
"""The variable that says where the registry lies, and where it lies without."""


@dataclass(frozen=True)
class Artifact:
    """What a reference stands for: a directory that never changes. token: as in `Standing`."""

    version: Version
    path: Path
    manifest: Manifest
    token: int


class Registry:
    """Artifacts, versions and aliases below one folder. Any number of processes may use it at once."""

    def __init__(self, folder: str | Path | None = None, make: bool = False) -> None:
        """folder: None is $ALIGN_REGISTRY, else `registry`. make: where there is none, an empty one is made by the first
        `add`; without it a UserError says so."""
        self.folder = Path(folder or os.environ.get(ENVIRONMENT) or DEFAULT)
        self.artifacts = Artifacts(self.folder)
        if not make and not self.artifacts.store.is_dir():
            raise UserError(f"--registry {self.folder}: there is no registry; make one with `align registry add`")

    # --- reading ---

    def names(self) -> list[str]:
        return log.names(self.artifacts.store)

    def standing(self, name: str) -> Standing:
        """Versions and aliases of a name; without any where the name is new."""
        return standing(name, self.history(name))

    def history(self, name: str) -> list[Entry]:
        """All that ever happened to a name, oldest first: who, when, why."""
        return log.read(self.artifacts.store, name)

    def version(self, reference: str | Reference) -> Version:
        """What a reference stands for, without a look at its files. UserError where it stands for nothing that is there."""
        return self._located(reference)[1]

    def resolve(self, reference: str | Reference, quick: bool = False) -> Artifact:
        """The artifact of a reference, checked: every file's size, then its sha256, then what it may hold; and so the base
        of an adapter. quick: sizes alone. Damaged names the file that is not what was stored."""
        standing_now, found = self._located(reference)
        made = self.checked(found, quick)
        path = self.artifacts.path(found.kind, found.digest)
        return Artifact(found, path.resolve(), made, standing_now.token)

    def checked(self, version: Version, quick: bool = False) -> Manifest:
        """The manifest of a version, once its files are what was stored."""
        kind, digest = version.kind, version.digest
        made = self.artifacts.check(kind, digest, quick)
        folder = self.artifacts.path(kind, digest)
        if file_sha256(folder / MANIFEST) != version.manifest:
            raise Damaged(
                f"{version.artifact}/{MANIFEST} is not what was stored with {version}; restore it from a copy"
            )
        check_base(folder, made.base, version.artifact)
        if not quick:
            check_contents(folder, list(made.files), version.artifact)
        if made.base:
            self.artifacts.check(*split_name(made.base), quick)
        return made

    def lineage(self, reference: str | Reference) -> tree.Node:
        """Which labels, code, settings and parents made a version, as a tree."""
        return tree.lineage(self, self.version(reference).artifact)

    def verify(self) -> list[str]:
        """A sentence for each fault of the whole store; none where all is as stored."""
        return list(verifying.faults(self))

    # --- writing ---

    def add(self, directory: str | Path, name: str, kind: str | None = None, **about: Any) -> Artifact:
        """Stores the model of a directory as the next version of a name; the same content again is the version it has.

        kind: None is that of the command that made the run. about: `parents` (references), `metrics`, `gates`, `by`, `why`.
        Damaged for a pickle, a link, code of the model's own; UserError for what is no model."""
        require_name(name, "--name")
        with self._writing():
            version = adding.add(self, Path(directory), name, kind, adding.About(**about))
        return self.resolve(Reference(name, version), quick=True)

    def promote(
        self,
        name: str,
        version: int,
        *,
        expected: int | None,
        alias: str = "champion",
        token: int | None = None,
        by: str | None = None,
        why: str = "",
        gates: Any = None,
    ) -> Standing:
        """Puts an alias on a version if `expected` has it still (None: nobody), and for a champion if nobody moved it since
        `token`, where one is given. Changed otherwise; where the version has it already, nothing is done.

        Every byte of the version is checked before. Compare-and-swap, under the lock; written to the log."""
        if alias not in PLACED:
            raise UserError(f"--alias is {alias!r}; it must be one of {', '.join(PLACED)}")
        self.checked(self.version(Reference(name, version)))
        entry = Entry("place", version, by or user(), now(), why, alias=alias, before=expected, gates=gates)

        def move(stands: Standing) -> Entry | None:
            if stands.aliases.get(alias) == version:
                return None
            _require_same(name, alias, stands.aliases.get(alias), expected)
            if token is not None and token != stands.token:
                raise Changed(
                    f"{name}@champion: was moved since token {token}; it is now at {stands.token}; compare again"
                )
            if stands.versions[version].removed:
                raise UserError(f"{name}@v{version}: was deleted by `align registry gc` just now; add it again")
            return entry

        return self.change(name, f"promote {name}@v{version}", move)

    def rollback(
        self, name: str, *, to: int | None = None, expected: int | None = None, by: str | None = None, why: str = ""
    ) -> Standing:
        """Makes the champion before the present one champion again, or `to`, an earlier one. `previous` then goes further
        back: what was taken down is never rolled back to. expected: the champion to take down; Changed where another stands
        there, nothing is done where this was done already. Sizes are checked, not sha256: it must be quick."""

        def move(stands: Standing) -> Entry | None:
            if _done_already(stands, self.history(name), to, expected):
                return None
            if expected is not None:
                _require_same(name, "champion", stands.champion, expected)
            target = _target(stands, to)
            self.checked(stands.versions[target], quick=True)
            return Entry("rollback", target, by or user(), now(), why, before=stands.champion)

        return self.change(name, f"rollback {name}", move)

    def gc(self, keep: int = 5, delete: bool = False, by: str | None = None) -> collecting.Garbage:
        """What nothing reaches: no alias, none of a name's newest `keep` versions, and no artifact that these were made
        from. delete: also delete it; without, only tell."""
        with self._writing():
            return collecting.collect(self, keep, delete, by or user())

    def rebuild(self) -> int:
        """Makes `names/` again from the store, and clears away what killed processes left; returns how many links there are."""
        with self._writing(), self.locked("registry rebuild"):
            self.artifacts.sweep()
            for name in self.names():
                log.sweep(self.artifacts.store, name)
            return views.refresh(self)

    # --- for the modules beside this one ---

    def change(self, name: str, what: str, move: Callable[[Standing], Entry | None]) -> Standing:
        """Under the lock: `move` says, from where the name stands, what the next entry is, if any."""
        with self._writing(), self.locked(what):
            stands = self.standing(name)
            entry = move(stands)
            if entry is not None:
                log.append(self.artifacts.store, name, stands.entries, entry)
            views.refresh(self, name)
            return self.standing(name)

    def locked(self, what: str) -> contextlib.AbstractContextManager[None]:
        """The one lock of all writers. what: the command, for those who wait."""
        make_folder(self.artifacts.store)
        return lock.held(self.folder / "lock", f"align {what}")

    def _located(self, reference: str | Reference) -> tuple[Standing, Version]:
        wanted = parse(reference, "REFERENCE") if isinstance(reference, str) else reference
        found = self.standing(wanted.name)
        if not found.versions:
            raise UserError(f"{wanted}: there is no such name; there are {', '.join(self.names()) or 'none yet'}")
        version = _find(found, wanted)
        if version.removed:
            raise UserError(
                f"{wanted}: was deleted by `align registry gc` at {version.removed}; take a version that is kept"
            )
        return found, version

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with writing(self.folder, "--registry"):
            yield


def _find(stands: Standing, wanted: Reference) -> Version:
    if wanted.digest:
        every = [one for one in stands.versions.values() if one.digest.startswith(wanted.digest)]
        found = [one for one in every if not one.removed] or every[-1:]
        if len(found) != 1:
            what = "is no version of it" if not found else "is short for several; give more digits"
            raise UserError(f"{wanted}: {what}")
        return found[0]
    number = wanted.version or stands.aliases.get(str(wanted.alias))
    if number is None:
        raise UserError(f"{wanted}: no version has this alias yet; `align promote` gives it one")
    if number not in stands.versions:
        raise UserError(f"{wanted}: there is no such version; the newest is v{max(stands.versions)}")
    return stands.versions[number]


def _require_same(name: str, alias: str, found: int | None, expected: int | None) -> None:
    if found != expected:
        is_, was = (f"v{one}" if one else "nobody" for one in (found, expected))
        raise Changed(f"{name}@{alias}: is {is_} now, not {was} as expected; compare with that one and repeat")


def _done_already(stands: Standing, entries: list[Entry], to: int | None, expected: int | None) -> bool:
    """Whether this very rollback stands at the end: repeating the command after a kill goes no further back."""
    newest = next((entry for entry in reversed(entries) if entry.token == stands.token), None)
    same = expected is not None and newest is not None and newest.action == "rollback" and newest.before == expected
    return (to is not None and stands.champion == to) or (same and to in (None, stands.champion))


def _target(stands: Standing, to: int | None) -> int:
    target = to or stands.previous
    if target is None:
        raise UserError(f"{stands.name}: has no champion before the present one; promote a version instead")
    if target not in stands.champions:
        raise UserError(
            f"{stands.name}@v{target}: is no earlier champion that still stands; use `align promote` instead"
        )
    if stands.versions[target].removed:
        raise UserError(f"{stands.name}@v{target}: was deleted by `align registry gc`; promote a version that is kept")
    return target
