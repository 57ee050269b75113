"""`names/policy@champion`: links into the store for tools that know no registry. They follow from the store, are made again
after each change and by `align registry rebuild`, and nothing of the house reads them."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alignment.registry.registry import Registry

FOLDER = "names"


def wanted(registry: Registry, names: list[str]) -> dict[str, str]:
    """Link → where it leads, from `names/`."""
    links = {}
    for name in names:
        now = registry.standing(name)
        for number, version in now.versions.items():
            if not version.removed:
                for word in (f"v{number}", *now.aliases_of(number)):
                    links[f"{name}@{word}"] = f"../store/{version.artifact}"
    return links


def refresh(registry: Registry, name: str | None = None) -> int:
    """Brings the links of a name up to date, or all, each replaced in one step; returns how many there are. Under the
    registry's lock."""
    folder = registry.folder / FOLDER
    folder.mkdir(exist_ok=True)
    links = wanted(registry, [name] if name else registry.names())
    for path in folder.iterdir():
        if path.name not in links and (name is None or path.name.partition("@")[0] in (name, path.name)):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for link, target in links.items():
        there = None
        with contextlib.suppress(OSError):
            there = os.readlink(folder / link)
        if there is None and (folder / link).is_dir():  # where links were followed when the registry was copied
            shutil.rmtree(folder / link)
        if there != target:
            partial = folder / f".{uuid.uuid4().hex}"
            os.symlink(target, partial, target_is_directory=True)
            os.replace(partial, folder / link)
    return len(links)
