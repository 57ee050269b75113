"""Settings of `align queue`."""

from __future__ import annotations

from dataclasses import dataclass

from alignment.command import Command
from alignment.config import MAX_SEED, MAX_THREADS, Settings, setting
from alignment.preferences.command import STORE, StoreImportSettings


@dataclass(frozen=True)
class QueueSettings(Settings):
    """Every setting of `align queue`."""

    store: str = setting(positional=True, help=f"{STORE}; made where there is none")
    responses: str = setting(help="JSONL of {prompt, responses} that `align sample` wrote: what may be asked")
    reward_model: str = setting(
        model=True, help="the reward model that is to learn; directory that `align reward` wrote"
    )
    count: int = setting(300, help="new tasks", unit="tasks", low=1, source="ours: 200 start a round, some are skipped")
    uniform_share: float = setting(
        1 / 3,
        help="share of them drawn at random; only these may evaluate. The others are those that tell the reward model most",
        unit="share",
        low=0.0,
        high=1.0,
        source="ours: 60 by information to 30 at random; the other 10 are duplicates and gold items",
    )
    duplicate_share: float = setting(
        StoreImportSettings.duplicate_share,
        help="share of them, chosen by hash, that get one label more",
        unit="share",
        low=0.0,
        high=1.0,
        source="`align store import`",
    )
    exclude: str | None = setting(
        None, help="JSONL of prompts that are never asked, such as those that evaluate", source="ours"
    )
    batch_size: int = setting(128, help="responses read at once", unit="responses", low=1, source="`align sample`")
    seed: int = setting(
        0, help="seed of the draw at random and of the order", low=0, high=MAX_SEED, source="`align sample`"
    )
    threads: int | None = setting(
        None, help="CPU threads for torch", none="auto", low=1, high=MAX_THREADS, source="`align sample`"
    )


COMMAND = Command(
    "queue", "choose what people rank next: what tells the reward model most, and some at random", QueueSettings, "alignment.loop.queue:run"
)  # fmt: skip
