"""Settings of `align registry ...`, `align promote`, `align rollback` and `align lineage`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alignment.command import Command
from alignment.config import Settings, setting
from alignment.registry.names import PLACED

REFERENCE = "a version: NAME@v3, NAME@champion (or another alias), or NAME@sha256-DIGITS"


@dataclass(frozen=True)
class RegistrySettings(Settings):
    """What every command takes that uses the registry; all of `align registry verify` and `rebuild`."""

    registry: str | None = setting(
        None,
        none="auto",
        help="the folder of the registry; auto: $ALIGN_REGISTRY, else `registry`",
        source="ours: one registry a workspace",
    )


@dataclass(frozen=True)
class WhoSettings(RegistrySettings):
    """What every command takes besides that writes to the log."""

    by: str | None = setting(None, none="auto", help="who does it, for the log; auto: USER@HOST", source="ours")
    why: str = setting("", help="why, for the log", source="ours")


@dataclass(frozen=True)
class AddSettings(WhoSettings):
    """Every setting of `align registry add`."""

    directory: str = setting(
        positional=True, help="the directory of a model: what `align sft`, `reward` or `ppo` wrote"
    )
    name: str = setting(help="the name whose next version it becomes: a-z, 0-9, '.', '_', '-'; made where it is new")
    kind: Literal["policy", "sft", "base", "reward"] | None = setting(
        None,
        none="auto",
        help="what it is; auto: by the command that made the run",
        source="ours: run.json says it",
    )
    parent: str | None = setting(
        None,
        help="further versions it was made from, besides those that its run's settings named; several with commas",
        source="ours: the run's own inputs are found by their content",
    )


@dataclass(frozen=True)
class ListSettings(RegistrySettings):
    """Every setting of `align registry list`."""

    name: str | None = setting(None, positional=True, none="all", help="only this name", source="ours")


@dataclass(frozen=True)
class ReferenceSettings(RegistrySettings):
    """Every setting of `align registry show` and `align lineage`."""

    reference: str = setting(positional=True, help=REFERENCE)


@dataclass(frozen=True)
class GcSettings(WhoSettings):
    """Every setting of `align registry gc`."""

    keep: int = setting(
        5,
        help="newest versions of each name that stay, whatever reaches them",
        unit="versions",
        low=1,
        source="ours: a week of nightly runs",
    )
    delete: bool = setting(False, help="delete it; without, only tell what would be", source="ours: look first")


@dataclass(frozen=True)
class PromoteSettings(WhoSettings):
    """Every setting of `align promote`."""

    reference: str = setting(positional=True, help=REFERENCE)
    alias: Literal["champion", "challenger", "best-ever", "sft-anchor"] = setting(
        PLACED[0], help="the alias that it gets", source="ours: what is served"
    )
    expected: str | None = setting(
        None,
        none="any",
        help="the version that has the alias now, for example v3, or `nobody`: where another has it, nothing is done and the "
        "exit code is 21; any: whichever has it when the command begins",
        source="ours: who compared two models says with which",
    )
    token: int | None = setting(
        None,
        none="any",
        low=0,
        help="the token that `align registry list --json` told when the models were compared: where the champion was moved "
        "since, even to and fro, the exit code is 21",
        source="ours",
    )


@dataclass(frozen=True)
class RollbackSettings(WhoSettings):
    """Every setting of `align rollback`."""

    name: str = setting(positional=True, help="the name whose champion is taken down")
    to: str | None = setting(
        None, none="previous", help="an earlier champion, for example v2", source="ours: the one before the present one"
    )
    expected: str | None = setting(
        None,
        none="any",
        help="the champion to take down, for example v4: where another stands there, the exit code is 21; where this was done "
        "already, nothing is done, so that two people may type it at once",
        source="ours",
    )


def _command(name: str, summary: str, settings: type[Settings]) -> Command:
    function = name.split()[-1].replace("list", "listed")
    return Command(name, summary, settings, f"alignment.registry.commands:{function}")


ADD = _command("registry add", "a model's directory becomes the next version of a name", AddSettings)
LIST = _command("registry list", "names, versions and aliases", ListSettings)
SHOW = _command("registry show", "one version: files, settings, metrics, and what happened to it", ReferenceSettings)
VERIFY = _command(
    "registry verify", "every byte of the store again; exit code 30 where one is another", RegistrySettings
)
REBUILD = _command(
    "registry rebuild", "make the registry's links again from the store, clear away leftovers", RegistrySettings
)
GC = _command("registry gc", "tell, or delete, what no alias, no new version and no model needs", GcSettings)
PROMOTE = _command("promote", "make a version the champion, if the one it beat still is", PromoteSettings)
ROLLBACK = _command("rollback", "make the champion before this one champion again", RollbackSettings)
LINEAGE = _command("lineage", "which labels, code, settings and parents made a model", ReferenceSettings)
