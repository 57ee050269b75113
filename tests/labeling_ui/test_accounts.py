"""The file of people, and the commands' mistakes: one sentence, exit code 2, nothing half-written.

Mutations seen to fail (in `labeling_ui/accounts.py`): the file readable by others (a person is added ...); read only once (people
are added ...); one salt for all (equal passwords ...).
"""

from __future__ import annotations

import io
import json
import os
import socket
import stat

import pytest
from refusals import refused

from alignment.command import main
from labeling_ui import accounts
from labeling_ui.config import COMMAND, USER

LONG_ENOUGH = "correct horse"


def typed(monkeypatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


def test_a_person_is_added_and_can_log_in(tmp_path, monkeypatch, capsys):
    path = tmp_path / "people.json"
    typed(monkeypatch, LONG_ENOUGH + "\n")
    assert main(USER, [str(path), "ann", "--role", "reviewer"]) == 0
    assert LONG_ENOUGH not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = accounts.Accounts(str(path))
    assert found.login("ann", LONG_ENOUGH).role == "reviewer"
    assert found.login("ann", LONG_ENOUGH + " ") is None
    assert found.login("rob", LONG_ENOUGH) is None


def test_people_are_added_under_a_running_server(tmp_path):
    path = tmp_path / "people.json"
    accounts.add_account(path, "ann", "annotator", LONG_ENOUGH)
    found, key = accounts.Accounts(str(path)), json.loads(path.read_text())["key"]
    assert not accounts.add_account(path, "ann", "admin", "another password")
    assert accounts.add_account(path, "rob", "annotator", LONG_ENOUGH)
    assert found.login("rob", LONG_ENOUGH).name == "rob"
    assert found.login("ann", LONG_ENOUGH) is None
    assert found.login("ann", "another password").role == "admin"
    assert json.loads(path.read_text())["key"] == key, "sessions of others go on"
    assert os.listdir(tmp_path) == ["people.json"]


def test_the_file_is_looked_at_now_and_then(tmp_path, monkeypatch):
    """Not for each request, and a change is seen within LOOK_EVERY seconds."""
    path, now = tmp_path / "people.json", [100.0]
    monkeypatch.setattr(accounts, "LOOK_EVERY", 0.05)
    monkeypatch.setattr(accounts.time, "monotonic", lambda: now[0])
    accounts.add_account(path, "ann", "annotator", LONG_ENOUGH)
    found = accounts.Accounts(str(path))
    accounts.add_account(path, "ann", "admin", LONG_ENOUGH)
    now[0] += 0.04
    assert found.find("ann").role == "annotator"
    now[0] += 0.02
    assert found.find("ann").role == "admin"


def test_equal_passwords_look_different():
    assert accounts.hashed(LONG_ENOUGH) != accounts.hashed(LONG_ENOUGH)


def test_the_real_cost(monkeypatch):
    """RFC 7914's own test vector, and what `COST` asks for."""
    made = accounts._scrypt("pleaseletmein", b"SodiumChloride", 16384, 8, 1)
    assert made.hex().startswith("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("arguments", "password", "phrases"),
    [
        (["people.json", "ann"], "short", ("the password has 5 characters", "8 to 1,000")),
        (["people.json", "ann"], "", ("the password has 0 characters",)),
        (["people.json", "ann"], "x" * 1001, ("the password has 1001 characters",)),
        (["people.json", ""], LONG_ENOUGH, ("annotator is ''", "printable")),
        (["people.json", "a\u202eb"], LONG_ENOUGH, ("annotator is", "printable")),
        (["people.json", "ann", "--role", "boss"], LONG_ENOUGH, ("--role is 'boss'", "annotator, reviewer, admin")),
        (["people.json"], LONG_ENOUGH, ("NAME is missing",)),
        (["missing/people.json", "ann"], LONG_ENOUGH, ("AUTH missing/people.json", "cannot be written")),
        (["notes.json", "ann"], LONG_ENOUGH, ("--auth notes.json: is no file of people",)),
    ],
)  # fmt: skip
def test_mistakes_of_label_user(tmp_path, monkeypatch, capsys, arguments, password, phrases):
    (tmp_path / "notes.json").write_text('{"key": "x"}')
    typed(monkeypatch, password + "\n")
    refused(capsys, USER, arguments, tmp_path, *phrases)


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (["--host", "0.0.0.0"], ("--host is 0.0.0.0", "--auth is none", "`align label user`")),
        (["--host", "192.168.1.5"], ("--host is 192.168.1.5", "--auth is none")),
        (["--origin", "https://labels.example.org"], ("--origin is https://labels.example.org", "--auth FILE")),
        (["--host", "0.0.0.0", "--auth", "people.json"], ("give --origin",)),
        (["--auth", "people.json", "--origin", "labels.example.org"], ("--origin is 'labels.example.org'", "https://NAME")),
        (["--auth", "people.json", "--origin", "https://x.org/path"], ("without a path",)),
        (["--auth", "people.json"], ("--auth people.json: no such file", "`align label user`")),
        (["--auth", "notes.txt"], ("--auth notes.txt: is no file of people",)),
        (["--guidelines", "missing.md"], ("--guidelines missing.md: no such file",)),
        (["--guidelines", "empty.md"], ("--guidelines empty.md: is empty",)),
        (["--port", "65536"], ("--port is 65536", "at most 65535")),
        (["--port", "nine"], ("--port is 'nine'",)),
        (["--session-hours", "0"], ("--session-hours is 0.0", "above 0.0")),
        (["--gold-share", "2"], ("--gold-share is 2.0", "at most 1.0")),
        (["--store", "mysql://host/db", "--port", "0"], ("STORE is 'mysql://host/db'", "postgresql://")),
        (["--store", "missing/labels.db", "--port", "0"], ("STORE missing/labels.db", "its folder does not exist")),
        (["--store", "notes.txt", "--port", "0"], ("STORE notes.txt", "no SQLite database")),
        (["--store", ".", "--port", "0"], ("STORE .: is a folder",)),
        (["--prot", "7"], ("unknown setting '--prot'", "'--port'")),
    ],
)  # fmt: skip
def test_mistakes_of_label(tmp_path, capsys, arguments, phrases):
    (tmp_path / "notes.txt").write_text("These are notes, and they are long enough to be no database at all." * 20)
    (tmp_path / "empty.md").write_text(" \n")
    refused(capsys, COMMAND, arguments, tmp_path, *phrases)


def test_a_taken_port_is_one_sentence_and_makes_no_store(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused(capsys, COMMAND, ["--port", port], tmp_path, f"--port {port} on --host 127.0.0.1 cannot be used")
