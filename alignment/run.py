"""What a run leaves on disk, all or nothing: written beside its final place, then renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import yaml

from alignment.config import Settings, asdict
from alignment.errors import UserError
from alignment.processes import is_main

RESULT_FILES = ("config.yaml", "metrics.json", "run.json")
"""What every run leaves: its settings, its metrics, and what it ran on."""


@contextlib.contextmanager
def output_directory(output: str | Path) -> Iterator[Path]:
    """A fresh directory that becomes `output` when the block ends well, and vanishes when it does not.

    An OSError in the block (no space, no permission) is a UserError, here and below; so is a second run to the same
    output. Of several processes the main one makes it; the others are told where it is."""
    if not is_main():
        yield _partial(Path(output).absolute())
        return
    with _claimed(output, "directory") as (final, partial):
        yield partial
        for folder, _, files in os.walk(partial):  # safetensors start readable by their owner only
            os.chmod(folder, 0o777 & ~umask())
            for file in files:
                os.chmod(Path(folder) / file, 0o666 & ~umask())
        os.rename(partial, final)


def require_free(output: str | Path, what: Literal["directory", "file"], name: str = "--output") -> None:
    """Refuses what `output_directory`, `output_file` or `workspace` would refuse, in the same sentences, and leaves
    everything as it was."""
    if what == "file":
        _free_beside(output)
    with writing(output, name), _parents(_free(output, what, name)) as final:
        partial = _partial(final)
        left = partial.exists()  # by a killed run: the next real one clears it
        with _lock(partial, output, what):
            if not left:
                partial.rmdir()


@contextlib.contextmanager
def workspace(output: str | Path, name: str) -> Iterator[Path]:
    """A fresh directory for the outputs of several stages, at its final place from the start, because the stages record
    each other's paths; it vanishes when the block does not end well."""
    with writing(output, name), _parents(_free(output, "directory", name)) as final:
        final.mkdir()
        try:
            yield final
        except BaseException:
            shutil.rmtree(final, ignore_errors=True)
            raise


@contextlib.contextmanager
def output_file(output: str | Path, name: str = "--output") -> Iterator[Path]:
    """A path to write; it becomes the file `output` when the block ends well. Files beside it, named with
    `beside(path, suffix)`, move with it. name: the setting that an error speaks of."""
    _free_beside(output, name)
    with _claimed(output, "file", name) as (final, folder):
        partial = folder / final.name
        yield partial
        others = sorted(path for path in folder.iterdir() if path != partial)
        for path in [*others, partial]:  # the file itself last: it is there only when all of it is
            os.replace(path, _free(final.parent / path.name, "file", name))


def beside(path: Path, suffix: str) -> Path:
    """`responses.jsonl`, `metrics.json` -> `responses.metrics.json` in the same folder."""
    return path.with_name(f"{path.stem}.{suffix}")


def write_json(path: Path, value: Any) -> None:
    """One JSON document; NaN and infinity are refused, because other readers refuse them."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_config(path: Path, settings: Settings) -> None:
    """The full snapshot of a run's settings; give it back with `--config`."""
    path.write_text(yaml.safe_dump(asdict(settings), sort_keys=False, allow_unicode=True), encoding="utf-8")


def _free(output: str | Path, what: str, name: str = "--output") -> Path:
    """The absolute path, where nothing may lie yet."""
    final = Path(output).absolute()
    if os.path.lexists(final):
        raise UserError(f"{name} {output}: exists already; choose another {what} or remove it first")
    return final


def _free_beside(output: str | Path, name: str = "--output") -> None:
    """Nothing may lie where the result files of a file's command go: it would be replaced."""
    for suffix in RESULT_FILES:
        _free(beside(Path(output), suffix), "file", name)


def _partial(final: Path) -> Path:
    return final.with_name(f".{final.name}.partial")


@contextlib.contextmanager
def _claimed(output: str | Path, what: str, name: str = "--output") -> Iterator[tuple[Path, Path]]:
    """(final place, `.NAME.partial` beside it to write in). The second is locked while the block runs: another run to
    the same output is refused at once, and what a killed run left there is cleared."""
    with writing(output, name), _parents(_free(output, what, name)) as final:
        partial = _partial(final)
        with _lock(partial, output, what, name):
            try:
                _free(output, what, name)  # the run before this one may have ended just now
                for path in partial.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                yield final, partial
            finally:
                shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def _lock(partial: Path, output: str | Path, what: str, name: str = "--output") -> Iterator[None]:
    """Makes the folder where it is not there, and holds it while the block runs; UserError where another run does."""
    partial.mkdir(exist_ok=True)
    lock = os.open(partial, os.O_RDONLY)
    try:
        if not locked(lock, partial):
            raise UserError(f"{name} {output}: another run is writing it; wait for it, or choose another {what}")
        yield
    finally:
        os.close(lock)


def locked(lock: int, path: Path) -> bool:
    """Whether this process now holds the open folder or file, until it closes it, and it is still the one with that name."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network folders know no locks
        return True
    return path.exists() and os.path.samestat(os.fstat(lock), path.stat())


@contextlib.contextmanager
def _parents(final: Path) -> Iterator[Path]:
    """Makes the folders above; those that nothing was put into are gone again afterwards."""
    made = [folder for folder in final.parents if not folder.exists()]
    if not final.parents[len(made)].is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield final
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def writing(output: str | Path, name: str = "--output") -> Iterator[None]:
    """What the system says when it cannot write is a UserError: one sentence that speaks of the setting `name`."""
    try:
        yield
    except Exception as error:
        number = _system_error(error)
        if number is None:
            raise
        full = number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        advice = f"{'make room or ' if full else ''}choose another place"
        raise UserError(f"{name} {output}: cannot be written ({os.strerror(number)}); {advice}") from error


def _system_error(error: Exception) -> int | None:
    """The number of the system's error about a file; safetensors and tokenizers, written in Rust, put it into their text."""
    if isinstance(error, OSError):
        return None if isinstance(error, ConnectionError) else error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def umask() -> int:
    """What new files of this process are not allowed."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
