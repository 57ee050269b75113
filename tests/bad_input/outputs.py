"""Where the result goes, who reads what is printed, and who stops the run."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from bad_input import conditions
from bad_input.case import FILE_OUTPUTS, GONE, GOOD, IN_PLACE, SERVERS, Case, Interrupt, made
from bad_input.records import LINE

FLAG = {
    command: "--workspace" if command == "demo" else "--output"
    for command in GOOD
    if command not in ("report", "doctor", "queue", "store restore", *IN_PLACE, *SERVERS)
}
NEW = [command for command in FLAG if command not in ("compare", "export")]
"""Commands whose output must be new, and is called `out`."""


def other_checkpoints(folder: Path) -> None:
    """A checkpoint, whole, of another command."""
    step = folder / "out.checkpoints" / "step-00000010"
    step.mkdir(parents=True)
    about = {"format": 1, "command": "sft", "reads": {}, "step": 10, "settings": {}, "files": {}}
    (step / "manifest.json").write_text(json.dumps(about))


def locked_folder(folder: Path) -> None:
    (folder / "locked").mkdir(mode=0o555)


OUTPUTS = [
    case
    for command in NEW
    for name in [FLAG[command]]
    for case in (
        Case("output is a file", command, {"out": "mine"}, (f"{name} out: exists already; choose another", "or remove it first")),
        Case("output is a folder", command, {"out": None}, f"{name} out: exists already; choose another"),
        Case("output is a dangling link", command, lambda folder: (folder / "out").symlink_to("nowhere"), f"{name} out: exists already"),
        Case("output below a file", f"{command} {name} file/out", {"file": "mine"}, f"{name} file/out: cannot be written (Not a directory); choose another place"),
        Case("output in a locked folder", f"{command} {name} locked/out", locked_folder, f"{name} locked/out: cannot be written (Permission denied); choose another place", conditions.nobody),
        Case("output in a new folder of a locked one", f"{command} {name} locked/new/out", locked_folder, f"{name} locked/new/out: cannot be written (Permission denied)", conditions.nobody),
        Case("too long a name", f"{command} {name} {'x' * 300}", {}, (name, "cannot be written (File name too long)")),
        Case("full disk", command, {}, (f"{name} out: cannot be written", "disk I/O error" if command == "store backup" else "File too large", "make room or choose another place"), conditions.full_disk_in_the_demo if command == "demo" else conditions.full_disk),
    )
] + [
    *[Case("checkpoints of another command", command, other_checkpoints, (f"out.checkpoints: holds checkpoints of command sft, not {command}", "choose another --output, or give --no-resume")) for command in ("ppo", "reward")],
    Case("metrics of another run beside it", "sample", {"out.metrics.json": "{}"}, "out.metrics.json: exists already"),
    *[
        Case("another run writes the same output", command, {}, "--output out: another run is writing it; wait for it, or choose another", conditions.another_file_run if command in FILE_OUTPUTS else conditions.another_run)
        for command in NEW
        if command != "demo"
    ],
    Case("output of an unknown kind", "export --output out.txt", {}, "--output is 'out.txt'; its name must end with .jsonl, .json, .csv, .parquet"),
    Case("output exists", "export", {"out.jsonl": "mine"}, "--output out.jsonl: exists already"),
    Case("full disk", "export", {}, "--output out.jsonl: cannot be written (File too large)", conditions.full_disk),
    Case("a page that is not ours", "compare", {"out": "mine"}, "out: is not a report that align wrote"),
    Case("a page that is not ours", "report", lambda folder: (folder / "run" / "report.html").write_text("mine"), "run/report.html: is not a report that align wrote"),
    Case("page in a locked folder", "compare --output locked/out", locked_folder, "locked/out: cannot be written", conditions.nobody),
    Case("page in a folder that is not there", "compare --output none/out", {}, "none/out: cannot be written"),
    Case("full disk", "compare", {}, ("out", "cannot be written", "File too large"), conditions.full_disk),
    Case("full disk", "report", {}, ("run/report.html", "cannot be written", "File too large"), conditions.full_disk),
    Case("the copy exists already", "data check --fix", {"demonstrations.fixed.jsonl": "mine"}, "exists already"),
    Case("full disk for the copy", "data check bad --fix --output none", lambda folder: (folder / "bad").write_text('{"prompt": "p", "response": "' + "word " * 200 + '"}\n'), "cannot be written (File too large)", conditions.full_disk),
]  # fmt: skip


def left_behind(folder: Path) -> None:
    """What a run leaves that was killed by SIGKILL."""
    (folder / ".out.partial" / "sub").mkdir(parents=True)
    (folder / ".out.partial" / "sub" / "half").write_text("half")


LEFT = (".out.partial", ".out.partial/sub", ".out.partial/sub/half")
LOST = "stdout was closed, so not all was printed; what the command writes is complete"

COMPLETE = (
    [
        case
        for command in GOOD
        if command not in ("demo", "doctor", *IN_PLACE, *SERVERS)  # the one takes minutes, the others leave nothing new
        for case in (
            Case("nothing wrong", command, {}, (), code=0, added=made(command)),
            Case("closed stdout", f"{command} --json", {}, LOST, conditions.no_stdout, added=made(command)),
        )
    ]
    + [
        Case(
            "closed stdout where faults are found",
            "data check bad --kind rankings --json",
            {"bad": LINE * 3 + "{}\n"},
            LOST,
            conditions.no_stdout,
            added=("out",),
        )
    ]
    + [
        Case("nothing wrong", command, {}, (), code=0, added=made(command), gone=GONE.get(command, ()))
        for command in ("doctor", *IN_PLACE)
    ]
    + [Case("after a killed run", "rank", left_behind, (), code=0, added=made("rank"), gone=LEFT)]
)
"""Runs that leave their output."""

UNREAD = [
    Case("closed stdout", "rank --json", {}, LOST, added=made("rank"), child="closed"),
    Case("a pipe whose reader has gone", "rank --json", {}, LOST, added=made("rank"), child="pipe"),
    Case("a pipe whose reader has gone", "rank", {}, LOST, added=made("rank"), child="pipe"),
]
"""In processes of their own: up to the end of the interpreter, which flushes once more."""


def long(count: int = 400) -> dict[str, str]:
    return {
        "many": "".join(
            f'{{"prompt": "Tom has {n}", "response": " at the river.", "responses": ["a", "bb"]}}\n'
            for n in range(count)
        )
    }


SLOW = {
    "sft": ("sft --epochs 10000", "sft  "),
    "sample": ("sample --prompts many --batch-size 1 --max-new-tokens 100", "sampling"),
    "rank": ("rank --responses many --annotator opinions.py:slow", "simulated annotator"),
    "reward": ("reward --epochs 10000 --save-every 0", "reward model"),
    "ppo": ("ppo --steps 10000 --kl-max 1e9 --save-every 0", "ppo  "),
    "eval": ("eval --prompts many --batch-size 1 --max-new-tokens 100", "policy "),
    "demo": ("demo", "few-shot prompt 1"),
}
"""Command → a line that takes long, and what stderr shows once its work has begun."""

INTERRUPTS = [
    Interrupt(line, at, number, long()) for line, at in SLOW.values() for number in (signal.SIGINT, signal.SIGTERM)
] + [Interrupt(*SLOW["rank"], signal.SIGHUP, long())]
