"""OUTPUT.answers: what a run has been answered so far, beside its output, which is there whole or not at all.

A line an answer, found again by the hash of what was asked: answers to another prompt, model or setting are never taken."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from alignment.endpoints.answers import Given, Reply
from alignment.run import writing


def journal_of(output: str | Path) -> Path:
    path = Path(output).absolute()
    return path.with_name(f"{path.name}.answers")


def kept_sentence(output: str) -> str:
    """What to know of the answers of a run that did not end; nothing where it got none."""
    path = journal_of(output)
    return f"; its answers stay in {path}: the same command line goes on from them" if path.exists() else ""


class Journal:
    """The file is made with the first answer, so that a run that got none leaves nothing."""

    def __init__(self, output: str, resume: bool) -> None:
        self._path, self._output, self._lock = journal_of(output), output, threading.Lock()
        self.kept: dict[str, list[Reply]] = defaultdict(list)
        if resume:
            self._read()
        else:
            self.remove()

    def add(self, asked: str, reply: Reply) -> None:
        """Written before it counts."""
        line = json.dumps({"asked": asked, **asdict(reply)}, ensure_ascii=False) + "\n"
        with self._lock, writing(self._output), open(self._path, "a", encoding="utf-8") as file:
            file.write(line)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        """A line that a kill cut short is passed over; the next one begins on a line of its own."""
        with writing(self._output):
            text = self._path.read_text(encoding="utf-8", errors="replace") if self._path.exists() else ""
            if text and not text.endswith("\n"):
                with open(self._path, "a", encoding="utf-8") as file:
                    file.write("\n")
        for line in text.split("\n"):
            try:
                value = json.loads(line)
                self.kept[value["asked"]].append(_reply(value))
            except (ValueError, KeyError, TypeError, RecursionError):
                continue


def _reply(value: dict[str, Any]) -> Reply:
    given = tuple(Given(str(one["text"]), one["end"]) for one in value["given"])
    return Reply(given, value["model"], value["read"], value["written"])
