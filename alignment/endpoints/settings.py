"""Settings of a command that can ask a server for responses instead of a model on this machine."""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from alignment.config import Settings, flag, setting, shown
from alignment.errors import UserError

NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
"""Of an environment variable, as people write them; keys hold small letters or hyphens."""


@dataclass(frozen=True)
class EndpointSettings(Settings):
    """All begin with `endpoint`, and mean nothing without --endpoint."""

    endpoint: str | None = setting(
        None,
        help="base address of a server with OpenAI's API that responds instead of a local model, for example "
        "http://localhost:8000/v1; --policy is then the name of the model there",
        source="ours: a local model",
    )
    endpoint_api: Literal["auto", "chat", "completions"] = setting(
        "auto",
        help="chat: /chat/completions, a prompt that is text is one message of the user; completions: /completions, which "
        "continues text; auto: chat for prompts that are messages, completions for those that are text",
        source="ours: text is continued, as everywhere here",
    )
    endpoint_key_variable: str | None = setting(
        None,
        help="environment variable that holds the API key, for example OPENAI_API_KEY; never the key itself",
        source="ours: no key reaches a server that nobody named it for",
    )
    endpoint_concurrency: int = setting(
        8,
        help="requests on their way at once",
        unit="requests",
        low=1,
        high=1024,
        source="ours: kind to hosted services",
    )
    endpoint_timeout: float = setting(
        120.0,
        help="longest that one request may take",
        unit="seconds",
        above=0.0,
        source="ours: K long answers of a busy server",
    )
    endpoint_tries: int = setting(
        6,
        help="how often a request is made in all while the server is too busy (429), fails (5xx) or is lost; between them 1, 2, "
        "4, ... seconds, or what its Retry-After says",
        unit="requests",
        low=1,
        high=100,
        source="ours: half a minute of trouble is waited out",
    )
    endpoint_resume: bool = setting(
        True,
        help="go on with the answers that a stopped run to the same output has kept in OUTPUT.answers; off: remove them",
        source="ours: nobody wants to pay twice",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.endpoint is None:
            self._require_nothing_else()
            return
        _check_address(self.endpoint)
        variable = self.endpoint_key_variable
        if variable is not None and not NAME.fullmatch(variable):  # it may be a key: it is not shown
            raise UserError(
                "--endpoint-key-variable must be the name of an environment variable that holds the key, such as "
                "OPENAI_API_KEY, never the key itself"
            )

    def _require_nothing_else(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name.startswith("endpoint_") and value != field.default:
                said = "given" if field.name == "endpoint_key_variable" else shown(field, value)
                raise UserError(f"{flag(field.name)} is {said} and --endpoint is none; give --endpoint URL too")


def key_of(settings: EndpointSettings) -> str | None:
    """The API key; None where no variable is named."""
    name = settings.endpoint_key_variable
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise UserError(f"--endpoint-key-variable is {name}, which is not set; `export {name}=...` first")
    if not key.isascii() or not key.isprintable():
        raise UserError(
            f"--endpoint-key-variable is {name}, whose value is no key: it must be printable ASCII in one line"
        )
    return key


def _check_address(address: str) -> None:
    """The address is written beside the result: it may hold no secret."""
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if "@" in address or "?" in address or "#" in address:
        raise UserError(
            "--endpoint holds a user, a password, a query or a fragment (@, ? or #); give the base address alone, and a key "
            "with --endpoint-key-variable"
        )
    if not usable or any(sign.isspace() for sign in address):
        raise UserError(f"--endpoint is {address!r}; it must be an address such as http://localhost:8000/v1")
