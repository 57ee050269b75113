"""One line of the table, and the command lines that the lines change."""

from __future__ import annotations

import itertools
import shlex
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from alignment.cli import COMMANDS
from alignment.run import RESULT_FILES

Files = dict[str, str | bytes | None]
"""File name → what it holds; None: a folder."""

GOOD = {
    "sft": "--base policy --data demonstrations.jsonl --output out --threads 1",
    "sample": "--policy policy --prompts prompts.jsonl --output out --max-new-tokens 4 --threads 1",
    "rank": "--responses responses.jsonl --annotator opinions.py:length --output out --threads 1",
    "reward": "--base policy --rankings rankings.jsonl --output out --threads 1",
    "reward changes": "new-reward --against old-reward --output out --threads 1",
    "ppo": "--policy policy --prompts prompts.jsonl --reward opinions.py:length --output out --threads 1"
    " --steps 1 --batch-size 4 --minibatch-size 4 --max-new-tokens 4",
    "eval": "--policy policy --against policy --prompts prompts.jsonl --judge opinions.py:length --output out"
    " --max-new-tokens 4 --threads 1",
    "demo": "--workspace out",
    "data check": "demonstrations.jsonl --output out",
    "import": "foreign.json --output out",
    "export": "demonstrations.jsonl --format alpaca --output out.jsonl",
    "store import": "labels.db rankings.jsonl",
    "store rank": "labels.db --annotator opinions.py:length",
    "store export": "labels.db --output out",
    "store snapshot": "labels.db",
    "store info": "labels.db",
    "store backup": "labels.db --output out",
    "store restore": "new.db labels.db",
    "store verify": "labels.db",
    "store migrate": "labels.db",
    "queue": "new.db --responses responses.jsonl --reward-model reward-model --threads 1",
    "label": "--store labels.db --port 0",
    "doctor": "ppo-run",
    "report": "run",
    "compare": "run other-run --output out",
    "registry add": "policy --name new --kind base",
    "registry list": "policy",
    "registry show": "policy@v2",
    "registry verify": "",
    "registry rebuild": "",
    "registry gc": "",
    "promote": "policy@v2 --expected v1",
    "rollback": "served --expected v2",
    "lineage": "policy@champion",
}
"""For each command a line that works in a folder of `inputs.make_inputs`. A case adds to it: the last value of a flag
wins, and words without a flag that the case begins with stand in for those here."""

STAGES = ("sft", "sample", "rank", "reward", "ppo", "eval", "demo")
SERVERS = ("label",)
"""Commands that run until they are stopped: where nothing is wrong they do not end (tests/labeling_ui/test_label.py)."""

FILE_OUTPUTS = ("sample", "rank", "import", "export", "store export")
"""Commands whose output is a file, with what else they leave beside it."""

REGISTRY = (
    "registry add",
    "registry list",
    "registry show",
    "registry verify",
    "registry rebuild",
    "registry gc",
    "promote",
    "rollback",
    "lineage",
)
IN_PLACE = ("store import", "store rank", "store snapshot", "store info", "store verify", "store migrate", *REGISTRY)
"""Commands that work on a store or a registry that is there: no output of their own."""

CHANGES = {
    "registry add": ("registry/store/base", "registry/store/log/new", "registry/names/new@v1"),
    "promote": ("registry/store/log/policy/00000004.json", "registry/names/policy@previous"),
    "rollback": ("registry/store/log/served/00000005.json",),
}
"""What those that change the registry leave in it,"""

GONE = {"rollback": ("registry/names/served@previous",)}
"""and what they take away."""


def made(command: str) -> tuple[str, ...]:
    """What a run leaves in the folder."""
    if command == "doctor" or command in IN_PLACE:
        return CHANGES.get(command, ())
    if command in ("store restore", "queue"):
        return ("new.db",)
    if command == "report":
        return ("run/report.html",)
    name = "out.jsonl" if command == "export" else "out"
    return (name, *(f"out.{file}" for file in RESULT_FILES)) if command in FILE_OUTPUTS else (name,)


@dataclass(frozen=True)
class Case:
    """A mistake. Example: `Case("empty file", "sft --data bad.jsonl", {"bad.jsonl": ""}, "--data bad.jsonl: holds no record")`.

    line: the command and what is added to its good line; make: the files that the mistake needs, or a function that makes
    them in the case's folder; phrases: what the one sentence must hold; around: what holds while the command runs."""

    name: str
    line: str
    make: Files | Callable[[Path], object]
    phrases: str | Sequence[str]
    around: Callable[[], AbstractContextManager[object]] = nullcontext
    code: int = 2
    added: tuple[str, ...] = ()  # what lies in the folder afterwards that did not before
    gone: tuple[str, ...] = ()  # what no longer does
    child: Literal["", "closed", "pipe"] = ""  # run in a process of its own, with stdout so

    @property
    def command(self) -> str:
        words = self.line.split()
        return next(name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS)

    @property
    def words(self) -> list[str]:
        good, added = shlex.split(GOOD[self.command]), shlex.split(self.line.removeprefix(self.command))
        return [*(_without_flag(added) or _without_flag(good)), *_from_flag(good), *_from_flag(added)]

    def prepare(self, folder: Path) -> None:
        if callable(self.make):
            self.make(folder)
            return
        for name, content in self.make.items():
            path = folder / name
            if content is None:
                path.mkdir()
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)

    def check_sentence(self, sentence: str) -> None:
        assert sentence.startswith(f"align {self.command}: "), sentence
        for phrase in [self.phrases] if isinstance(self.phrases, str) else self.phrases:
            assert phrase in sentence, sentence

    def check_alone(self, stderr: str) -> None:
        """Nothing but progress bars stands above the sentence."""
        others = [line for line in stderr.splitlines()[:-1] if line.strip()]
        assert all("|" in line and "/" in line for line in others), others


def _without_flag(words: list[str]) -> list[str]:
    return list(itertools.takewhile(lambda word: not word.startswith("-"), words))


def _from_flag(words: list[str]) -> list[str]:
    return words[len(_without_flag(words)) :]


@dataclass(frozen=True)
class Interrupt:
    """A signal in the middle of the work: it is sent once stderr or stdout shows the text `at`."""

    line: str
    at: str
    number: signal.Signals
    files: Files = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.number.name} in {self.line.split()[0]}"

    @property
    def case(self) -> Case:
        return Case(self.name, self.line, self.files, "interrupted; nothing was written", code=130)
