"""How `main` ends. Each test was seen to fail under the mutation named beside it (in `alignment/command.py`):

- colours always kept: test_an_outcome_brings_its_own_text_and_code
- exit code 0 whatever the Outcome says: test_an_outcome_brings_its_own_text_and_code
- the text printed to stdout before the JSON: test_with_json_the_text_goes_to_stderr
"""

from __future__ import annotations

import json
import sys
import types

import pytest

from alignment.command import Command, Outcome, main
from alignment.config import Settings


@pytest.fixture
def command(monkeypatch) -> Command:
    module = types.ModuleType("commands_of_this_test")
    module.run = lambda settings: Outcome({"count": 3}, "\x1b[31mthree\x1b[0m things", code=1)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return Command("things", "counts", Settings, f"{module.__name__}:run")


def test_an_outcome_brings_its_own_text_and_code(command, capsys):
    assert main(command, []) == 1
    assert capsys.readouterr().out == "three things\n"


def test_colours_are_for_terminals(command, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    main(command, [])
    assert capsys.readouterr().out == "\x1b[31mthree\x1b[0m things\n"
    monkeypatch.setenv("NO_COLOR", "1")
    main(command, [])
    assert capsys.readouterr().out == "three things\n"


def test_with_json_the_text_goes_to_stderr(command, capsys):
    assert main(command, ["--json"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"count": 3}
    assert printed.err == "three things\n"
