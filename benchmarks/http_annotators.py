"""Simulated annotators over HTTP, as the labeling page calls the server: log in, ask for a task, answer it, until acknowledged.

Made for loads and kill tests on the server's own machine, so it must cost little: one asyncio loop, one kept connection for
each annotator, HTTP/1.1 read by hand. A call that got no answer, 503 or 429 is repeated with the same key, 401 logs in again;
what else the server refuses raises Refused. Each answer is written to `log` before it is sent and once it is acknowledged, so
that a test can compare it with the store.

    log = Log(Path("acknowledged.jsonl"))
    ann = Annotator(Server("127.0.0.1", 7860), "ann", "correct horse", log)
    while await ann.label():
        pass
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE_SECONDS = 20.0
"""How long one answer is waited for before the call is made again; the page's."""

FIRST_WAIT, LONGEST_WAIT = 0.05, 1.0
"""Seconds between tries; a tenth and less of the page's, so that a test that kills servers loses no time."""


class Refused(Exception):
    """The server will not do this, however often it is asked."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"{status}: {body[:300]!r}")
        self.status = status


@dataclass(frozen=True)
class Server:
    """origin: how the server is named to it, where that is not http://HOST:PORT."""

    host: str
    port: int
    origin: str | None = None

    def head(self, method: str, path: str, cookie: str, length: int) -> bytes:
        """The first lines of a request, as a browser's `fetch` on our page sends them."""
        origin = self.origin or f"http://{self.host}:{self.port}"
        lines = [f"{method} {path} HTTP/1.1", f"Host: {origin.partition('://')[2]}", f"Origin: {origin}"]
        lines += ["Sec-Fetch-Site: same-origin", f"Content-Length: {length}", "Content-Type: application/json"]
        lines += [f"Cookie: {cookie}"] if cookie else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


@dataclass(frozen=True)
class Reply:
    status: int
    head: bytes
    body: bytes

    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def cookie(self) -> str:
        """`name=value` of the cookie that is set; "" where none is."""
        found = self.head.lower().find(b"\r\nset-cookie:")
        if found < 0:
            return ""
        line = self.head[found + 2 :].split(b"\r\n", 1)[0]
        return line.partition(b":")[2].split(b";", 1)[0].strip().decode()


class Connection(asyncio.Protocol):
    """One call at a time. The house's server gives the length of all that it answers."""

    def __init__(self) -> None:
        self._got = b""
        self._waiting: asyncio.Future[Reply] | None = None
        self.open = False

    def connection_made(self, transport: Any) -> None:
        self._transport, self.open = transport, True

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        if not found or self._waiting is None:
            return
        length = int(head.lower().partition(b"\r\ncontent-length:")[2].split(b"\r\n", 1)[0])
        if len(body) >= length and not self._waiting.done():
            self._got = body[length:]
            self._waiting.set_result(Reply(int(head[9:12]), head, body[:length]))

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("the server closed the connection"))

    async def call(self, request: bytes) -> Reply:
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        try:
            return await self._waiting
        finally:
            self._waiting = None

    def close(self) -> None:
        self.open = False
        self._transport.abort()


class Log:
    """A line of JSON for each answer that is sent (with its key) and for each receipt (with the key and the event)."""

    def __init__(self, path: Path | None = None) -> None:
        self._file = None if path is None else path.open("a", buffering=1, encoding="utf-8")
        self.acknowledged = 0

    def sent(self, annotator: str, body: dict[str, Any]) -> None:
        self._write({"sent": annotator, **body})

    def saved(self, annotator: str, key: str, receipt: dict[str, Any]) -> None:
        self.acknowledged += 1
        self._write({"saved": annotator, "key": key, **receipt})

    def _write(self, line: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(line) + "\n")


class Annotator:
    """One person with one browser. retries: calls that had to be made again. logins: how often it logged in."""

    def __init__(self, server: Server, name: str, password: str = "", log: Log | None = None, cookie: str = "") -> None:
        """password: "" where the server asks for no login. cookie: `name=value` of a login made before. Another server may be
        set at any time (`server`)."""
        self.server, self.name, self._password = server, name, password
        self._log = log or Log()
        self._connection: Connection | None = None
        self._cookie = cookie
        self.task: dict[str, Any] | None = None
        self.retries = self.logins = 0

    async def label(self, rank: Callable[[dict[str, Any]], dict[str, Any]] | None = None) -> bool:
        """Answers the task that it holds, then asks for the next, as the page does. False: there was none to answer.
        rank: task → answer; as shown where there is none."""
        if self.task is None:
            self.task = await self.next_task()
        if self.task is None:
            return False
        await self.submit(self.task, (rank or as_shown)(self.task))
        self.task = await self.next_task()
        return True

    async def next_task(self) -> dict[str, Any] | None:
        return (await self.ask("POST", "/v1/next", {}))["task"]

    async def submit(self, task: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """The receipt. The key is drawn once and kept through all tries."""
        body = {"lease": task["lease"], "answer": answer, "key": os.urandom(16).hex(), "edits": None}
        self._log.sent(self.name, body)
        receipt = (await self.ask("POST", "/v1/submit", body))["receipt"]
        self._log.saved(self.name, body["key"], receipt)
        return receipt

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Until there is an answer; Refused where that is no."""
        wait = FIRST_WAIT
        while True:
            reply = await self._try(method, path, body)
            if reply is not None and reply.status == 200:
                return reply.json()
            self.retries += 1
            if reply is not None and reply.status == 401 and self._password:
                await self.login()
            elif reply is None or reply.status in (408, 429) or reply.status >= 500:
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)
            else:
                raise Refused(reply.status, reply.body)

    async def login(self) -> None:
        self.logins += 1
        self._cookie = ""
        await self.ask("POST", "/v1/login", {"name": self.name, "password": self._password})

    async def logout(self) -> None:
        await self.ask("POST", "/v1/logout", {})
        self._cookie = ""

    async def _try(self, method: str, path: str, body: dict[str, Any] | None) -> Reply | None:
        """None where no answer came: the server is gone, or went, or says nothing."""
        try:
            return await asyncio.wait_for(self.call(method, path, body), PATIENCE_SECONDS)
        except (OSError, TimeoutError):
            self.close()
            return None

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Reply:
        """One call, once. OSError where the server does not answer."""
        if self._connection is None or not self._connection.open:
            loop = asyncio.get_running_loop()
            _, self._connection = await loop.create_connection(Connection, self.server.host, self.server.port)
        data = b"" if body is None else json.dumps(body).encode()
        reply = await self._connection.call(self.server.head(method, path, self._cookie, len(data)) + data)
        self._cookie = reply.cookie or self._cookie
        return reply

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def as_shown(task: dict[str, Any]) -> dict[str, Any]:
    """An answer of the right kind that says as little as possible: the cards in the order in which they stand."""
    slots = [card["slot"] for card in task["cards"]]
    by_kind = {
        "rank": lambda: {"tiers": [[slot] for slot in slots]},
        "write": lambda: {"text": "Written by a simulated annotator."},
        "edit": lambda: {"slot": slots[0], "text": "Edited by a simulated annotator."},
        "judge": lambda: {"verdict": "good"},
    }
    return by_kind[task["kind"]]()


async def until(
    deadline: float, annotator: Annotator, waits: list[float], every: float = 0.0, first: float = 0.0
) -> None:
    """Labels until `deadline` (time.monotonic), one each `every` seconds from `first` seconds on, or without a pause.
    waits: seconds from the answer until the next task is there, one for each label."""
    due = time.monotonic() + first
    while (now := time.monotonic()) < deadline:
        if due > now:
            await asyncio.sleep(due - now)
        begun = time.perf_counter()
        if not await annotator.label():
            return
        waits.append(time.perf_counter() - begun)
        due = max(due + every, time.monotonic()) if every else 0.0
