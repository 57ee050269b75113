"""Settings of `align store ...`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alignment.annotator_settings import AnnotatorSettings
from alignment.command import Command
from alignment.config import MAX_SEED, Settings, setting
from alignment.formats.importing import SourceSettings

STORE = "the store: a path (SQLite) or postgresql://USER@HOST/DATABASE"


@dataclass(frozen=True)
class StoreSettings(Settings):
    """Every setting of `align store info`, `snapshot`, `verify` and `migrate`."""

    store: str = setting(positional=True, help=STORE)


@dataclass(frozen=True)
class StoreImportSettings(SourceSettings):
    """Every setting of `align store import`."""

    store: str = setting(positional=True, help=f"{STORE}; made where there is none")
    overlap: int = setting(
        1,
        help="labels wanted of each task, where responses (to rank) or prompts (to write) are brought in",
        unit="labels",
        low=1,
        high=100,
        source="ours: --duplicate-share measures agreement with fewer labels",
    )
    duplicate_share: float = setting(
        0.1,
        help="share of those tasks, chosen by hash, that get one label more",
        unit="share",
        low=0.0,
        high=1.0,
        source="ours: agreement is measured on at least 10 % of the labels",
    )


@dataclass(frozen=True)
class StoreRankSettings(AnnotatorSettings):
    """Every setting of `align store rank`."""

    store: str = setting(positional=True, help=STORE)
    name: str | None = setting(
        None,
        help="who its labels are by; `simulated:` is put before it, so that nobody takes them for a person's",
        none="auto",
        source="ours: the name of --annotator",
    )
    max_labels: int | None = setting(
        None, help="stop after so many labels", unit="labels", none="all", low=1, source="ours: all that is open to it"
    )
    seed: int = setting(0, help="seed of the noise", low=0, high=MAX_SEED, source="ours: fixed, as everywhere")


@dataclass(frozen=True)
class StoreExportSettings(Settings):
    """Every setting of `align store export`."""

    store: str = setting(positional=True, help=STORE)
    output: str = setting(help="the JSONL file of our records that is written; must not exist yet")
    kind: Literal["rankings", "demonstrations", "verdicts"] = setting(
        "rankings", help="which records", source="ours: what most labels are"
    )
    snapshot: str | None = setting(
        None,
        none="now",
        help="a snapshot's name, or its first eight or more digits; now: the labels that stand at this moment",
        source="ours",
    )


@dataclass(frozen=True)
class StoreBackupSettings(Settings):
    """Every setting of `align store backup`."""

    store: str = setting(positional=True, help=STORE)
    output: str = setting(help="the file that is written, a store in SQLite itself; must not exist yet")


@dataclass(frozen=True)
class StoreRestoreSettings(Settings):
    """Every setting of `align store restore`."""

    store: str = setting(
        positional=True,
        help="the store that is made: a path where nothing is yet, or a PostgreSQL database without labels",
    )
    backup: str = setting(positional=True, help="what `align store backup` wrote")


def _command(name: str, summary: str, settings: type[Settings]) -> Command:
    return Command(
        f"store {name}", summary, settings, f"alignment.preferences.commands:{name.replace('import', 'bring')}"
    )


IMPORT = _command("import", "labels, or responses and prompts to label, into the preference store", StoreImportSettings)
RANK = Command(
    "store rank",
    "let a simulated annotator (a Python function, with noise) take tasks and rank, as people do",
    StoreRankSettings,
    "alignment.preferences.simulating:rank",
)
EXPORT = _command("export", "the store's rankings, demonstrations or verdicts as JSONL", StoreExportSettings)
SNAPSHOT = _command("snapshot", "name the labels of this moment, for `align reward`", StoreSettings)
INFO = _command("info", "what the store holds, and how it keeps it", StoreSettings)
BACKUP = _command("backup", "copy the store into one file while people label", StoreBackupSettings)
RESTORE = _command("restore", "make a store from a backup; never over another", StoreRestoreSettings)
VERIFY = _command("verify", "compute every hash and count of the store again", StoreSettings)
MIGRATE = _command("migrate", "make the store's tables, or bring them to this version", StoreSettings)
