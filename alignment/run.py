"""What a run leaves on disk, all or nothing: written beside its final place, then renamed."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from alignment.config import Settings, asdict, changed
from alignment.errors import UserError

RESULT_FILES = ("config.yaml", "metrics.json", "run.json")
"""What every run leaves: its settings, its metrics, and what it ran on."""


@contextlib.contextmanager
def output_directory(output: str | Path) -> Iterator[Path]:
    """A fresh directory that becomes `output` when the block ends well, and vanishes when it does not."""
    final, made = _free(output, "directory")
    partial = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".partial", dir=final.parent))
    try:
        yield partial
        for folder, _, files in os.walk(
            partial
        ):  # temporary directories and safetensors start readable by their owner only
            os.chmod(folder, 0o777 & ~_umask())
            for file in files:
                os.chmod(Path(folder) / file, 0o666 & ~_umask())
        os.rename(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _forget_empty(made)


@contextlib.contextmanager
def workspace(output: str | Path, name: str) -> Iterator[Path]:
    """A fresh directory for the outputs of several stages, at its final place from the start, because the stages record
    each other's paths; it vanishes when the block does not end well."""
    final, made = _free(output, "directory", name)
    final.mkdir()
    try:
        yield final
    except BaseException:
        shutil.rmtree(final, ignore_errors=True)
        _forget_empty(made)
        raise


@contextlib.contextmanager
def output_file(output: str | Path) -> Iterator[Path]:
    """A path to write; it becomes the file `output` when the block ends well. Files beside it, named with
    `beside(path, suffix)`, move with it."""
    final, made = _free(output, "file")
    for suffix in RESULT_FILES:  # what commands write beside it would replace these
        _free(beside(final, suffix), "file")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{final.name}.", suffix=".partial", dir=final.parent) as folder:
            partial = Path(folder) / final.name
            yield partial
            others = sorted(path for path in Path(folder).iterdir() if path != partial)
            for path in [*others, partial]:  # the file itself last: it is there only when all of it is
                os.replace(path, final.parent / path.name)
    finally:
        _forget_empty(made)


def beside(path: Path, suffix: str) -> Path:
    """`responses.jsonl`, `metrics.json` -> `responses.metrics.json` in the same folder."""
    return path.with_name(f"{path.stem}.{suffix}")


def write_result(
    target: Path, command: str, settings: Settings, metrics: dict[str, Any], started: float, seeds: int = 1
) -> None:
    """`config.yaml`, `metrics.json` and `run.json`, inside `target` where it is a directory, else beside it.

    command: its name as in `align NAME`. started: `time.time()` when the run began. seeds: how often it was run."""

    def place(name: str) -> Path:
        return target / name if target.is_dir() else beside(target, name)

    write_config(place("config.yaml"), settings)
    write_json(place("metrics.json"), metrics)
    write_json(place("run.json"), {**run_record(command, started), "seeds": seeds, "changed": changed(settings)})


def run_record(command: str, started: float) -> dict[str, Any]:
    """Which command ran, when (UTC), for how long (s), in which versions, on what, and the most memory it held (bytes).

    process_peak_memory_bytes is the whole process's, so in a pipeline of several stages that of all so far."""
    torch = sys.modules.get("torch")
    packages = ("instruct-loop", "torch", "transformers", "trl", "peft")
    on_gpu = torch is not None and torch.cuda.is_available()
    return {
        "command": command,
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "seconds": time.time() - started,
        "device": torch.cuda.get_device_name() if torch and on_gpu else "cpu",
        "threads": torch.get_num_threads() if torch else 1,
        "process_peak_memory_bytes": peak_memory(),
        "device_peak_memory_bytes": torch.cuda.max_memory_allocated() if torch and on_gpu else None,
        "versions": {"python": ".".join(map(str, sys.version_info[:3])), **{name: _version(name) for name in packages}},
    }


def peak_memory() -> int:
    """The most memory that this process has held, in bytes (Linux counts KiB, macOS bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write_json(path: Path, value: Any) -> None:
    """One JSON document; NaN and infinity are refused, because other readers refuse them."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def write_config(path: Path, settings: Settings) -> None:
    """The full snapshot of a run's settings; give it back with `--config`."""
    path.write_text(yaml.safe_dump(asdict(settings), sort_keys=False, allow_unicode=True), encoding="utf-8")


def _free(output: str | Path, what: str, name: str = "--output") -> tuple[Path, list[Path]]:
    """The absolute path, checked to be free and writable, and the folders above it that had to be made."""
    final = Path(output).absolute()
    if final.exists() or final.is_symlink():
        raise UserError(f"{name} {output}: exists already; choose another {what} or remove it first")
    made = [folder for folder in final.parents if not folder.exists()]
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{name} {output}: its folder cannot be made ({error}); choose another place") from error
    if not os.access(final.parent, os.W_OK):
        raise UserError(f"{name} {output}: its folder cannot be written; choose another place")
    return final, made


def _forget_empty(folders: list[Path]) -> None:
    """Removes those of the folders, innermost first, that nothing was put into."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.rmdir()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
