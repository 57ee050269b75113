"""`policy@champion` where a setting takes a model's directory: the registry's directory of that version stands in for it."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TypeVar

from alignment.config import Settings, shown_name
from alignment.errors import UserError
from alignment.processes import count, is_main

JUDGE = "reward-model:"
"""What goes before a directory where a function may be named instead."""

S = TypeVar("S", bound=Settings)


def resolved(settings: S) -> S:
    """The settings with each reference replaced by its directory, whose files were checked. The registry is that of
    $ALIGN_REGISTRY, else `registry`. What is a path already is left alone; stderr says which version it is."""
    if getattr(settings, "endpoint", None) is not None:  # names a model of that server
        return settings
    changes = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.metadata["model"] and isinstance(value, str) and "@" in value:
            changes[field.name] = _directory(value, shown_name(field))
    return dataclasses.replace(settings, **changes) if changes else settings


def _directory(value: str, name: str) -> str:
    from alignment.registry.names import REFERENCE, parse  # a command that names no version need not load it

    text = value.removeprefix(JUDGE)
    if REFERENCE.fullmatch(text) is None or Path(text).exists():
        return value
    if count() > 1 and parse(text, name).alias:
        raise UserError(
            f"{name} is {text!r}, which may move while {count()} processes start; give a version, such as v3"
        )
    found = _found(text, name)
    return value.removesuffix(text) + found


def _found(text: str, name: str) -> str:
    from alignment.registry.registry import Registry

    try:
        artifact = Registry().resolve(text)
    except UserError as error:
        error.args = (f"{name} {text}: {str(error).removeprefix(f'{text}: ')}",)
        raise
    if is_main():
        print(f"{name} {text}: {artifact.version}, {artifact.version.artifact[:24]}", file=sys.stderr)
    return str(artifact.path)
