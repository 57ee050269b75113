"""`align registry verify`: every byte of the store again, and every entry of the log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from alignment.errors import UserError
from alignment.registry import log
from alignment.registry.errors import Damaged
from alignment.registry.manifest import artifact_name, split_name
from alignment.registry.model import check_base, check_contents

if TYPE_CHECKING:
    from alignment.registry.registry import Registry


def faults(registry: Registry) -> Iterator[str]:
    """A sentence for each. One fault an artifact: the first found says what to restore."""
    for name in registry.artifacts.strangers() + log.strangers(registry.artifacts.store):
        yield f"{name} is nothing that the registry stored; remove it"
    for one in registry.artifacts.every():
        yield from _told(partial(_check, registry, *one))
    for name in registry.names():
        yield from _told(partial(_check_name, registry, name))


def _check(registry: Registry, kind: str, digest: str) -> None:
    folder, where = registry.artifacts.path(kind, digest), artifact_name(kind, digest)
    if not folder.is_dir():  # deleted since it was listed; a version that needs it is told below
        return
    made = registry.artifacts.check(kind, digest)
    check_contents(folder, list(made.files), where)
    check_base(folder, made.base, where)


def _check_name(registry: Registry, name: str) -> None:
    for version in registry.standing(name).live:
        made = registry.checked(version, quick=True)
        lost = [one.artifact for one in made.parents if not registry.artifacts.path(*split_name(one.artifact)).is_dir()]
        if lost:
            raise Damaged(
                f"{version}: {lost[0]}, which it was made from, is missing; restore it from a copy of the store"
            )


def _told(check: Callable[[], None]) -> Iterator[str]:
    """What a check says twice: the first time `align registry gc` may have been at work."""
    try:
        with contextlib.suppress(UserError):
            return check()
        check()
    except UserError as error:
        yield str(error)
