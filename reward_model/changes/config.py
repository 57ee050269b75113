"""Settings of `align reward changes`."""

from __future__ import annotations

from dataclasses import dataclass

from alignment.command import Command
from alignment.config import StageSettings, setting
from alignment.ensembles import EnsembleSettings

RECORDED = "config.yaml and run.json of its run"


@dataclass(frozen=True)
class ChangesSettings(StageSettings, EnsembleSettings):
    """Every setting of `align reward changes`."""

    new: str = setting(positional=True, help="the newer reward model: a directory that `align reward` wrote")
    against: str = setting(help="the older one, likewise")
    rankings: str | None = setting(
        None,
        none="its own",
        help="what NEW was trained on: JSONL or store:URL@SNAPSHOT; several with commas between them",
        source=RECORDED,
    )
    against_rankings: str | None = setting(
        None, none="its own", help="what --against was trained on, likewise", source=RECORDED
    )
    eval_rankings: str | None = setting(
        None, help="held-out rankings to compare on as well, best those that trained neither", source="off: ours"
    )
    store: str | None = setting(
        None,
        none="its own",
        help="preference store that keeps the result for the team: a path (SQLite) or postgresql://USER@HOST/DATABASE",
        source="ours: the store that NEW's rankings come from; none where they come from files",
    )
    most_changed: int = setting(
        20, help="how many of the most changed pairs are shown, one a prompt", unit="pairs", low=0, source="ours"
    )
    batch_size: int = setting(64, help="responses scored at once", unit="responses", low=1, source="as `align reward`")


COMMAND = Command(
    "reward changes",
    "what new rankings changed: two reward models on the same pairs",
    ChangesSettings,
    "reward_model.changes.compare:run",
)
