"""The server behind --endpoint: one request at a time, repeated while it makes sense, each failure one sentence."""

from __future__ import annotations

import random
import ssl
import threading
import time
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from alignment.endpoints.answers import NoAnswerError, Reply, parse_reply
from alignment.endpoints.settings import EndpointSettings, key_of
from alignment.errors import UserError

FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
"""Seconds between two tries: doubled each time, ± half of it by chance, so that many clients do not come back at once."""

LONGEST_ASKED = 600.0
"""Seconds that a server's Retry-After may ask for; who must wait longer repeats the command later."""

CONNECT_SECONDS = 10.0
BUSY = frozenset((408, 409, 425, 429))
"""Like 5xx: may be asked again."""

SHOWN = 200


class TroubleError(Exception):
    """A request failed in a way that may pass. after: seconds that the server asks to wait."""

    def __init__(self, sentence: str, after: float | None = None, at_once: bool = False) -> None:
        super().__init__(sentence)
        self.after = after
        self.at_once = at_once  # before any answer it is the address that is wrong, and waiting does not help


class Server:
    """Safe to share between threads. calls, repeated: requests made in all, and those of them that repeat another."""

    def __init__(self, settings: EndpointSettings, stopped: threading.Event | None = None) -> None:
        self._settings, self._key = settings, key_of(settings)
        self._name = f"--endpoint {settings.endpoint}"
        self._stopped = stopped or threading.Event()
        self._answered = False
        self._lock = threading.Lock()
        self.calls = self.repeated = 0
        self._client = httpx.Client(
            base_url=str(settings.endpoint).rstrip("/") + "/",
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            timeout=httpx.Timeout(settings.endpoint_timeout, connect=min(CONNECT_SECONDS, settings.endpoint_timeout)),
            limits=httpx.Limits(max_connections=None),
        )

    def close(self) -> None:
        self._client.close()

    def require_reachable(self) -> None:
        """Asks for the list of models, which costs nothing. UserError where nobody answers, or not without another key."""
        try:
            reply = self._request("GET", "models", None)
        except TroubleError as trouble:
            raise UserError(f"{self._name}: {trouble}") from trouble
        if reply.status_code in (401, 403):
            self._refused(reply, "")

    def ask(self, body: dict[str, Any], chat: bool) -> Reply:
        """The answers to one request. UserError where the server will not, however often it is asked; RejectedError where
        it does not take what the request asks for."""
        path = "chat/completions" if chat else "completions"
        for attempt in range(self._settings.endpoint_tries):
            try:
                return self._answer(path, body, chat)
            except TroubleError as trouble:
                if attempt + 1 == self._settings.endpoint_tries or (trouble.at_once and not self._answered):
                    times = f", {attempt + 1} times in a row" if attempt else ""
                    raise UserError(f"{self._name}: {trouble}{times}") from trouble
                self._wait(trouble, attempt)
        raise AssertionError  # endpoint_tries is at least 1

    def _wait(self, trouble: TroubleError, attempt: int) -> None:
        seconds = min(FIRST_WAIT * 2**attempt, LONGEST_WAIT) * random.uniform(0.5, 1.5)
        if trouble.after is not None:
            if trouble.after > LONGEST_ASKED:
                raise UserError(
                    f"{self._name}: {trouble}; the server asks to come back in {trouble.after:.0f} s: repeat the command line then"
                )
            seconds = trouble.after + random.uniform(0, FIRST_WAIT)
        if self._stopped.wait(seconds):
            raise UserError(f"{self._name}: {trouble}; stopped")
        with self._lock:
            self.repeated += 1

    def _answer(self, path: str, body: dict[str, Any], chat: bool) -> Reply:
        with self._lock:
            self.calls += 1
        reply = self._request("POST", path, body)
        if reply.status_code in BUSY or reply.status_code >= 500:
            raise TroubleError(f"answers {reply.status_code}{self._message(reply)}", _retry_after(reply))
        if reply.status_code != 200:
            self._refused(reply, body["model"])
        try:
            answers = parse_reply(reply.json(), chat)
        except (NoAnswerError, ValueError, RecursionError) as error:
            what = str(error) if isinstance(error, NoAnswerError) else "is not JSON"
            raise TroubleError(
                f"answers what {what} ({_excerpt(reply)!r}); it must be the base address of an OpenAI-compatible API, which "
                "often ends with /v1",
                at_once=True,
            ) from None
        self._answered = True
        return answers

    def _request(self, method: str, path: str, body: Any) -> httpx.Response:
        """The server's whole reply. TroubleError where there is none. The time of all of it is bounded: httpx bounds only
        the time between two pieces."""
        try:
            return self._within_time(method, path, body)
        except httpx.TimeoutException:
            late = f"gives no whole answer within {self._settings.endpoint_timeout:g} s"
            raise TroubleError(f"{late}; raise --endpoint-timeout or lower --endpoint-concurrency") from None
        except httpx.ConnectError as error:
            raise TroubleError(_unreachable(error), at_once=True) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TroubleError(f"breaks off its answer ({_reason(error)})") from None

    def _within_time(self, method: str, path: str, body: Any) -> httpx.Response:
        until = time.monotonic() + self._settings.endpoint_timeout
        with self._client.stream(method, path, json=body) as reply:
            parts = []
            for part in reply.iter_bytes():
                parts.append(part)
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("late")
        headers = {name: value for name, value in reply.headers.items() if name == "retry-after"}
        return httpx.Response(reply.status_code, content=b"".join(parts), headers=headers)

    def _refused(self, reply: httpx.Response, model: str) -> None:
        """Raises what a status that will not pass means."""
        status, said = reply.status_code, self._message(reply)
        if status in (401, 403):
            variable = self._settings.endpoint_key_variable
            todo = f"check the key in {variable}" if variable else "name its variable with --endpoint-key-variable"
            raise UserError(
                f"{self._name}: wants {'another' if variable else 'an'} API key (answer {status}{said}); {todo}"
            )
        if status == 404:
            raise UserError(
                f"{self._name}: has no model {model!r} for --endpoint-api {self._settings.endpoint_api}, or no such address "
                f"(answer 404{said}); check --policy, --endpoint and --endpoint-api"
            )
        if 300 <= status < 400:
            raise UserError(f"{self._name}: points elsewhere (answer {status}); give the address that it points to")
        raise RejectedError(
            f"{self._name}: does not take the request (answer {status}{said}); check the settings and --policy"
        )

    def _message(self, reply: httpx.Response) -> str:
        """What the server says, without the key, should it repeat that."""
        try:
            value = reply.json()
            error = value.get("error", value.get("message", value.get("detail")))
            text = error.get("message") if isinstance(error, dict) else error
        except (ValueError, AttributeError, RecursionError):
            text = None
        said = " ".join(str(text).split()) if isinstance(text, str) else ""
        if self._key:
            said = said.replace(self._key, "***")
        return f": {said[:SHOWN]}" if said.isprintable() and said else ""


class RejectedError(UserError):
    """The server understands the request and does not take it."""


def _retry_after(reply: httpx.Response) -> float | None:
    """Seconds, from a number or a date."""
    value = reply.headers.get("retry-after", "").strip()
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    return max(seconds, 0.0) if seconds < float("inf") else None


def _unreachable(error: httpx.ConnectError) -> str:
    reason = _reason(error)
    if isinstance(_cause(error), ssl.SSLError) or "SSL" in reason:
        return f"no encrypted connection ({reason}); use http:// where it speaks none, or name its certificate in SSL_CERT_FILE"
    return f"cannot be reached ({reason}); check the address, and that the server runs"


def _cause(error: BaseException) -> BaseException | None:
    """The innermost exception: httpx wraps what httpcore wraps."""
    inner = error.__cause__ or error.__context__
    return error if inner is None else _cause(inner)


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:SHOWN]


def _excerpt(reply: httpx.Response) -> str:
    return " ".join(reply.text.split())[:80]
