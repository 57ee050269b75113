"""Checkpoints of a run that is still going: what a killed run goes on from, as if it had never stopped.

They lie in `OUTPUT.checkpoints/step-N` beside the output, which itself stays all or nothing, and are gone once the output
is there. Each is written to a temporary folder, fsynced, renamed; its manifest says size and sha256 of every file, so that
what is not whole is set aside and never loaded."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from alignment.collectives import same
from alignment.config import Settings, asdict, flag
from alignment.distributed import ONE, kind, wait
from alignment.durable import file_sha256, sync, sync_one
from alignment.errors import UserError
from alignment.processes import count, is_main
from alignment.tracking import Log
from alignment.training_state import Tensors, load_values, save_state

FORMAT = 1
MANIFEST = "manifest.json"
KEYS = {"format", "command", "reads", "step", "settings", "files"}
KEPT = 2  # the newest ones; the second is there in case the first is found damaged
FREE = ("output", "report_to", "save_every", "resume", "function_timeout", "vllm_url", "vllm_group_port")
"""Settings that change no number of a run: they may differ when it goes on."""


def folder_of(output: str | Path) -> Path:
    """Where the checkpoints of a run to this output lie."""
    final = Path(output).absolute()
    return final.with_name(f"{final.name}.checkpoints")


class Checkpoints:
    """The checkpoints of one run. Make it inside `output_directory`, whose lock keeps a second run away.

    reads: names of the settings whose files the run reads; their content must be the same when it goes on."""

    def __init__(self, command: str, settings: Any, reads: tuple[str, ...] = (), look: bool = False) -> None:
        """look: only see whether the run would go on, or be refused; nothing on disk changes."""
        self.every: int = settings.save_every
        self.folder = folder_of(settings.output)
        self.lines: list[tuple[dict[str, float], int]] = []
        self.settings = _settings(settings)
        self._command, self._reads = command, _digests(settings, reads)
        self.start = same(self._found(settings.resume, look) if is_main() else None)
        if self.start and not look:
            self.lines = [(values, step) for values, step in load_values(self.start)["lines"]]
            print(f"going on from {self.start}", file=sys.stderr)

    def _found(self, resume: bool, look: bool) -> Path | None:
        """Where the run goes on from; without `resume` nowhere, and what lies there is removed."""
        if not resume and not look:
            self._clear()
        return self._newest(look) if resume else None

    def notes(self) -> list[str]:
        """What a plan says of them."""
        return [f"it goes on from {self.start.name}: less time than this"] if self.start else []

    def logged(self, log: Log) -> Log:
        """The same log, remembered for the next checkpoint; what the run logged before it stopped goes there first."""
        for values, step in self.lines:
            log(values, step)

        def remembering(values: dict[str, float], step: int) -> None:
            self.lines.append((dict(values), step))
            log(values, step)

        return remembering

    def due(self, step: int) -> bool:
        """Whether a checkpoint is to be saved after this step."""
        return self.every > 0 and step % self.every == 0

    def save(self, step: int, parts: dict[str, Tensors], values: dict[str, Any]) -> None:
        """Saves the run as it is after `step`; only the newest two stay. After a kill at any moment the newest that was
        renamed is whole. Every process calls it, and writes its own state; they share the folder."""
        final = self.folder / f"step-{step:08d}"
        partial = final.with_name(f".{final.name}.partial")
        if is_main():
            self.folder.mkdir(exist_ok=True)
            shutil.rmtree(partial, ignore_errors=True)
        wait()
        try:
            save_state(partial, parts, {**values, "lines": self.lines})
            wait()
            if not is_main():
                return
            files = {path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in _files(partial)}
            manifest = {
                "format": FORMAT, "command": self._command, "step": step, "settings": self.settings, "reads": self._reads,
                "files": files, **({"processes": kind()} if count() > 1 else {}),
            }  # fmt: skip
            (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
            sync(partial)
        except Exception:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        shutil.rmtree(final, ignore_errors=True)
        os.rename(partial, final)
        sync_one(self.folder)
        for old in self._all()[:-KEPT]:
            shutil.rmtree(old)

    def remove(self) -> None:
        """All of them: the output is there."""
        if is_main() and self.folder.exists():
            sync_one(self.folder.parent)  # the output's rename must last longer than these
            self._clear()

    def _clear(self) -> None:
        """Removes what is ours, and the folder where nothing else lies in it."""
        for path in [*self.folder.glob("step-*"), *self.folder.glob(".step-*.partial")]:
            shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("step-*[0-9]"))

    def _newest(self, look: bool) -> Path | None:
        """The newest whole checkpoint; torn ones on the way there are set aside with a message."""
        for path in reversed(self._all()):
            manifest = _manifest(path)
            if isinstance(manifest, str):
                if not look:
                    _set_aside(path, manifest)
                continue
            self._require_same(manifest)
            return path
        return None

    def _require_same(self, manifest: dict[str, Any]) -> None:
        advice = "or give --no-resume to remove them and start anew"
        for name, ours in (("format", FORMAT), ("command", self._command)):
            if manifest[name] != ours:
                raise UserError(
                    f"{self.folder}: holds checkpoints of {name} {manifest[name]}, not {ours}; choose another --output, {advice}"
                )
        if manifest.get("processes", ONE) != kind():
            raise UserError(
                f"{self.folder}: the run that stopped had {manifest.get('processes', ONE)}, this one has {kind()}; "
                f"start as many, {advice}"
            )
        before, now = manifest["settings"], self.settings
        differing = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
        if differing:
            listed = ", ".join(f"{flag(name)} {before.get(name)} (now {now.get(name)})" for name in differing)
            raise UserError(f"{self.folder}: the run that stopped had {listed}; give the same, {advice}")
        for name, digest in manifest["reads"].items():
            if self._reads.get(name) != digest:
                raise UserError(
                    f"{flag(name)} {now[name]}: is not what the run that stopped had read; restore it, {advice}"
                )


def _set_aside(path: Path, reason: str) -> None:
    aside = path.with_name(f"{path.name}.torn")
    shutil.rmtree(aside, ignore_errors=True)
    os.rename(path, aside)
    print(f"{path.name} is torn ({reason}): set aside as {aside}", file=sys.stderr)


def _manifest(path: Path) -> dict[str, Any] | str:
    """The manifest of a whole checkpoint, or what is wrong with it."""
    try:
        manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
        if not isinstance(manifest, dict) or KEYS - manifest.keys():
            return f"{MANIFEST} is damaged"
        for name, about in manifest["files"].items():
            if (path / name).stat().st_size != about["bytes"]:
                return f"{name} has not the size that {MANIFEST} says"
            if file_sha256(path / name) != about["sha256"]:
                return f"{name} is not what was written"
    except OSError as error:
        return f"{Path(str(error.filename)).name}: {error.strerror}"
    except (ValueError, LookupError, TypeError, AttributeError):
        return f"{MANIFEST} is damaged"
    return manifest


def _settings(settings: Settings) -> dict[str, Any]:
    values = {name: value for name, value in asdict(settings).items() if name not in FREE}
    return json.loads(json.dumps(values))  # tuples as the manifest gives them back


def _digests(settings: Any, names: tuple[str, ...]) -> dict[str, str]:
    """Setting → sha256 of the files it names (several with commas between them); one that cannot be read is left out:
    the run itself says so in its own words."""
    digests = {}
    for name in names:
        with contextlib.suppress(OSError):
            paths = str(getattr(settings, name) or "").split(",")
            digests[name] = " ".join(file_sha256(Path(path.strip())) for path in paths if path.strip())
    return digests


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())
