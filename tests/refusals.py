"""What every command owes a user who made a mistake: one sentence on stderr, an exit code, and nothing half-written."""

from __future__ import annotations

import os
from pathlib import Path

from alignment.command import Command, main


def listing(folder: Path) -> set[str]:
    """Every path below a folder, hidden ones included."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts}


def refused(capsys, command: Command, arguments: list[str], folder: Path, *phrases: str, code: int = 2) -> str:
    """Runs the command inside `folder`; asserts the exit code, the one sentence with these phrases, and that the
    folder is left as it was. Returns the sentence."""
    before, here = listing(folder), Path.cwd()
    os.chdir(folder)
    try:
        result = main(command, arguments)
    finally:
        os.chdir(here)
    printed = capsys.readouterr()
    sentence = printed.err.strip().splitlines()[-1]
    assert result == code, printed.err
    assert sentence.startswith(f"align {command.name}: ")
    assert "Traceback" not in printed.err
    assert printed.out == ""
    for phrase in phrases:
        assert phrase in sentence, sentence
    assert listing(folder) == before
    return sentence
