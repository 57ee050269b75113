"""Settings: one frozen dataclass a command. A setting is written once, with its default, help, unit, bounds and source;
the command line, `--config FILE.yaml`, `--help`, the checks and the run's snapshot are all made from that one place."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import inspect
import math
import types
import typing
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from alignment.errors import UserError
from alignment.text_files import read_text


def setting(
    default: Any = MISSING,
    *,
    help: str,
    unit: str = "",
    source: str = "",
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    none: str = "none",
    positional: bool = False,
    model: bool = False,
    group: str = "",
) -> Any:
    """A field of a settings class. No default: required. `low`/`high` are inclusive bounds, `above` an exclusive one;
    `none` is the word that stands for None on the command line, in YAML and in the help (for example "auto");
    `positional`: written without a flag, `align report DIR`; of type `tuple[str, ...]` it takes one or more;
    `model`: names a model's directory, for which a reference to the registry may stand; `group`: the heading it has in a
    file of its own: such a setting is no flag, and named as that file has it."""
    metadata = {"help": help, "unit": unit, "source": source, "low": low, "high": high, "above": above, "none": none}
    metadata |= {"positional": positional, "model": model, "group": group}
    return dataclasses.field(default=default, metadata=metadata, kw_only=True)


MAX_SEED = 2**32 - 1
"""What numpy takes as a seed at most."""

MAX_THREADS = 1024
"""More than any machine has cores; torch would start as many as it is told, and crash."""


@dataclass(frozen=True)
class Settings:
    """Base of all settings classes: checks every value against its type and bounds when it is made."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _checked(field, _types(type(self))[field.name], getattr(self, field.name))
            object.__setattr__(self, field.name, value)


@dataclass(frozen=True)
class StageSettings(Settings):
    """What every stage command takes."""

    output: str = setting(help="where the result goes; must not exist yet")
    seed: int = setting(
        0,
        help="seed of every random draw",
        source="ours: fixed, so that a rerun gives the same numbers",
        low=0,
        high=MAX_SEED,
    )
    threads: int | None = setting(
        None,
        help="CPU threads for torch",
        none="auto",
        low=1,
        high=MAX_THREADS,
        source="torch's own choice; 1 is safer on a busy machine",
    )


@dataclass(frozen=True)
class TrainingSettings(StageSettings):
    """What every training stage takes besides."""

    report_to: Literal["none", "tensorboard", "trackio", "wandb"] = setting(
        "none",
        help="experiment tracker that receives the metrics (accelerate's and transformers' own integration)",
        source="ours",
    )


@dataclass(frozen=True)
class ResumeSettings(Settings):
    """What every training stage takes besides that goes on after a kill."""

    save_every: int = setting(
        10,
        help="optimizer steps (in PPO: rollouts) between checkpoints in OUTPUT.checkpoints, which are gone once the output "
        "is there; 0 = never",
        unit="steps",
        low=0,
        source="ours: at most a quarter of PPO's default run is lost",
    )
    resume: bool = setting(
        True,
        help="go on from the newest whole checkpoint of a run to the same output that was stopped; off: remove them",
        source="ours: whoever repeats the command line of a killed run wants its result",
    )


@dataclass(frozen=True)
class FunctionSettings(Settings):
    """What every command takes besides that calls a Python function of the user's."""

    function_timeout: float | None = setting(
        300.0,
        help="longest that the annotator, judge or reward function may take for one prompt",
        unit="seconds",
        none="off",
        above=0.0,
        source="ours: longer than the first call of a function that loads a model or asks a service",
    )


@dataclass(frozen=True)
class GenerationSettings(Settings):
    """How responses are sampled; named alike in every command."""

    max_new_tokens: int = setting(48, help="longest response", unit="tokens", low=1, source="ours: N+ uses 53 on TL;DR")
    temperature: float = setting(
        1.0,
        help="divides the logits, when sampling and wherever log-probs are recomputed",
        above=0.0,
        source="InstructGPT; N+ (.7)",
    )
    top_p: float = setting(
        1.0,
        help="nucleus sampling: smallest set of tokens with this mass; 1 = off",
        above=0.0,
        high=1.0,
        source="off: PPO needs the whole distribution",
    )
    top_k: int = setting(
        0, help="sample from the k likeliest tokens; 0 = off", low=0, source="off: PPO needs the whole distribution"
    )
    batch_size: int = setting(
        128,
        help="responses generated (or scored) at once",
        unit="responses",
        low=1,
        source="ours: fits small models on a CPU",
    )


def asdict(settings: Settings) -> dict[str, Any]:
    """The settings as plain values, in the order written: what `config.yaml` holds."""
    return dataclasses.asdict(settings)


def changed(settings: Settings) -> dict[str, dict[str, str]]:
    """name → {value, default} of the settings that differ from their default, each as the user writes it.

    Those without a default (inputs and outputs) are left out: every run has its own."""
    differing = [
        field
        for field in dataclasses.fields(settings)
        if field.default is not MISSING and getattr(settings, field.name) != field.default
    ]
    return {
        field.name: {"value": shown(field, getattr(settings, field.name)), "default": shown(field, field.default)}
        for field in differing
    }


def parse(
    cls: type[Settings], argv: list[str], prog: str, summary: str, repeats: bool = False, plans: bool = False
) -> tuple[Any, argparse.Namespace]:
    """Settings of class `cls` from `--config FILE.yaml` and flags (flags win), and the options `json`, `debug` and, where
    the command repeats, `seeds`, where it plans, `dry_run`."""
    parser = build_parser(cls, prog, summary, repeats, plans)
    known = [option for action in parser._actions for option in action.option_strings]
    arguments, unknown = parser.parse_known_args(argv)
    if unknown:
        raise UserError(
            f"unknown setting {unknown[0]!r}{_nearest(unknown[0].split('=')[0], known)}; `{prog} --help` lists all"
        )
    options = argparse.Namespace(**{name: arguments.__dict__.pop(name) for name in ("json", "debug")})
    options.seeds = _checked_seeds(arguments.__dict__.pop("seeds", 1))
    options.dry_run = arguments.__dict__.pop("dry_run", False)
    config = arguments.__dict__.pop("config", None)
    values = {**(read_values(cls, Path(config), "--config") if config else {}), **vars(arguments)}
    for field in dataclasses.fields(cls):
        if field.default is MISSING and field.name not in values:
            raise UserError(
                f"{shown_name(field)} is missing: {field.metadata['help']}; "
                f"give it {'on the command line' if field.metadata['positional'] else 'as a flag'} or in --config FILE.yaml"
            )
    return cls(**values), options


def build_parser(
    cls: type[Settings], prog: str, summary: str, repeats: bool = False, plans: bool = False
) -> argparse.ArgumentParser:
    """The argparse parser of a settings class; unset flags stay absent, so that the YAML file can fill them."""
    parser = _Parser(prog=prog, description=summary, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    parser.add_argument("--config", metavar="FILE.yaml", help="settings from a YAML file; flags override it")
    for field in ordered_fields(cls):
        hint = _types(cls)[field.name]
        text = describe(field)
        if field.metadata["positional"]:
            several = typing.get_origin(hint) is tuple
            parser.add_argument(field.name, metavar=shown_name(field), nargs="*" if several else "?", help=text)
        elif hint is bool:
            parser.add_argument(flag(field.name), action=argparse.BooleanOptionalAction, help=text)
        else:
            parser.add_argument(flag(field.name), metavar=_metavar(hint), help=text)
    if repeats:
        parser.add_argument(
            "--seeds",
            metavar="N",
            help="run with N seeds from --seed on, each into OUTPUT/seed-S; mean ± sd of the metrics",
        )
    if plans:
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="do not run and write nothing: say what would be read and written, how long it would take and how much "
            "memory, after a short probe on this device",
        )
    parser.add_argument(
        "--json", action="store_true", default=False, help="print one JSON object with the metrics as the last line"
    )
    parser.add_argument("--debug", action="store_true", default=False, help="show the traceback of a user error")
    return parser


def ordered_fields(cls: type[Settings]) -> list[dataclasses.Field]:
    """A command's own settings first, then those it shares with others."""
    owners = [inspect.get_annotations(owner) for owner in cls.__mro__]
    return sorted(
        dataclasses.fields(cls), key=lambda field: next(i for i, names in enumerate(owners) if field.name in names)
    )


def describe(field: dataclasses.Field) -> str:
    """Help text of one setting: meaning, unit, default, source."""
    about = field.metadata
    default = "required" if field.default is MISSING else f"default {shown(field, field.default)}"
    parts = [default] + ([f"source: {about['source']}"] if about["source"] else [])
    unit = f" [{about['unit']}]" if about["unit"] else ""
    return f"{about['help']}{unit} ({'; '.join(parts)})".replace("%", "%%")


def shown(field: dataclasses.Field, value: Any) -> str:
    return field.metadata["none"] if value is None else str(value)


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def shown_name(field: dataclasses.Field) -> str:
    """How the user writes the setting: `--lr`, `FILE` where it is positional, `lr` where it stands in a file alone."""
    if field.metadata["group"]:
        return field.name
    return field.name.upper() if field.metadata["positional"] else flag(field.name)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> typing.NoReturn:
        raise UserError(f"{message}; `{self.prog} --help` lists the settings")


def _types(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def read_values(cls: type[Settings], path: Path, name: str, more: str = "`--help` lists all") -> dict[str, Any]:
    """The values that a YAML file gives to settings, unchecked; a UserError that begins with `name` where it has others.

    more: where the user finds what settings there are."""
    text = read_text(path, name, "a YAML file of settings")
    try:
        values = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
        raise UserError(
            f"{name} {path}: is not YAML ({yaml_problem(error)}); write one `name: value` a line"
        ) from error
    if not isinstance(values, dict):
        raise UserError(f"{name} {path}: holds a {type(values).__name__}; it must hold `name: value` lines")
    names = [field.name for field in dataclasses.fields(cls)]
    result = {}
    for key, value in values.items():
        known = str(key).replace("-", "_")
        if known not in names:
            raise UserError(f"{name} {path}: unknown setting {key!r}{_nearest(known, names)}; {more}")
        result[known] = value
    return result


def yaml_problem(error: Exception) -> str:
    """What is wrong in a YAML file and at which line, in one line."""
    mark = getattr(error, "problem_mark", None)
    place = f" at line {mark.line + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or str(error).splitlines()[0]}{place}"


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _checked_seeds(value: int | str) -> int:
    try:
        seeds = int(value)
    except ValueError:
        seeds = 0
    if seeds < 1:
        raise UserError(f"--seeds is {value!r}; it must be a whole number of at least 1")
    return seeds


def _metavar(hint: Any) -> str:
    options = [option for option in typing.get_args(hint) if option is not type(None)] or [hint]
    if typing.get_origin(hint) is Literal:
        return "{" + ",".join(map(str, typing.get_args(hint))) + "}"
    return {"int": "N", "float": "X", "str": "TEXT"}.get(getattr(options[0], "__name__", ""), "TEXT")


def _checked(field: dataclasses.Field, hint: Any, value: Any) -> Any:
    """The value converted to its type, or a UserError that names the setting, its value and what it must be."""
    about, name = field.metadata, shown_name(field)
    optional = typing.get_origin(hint) in (types.UnionType, typing.Union)
    options = [option for option in typing.get_args(hint) if option is not type(None)] if optional else [hint]
    if optional and (value is None or value == about["none"]):
        return None
    word = f", or {about['none']!r}" if optional else ""
    kind = options[0]
    if typing.get_origin(kind) is tuple:
        if isinstance(value, (list, tuple)) and value and all(isinstance(one, str) for one in value):
            return tuple(value)
        raise UserError(f"{name} is {value!r}; it must be one or more texts")
    if typing.get_origin(kind) is Literal:
        if value in typing.get_args(kind):
            return value
        raise UserError(f"{name} is {value!r}; it must be one of {', '.join(map(str, typing.get_args(kind)))}")
    article = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}[kind]
    try:
        if (kind is bool and not isinstance(value, bool)) or (kind is not bool and isinstance(value, bool)):
            raise ValueError
        if value is None or (kind is int and float(value) != int(float(value))):
            raise ValueError
        if kind is str and not isinstance(value, (str, int, float)):  # YAML reads `name: 7` as a number
            raise ValueError
        converted = int(float(value)) if kind is int and not isinstance(value, int) else kind(value)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{name} is {value!r}; it must be {article}{word}") from None
    if kind in (int, float):
        _check_bounds(about, name, converted, article, word)
    return converted


def _check_bounds(about: Any, name: str, value: float, article: str, word: str) -> None:
    low, high, above = about["low"], about["high"], about["above"]
    bounds = (
        [f"at least {low}"] * (low is not None)
        + [f"above {above}"] * (above is not None)
        + [f"at most {high}"] * (high is not None)
    )
    inside = (low is None or value >= low) and (above is None or value > above) and (high is None or value <= high)
    if not math.isfinite(value):
        article = "a finite number"
    elif inside:
        return
    raise UserError(f"{name} is {value}; it must be {' '.join([article, ' and '.join(bounds)]).strip()}{word}")
