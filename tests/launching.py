"""Starts a test's commands in two processes, as a user does: `accelerate launch` on the shipped configurations."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 300  # seconds; a hang is a failure


def launch(config: str, script: list[str], folder: Path, processes: int = 2) -> subprocess.CompletedProcess[str]:
    """Runs `accelerate launch --config_file configs/CONFIG.yaml SCRIPT` in `folder`, on the CPU."""
    line = [
        sys.executable,
        "-m",
        "accelerate.commands.launch",
        "--config_file",
        str(ROOT / "configs" / f"{config}.yaml"),
    ]
    paths = [str(ROOT), str(ROOT / "kernels"), str(ROOT / "tests")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.run(
        [*line, "--num_processes", str(processes), *script],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip


def run_jobs(config: str, jobs: list[tuple[str, list[str], bool]], folder: Path) -> tuple[list[int], str]:
    """The jobs of `process_worker.py` in two processes. Returns their exit codes and what was printed to stderr."""
    file = folder / "jobs.json"
    file.write_text(json.dumps(jobs))
    done = launch(config, [str(ROOT / "tests" / "process_worker.py"), str(file)], folder)
    assert done.returncode == 0, done.stderr
    return json.loads(file.with_suffix(".codes.json").read_text()), done.stderr
