"""Logins: a signed cookie that outlives a restart of the server, and ends at its time, at logout or with the password."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

from labeling_ui.accounts import Accounts
from labeling_ui.roles import Person

LONGEST_COOKIE = 2_000


class Sessions:
    """cookie: base64 of {name, mark, id, until} . HMAC-SHA256. Nothing is kept on the server but who has logged out."""

    def __init__(self, accounts: Accounts, path: str, seconds: float, clock: Callable[[], float]) -> None:
        self._accounts, self._clock = accounts, clock
        self.seconds = seconds
        self._ended = Ended(Path(f"{path}.loggedout"))

    def start(self, person: Person) -> str:
        account = self._accounts.find(person.name)
        assert account is not None
        claim = {
            "name": person.name,
            "mark": account.mark,
            "id": secrets.token_hex(16),
            "until": self._clock() + self.seconds,
        }
        body = base64.urlsafe_b64encode(json.dumps(claim).encode()).decode().rstrip("=")  # a cookie with "=" is quoted
        return f"{body}.{self._sign(body)}"

    def person(self, cookie: str | None) -> Person | None:
        """None where the cookie is forged, over, logged out, or of an account that is gone or has another password."""
        claim = self._claim(cookie)
        if claim is None or claim["until"] <= self._clock() or claim["id"] in self._ended:
            return None
        account = self._accounts.find(claim["name"])
        if account is None or account.mark != claim["mark"]:
            return None
        return Person(claim["name"], account.role)

    def end(self, cookie: str | None) -> None:
        claim = self._claim(cookie)
        if claim is not None:
            self._ended.add(claim["id"], claim["until"])

    def _claim(self, cookie: str | None) -> dict | None:
        body, _, signature = (cookie or "").partition(".")
        if len(cookie or "") > LONGEST_COOKIE or not cookie or not cookie.isascii():
            return None
        if not hmac.compare_digest(signature, self._sign(body)):
            return None
        return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))

    def _sign(self, body: str) -> str:
        return hmac.new(self._accounts.key, body.encode(), hashlib.sha256).hexdigest()


class Ended:
    """Sessions that were logged out of: a copied cookie is worth nothing. A line for each in a file, `id until`, which all
    servers of these people share and read on. Lines stay: a clock that is wrong for a moment must revive no cookie."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._names: set[str] = set()
        self._read = 0  # bytes of the file, to the end of a line

    def __contains__(self, name: str) -> bool:
        with self._lock:
            if self._path.exists():
                self._read_on(self._path.stat().st_size)
            return name in self._names

    def add(self, name: str, until: float) -> None:
        with self._lock, open(self._path, "a", encoding="utf-8") as file:
            self._names.add(name)
            file.write(f"\n{name} {until}\n")  # a line of its own, whatever a full disk left of the last
            file.flush()
            os.fsync(file.fileno())

    def _read_on(self, size: int) -> None:
        """What was added to the file; all of it where somebody has shortened it."""
        if size < self._read:
            self._read = 0
        if size > self._read:
            with open(self._path, "rb") as file:
                file.seek(self._read)
                whole, end, _ = file.read().rpartition(b"\n")
            self._names.update(line.partition(" ")[0] for line in whole.decode("utf-8", "replace").splitlines())
            self._read += len(whole + end)
