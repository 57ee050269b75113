"""The preference store: what is no store, what does not fit into one, what cannot be written."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from bad_input import conditions
from bad_input.case import GOOD, Case
from labeling_ui.accounts import add_account

STORE_COMMANDS = [command for command in GOOD if command.startswith("store ")]
READERS = [command for command in STORE_COMMANDS if command not in ("store import", "store restore", "store migrate")]
"""Commands for which the store must be there."""

OF_ZOE = {"prompt": "p", "responses": ["a", "b"], "annotator": "zoe"}


def newer(folder: Path) -> None:
    connection = sqlite3.connect(folder / "labels.db")
    connection.execute("INSERT INTO store_versions VALUES (99, 0)")
    connection.commit()
    connection.close()


def stranger(folder: Path) -> None:
    connection = sqlite3.connect(folder / "other.db")
    connection.execute("CREATE TABLE songs (x)")
    connection.commit()
    connection.close()


def flipped(folder: Path) -> None:
    content = (folder / "labels.db").read_bytes()
    (folder / "labels.db").write_bytes(content.replace(b"Tom has 3 boats", b"Tom has 4 boats"))


def people(folder: Path) -> None:
    add_account(folder / "people.json", "ann", "annotator", None)


def lines(*records: dict) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def locked(folder: Path) -> None:
    (folder / "labels.db").chmod(0o444)


STORES = [
    *[
        case
        for command in READERS
        for output in [" --output out" if "--output" in GOOD[command] else ""]
        for case in (
            Case("no store", f"{command} none.db{output}", {}, "STORE none.db: there is no store; make one with `align store import`"),
            Case("a text file", f"{command} prompts.jsonl{output}", {"prompts.jsonl": "{}\n" * 300}, "STORE prompts.jsonl: is no SQLite database; give the path of a store"),
        )
    ],
    *[
        case
        for command in (*READERS, "store import", "store migrate")
        for rest in [GOOD[command].removeprefix("labels.db")]
        for case in (
            Case("an unknown database", f"{command} mysql://u:secret@h/d{rest}", {}, ("STORE is 'mysql://u:***@h/d'; it must be a path (SQLite)", "postgresql://")),
            Case("a server that is not there", f"{command} postgresql://u:secret@127.0.0.1:1/d{rest}", {}, "STORE postgresql://u:***@127.0.0.1:1/d: cannot be reached"),
            Case("a folder that is not there", f"{command} none/labels.db{rest}", {}, "STORE none/labels.db: its folder does not exist; make it first"),
            Case("a database of something else", f"{command} other.db{rest}", stranger, "STORE other.db: is a database of something else; give another path"),
            Case("a store of a newer program", command, newer, ("STORE labels.db: is of version 99, newer than this program knows", "update the program")),
        )
    ],
    Case("a text file", "label --store prompts.jsonl", {"prompts.jsonl": "{}\n" * 300}, "STORE prompts.jsonl: is no SQLite database; give the path of a store"),
    Case("an unknown database", "label --store mysql://u:secret@h/d", {}, ("STORE is 'mysql://u:***@h/d'; it must be a path (SQLite)", "postgresql://")),
    Case("a server that is not there", "label --store postgresql://u:secret@127.0.0.1:1/d", {}, "STORE postgresql://u:***@127.0.0.1:1/d: cannot be reached"),
    Case("a folder that is not there", "label --store none/labels.db", {}, "STORE none/labels.db: its folder does not exist; make it first"),
    Case("a database of something else", "label --store other.db", stranger, "STORE other.db: is a database of something else; give another path"),
    Case("a store of a newer program", "label", newer, ("STORE labels.db: is of version 99, newer than this program knows", "update the program")),
    Case("read-only", "label --no-practice --guidelines prompts.jsonl", lambda folder: locked(folder), "--store labels.db: its folder cannot be written (Permission denied)", conditions.nobody),
    Case("full disk", "label", {}, ("STORE labels.db", "make room"), conditions.full_disk),
    Case("a taken address", "label --host 203.0.113.9 --auth people.json --origin http://x.org", people, "--host 203.0.113.9 cannot be used"),
    Case("a store that is there", "store restore labels.db labels.db", {}, "STORE labels.db: exists already"),
    Case("no backup", "store restore new.db none.db", {}, "STORE none.db: there is no store"),
    Case("a line that is no ranking", "store import labels.db bad.jsonl", {"bad.jsonl": '{"prompt": "p", "responses": ["a", "b"], "ranks": [1]}\n'}, ("SOURCE bad.jsonl, line 1", "ranks holds 1 for 2 responses")),
    Case("two labels of one annotator", "store import new.db bad.jsonl", {"bad.jsonl": lines({**OF_ZOE, "ranks": [1, 2]}, {**OF_ZOE, "ranks": [2, 1]})}, ("annotator 'zoe' has two labels of one task", "nothing was imported")),
    Case("an annotator without a name", "store import new.db bad.jsonl", {"bad.jsonl": lines({**OF_ZOE, "ranks": [1, 2], "annotator": "z\0e"})}, "annotator is 'z\\x00e'; it must be 1 to 100 printable characters"),
    Case("ten responses to rank", "store import new.db bad.jsonl", {"bad.jsonl": lines({"prompt": "p", "responses": list("abcdefghij")})}, "has 10 different responses; a 'rank' task takes 2 to 9"),
    Case("no such snapshot", "store export --snapshot 00000000", {}, "snapshot '00000000' is not in this store; `align store info` lists them"),
    Case("no name of a snapshot", "store export --snapshot newest", {}, "snapshot 'newest' is no name of one; it must be 8 to 64 digits"),
    Case("none of that kind", "store export --kind verdicts", {}, "STORE labels.db: holds no verdicts"),
    Case("overlap 0", "store import --overlap 0", {}, "--overlap is 0; it must be a whole number at least 1"),
    Case("a share above 1", "store import --duplicate-share 2", {}, "--duplicate-share is 2.0; it must be a number at least 0.0 and at most 1.0"),
    Case("read-only", "store import labels.db more.jsonl", lambda folder: (locked(folder), (folder / "more.jsonl").write_text(lines({**OF_ZOE, "ranks": [1, 2]}))), "STORE labels.db: it may not be written here", conditions.nobody),
    Case("full disk", "store import labels.db more.jsonl", {"more.jsonl": lines({**OF_ZOE, "ranks": [1, 2]})}, ("STORE labels.db", "make room"), conditions.full_disk),
    Case("no store", "reward --rankings store:none.db", {}, "--rankings store:none.db: there is no store"),
    Case("policy as reward model", "queue --reward-model policy", {}, ("--reward-model policy", "its score head is missing")),
    Case("missing file", "queue --exclude bad", {}, "--exclude bad: no such file"),
    Case("no task", "queue --count 0", {}, ("--count is 0", "at least 1")),
    Case("no share", "queue --uniform-share 1.5", {}, "--uniform-share is 1.5"),
    Case("store is a folder", "queue policy", {}, "STORE policy"),
    Case("no such snapshot", "reward --rankings store:labels.db@00000000", {}, ("--rankings store:labels.db: snapshot '00000000' is not in this store", "`align store info` lists them")),
    Case("no verdicts in it", "reward --verdicts store:labels.db", {}, "--verdicts store:labels.db: its snapshot"),
    Case("a damaged snapshot", "reward --rankings store:labels.db", flipped, ("--rankings store:labels.db: snapshot", "no longer holds what its name says", "align store verify")),
    Case("a flipped byte", "store verify", flipped, (), code=1),
    Case("a flipped byte", "store backup", flipped, "its text is not what its name says; `align store verify` lists all"),
]  # fmt: skip
