"""The file of people for team mode: names, roles, hashed passwords, and the key that signs their sessions."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.errors import UserError
from alignment.preferences.annotators import checked_name
from alignment.text_files import read_text
from labeling_ui.roles import ROLES, Person

COST = {"n": 2**14, "r": 8, "p": 5}
"""scrypt's, 16 MiB and about a quarter of a second (OWASP's password storage cheat sheet, 2^14, 8, 5)."""

NONE = ""
"""In place of a hash: that person comes through a proxy alone."""

SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1_000


LOOK_EVERY = 0.05
"""Seconds between two looks at whether the file has changed. Each is a call of the system, for which a busy server gives its
interpreter away and waits to have it back: with one look a request that took longer than all the rest."""


@dataclass(frozen=True)
class Account:
    role: str
    password: str

    @property
    def mark(self) -> str:
        """Changes with the password: sessions that carry another are over."""
        return hashlib.sha256(self.password.encode()).hexdigest()[:16]


class Accounts:
    """The people of a file, read again when it changes, so that somebody can be added under a running server."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._hashing = threading.BoundedSemaphore(2)  # a flood of logins takes no more memory and cores than this
        self._seen: tuple[int, int] | None = None
        self._looked = -LOOK_EVERY
        self._people: dict[str, Account] = {}
        self.key = b""
        self._refresh()

    def find(self, name: str) -> Account | None:
        self._refresh()
        return self._people.get(name)

    def login(self, name: str, password: str) -> Person | None:
        """None where name or password is wrong, or there is no password, after the same time."""
        account = self.find(name)
        known = account is not None and account.password != NONE
        with self._hashing:
            right = matches(password, account.password if account and known else NOBODY)
        return Person(name, account.role) if account and known and right else None

    def _refresh(self) -> None:
        """Under a running server a file that is gone, or broken, changes nothing."""
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return
        with self._lock:
            self._looked = now
            try:
                stat = self._path.stat()
                seen = (stat.st_mtime_ns, stat.st_size)
                if seen != self._seen:
                    held = read_accounts(self._path)
                    self.key, self._people, self._seen = bytes.fromhex(held["key"]), _people(self._path, held), seen
            except OSError:
                if self._seen is None:
                    raise UserError(f"--auth {self._path}: no such file; make it with `align label user`") from None
            except UserError:
                if self._seen is None:
                    raise


def add_account(path: Path, name: str, role: str, password: str | None) -> bool:
    """Writes the file with that person, all or nothing, readable by its owner alone. True: the person is new.

    password: None for somebody who comes through a proxy."""
    checked_name(name)
    if password is not None and not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise UserError(
            f"the password has {len(password)} characters; it must have {SHORTEST_PASSWORD} to {LONGEST_PASSWORD:,}"
        )
    held: dict[str, Any] = read_accounts(path) if path.exists() else {"key": secrets.token_hex(32), "people": {}}
    new = name not in held["people"]
    held["people"][name] = {"role": role, "password": NONE if password is None else hashed(password)}
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(held, file, indent=1, ensure_ascii=False)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(f"AUTH {path}: cannot be written ({error.strerror}); give a place that can") from None
    return new


def read_accounts(path: Path) -> dict[str, Any]:
    try:
        held = json.loads(read_text(path, "--auth", "the file that `align label user` makes"))
        bytes.fromhex(held["key"])
        _people(path, held)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"--auth {path}: is no file of people; make one with `align label user`") from None
    return held


def hashed(password: str) -> str:
    """`scrypt$n$r$p$salt$hash`, all that is needed to check it."""
    salt = secrets.token_bytes(16)
    made = _scrypt(password, salt, **COST)
    return "$".join(["scrypt", *map(str, COST.values()), _text(salt), _text(made)])


def matches(password: str, kept: str) -> bool:
    _, n, r, p, salt, made = kept.split("$")
    given = _scrypt(password[: LONGEST_PASSWORD + 1], base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(given, base64.b64decode(made))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    data = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=2**26, dklen=32)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _people(path: Path, held: dict[str, Any]) -> dict[str, Account]:
    people = {name: Account(one["role"], one["password"]) for name, one in held["people"].items()}
    for name, account in people.items():
        if account.role not in ROLES or (account.password != NONE and account.password.count("$") != 5):
            raise UserError(
                f"--auth {path}: {name!r} has no role or password that is known; `align label user` sets both"
            )
    return people


NOBODY = "$".join(["scrypt", *map(str, COST.values()), _text(bytes(16)), _text(bytes(32))])
"""What a name that nobody has is checked against."""
