"""What things in the registry are called: `policy@v3`, `policy@champion`, `policy@sha256-1f0c9a7e`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from alignment.errors import UserError

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
DIGEST = re.compile(r"[0-9a-f]{64}")

ALIASES = ("champion", "challenger", "previous", "best-ever", "sft-anchor")
"""champion: served. challenger: waits for votes. previous: the champion before, where a rollback goes; it follows from the
history. best-ever, sft-anchor: what a candidate must not fall behind."""

PLACED = tuple(alias for alias in ALIASES if alias != "previous")
"""The aliases that are put on a version; the other follows."""

POLICY, REWARD = "language model", "reward model"
KINDS = {"policy": POLICY, "sft": POLICY, "base": POLICY, "reward": REWARD}
"""Kind of artifact → what its versions may stand beside: an SFT model can be the first champion of a policy's name."""

COMMAND_KINDS = {"sft": "sft", "reward": "reward", "ppo": "policy"}
"""Command that made a run → kind of its model."""

REFERENCE = re.compile(
    rf"(?P<name>{NAME.pattern})@(?:v(?P<version>[1-9][0-9]{{0,8}})|sha256-(?P<digest>[0-9a-f]{{8,64}})"
    rf"|(?P<alias>{'|'.join(ALIASES)}))"
)


@dataclass(frozen=True)
class Reference:
    """NAME@vN, NAME@ALIAS or NAME@sha256-DIGITS: one of version, alias and digest is there."""

    name: str
    version: int | None = None
    alias: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.alias or (f'v{self.version}' if self.version else f'sha256-{self.digest}')}"


def parse(text: str, setting: str) -> Reference:
    """The reference in a text; a UserError speaks of the setting."""
    found = REFERENCE.fullmatch(text)
    if found is None:
        raise UserError(
            f"{setting} is {text!r}; it must be NAME@vN, NAME@sha256-DIGITS (8 to 64) or NAME@ALIAS, where ALIAS is "
            f"{', '.join(ALIASES)}"
        )
    version = int(found["version"]) if found["version"] else None
    return Reference(found["name"], version, found["alias"], found["digest"])


def require_name(name: str, setting: str) -> str:
    if NAME.fullmatch(name) is None:
        raise UserError(
            f"{setting} is {name!r}; it must be 1 to 64 characters of a-z, 0-9, '.', '_' and '-', the first a letter or digit"
        )
    return name


def parse_version(text: str, setting: str) -> int:
    """3 from "v3" or "3"."""
    digits = text.removeprefix("v")
    if re.fullmatch(r"[1-9][0-9]{0,8}", digits) is None:
        raise UserError(f"{setting} is {text!r}; it must be a version, such as v3")
    return int(digits)
