"""Settings of `align label` and `align label user`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from alignment.command import Command
from alignment.config import Settings, setting
from alignment.errors import UserError
from labeling_ui.networks import networks
from labeling_ui.roles import ROLES

DEMO_STORE = "demo-labels.db"
"""A name of its own, so that the demo's prompts never get among somebody's real tasks."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WILDCARD = ("0.0.0.0", "::")

HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")
BROWSERS_OWN = frozenset(
    [
        "accept",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "origin",
        "referer",
        "sec-fetch-mode",
        "sec-fetch-site",
        "user-agent",
    ]
)
"""Headers that a browser sends: a name in one of them is what the person wishes to be."""

LOGOUT = re.compile(r"(?:https?:/)?/[^/\\\s][^\\\s]*")
"""An address of http, or a path of the same site."""


@dataclass(frozen=True)
class LabelSettings(Settings):
    """Every setting of `align label`."""

    store: str | None = setting(
        None,
        help="the store with the tasks: a path (SQLite) or postgresql://USER@HOST/DATABASE; made where there is none. "
        f"demo: ./{DEMO_STORE}, filled with prompts and responses of the embedded world",
        none="demo",
        source="ours: something to rank at once",
    )
    port: int = setting(7860, help="port of the page; 0 takes a free one", low=0, high=65535, source="Gradio's port")
    host: str = setting(
        "127.0.0.1",
        help="address to listen on; another than this machine alone needs --auth",
        source="ours: nobody else can reach it",
    )
    auth: str | None = setting(
        None,
        help="file of people with hashed passwords, made by `align label user`: everybody logs in. "
        "none: one annotator, without a login, on this machine alone",
        source="ours",
    )
    auth_proxy: str | None = setting(
        None,
        help="header in which a proxy names the person that it has logged in, such as X-Forwarded-User (oauth2-proxy) or "
        "Remote-User (Authelia): no passwords here, --auth says who may come, in which role. none: everybody gives a password",
        source="ours",
    )
    trust: str | None = setting(
        None,
        help="address of that proxy, or several, such as 10.0.0.2,10.1.0.0/16: requests from elsewhere are refused",
        source="ours: anybody can send a header",
    )
    proxy_logout: str | None = setting(
        None,
        help="where the proxy logs people out, such as /oauth2/sign_out: what *Log out* opens",
        none="no such button",
        source="ours: the login is the proxy's",
    )
    origin: str | None = setting(
        None,
        help="address that people type, such as https://labels.example.org, where a proxy or a name stands before HOST:PORT",
        source="ours: requests for or from any other address are refused",
    )
    session_hours: float = setting(
        12.0, help="how long a login lasts", unit="hours", above=0.0, high=720.0, source="ours: a working day"
    )
    guidelines: str | None = setting(
        None, help="Markdown file that is shown beside the task", none="built-in", source="ours"
    )
    practice: bool = setting(
        True,
        help="five practice items with feedback before an annotator's first task",
        source="ours: everybody begins with the same idea of the page",
    )
    gold_share: float = setting(
        0.05,
        help="share of turns that give an item with a known answer, where the store has any",
        unit="share",
        low=0.0,
        high=1.0,
        source="ours: half of the 10 % for duplicates and gold items",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.auth is None and self.host not in LOOPBACK:
            raise UserError(
                f"--host is {self.host}, which others can reach, and --auth is none; give --auth FILE "
                "(`align label user` makes it), or leave --host out"
            )
        if self.auth is None and self.origin is not None:
            raise UserError(f"--origin is {self.origin} and --auth is none; a page that others reach needs --auth FILE")
        self._check_proxy()
        if self.host in WILDCARD and self.origin is None:
            raise UserError(
                f"--host is {self.host}, any address of this machine; give --origin http://NAME:PORT, the address that people type"
            )
        _check_origin(self.origin)

    def _check_proxy(self) -> None:
        if self.auth_proxy is None:
            for name in ("trust", "proxy_logout"):
                if getattr(self, name) is not None:
                    flag = f"--{name.replace('_', '-')}"
                    raise UserError(f"{flag} is {getattr(self, name)} and --auth-proxy is none; give both, or neither")
            return
        if not HEADER.fullmatch(self.auth_proxy) or self.auth_proxy.lower() in BROWSERS_OWN:
            raise UserError(
                f"--auth-proxy is {self.auth_proxy!r}; it must be the name of a header that the proxy alone sets, "
                "such as X-Forwarded-User"
            )
        for name, why in (
            ("auth", "it says who may come, in which role (`align label user FILE NAME --no-password`)"),
            ("trust", "the address of the proxy: from anywhere else the header is worth nothing"),
            ("origin", "the address of the proxy that people type"),
        ):
            if getattr(self, name) is None:
                raise UserError(f"--auth-proxy is {self.auth_proxy} and --{name} is none; give --{name}: {why}")
        networks(str(self.trust))
        if self.proxy_logout is not None and not LOGOUT.fullmatch(self.proxy_logout):
            raise UserError(
                f"--proxy-logout is {self.proxy_logout!r}; it must be a path such as /oauth2/sign_out, or https://..."
            )


@dataclass(frozen=True)
class LabelUserSettings(Settings):
    """Every setting of `align label user`."""

    auth: str = setting(positional=True, help="the file of people; made where there is none")
    name: str = setting(positional=True, help="who; a known name gets the new password and role")
    role: Literal["annotator", "reviewer", "admin"] = setting(
        ROLES[0], help="annotator: labels. reviewer: sees the team's pages too. admin: all", source="ours"
    )
    password: bool = setting(
        True,
        help="off: no password is asked for; that person comes through a proxy alone (--auth-proxy)",
        source="ours",
    )


def _check_origin(origin: str | None) -> None:
    if origin is None:
        return
    scheme, _, rest = origin.partition("://")
    if scheme not in ("http", "https") or not rest or set(rest) & set("/?#@ "):
        raise UserError(f"--origin is {origin!r}; it must be http://NAME:PORT or https://NAME, without a path")


COMMAND = Command(
    "label", "open the page where people rank, write and edit responses", LabelSettings, "labeling_ui.serve:label"
)
USER = Command(
    "label user",
    "add a person, or change a password or role, for `align label --auth`",
    LabelUserSettings,
    "labeling_ui.serve:add_user",
)
