"""`align doctor RUN`: what went wrong in a PPO run, from what it left on disk."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from alignment.command import Command, Outcome
from alignment.config import Settings, setting
from alignment.errors import UserError
from alignment.exit_codes import FOUND
from ppo.faults import TABLE, About, faults


@dataclass(frozen=True)
class DoctorSettings(Settings):
    """Settings of `align doctor`."""

    run: str = setting(help="directory that `align ppo` wrote", positional=True)


COMMAND = Command(
    "doctor", "what went wrong in a PPO run: fault, evidence, setting to change", DoctorSettings, "ppo.doctor:run"
)


def run(settings: DoctorSettings) -> Outcome:
    """Exit code 1 where a fault is found."""
    rows, about = read(settings.run)
    try:
        found = faults(rows, about)
    except (TypeError, ValueError):
        raise UserError(
            f"{Path(settings.run) / 'history.jsonl'}: its numbers are none; run `align ppo` again"
        ) from None
    metrics = {"rollouts": len(rows), "faults": [vars(one) for one in found]}
    if not found:
        return Outcome(metrics, f"{settings.run}: none of {len(TABLE)} faults in {len(rows)} rollouts")
    lines = [f"{one.name}\n  evidence  {one.evidence}\n  change    {one.change}" for one in found]
    return Outcome(metrics, "\n".join([f"{settings.run}: {len(found)} of {len(TABLE)} faults", *lines]), FOUND)


def read(folder: str) -> tuple[list[dict[str, Any]], About]:
    """The rows of a run's history, and what its settings say."""
    from alignment.report.runs import Run

    path = Path(folder)
    if not path.is_dir():
        raise UserError(f"RUN {folder}: no such directory; give one that `align ppo` wrote")
    one = Run(path, path.name)
    if not (path / "run.json").is_file() or one.command != "ppo":
        raise UserError(f"RUN {folder}: holds no run of `align ppo`; give a directory that it wrote")
    rows = [row for row in one.history if isinstance(row, dict) and "step" in row and "objective/kl" in row]
    if not rows:
        raise UserError(f"RUN {folder}: its history.jsonl holds no rollout; run `align ppo` again")
    try:
        return rows, About(**{field.name: one.config[field.name] for field in fields(About)})
    except (KeyError, TypeError):
        raise UserError(f"{path / 'config.yaml'}: lacks settings of `align ppo`; run the command again") from None
