"""The files of a model's directory: what belongs to the model, what only tells of the run, what stays behind."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from alignment.errors import UserError
from alignment.registry.errors import Damaged

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""One part of a file's path inside an artifact. So no `..`, no absolute path, nothing hidden, nothing a shell would read."""

DEEPEST = 4
"""Parts of such a path: `member-0/adapter/additional_chat_templates/tool.jinja`."""

MODEL_FILES = (".safetensors", ".json", ".txt", ".jinja", ".model")
RUN_FILES = ("config.yaml", "metrics.json", "run.json", "history.jsonl", "report.html")
DOCUMENTS = re.compile(r"LICEN[CS]E.*|NOTICE.*|.*\.md", re.IGNORECASE)
MANIFEST, RECORDS = "MANIFEST.json", "records"
"""What an artifact has besides its model's files: the file that lists them, and the folder of what tells of the run."""

LEFT_FILES, LEFT_FOLDERS = (".jsonl", ".html", ".png", ".log"), ("state", "instruct-loop", "runs", RECORDS)
"""What stages and trackers leave besides; it would make the same model another artifact."""

Role = Literal["model", "record", "left"]


@dataclass(frozen=True)
class Found:
    """name: its path inside the directory, with slashes."""

    name: str
    path: Path
    role: Role


def model_directory(path: str | Path, where: str) -> Path:
    """The directory, itself no link; UserError where it is none."""
    folder = Path(path).resolve()
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such directory"
        raise UserError(f"{where}: {what}; give the directory of a model, such as a stage's output")
    return folder


def files(folder: Path, where: str) -> list[Found]:
    """Every file of a directory that is brought, sorted. Damaged for a link, a device, an odd name, two names that are one
    where letters have no case, or a kind of file that no model consists of."""
    found = [Found(name, path, _role(name, where)) for name, path in walk(folder, where, hidden=True)]
    _check_case([one.name for one in found], where)
    return found


def walk(folder: Path, where: str, hidden: bool = False) -> Iterator[tuple[str, Path]]:
    """(name, path) of every regular file, sorted; Damaged for whatever else lies there. hidden: names that begin with a dot
    are passed over, not refused."""
    folders = [PurePosixPath()]
    while folders:
        inner = folders.pop()
        with os.scandir(folder / inner) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
        for entry in listed:
            if hidden and entry.name.startswith("."):
                continue
            name = inner / entry.name
            kind = entry.stat(follow_symlinks=False).st_mode
            _check_name(name, where)
            if stat.S_ISDIR(kind):
                if hidden and str(name) in LEFT_FOLDERS:
                    continue
                folders.append(name)
            elif stat.S_ISREG(kind):
                yield str(name), folder / name
            else:
                what = "a symbolic link" if stat.S_ISLNK(kind) else "no regular file"
                raise Damaged(f"{where}: {name} is {what}; put the file itself there")


def _check_name(name: PurePosixPath, where: str) -> None:
    if FILE_NAME.fullmatch(name.name) is None:
        raise Damaged(
            f"{where}: {str(name)!r} is no name for a file of a model; it must be letters, digits, '.', '_' and '-'; rename it"
        )
    if len(name.parts) > DEEPEST:
        raise Damaged(f"{where}: {name} lies too deep; a model has at most {DEEPEST - 1} folders inside each other")


def check_inner(name: str, where: str) -> None:
    """Damaged where a path that a file tells does not stay inside the artifact."""
    parts = name.split("/")
    if len(parts) > DEEPEST or not all(FILE_NAME.fullmatch(part) for part in parts):
        raise Damaged(f"{where} names {name!r}, which is no file inside the artifact")


def _check_case(names: list[str], where: str) -> None:
    seen: dict[str, str] = {}
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    for name in [*names, *sorted(folders)]:
        other = seen.setdefault(name.lower(), name)
        if other != name:
            raise Damaged(f"{where}: {other} and {name} are one file where letters have no case; rename one")


def _role(name: str, where: str) -> Role:
    path = PurePosixPath(name)
    if name in RUN_FILES or (len(path.parts) == 1 and DOCUMENTS.fullmatch(name)):
        return "record"
    if name == MANIFEST or path.suffix in LEFT_FILES or DOCUMENTS.fullmatch(path.name):
        return "left"
    if path.suffix in MODEL_FILES:
        return "model"
    from alignment.registry.contents import ADVICE, PICKLED

    if path.suffix.lower() in PICKLED:
        raise Damaged(f"{where}: {name} is a pickle by its name, which can run code when it is loaded; {ADVICE}")
    raise Damaged(f"{where}: {name} is of no kind that a model consists of ({', '.join(MODEL_FILES)}); remove it")
