"""Settings of `align label` and `align label user`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alignment.command import Command
from alignment.config import Settings, setting
from alignment.errors import UserError
from labeling_ui.roles import ROLES

DEMO_STORE = "demo-labels.db"
"""A name of its own, so that the demo's prompts never get among somebody's real tasks."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")
WILDCARD = ("0.0.0.0", "::")


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
        if self.host in WILDCARD and self.origin is None:
            raise UserError(
                f"--host is {self.host}, any address of this machine; give --origin http://NAME:PORT, the address that people type"
            )
        _check_origin(self.origin)


@dataclass(frozen=True)
class LabelUserSettings(Settings):
    """Every setting of `align label user`."""

    auth: str = setting(positional=True, help="the file of people; made where there is none")
    name: str = setting(positional=True, help="who; a known name gets the new password and role")
    role: Literal["annotator", "reviewer", "admin"] = setting(
        ROLES[0], help="annotator: labels. reviewer: sees the team's pages too. admin: all", source="ours"
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
