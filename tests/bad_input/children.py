"""Commands in processes of their own, where a case needs one."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from pathlib import Path

from bad_input.case import Case, Interrupt
from bad_input.conditions import small_demo

HEAVY = ["sft.train", "reward_model.train", "ppo.train", "alignment.comparison_report", "alignment.pipeline"]
ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60  # seconds that a child may take to begin its work, or to end


def interrupted(interrupt: Interrupt, folder: Path, log: Path) -> tuple[int | None, str]:
    """(exit code, stderr) of a command that gets a signal in the middle of its work.

    The children are forked off a server that has imported what is heavy, so each begins at once."""
    log.unlink(missing_ok=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(HEAVY)
    child = context.Process(target=_run, args=(interrupt.case.command, interrupt.case.words, folder, log))
    child.start()
    try:
        _await(interrupt.at, log, child)
        os.kill(child.pid, interrupt.number)
        child.join(PATIENCE)
        return child.exitcode, log.read_text()
    finally:
        if child.is_alive():
            child.kill()


def _await(text: str, log: Path, child: multiprocessing.process.BaseProcess) -> None:
    end = time.monotonic() + PATIENCE
    while not (log.exists() and text in log.read_text()):
        if not child.is_alive() or time.monotonic() > end:
            raise AssertionError(f"{text!r} was never shown")
        time.sleep(0.02)
    time.sleep(0.1)  # some steps into the work


def _run(command: str, words: list[str], folder: Path, log: Path) -> None:
    os.chdir(folder)
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = open(log, "w", buffering=1)  # noqa: SIM115
    sys.argv = ["align", *command.split(), *words]
    from alignment.cli import entry

    with small_demo():
        sys.exit(entry())


def without_a_reader(case: Case, folder: Path, closed: bool) -> subprocess.CompletedProcess[str]:
    """`align ... >&-`, or into a pipe whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", "alignment", *case.command.split(), *case.words]
    command = ["sh", "-c", '"$@" >&-', "sh", *line] if closed else line
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    try:
        return subprocess.run(command, cwd=folder, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment)
    finally:
        os.close(writer)
