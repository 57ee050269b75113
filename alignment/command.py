"""Runs one command: parses its settings, shows its metrics, turns a user's mistake into one sentence and exit code 2."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from alignment.config import Settings, parse
from alignment.errors import UserError
from alignment.exit_codes import DONE, FOUND, INTERRUPTED, USER_ERROR
from alignment.model_references import resolved
from alignment.processes import count, first_to_fail, is_main
from alignment.repeat import repeat
from alignment.terminal import streams

STDOUT_LOST = (
    "stdout was closed, so not all was printed; what the command writes is complete; keep stdout open to read it"
)

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Command:
    """A command of `align`: `run` is "module:function", imported only when it runs, so that `--help` is quick.

    repeats: whether `--seeds N` may run it N times; its output is a directory then.
    plan: "module:function" too, what `--dry-run` does instead; None where the command has no such option."""

    name: str
    summary: str
    settings: type[Settings]
    run: str
    repeats: bool = False  # whether it can be run under several seeds
    plan: str | None = None
    processes: bool = False  # whether `accelerate launch` may run it in several processes


@dataclass(frozen=True)
class Outcome:
    """What a command returns that prints more than the table of its metrics.

    text: shown in place of the table; colours (ANSI) are left out where it does not go to a terminal. code: exit code."""

    metrics: dict[str, Any]
    text: str
    code: int = DONE


def main(command: Command, argv: list[str] | None = None, prog: str | None = None) -> int:
    """Runs the command; returns its exit code (`alignment/exit_codes.py`). Other exceptions are bugs and propagate."""
    with streams() as stdout:
        code = _in_any_process(command, sys.argv[1:] if argv is None else argv, prog)
        stdout.flush()
        if stdout.lost and code in (DONE, FOUND):
            print(f"align {command.name}: {STDOUT_LOST}", file=sys.stderr)
            return USER_ERROR
        return code


def _in_any_process(command: Command, argv: list[str], prog: str | None) -> int:
    """The command alone, or as one of several processes: the first to fail says why, the others lose their connection."""
    try:
        return _main(command, argv, prog)
    except Exception:
        if first_to_fail():
            raise
        return USER_ERROR


def _main(command: Command, argv: list[str], prog: str | None) -> int:
    settings = None
    try:
        settings, options = parse(
            command.settings,
            argv,
            prog or f"align {command.name}",
            command.summary,
            repeats=command.repeats,
            plans=command.plan is not None,
        )
        settings = resolved(settings)
        _require_one_process(command, options)
        _prepare()
        outcome = _planned(command, settings, options) if options.dry_run else _done(command, settings, options)
    except UserError as error:
        if first_to_fail():
            if "--debug" in argv:
                traceback.print_exc()
            print(f"align {command.name}: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        if first_to_fail():
            print(f"\nalign {command.name}: interrupted; {_left(settings)}", file=sys.stderr)
        return INTERRUPTED
    if not is_main():
        return outcome.code
    stream = sys.stderr if options.json else sys.stdout
    colour = stream.isatty() and "NO_COLOR" not in os.environ
    print(outcome.text if colour else COLOUR.sub("", outcome.text), file=stream)
    if options.json:
        print(json.dumps(outcome.metrics, allow_nan=False))
    return outcome.code


def _require_one_process(command: Command, options: Any) -> None:
    """UserError where several processes were started for what one does."""
    if count() == 1:
        return
    if not command.processes:
        raise UserError(f"runs in one process, and {count()} were started; start it without accelerate launch")
    for given, name in ((options.dry_run, "--dry-run"), (options.seeds > 1, f"--seeds {options.seeds}")):
        if given:
            raise UserError(
                f"{name}: runs in one process, and {count()} were started; start it without accelerate launch"
            )


def _left(settings: Any) -> str:
    """What an interrupted run leaves behind."""
    if getattr(settings, "endpoint", None):
        from alignment.endpoints.journal import kept_sentence

        return f"no output was written{kept_sentence(settings.output)}"
    if not getattr(settings, "save_every", 0):
        return "nothing was written"
    from alignment.checkpoint import folder_of

    folder = folder_of(settings.output)
    if folder.is_dir():
        return f"no output was written; checkpoints stay in {folder}: the same command line goes on from the newest"
    return "nothing was written"


def _done(command: Command, settings: Any, options: Any) -> Outcome:
    if count() > 1:
        return _done_together(command, settings)
    run = function(command.run)
    result = repeat(command.name, run, settings, options.seeds) if options.seeds > 1 else run(settings)
    return result if isinstance(result, Outcome) else Outcome(result, _table(result))


def _done_together(command: Command, settings: Any) -> Outcome:
    """The same in every process; bars and warnings of the others than the main one are not shown."""
    from alignment import distributed

    with contextlib.ExitStack() as silence:
        if not is_main():
            nowhere = silence.enter_context(open(os.devnull, "w", encoding="utf-8"))
            silence.enter_context(contextlib.redirect_stdout(nowhere))
            silence.enter_context(contextlib.redirect_stderr(nowhere))
        distributed.start()
        result = function(command.run)(settings)
        distributed.stop()
    return Outcome(result, _table(result))


def _planned(command: Command, settings: Any, options: Any) -> Outcome:
    """`--dry-run`: what the command would do, as plain values and as text. Nothing is written."""
    from alignment.plan import planned

    assert command.plan is not None
    plan = planned(function(command.plan), settings, options.seeds)
    return Outcome(plan.values(), plan.text(f"align {command.name}"))


def function(reference: str) -> Callable[[Any], Any]:
    """The function behind "module:function"."""
    module, name = reference.split(":")
    return getattr(importlib.import_module(module), name)


def _prepare() -> None:
    """SIGTERM and SIGHUP unwind like Ctrl-C, so that nothing half-written stays; the libraries' chatter is silenced."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # `nohup` ignores SIGHUP
            signal.signal(number, _interrupt)
    for name, value in {
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }.items():
        os.environ.setdefault(name, value)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt  # not through SIGINT, which shells ignore for what runs in the background


def _table(metrics: dict[str, Any]) -> str:
    """The metrics, one a line; nested ones with a dotted name."""
    flat: list[tuple[str, Any]] = []

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict) and value.keys() == {"mean", "sd"}:
            flat.append((prefix, f"{value['mean']:.4g} ± {value['sd']:.2g}"))
        elif isinstance(value, dict):
            for key, inner in value.items():
                walk(f"{prefix}.{key}" if prefix else str(key), inner)
        elif isinstance(value, list):
            flat.extend((prefix, one) for one in value)  # sentences, one a line
        else:
            flat.append((prefix, value))

    walk("", metrics)
    width = max((len(name) for name, _ in flat), default=0)
    return "\n".join(
        f"{name:<{width}}  {f'{value:.4g}' if isinstance(value, float) else value}" for name, value in flat
    )
