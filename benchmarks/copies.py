"""`align store snapshot`, `backup`, `restore` and `verify` while people label and servers die."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import acknowledged
from busy import Ledger

ROOT = Path(__file__).resolve().parents[1]


class Copies:
    """`count` copies of the store `url`, restored into databases of the cluster where there is one, and into files, in turn."""

    def __init__(self, count: int, url: str, folder: Path, ledger: Ledger, cluster: Any) -> None:
        self._url, self._folder, self._ledger = url, folder, ledger
        files = [str(folder / f"restored-{number}.db") for number in range(count)]
        self._targets = [cluster.new_database() if cluster and not n % 2 else file for n, file in enumerate(files)]
        self._lock = asyncio.Lock()  # one after the other
        self.restoring = asyncio.Lock()

    async def make(self, number: int, labels: int) -> dict[str, Any]:
        """One, once so many labels are acknowledged."""
        await self._ledger.reached(labels)
        async with self._lock:
            try:
                return await self._made(number)
            except RuntimeError as error:
                return {"labels": labels, "wrong": [str(error)]}

    async def _made(self, number: int) -> dict[str, Any]:
        repeated = self._ledger.commands_repeated
        snapshot = await self._align("store", "snapshot", self._url)
        before = [deed for deed in self._ledger.deeds if deed.acknowledged]
        backup = str(self._folder / f"backup-{number}.db")
        made = await self._align("store", "backup", self._url, "--output", backup)
        meanwhile = sum(deed.acknowledged for deed in self._ledger.deeds) - len(before)
        target = self._targets[number]
        async with self.restoring:
            restored = await self._align("store", "restore", target, backup)
        verified = await self._align("store", "verify", target)
        again = await self._align("store", "snapshot", target)
        lacking = await asyncio.to_thread(acknowledged.missing, target, before)
        wrong = [f"backup {number} lacks {what}" for what in lacking[:3]]
        wrong += [f"restored copy {number}: {what}" for what in verified["fault"]]
        digests = {made["digest"], restored["digest"], again["snapshot"]}
        if len(digests) > 1:
            wrong.append(f"backup {number} and what was restored of it differ: {digests}")
        if not await asyncio.to_thread(holds, target, snapshot["snapshot"]):
            wrong.append(f"backup {number} lacks the snapshot {snapshot['snapshot']}")
        print(
            f"copy {number} of {made['labels']:6} labels: {made['digest'][:12]}; {'; '.join(wrong) or 'the same restored'}"
        )
        return {
            "restored_into": target.partition(":")[0] if "://" in target else "sqlite",
            "target": target,
            "snapshot": snapshot["snapshot"],
            "digest": made["digest"],
            "labels": made["labels"],
            "acknowledged_before": len(before),
            "acknowledged_meanwhile": meanwhile,
            "commands_repeated_since_the_database_died": self._ledger.commands_repeated - repeated,
            "wrong": wrong,
        }

    async def compared(self, copy: dict[str, Any]) -> dict[str, Any]:
        """In the end: whatever the copy holds, the store holds too, unchanged."""
        if "target" not in copy:
            return copy
        target = copy.pop("target")
        changed = await asyncio.to_thread(acknowledged.changed, target, self._url)
        more = [f"{changed} events of the copy of {copy['labels']} labels are not in the store"] if changed else []
        return {**copy, "wrong": copy["wrong"] + more}

    async def _align(self, *words: str) -> dict[str, Any]:
        """Again where the database died under it: what a command left behind is in nobody's way."""
        while True:
            turns = self._ledger.turns["database"]
            try:
                return await align(*words)
            except RuntimeError:
                if turns % 2 == 0 and turns == self._ledger.turns["database"]:
                    raise
                self._ledger.commands_repeated += 1
                await asyncio.sleep(0.3)


def holds(url: str, snapshot: str) -> bool:
    from alignment.preferences.store import Store

    with Store(url, create=False) as store:
        return snapshot in {one.digest for one in store.snapshots()}


async def align(*words: str) -> dict[str, Any]:
    """What the command says with --json; RuntimeError where it fails, but for faults that `verify` found."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "kernels")])}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "alignment", *words, "--json", env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    if not out:
        raise RuntimeError(f"align {' '.join(words)}: {err.decode()}")
    return json.loads(out)
