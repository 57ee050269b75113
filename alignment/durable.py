"""What must last through a power cut, and what a file holds: fsync and SHA-256."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def sync(folder: Path) -> None:
    """Makes every file below a folder, and the folders themselves, last through a power cut."""
    for directory, _, names in os.walk(folder, topdown=False):
        for name in sorted(names):
            sync_one(Path(directory) / name)
        sync_one(Path(directory))


def sync_one(path: Path) -> None:
    """One file, or the names in one folder."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def make_folder(path: Path) -> None:
    """Makes a folder that lasts, and those above it."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_one(path.parent)


def file_sha256(path: Path) -> str:
    """64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
