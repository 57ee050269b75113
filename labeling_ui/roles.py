"""Who somebody is, and who may do what."""

from __future__ import annotations

from dataclasses import dataclass

ROLES = ("annotator", "reviewer", "admin")

EVERYBODY = frozenset(ROLES)
TEAM = frozenset(ROLES[1:])
"""Those who may see what others did."""


@dataclass(frozen=True)
class Person:
    name: str
    role: str
