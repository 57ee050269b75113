"""What every run leaves beside its result: its settings, its metrics, what it ran on, and its page."""

from __future__ import annotations

import resource
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from alignment.config import Settings, changed
from alignment.run import beside, write_config, write_json
from alignment.sources import SNAPSHOTS


def write_result(
    target: Path, command: str, settings: Settings, metrics: dict[str, Any], started: float, seeds: int = 1
) -> None:
    """`config.yaml`, `metrics.json` and `run.json`, inside `target` where it is a directory, else beside it. Into a
    directory `report.html` goes too, drawn from what lies there: write the result last.

    command: its name as in `align NAME`. started: `time.time()` when the run began. seeds: how often it was run."""

    def place(name: str) -> Path:
        return target / name if target.is_dir() else beside(target, name)

    write_config(place("config.yaml"), settings)
    write_json(place("metrics.json"), metrics)
    write_json(place("run.json"), {**run_record(command, started), "seeds": seeds, "changed": changed(settings)})
    if target.is_dir():
        from alignment.report.write import draw

        draw(target, str(getattr(settings, "output", None) or getattr(settings, "workspace", target)))


def run_record(command: str, started: float) -> dict[str, Any]:
    """Which command ran, when (UTC), for how long (s), in which versions, on what, and the most memory it held (bytes);
    which snapshots it read where a setting named only the store.

    process_peak_memory_bytes is the whole process's, so in a pipeline of several stages that of all so far."""
    torch = sys.modules.get("torch")
    packages = ("instruct-loop", "torch", "transformers", "trl", "peft")
    on_gpu = torch is not None and torch.cuda.is_available()
    return {
        "command": command,
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="milliseconds"),
        "seconds": time.time() - started,
        "device": torch.cuda.get_device_name() if torch and on_gpu else "cpu",
        "threads": torch.get_num_threads() if torch else 1,
        "process_peak_memory_bytes": peak_memory(),
        "device_peak_memory_bytes": torch.cuda.max_memory_allocated() if torch and on_gpu else None,
        **({"snapshots": dict(SNAPSHOTS)} if SNAPSHOTS else {}),
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
