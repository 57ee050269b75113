"""The user's own Python: annotators, judges and rewards, given as MODULE:FUNCTION, each (prompt, responses) → scores."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from alignment.errors import UserError
from alignment.records import Prompt, Response, prompt_text

Judge = Callable[[list[tuple[Prompt, list[Response]]]], list[list[float]]]
"""[(prompt, K responses), ...] → [K finite scores, ...]: higher is better, equal is a tie."""


def load_function(reference: str, name: str) -> Judge:
    """The function behind "MODULE:FUNCTION" (or "FILE.py:FUNCTION"), wrapped so that what it returns is checked.

    The prompt reaches it as one string. An exception in it, a wrong number of scores, or a score that is no finite
    number is a UserError that speaks of the setting `name`."""
    module_name, _, function_name = reference.rpartition(":")
    if not module_name or not function_name:
        raise UserError(f"{name} is {reference!r}; it must be MODULE:FUNCTION, for example my_rewards:helpfulness")
    function = getattr(_module(module_name, reference, name), function_name, None)
    if not callable(function):
        raise UserError(
            f"{name} {reference}: {module_name} has no function {function_name!r}; name one that it defines"
        )

    def judge(items: list[tuple[Prompt, list[Response]]]) -> list[list[float]]:
        return [
            _scores(function, prompt_text(prompt), [r.text for r in responses], f"{name} {reference}")
            for prompt, responses in items
        ]

    return judge


def _scores(function: Callable[..., Any], prompt: str, texts: list[str], who: str) -> list[float]:
    try:
        scores = list(function(prompt, texts))
    except Exception as error:
        raise UserError(
            f"{who} raised {type(error).__name__}: {error} (prompt: {prompt[:60]!r}); it must return one number a response"
        ) from error
    if len(scores) != len(texts):
        raise UserError(f"{who} returned {len(scores)} scores for {len(texts)} responses; it must return one each")
    for score in scores:
        if isinstance(score, bool) or not _is_finite(score):
            raise UserError(f"{who} returned {score!r}; each score must be a finite number")
    return [float(score) for score in scores]


def _is_finite(value: object) -> bool:
    try:
        return math.isfinite(value)  # type: ignore[arg-type]
    except TypeError:
        return False


def _module(module_name: str, reference: str, name: str) -> ModuleType:
    try:
        if module_name.endswith(".py"):
            return _from_file(Path(module_name))
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(module_name)
    except Exception as error:
        raise UserError(
            f"{name} {reference}: {module_name} cannot be imported ({type(error).__name__}: {error}); "
            "run from the folder that holds it, or install it"
        ) from error


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
