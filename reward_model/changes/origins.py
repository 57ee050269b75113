"""What a reward model was trained on, from what its run left: the rankings it was given, and which prompts taught it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alignment.errors import UserError
from alignment.preferences.engine import reference
from alignment.preferences.errors import without_password
from alignment.preferences.ids import digest_of
from alignment.preferences.store import existing
from alignment.records import Ranking, Verdict, plain
from alignment.report.runs import RECORD, Run
from reward_model.config import RewardSettings
from reward_model.split import keys, read, split


@dataclass(frozen=True)
class Origin:
    """rankings: all that it was given, those that it held out too; read from `references`, files or snapshots.

    learned: the prompts and groups that it was trained on."""

    rankings: list[Ranking]
    references: list[str]
    learned: frozenset[tuple[str, str]]

    @property
    def shown(self) -> list[str]:
        """The references without passwords: others read what is kept."""
        return [without_password(one) for one in self.references]

    def taught_by(self, ranking: Ranking) -> bool:
        """Whether it was trained on a ranking of the same prompt or group."""
        return not self.learned.isdisjoint(keys(ranking))


def origin(folder: str, name: str, given: str | None, given_name: str) -> Origin:
    """Of the reward model in a directory, which the setting `name` names. given: where its rankings lie now (the setting
    `given_name`); None: where its run says.

    What it held out is computed as its run did, from the hashes of the prompts.
    Raises UserError where the directory is no run of `align reward`, or its rankings cannot be read."""
    settings = _settings(folder, name, given, given_name)
    try:
        rankings = read(settings.rankings, "--rankings", settings.group_field)
        parts = split(settings)
    except UserError as error:
        place = given_name if given else f"{name} {folder}: it was trained with"
        hint = "" if given else f"; where they have moved, give {given_name}"
        raise UserError(f"{place} {str(error).removeprefix('--rankings ' * bool(given))}{hint}") from error
    taught: list[Ranking | Verdict] = [*parts.train, *parts.verdicts]
    return Origin(rankings, _parts(settings.rankings), frozenset(key for one in taught for key in keys(one)))


def content(ranking: Ranking) -> str:
    """What makes it the same ranking wherever it is kept: all but the source and the group, which reading may add."""
    return digest_of(plain(dataclasses.replace(ranking, source=None, group=None)))


def require_one_store(old: Origin, new: Origin, name: str) -> None:
    """UserError where both were trained on snapshots, and the newer one's store does not hold the older one's: what is new
    would be everything. A snapshot's name is its content, so a store that was moved or restored is the same store."""
    stores = dict(_snapshots(new))
    for url, snapshot in _snapshots(old):
        if stores and not any(_holds(one, snapshot) for one in stores):
            raise UserError(
                f"{name}: was trained on snapshot {snapshot[:12]} of store:{without_password(url)}, and NEW on a store without "
                f"that snapshot, store:{without_password(next(iter(stores)))}; compare reward models of one store"
            )


def _settings(folder: str, name: str, given: str | None, given_name: str) -> RewardSettings:
    if not (Path(folder) / RECORD).is_file():
        raise UserError(f"{name} {folder}: holds no {RECORD}; give a directory that `align reward` wrote")
    run = Run(Path(folder), folder)
    if run.command != "reward":
        raise UserError(f"{name} {folder}: `align {run.command}` wrote it; give a directory that `align reward` wrote")
    known = {field.name for field in dataclasses.fields(RewardSettings)}
    config = {key: value for key, value in run.config.items() if key in known}
    if "rankings" not in config:
        raise UserError(
            f"{name} {folder}: its config.yaml names no rankings; give a directory that `align reward` wrote"
        )
    read_then = run.record.get("snapshots", {})
    parts = [read_then.get(part, part) for part in _parts(given or config["rankings"])]
    for part in parts:
        found = reference(part)
        if found and found[1] is None and not given:
            raise UserError(
                f"{name} {folder}: was trained on {part}, and its run did not record which snapshot that was; "
                f"give {given_name} {part}@SNAPSHOT"
            )
    return RewardSettings(**{**config, "rankings": ",".join(parts)})


def _parts(references: str) -> list[str]:
    return [part.strip() for part in references.split(",")]


def _snapshots(of: Origin) -> Iterator[tuple[str, str]]:
    """(URL, snapshot) of each of its references that names both."""
    for found in map(reference, of.references):
        if found and found[1]:
            yield found[0], found[1]


def _holds(url: str, snapshot: str) -> bool:
    with existing(url) as store:
        return any(one.digest.startswith(snapshot) for one in store.snapshots())
