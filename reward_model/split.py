"""What is trained on, what the temperature is fitted on, what is measured on: chosen by the hashes of prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alignment.errors import UserError
from alignment.records import Ranking, Verdict, prompt_text
from alignment.sources import read_rankings, read_verdicts
from alignment.text_statistics import normalised
from reward_model.config import RewardSettings
from reward_model.pair_losses import margins, tie_share

ROLES = ("train", "stop", "judge")
"""What the thirds of `--split-role` are for, in the order of their hashes."""


@dataclass(frozen=True)
class Split:
    """What is trained on, what is measured on, and what was left out of both.

    held_out_units: for each held-out ranking the number of its unit, the prompts that stay together: clusters of the
    intervals. calibration: for each, whether the temperature is fitted on it. without_pairs: rankings without a pair to
    learn from. shared: rankings left out because --eval-rankings has their prompt or group. tie_probability: of the tie
    model; None without one. verdicts, held_out_verdicts: the thumbs of prompts that are not held out, and those that are."""

    train: list[Ranking]
    held_out: list[Ranking]
    held_out_units: list[int]
    without_pairs: int
    shared: int
    calibration: list[bool]
    train_units: list[int]
    tie_probability: float | None = None
    verdicts: tuple[Verdict, ...] = ()
    held_out_verdicts: tuple[Verdict, ...] = ()


def read(files: str, name: str, group_field: str) -> list[Ranking]:
    """The rankings of all files; one that names no source gets its file's name as source."""
    return [
        ranking if ranking.source is not None else replace(ranking, source=Path(file).stem)
        for file in (part.strip() for part in files.split(","))
        for ranking in read_rankings(file, name, _fields(group_field))
    ]


def split(settings: RewardSettings) -> Split:
    """Reads, splits and checks. Both sides hold at least one strict pair, or it is a UserError."""
    rankings = read(settings.rankings, "--rankings", settings.group_field)
    given = read(settings.eval_rankings, "--eval-rankings", settings.group_field) if settings.eval_rankings else []
    verdicts = read_verdicts(settings.verdicts, _fields(settings.group_field)) if settings.verdicts else []
    everything: list[Ranking | Verdict] = [*rankings, *given, *verdicts]
    numbers = dict(zip(map(id, everything), units(everything), strict=True))
    chosen = _of_role(everything, numbers, settings.split_role)
    rankings = [one for one in rankings if numbers[id(one)] in chosen]
    verdicts = [one for one in verdicts if numbers[id(one)] in chosen]
    of, of_given = ([numbers[id(one)] for one in some] for some in (rankings, given))
    if not rankings:
        raise UserError(
            f"--rankings {settings.rankings}: holds no ranking of the third that --split-role {settings.split_role} "
            "asks for; give rankings of more prompts"
        )
    held_units = set(of_given) if given else held_out_units(rankings, of, settings.holdout_fraction)
    train = [(ranking, unit) for ranking, unit in zip(rankings, of) if unit not in held_units]
    candidates = list(zip(given, of_given)) if given else list(zip(rankings, of))
    held = [(ranking, unit) for ranking, unit in candidates if unit in held_units]
    usable = [(ranking, unit) for ranking, unit in train if _teaches(ranking, settings)]
    usable_held = [(ranking, unit) for ranking, unit in held if ranking.strict_pairs()]
    _require([ranking for ranking, _ in usable], usable_held, settings)
    _require_strengths([ranking for ranking, _ in usable], settings)
    fitted = _below([ranking for ranking, _ in held], [unit for _, unit in held], settings.calibration_fraction)
    return Split(
        train=[ranking for ranking, _ in usable],
        held_out=[ranking for ranking, _ in usable_held],
        held_out_units=[unit for _, unit in usable_held],
        without_pairs=len(train) - len(usable) + len(held) - len(usable_held),
        shared=len(rankings) - len(train) if given else 0,
        calibration=[unit in fitted for _, unit in usable_held],
        train_units=[unit for _, unit in usable],
        tie_probability=_tie_probability([ranking for ranking, _ in usable], settings),
        verdicts=tuple(one for one in verdicts if numbers[id(one)] not in held_units),
        held_out_verdicts=tuple(one for one in verdicts if numbers[id(one)] in held_units),
    )


def units(records: Sequence[Ranking | Verdict]) -> list[int]:
    """A number for each record, equal for those that must stay together: same group, or same prompt but for case,
    spacing and punctuation (also when they reach each other only through a third)."""
    root = list(range(len(records)))

    def find(index: int) -> int:
        while root[index] != index:
            root[index] = root[root[index]]
            index = root[index]
        return index

    first: dict[tuple[str, str], int] = {}
    for index, record in enumerate(records):
        for key in keys(record):
            root[find(index)] = find(first.setdefault(key, index))
    return [find(index) for index in range(len(records))]


def held_out_units(rankings: list[Ranking], of: list[int], fraction: float) -> set[int]:
    """The units with a member whose hash, as a number in [0, 1), lies below the fraction.

    It depends on nothing but the names of the groups (or the prompts) themselves, so what was held out stays held out
    when records are added. A set too small to have such a unit holds out the one with the lowest hash."""
    lowest = lowest_hashes(rankings, of)
    below = {unit for unit, value in lowest.items() if value < fraction}
    return below or {min(lowest, key=lambda unit: lowest[unit])}


def lowest_hashes(records: Sequence[Ranking | Verdict], of: list[int], *salt: str) -> dict[int, float]:
    """unit → the lowest of its members' hashes, each a number in [0, 1). salt: makes draws independent of each other."""
    lowest: dict[int, float] = {}
    for record, unit in zip(records, of):
        lowest[unit] = min(lowest.get(unit, 1.0), _hash(keys(record)[0], salt))
    return lowest


def _below(records: list[Ranking], of: list[int], fraction: float) -> set[int]:
    """The units that the temperature is fitted on."""
    return {unit for unit, value in lowest_hashes(records, of, "calibration").items() if value < fraction}


def _of_role(everything: Sequence[Ranking | Verdict], numbers: dict[int, int], role: str) -> set[int]:
    """The units of a third, or all of them. A unit of several members goes by its first key, whatever their number: its
    lowest hash would favour the first third."""
    units_ = [numbers[id(record)] for record in everything]
    if role == "all":
        return set(units_)
    names: dict[int, tuple[str, str]] = {}
    for record, unit in zip(everything, units_):
        names[unit] = min(names.get(unit, keys(record)[0]), keys(record)[0])
    return {unit for unit, name in names.items() if ROLES[int(3 * _hash(name, ("role",)))] == role}


def _teaches(ranking: Ranking, settings: RewardSettings) -> bool:
    return bool(ranking.strict_pairs() or (settings.tie_model != "none" and ranking.tied_pairs()))


def _tie_probability(train: list[Ranking], settings: RewardSettings) -> float | None:
    if settings.tie_model == "none" or settings.tie_probability is not None:
        return settings.tie_probability
    share = tie_share(train)
    if not 0 < share < 1:
        what = "no tie" if share == 0 else "nothing but ties"
        raise UserError(
            f"--tie-model {settings.tie_model}: the rankings to learn from hold {what}, which leaves its parameter open; "
            "leave it out, or give --tie-probability"
        )
    return share


def _fields(group_field: str) -> tuple[str, ...]:
    return tuple(field.strip() for field in group_field.split(","))


def keys(record: Ranking | Verdict) -> list[tuple[str, str]]:
    """What ties a record to others, the one that decides its side first."""
    prompt = ("prompt", normalised(prompt_text(record.prompt)))
    return [prompt] if record.group is None else [("group", record.group), prompt]


def _hash(key: tuple[str, str], salt: tuple[str, ...] = ()) -> float:
    return int.from_bytes(hashlib.sha256("\n".join((*key, *salt)).encode()).digest()[:8], "big") / 2**64


def _require(train: list[Ranking], held_out: list[Any], settings: RewardSettings) -> None:
    if not train:
        reason = "once those that share a prompt or group with the held-out ones are left out"
        raise UserError(
            f"--rankings {settings.rankings}: holds no ranking with a strict pair to train on, {reason}; "
            "give rankings of at least 2 prompts with unequal ranks"
        )
    if not held_out:
        place = f"--eval-rankings {settings.eval_rankings}" if settings.eval_rankings else "the held-out part"
        raise UserError(
            f"{place}: holds no ranking with a strict pair to measure on; give --eval-rankings with unequal ranks"
        )


def _require_strengths(train: list[Ranking], settings: RewardSettings) -> None:
    if settings.strength_margins is None:
        return
    margins(settings.strength_margins)
    if all(ranking.strength is None for ranking in train):
        raise UserError(
            f"--strength-margins {settings.strength_margins}: no ranking to learn from has a strength; leave it off, or "
            "record `strength` 0 to 3 with the rankings"
        )
