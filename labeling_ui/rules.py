"""The table of every path that the server answers, and who may use it. What is not in it is not there."""

from __future__ import annotations

import re
from dataclasses import dataclass

from labeling_ui.roles import ADMIN, EVERYBODY, TEAM

OPEN = None
"""In place of roles: without a login, too."""


@dataclass(frozen=True)
class Rule:
    """path: a regular expression for all of the path. page: a person without a login is sent to it, not refused.
    passwords: there only where people log in with one."""

    method: str
    path: str
    roles: frozenset[str] | None
    page: bool = False
    passwords: bool = False


GRADIO_PAGE = r"(?:assets/[\w.-]+|(?:static|svelte)(?:/[\w.-]+)+|theme\.css|config)?"
"""What a Gradio page loads. Its queue, uploads, file and proxy routes, tokens and API are shut: our pages use none of them."""

RULES = (
    Rule("GET", "/login", OPEN, passwords=True),
    Rule("POST", "/v1/login", OPEN, passwords=True),
    Rule("GET", r"/ui/[a-z-]+\.(?:js|css|svg)", OPEN),
    Rule("GET", "/favicon.ico", OPEN),
    Rule("POST", "/v1/logout", EVERYBODY, passwords=True),
    Rule("GET", "/v1/me", EVERYBODY),
    Rule("POST", "/v1/next", EVERYBODY),
    Rule("POST", "/v1/draft", EVERYBODY),
    Rule("POST", "/v1/submit", EVERYBODY),
    Rule("POST", "/v1/skip", EVERYBODY),
    Rule("GET", "/v1/feedback/[0-9a-f]{1,64}", EVERYBODY),
    Rule("POST", "/v1/undo", EVERYBODY),
    Rule("GET", "/v1/history", EVERYBODY),
    Rule("GET", "/v1/progress", EVERYBODY),
    Rule("GET", "/v1/guidelines", EVERYBODY),
    Rule("GET", "/team", TEAM, page=True),
    Rule("GET", "/v1/team/sections", TEAM),
    Rule("GET", "/v1/team/section/[0-9a-z-]+", TEAM),
    Rule("GET", "/v1/team/people", TEAM),
    Rule("POST", "/v1/team/quarantine", ADMIN),
    Rule("POST", "/v1/team/release", ADMIN),
    Rule("POST", "/v1/team/adjudicate", TEAM),
    Rule("GET", "/v1/team/answers/[0-9a-f]{1,64}", TEAM),
    Rule("GET", "/v1/team/audit", TEAM),
    Rule("GET", "/v1/team/snapshots", TEAM),
    Rule("POST", "/v1/team/snapshot", TEAM),
    Rule("GET", "/v1/team/download/[0-9a-f]{8,64}/[0-9a-z]+", ADMIN),
    Rule("GET", f"/{GRADIO_PAGE}", EVERYBODY, page=True),
)


def rule_of(method: str, path: str, passwords: bool) -> Rule | None:
    """The first rule that fits; HEAD goes as GET."""
    asked = "GET" if method == "HEAD" else method
    if ".." in path or "\\" in path or "\0" in path:
        return None
    found = next((rule for rule in RULES if rule.method == asked and re.fullmatch(rule.path, path)), None)
    return None if found and found.passwords and not passwords else found
