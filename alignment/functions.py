"""The user's own Python: annotators, judges and rewards, given as MODULE:FUNCTION, each (prompt, responses) → scores."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from alignment.errors import UserError
from alignment.records import Prompt, Response, prompt_text

FLOAT32_MAX = 3.4028234e38

Judge = Callable[[list[tuple[Prompt, list[Response]]]], list[list[float]]]
"""[(prompt, K responses), ...] → [K finite scores, ...]: higher is better, equal is a tie."""


def load_function(reference: str, name: str, timeout: float | None) -> Judge:
    """The function behind "MODULE:FUNCTION" (or "FILE.py:FUNCTION"), wrapped so that what it returns is checked.

    The prompt reaches it as one string. An exception in it, a wrong number of scores, a score that is no finite number,
    or a call that takes longer than `timeout` (seconds; None: no limit) is a UserError that speaks of the setting `name`."""
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
            _scores(function, prompt_text(prompt), [r.text for r in responses], f"{name} {reference}", timeout)
            for prompt, responses in items
        ]

    return judge


def _scores(
    function: Callable[..., Any], prompt: str, texts: list[str], who: str, timeout: float | None
) -> list[float]:
    try:
        with time_limit(timeout):
            returned = function(prompt, texts)
            scores = list(returned) if isinstance(returned, Iterable) else None
    except Late:
        raise UserError(
            f"{who} took longer than {timeout:g} s (prompt: {prompt[:60]!r}); see why, or raise --function-timeout"
        ) from None
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{who} raised {_one_line(error)} (prompt: {prompt[:60]!r}); it must return one number a response"
        ) from error
    if scores is None:
        raise UserError(f"{who} returned {returned!r}; it must return a list of one number a response")
    if len(scores) != len(texts):
        raise UserError(f"{who} returned {len(scores)} scores for {len(texts)} responses; it must return one each")
    for score in scores:
        if isinstance(score, bool) or not _is_finite(score):
            raise UserError(f"{who} returned {score!r}; each score must be a finite number")
    return [float(score) for score in scores]


def require_finite(scores: Iterable[float], name: str) -> None:
    """UserError that begins with `name`, a setting that names a reward model, where a score is no finite number."""
    for score in scores:
        if not math.isfinite(score):
            raise UserError(f"{name}: gives the score {score}; every score must be a finite number: train it again")


class Late(BaseException):
    """The time is over. No Exception, so that `except Exception` in the user's function does not swallow it."""


@contextlib.contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raises `Late` in the block after so many seconds; None: never.

    By SIGALRM, so it works in the main thread alone (elsewhere there is no limit), and code that never returns to the
    interpreter, such as a lock inside a C library, is not stopped."""
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_: object) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _is_finite(value: Any) -> bool:
    """Also in float32, which tensors hold it in."""
    try:
        return math.isfinite(value) and abs(float(value)) <= FLOAT32_MAX
    except (TypeError, ValueError, OverflowError):
        return False


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _module(module_name: str, reference: str, name: str) -> ModuleType:
    try:
        if module_name.endswith(".py"):
            return _from_file(Path(module_name))
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.insert(0, str(Path.cwd()))
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"{name} {reference}: {module_name} cannot be imported ({_one_line(error)}); "
            "run from the folder that holds it, or install it"
        ) from error


def _from_file(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
