"""`store/KIND/sha256-DIGEST/`: artifacts on disk. They appear whole or not at all, never change, and are checked when read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from alignment.durable import file_sha256, make_folder, sync_one
from alignment.registry import listing, manifest
from alignment.registry.errors import Damaged
from alignment.registry.listing import MANIFEST, RECORDS
from alignment.registry.manifest import File, Manifest, artifact_name
from alignment.registry.names import KINDS


class Artifacts:
    """Below `folder`: `store/`, and `staging/` beside it, where what is being added or removed lies."""

    def __init__(self, folder: Path) -> None:
        self.store, self.staging = folder / "store", folder / "staging"

    def path(self, kind: str, digest: str) -> Path:
        return self.store / artifact_name(kind, digest)

    def every(self) -> list[tuple[str, str]]:
        """(kind, digest) of all that are there."""
        names = [
            (kind, path.name)
            for kind in KINDS
            if (self.store / kind).is_dir()
            for path in sorted((self.store / kind).iterdir())
        ]
        return [(kind, name.removeprefix("sha256-")) for kind, name in names if _is_artifact(kind, name)]

    def strangers(self) -> list[str]:
        """What lies where only artifacts may."""
        kinds = [path.name for path in sorted(self.store.iterdir()) if path.name not in (*KINDS, "log")]
        there = [
            (kind, path.name)
            for kind in KINDS
            if (self.store / kind).is_dir()
            for path in sorted((self.store / kind).iterdir())
        ]
        return [*kinds, *(f"{kind}/{name}" for kind, name in there if not _is_artifact(kind, name))]

    def with_content(self, digest: str) -> str | None:
        """The artifact of this content, of whichever kind."""
        return next((artifact_name(kind, digest) for kind in KINDS if self.path(kind, digest).is_dir()), None)

    def read(self, kind: str, digest: str) -> Manifest:
        """Its manifest, checked against the name of its folder; the files themselves are not looked at."""
        where = f"{artifact_name(kind, digest)}/{MANIFEST}"
        path = self.path(kind, digest) / MANIFEST
        if path.parent.resolve() != self.store.resolve() / artifact_name(kind, digest):
            raise Damaged(f"{artifact_name(kind, digest)} is a symbolic link; restore it from a copy of the store")
        try:
            _require_plain(path, where)
            text = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            raise Damaged(f"{where} cannot be read ({error}); restore it from a copy of the store") from None
        made = manifest.parse(text, where)
        if (made.kind, made.digest) != (kind, digest):
            raise Damaged(
                f"{where} is that of another artifact, {artifact_name(made.kind, made.digest)}; restore it from a copy"
            )
        return made

    def check(self, kind: str, digest: str, quick: bool = False) -> Manifest:
        """Its manifest, once every file is what it says: no more and no fewer, sizes first, then sha256 (not when quick)."""
        made, where = self.read(kind, digest), artifact_name(kind, digest)
        try:
            self._check_files(made, self.path(kind, digest), where, quick)
        except OSError as error:
            raise Damaged(
                f"{where}: {error.filename} cannot be read ({error.strerror}); restore it from a copy"
            ) from None
        return made

    def _check_files(self, made: Manifest, folder: Path, where: str, quick: bool) -> None:
        listed = {**made.files, **{f"{RECORDS}/{name}": one for name, one in made.records.items()}}
        there = dict(listing.walk(folder, where))
        there.pop(MANIFEST, None)
        for name in sorted(there.keys() ^ listed.keys()):
            what = "is missing" if name in listed else "is not in its manifest"
            raise Damaged(f"{where}/{name} {what}; restore it from a copy of the store")
        for name, one in listed.items():
            _require_plain(folder / name, f"{where}/{name}")
            if (folder / name).stat().st_size != one.bytes:
                raise Damaged(
                    f"{where}/{name} has not the size that its manifest says; restore it from a copy of the store"
                )
        for name, one in listed.items() if not quick else ():
            if file_sha256(folder / name) != one.sha256:
                raise Damaged(f"{where}/{name} is not what was stored (sha256); restore it from a copy of the store")

    @contextlib.contextmanager
    def staged(self, lock: AbstractContextManager[object]) -> Iterator[Path]:
        """A fresh folder that no reader looks into. It is held while the block runs, so that nobody takes it for the
        leftover of a killed run, and gone afterwards unless it was kept. lock: the registry's, for its making."""
        with lock:
            self.sweep()
            make_folder(self.staging)
            folder = self.staging / uuid.uuid4().hex
            folder.mkdir()
            handle = os.open(folder, os.O_RDONLY)
            with contextlib.suppress(OSError):  # some network folders know no locks
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            yield folder
        finally:
            os.close(handle)
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """Removes what killed runs left in staging. Call it under the registry's lock."""
        for path in self.staging.iterdir() if self.staging.is_dir() else ():
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
            except OSError:  # held by a run that is going on
                continue
            finally:
                os.close(handle)

    def keep(self, staged: Path, made: Manifest) -> Path:
        """Moves a staged artifact, synced already, to its place, in one step. Call it under the registry's lock."""
        final = self.path(made.kind, made.digest)
        if not final.exists():
            make_folder(final.parent)
            os.rename(staged, final)
            sync_one(final.parent)
        return final

    def remove(self, kind: str, digest: str) -> Path:
        """Out of sight in one step, under the registry's lock. Returns where it is now, for the caller to delete; else
        `sweep` does."""
        make_folder(self.staging)
        trash = self.staging / uuid.uuid4().hex
        os.rename(self.path(kind, digest), trash)
        sync_one(self.path(kind, digest).parent)
        return trash


def copied(source: Path, target: Path, where: str) -> File:
    """Copies a regular file, never through a link; its size and sha256 are those of what was written, which is synced."""
    handle = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with open(handle, "rb") as opened:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Damaged(f"{where}: {source.name} is no regular file")
        make_folder(target.parent)
        with open(target, "wb") as out:
            shutil.copyfileobj(opened, out, 2**20)
    return seal(target)


def seal(path: Path) -> File:
    """Makes a written file read-only and lasting."""
    os.chmod(path, 0o444)
    sync_one(path)
    return File(path.stat().st_size, file_sha256(path))


def _is_artifact(kind: str, name: str) -> bool:
    with contextlib.suppress(ValueError):
        manifest.split_name(f"{kind}/{name}")
        return True
    return False


def _require_plain(path: Path, where: str) -> None:
    """A file that others have no name for: what is linked from outside can be changed from there."""
    about = os.lstat(path)
    if not stat.S_ISREG(about.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(about.st_mode) else "no regular file"
        raise Damaged(f"{where} is {what}; restore it from a copy of the store")
    if about.st_nlink != 1:
        raise Damaged(
            f"{where} has another name outside (a hard link), by which it can be changed; put a copy in its place"
        )
