"""Why the registry refuses, each reason with an exit code of its own."""

from __future__ import annotations

from alignment.errors import UserError
from alignment.exit_codes import CHANGED, INTEGRITY, LOCKED


class Locked(UserError):
    """Another process is writing; nothing was changed."""

    code = LOCKED


class Changed(UserError):
    """The alias no longer stands where the caller believes; nothing was changed."""

    code = CHANGED


class Damaged(UserError):
    """What is stored, or was to be stored, cannot be trusted. The sentence names the file."""

    code = INTEGRITY
