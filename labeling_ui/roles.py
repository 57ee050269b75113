"""Who somebody is, and who may do what."""

from __future__ import annotations

from dataclasses import dataclass

ROLES = ("annotator", "reviewer", "admin")

EVERYBODY = frozenset(ROLES)
TEAM = frozenset(ROLES[1:])
"""Those who may see what others did."""

ADMIN = frozenset(ROLES[2:])
"""Those who may set people aside, and see which model wrote what."""


@dataclass(frozen=True)
class Person:
    name: str
    role: str
