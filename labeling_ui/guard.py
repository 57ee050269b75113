"""The door: every request passes here first. Address, origin, size and role are checked, and the answer's headers set."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from labeling_ui.roles import ROLES, Person
from labeling_ui.rules import OPEN, Rule, rule_of

COOKIE = "align_session"
ACTING = "x-align-person"
"""Whom the page was opened by, percent-encoded. A cookie is shared by all tabs: where somebody else has logged in in another one,
this page's answers are not theirs."""

LARGEST_BODY = 8 * 2**20
"""Bytes: a draft of two million characters, escaped, with room."""

SHARED_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'self'; frame-ancestors 'none'; object-src 'none'; "
)
GRADIO_POLICY = SHARED_POLICY + "script-src 'self' 'unsafe-inline' 'unsafe-eval'"
"""Gradio's page has inline scripts and compiles its templates; no text of a model ever gets into either."""

HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


@dataclass(frozen=True)
class Site:
    """origins: how a browser may call this server, such as http://127.0.0.1:7860."""

    origins: frozenset[str]

    @property
    def hosts(self) -> frozenset[str]:
        return frozenset(one.partition("://")[2] for one in self.origins)

    @property
    def secure(self) -> bool:
        return all(one.startswith("https://") for one in self.origins)


@dataclass(frozen=True)
class Refusal:
    status: int
    reason: str
    sentence: str
    location: str | None = None


Identify = Callable[[dict[str, Any]], "Person | Refusal | None"]
"""A request's scope → who sent it, None where nobody is logged in, or why it is refused whatever it asks for."""


class Guard:
    """ASGI middleware. What `identify` finds is `scope["person"]` for the handlers. passwords: whether people log in here."""

    def __init__(self, app: Any, site: Site, identify: Identify, passwords: bool) -> None:
        self._app, self._site, self._identify, self._passwords = app, site, identify, passwords

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":  # no page of ours opens a websocket
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        rule = rule_of(scope["method"], scope["path"], self._passwords)
        found = self._identify(scope)
        person = None if isinstance(found, Refusal) or _another(found, headers) else found
        refused = found if isinstance(found, Refusal) else _inside(rule, person, self._passwords)
        refusal = self._outside(scope, headers) or refused

        async def sealed(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _with_headers(message["headers"], scope["path"])
            await send(message)

        if refusal is not None:
            await _refuse(refusal, sealed)
            return
        scope["person"] = person
        await self._app(scope, Limited(receive), sealed)

    def _outside(self, scope: dict[str, Any], headers: dict[str, str]) -> Refusal | None:
        """Refuses what does not come from a page of ours."""
        if headers.get("host", "").lower() not in self._site.hosts:
            known = ", ".join(sorted(self._site.origins))
            return Refusal(421, "host", f"this server is not known by that name; open {known}")
        origin, safe = headers.get("origin"), scope["method"] in ("GET", "HEAD")
        foreign = origin not in self._site.origins if origin is not None else not safe
        site, mode = headers.get("sec-fetch-site", "same-origin"), headers.get("sec-fetch-mode")
        if foreign or (site in ("cross-site", "same-site") and mode != "navigate"):
            return Refusal(403, "origin", "this request does not come from a page of this server")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > LARGEST_BODY:
            return Refusal(413, "size", f"the request is larger than {LARGEST_BODY // 2**20} MiB; shorten the text")
        return None


class Limited:
    """A request's body, cut off where it is larger than it may be, whatever its header said."""

    def __init__(self, receive: Any) -> None:
        self._receive, self._left = receive, LARGEST_BODY

    async def __call__(self) -> dict[str, Any]:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        return message if self._left >= 0 else {"type": "http.disconnect"}


def cookie_of(scope: dict[str, Any]) -> str | None:
    """The session's cookie; None where there is none or it is there twice."""
    sent = b";".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    found = [part.strip() for part in sent.split(";")]
    values = [value for name, _, value in (part.partition("=") for part in found) if name == COOKIE]
    return values[0] if len(values) == 1 else None


def _another(person: Person | None, headers: dict[str, str]) -> bool:
    """Whether the page was opened by somebody else: then nobody is logged in, as far as it is concerned."""
    opened_by = headers.get(ACTING)
    return person is not None and opened_by is not None and unquote(opened_by) != person.name


def _inside(rule: Rule | None, person: Person | None, passwords: bool) -> Refusal | None:
    """Refuses what the rule does not allow the person."""
    if rule is None:
        return Refusal(404, "unknown", "there is no such page")
    if rule.roles is OPEN:
        return None
    if person is None and not passwords:
        return Refusal(401, "proxy", "you are logged out: the proxy named nobody; open this page anew to log in again")
    if person is None:
        location = "/login" if rule.page else None
        return Refusal(303 if rule.page else 401, "login", "you are logged out; log in again", location)
    if person.role not in rule.roles:
        return Refusal(403, "closed", f"this is for {' and '.join(f'{role}s' for role in ROLES if role in rule.roles)}")
    return None


async def _refuse(refusal: Refusal, send: Any) -> None:
    body = json.dumps({"reason": refusal.reason, "sentence": refusal.sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.location:
        headers.append((b"location", refusal.location.encode()))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _with_headers(given: list[tuple[bytes, bytes]], path: str) -> list[tuple[bytes, bytes]]:
    """Ours win. What others could learn across origins, and what a shared cache could keep, is taken out."""
    own = path in ("/login", "/team") or path.startswith(("/v1/", "/ui/"))
    policy = SHARED_POLICY + "script-src 'self'" if own else GRADIO_POLICY
    ours = HEADERS | {"content-security-policy": policy}
    if path.startswith("/v1/") or path in ("/", "/login", "/config", "/team"):
        ours["cache-control"] = "no-store"
    dropped = {name.encode() for name in (*ours, "server")}
    kept = [
        (name, value)
        for name, value in given
        if name.lower() not in dropped and not name.lower().startswith(b"access-control-")
    ]
    return kept + [(name.encode(), value.encode()) for name, value in ours.items()]
