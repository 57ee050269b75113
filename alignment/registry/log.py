"""`store/log/NAME/00000007.json`: all that ever happened to a name, one file an entry, each with a digest of itself and that of the one before.

An entry's number is the fencing token: it can be taken only once, so of two writers that saw the same state one fails,
even where there are no locks."""

from __future__ import annotations

import json
import os
import re
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from alignment.durable import make_folder, sync_one
from alignment.preferences.ids import digest_of
from alignment.registry.errors import Changed, Damaged
from alignment.registry.names import NAME

FORMAT = 1
FILE = re.compile(r"[0-9]{8}\.json")
Action = Literal["add", "place", "rollback", "remove"]


@dataclass(frozen=True)
class Entry:
    """One change of a name.

    add: `version` is now `artifact`, whose MANIFEST.json has the sha256 `manifest`. place: `alias` is put on `version`, which
    took it from `before` (None: nobody had it). rollback: the champion is `version` again, no longer `before`. remove: the
    artifact of `version` was deleted, for nothing needed it. when: UTC; gates: the verdicts that it rested on, if any."""

    action: Action
    version: int
    by: str
    when: str
    why: str = ""
    artifact: str | None = None
    manifest: str | None = None
    alias: str | None = None
    before: int | None = None
    gates: Any = None
    token: int = 0  # given by `append`, as is the next
    previous: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of all that it says."""
        return digest_of(asdict(self))


def names(store: Path) -> list[str]:
    """All names that have an entry."""
    folder = store / "log"
    return sorted(path.name for path in folder.iterdir() if _numbers(path)) if folder.is_dir() else []


def read(store: Path, name: str) -> list[Entry]:
    """Every entry, oldest first. Damaged where one is missing, or is not the one that its successor followed."""
    folder = store / "log" / name
    entries: list[Entry] = []
    previous = None
    for number in _numbers(folder):
        where = f"log/{name}/{_file(number)}"
        if number != len(entries) + 1:
            raise Damaged(f"log/{name}/{_file(len(entries) + 1)} is missing; restore it from a copy of the store")
        entries.append(_entry(folder / _file(number), where))
        if (entries[-1].token, entries[-1].previous) != (number, previous):
            raise Damaged(f"{where} does not follow the entry before it; restore both from a copy of the store")
        previous = entries[-1].digest
    return entries


def append(store: Path, name: str, after: int, entry: Entry) -> Entry:
    """Writes the entry that follows number `after`, the newest that the caller has seen. Changed where another was there
    first. Under the registry's lock."""
    folder = store / "log" / name
    make_folder(folder)
    _sweep(folder)
    previous = _entry(folder / _file(after), f"log/{name}/{_file(after)}").digest if after else None
    made = replace(entry, token=after + 1, previous=previous)
    partial, final = folder / f".{uuid.uuid4().hex}", folder / _file(made.token)
    partial.write_text(
        json.dumps({"format": FORMAT, "digest": made.digest, **asdict(made)}, allow_nan=False) + "\n", encoding="utf-8"
    )
    os.chmod(partial, 0o444)
    sync_one(partial)
    try:
        os.link(partial, final)  # unlike a rename it never replaces what is there
    except (FileExistsError, FileNotFoundError):  # the second: a writer without locks swept
        raise Changed(f"{name}: another process changed it at the same moment; look at it again and repeat") from None
    finally:
        partial.unlink(missing_ok=True)
    sync_one(folder)
    return made


def strangers(store: Path) -> list[str]:
    """What lies where only entries may."""
    folder = store / "log"
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    odd = [path for path in there if not path.is_dir() or path.is_symlink() or NAME.fullmatch(path.name) is None]
    files = [path for inner in there if inner not in odd for path in sorted(inner.iterdir())]
    odd += [path for path in files if not (FILE.fullmatch(path.name) or path.name.startswith("."))]
    return [path.relative_to(store).as_posix() for path in odd]


def _numbers(folder: Path) -> list[int]:
    return sorted(int(path.stem) for path in folder.iterdir() if FILE.fullmatch(path.name)) if folder.is_dir() else []


def _file(number: int) -> str:
    return f"{number:08d}.json"


def _entry(path: Path, where: str) -> Entry:
    """The entry in a file, if it says what was written there."""
    try:
        value = json.loads(path.read_bytes())
        if value.pop("format") != FORMAT or value["action"] not in get_args(Action):
            raise ValueError(f"its format is not {FORMAT}")
        told = value.pop("digest")
        made = Entry(**value)
        if made.digest != told:
            raise ValueError("its digest is another")
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise Damaged(f"{where} is damaged ({error}); restore it from a copy of the store") from None
    return made


def sweep(store: Path, name: str) -> None:
    """Removes what a killed writer left, which no reader looks at. Under the registry's lock."""
    _sweep(store / "log" / name)


def _sweep(folder: Path) -> None:
    for path in folder.glob(".*"):
        path.unlink(missing_ok=True)
