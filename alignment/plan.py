"""What a run would do, said before it: `--dry-run`. A stage's own `plan.py` makes a `Plan`; this says what one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from alignment.quantities import duration, size
from alignment.report.write import REPORT
from alignment.run import RESULT_FILES, beside


@dataclass(frozen=True)
class Read:
    """An input: the setting that names it, its path, what is in it ("1,921 to learn from" as name → count)."""

    setting: str
    path: str
    holds: dict[str, int]


@dataclass(frozen=True)
class Part:
    """One kind of work of a run: `count` times `unit`, `seconds` for all of them. most: whether it may end sooner."""

    name: str
    count: int
    unit: str
    seconds: float
    most: bool = False


@dataclass(frozen=True)
class Plan:
    """What a run reads, computes and writes, with an estimate of its time and memory on this device.

    tokens: name → count; steps: of the optimizer, None where none is taken. process_peak_memory_bytes and
    device_peak_memory_bytes are what `run.json` will say under these names; free_memory_bytes: what is free now where
    the models live. writes: path → what it is. notes: what the figures do not say by themselves."""

    reads: tuple[Read, ...]
    tokens: dict[str, int]
    steps: int | None
    parts: tuple[Part, ...]
    process_peak_memory_bytes: int
    device_peak_memory_bytes: int | None
    free_memory_bytes: int
    writes: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return sum(part.seconds for part in self.parts)

    def values(self) -> dict[str, Any]:
        """As plain values: the object that `--json` prints."""
        return {"dry_run": True, "seconds": self.seconds, **asdict(self)}

    def text(self, command: str) -> str:
        """For a person; `command` is what would run."""
        rows = [("reads", f"{one.setting} {one.path}{_counts(one.holds)}") for one in self.reads]
        rows += [("tokens", f"{count:,} {name}") for name, count in self.tokens.items()]
        rows += [("steps", f"{self.steps:,}")] if self.steps is not None else []
        rows += [("time", self._time())]
        rows += [("", f"{_share(part)}") for part in self.parts]
        rows += [("memory", self._memory())]
        rows += [("writes", f"{path}  {what}".rstrip()) for path, what in self.writes.items()]
        rows += [("note", note) for note in self.notes]
        return "\n".join([f"{command}: a dry run, nothing was written", "", *_aligned(rows)])

    def _time(self) -> str:
        if not self.parts:
            return "not known: it is not this machine's"
        return f"about {duration(self.seconds)}{', at most' if any(part.most for part in self.parts) else ''}"

    def _memory(self) -> str:
        process = f"about {size(self.process_peak_memory_bytes)} at the peak, libraries included"
        if self.device_peak_memory_bytes is None:
            return f"{process}; {size(self.free_memory_bytes)} are free"
        device = f"about {size(self.device_peak_memory_bytes)} of the device; {size(self.free_memory_bytes)} are free"
        return f"{device}. Process: {process}"


def planned(plan: Callable[[Any], Plan], settings: Any, seeds: int = 1) -> Plan:
    """What `plan` says of a run with these settings, for `seeds` runs one after the other. Random numbers drawn later
    are those that would have been drawn without it."""
    from alignment.memory import explained_memory
    from alignment.seeds import apart

    with apart(), explained_memory(settings):
        one = plan(settings)
    if seeds == 1:
        return one
    parts = tuple(replace(part, count=part.count * seeds, seconds=part.seconds * seeds) for part in one.parts)
    runs = {str(Path(settings.output) / f"seed-{settings.seed + number}"): "one run each" for number in range(seeds)}
    result = {settings.output: f"{', '.join(RESULT_FILES)} over all seeds"}
    return replace(
        one, parts=parts, writes=runs | result, notes=(*one.notes, f"--seeds {seeds}: time is that of all runs")
    )


def directory_writes(output: str, what: str, *files: str) -> dict[str, str]:
    """`writes` of a command whose output is a directory: itself, what every run leaves in it, and `files`."""
    return {output: what} | {str(Path(output) / name): "" for name in (*files, *RESULT_FILES, REPORT)}


def file_writes(output: str, what: str) -> dict[str, str]:
    """`writes` of a command whose output is a file: itself and what every run leaves beside it."""
    return {output: what} | {str(beside(Path(output), name)): "" for name in RESULT_FILES}


def _counts(holds: dict[str, int]) -> str:
    return ": " + ", ".join(f"{count:,} {name}" for name, count in holds.items()) if holds else ""


def _share(part: Part) -> str:
    return f"{duration(part.seconds):>12}  {part.name}" + (f", {part.count:,} {part.unit}" if part.unit else "")


def _aligned(rows: list[tuple[str, str]]) -> list[str]:
    """Each heading once, its lines below each other."""
    lines, last = [], ""
    for heading, line in rows:
        lines.append(f"{heading if heading != last else '':<8}{line}")
        last = heading or last
    return lines
