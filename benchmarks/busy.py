"""Simulated annotators who do all that the page can do, and remember every word that the server gave them.

They rank, write and edit, keep drafts and look whether those come back, skip, undo, correct, and now and then send again what
was acknowledged before. What they were told stands in the `Ledger`, which `acknowledged.py` compares with the store."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from http_annotators import Annotator, Refused, Reply, Server, as_shown

DRAFTS, SKIPS, UNDOS, EDITS, REPEATS, DAWDLES = 0.1, 0.02, 0.05, 0.05, 0.05, 0.05
"""Shares of turns."""

LAST_SKIP = 0.9
"""Share of the labels after which nobody skips, or a task could be left that nobody may have."""

KEYED = ("/v1/submit", "/v1/skip", "/v1/undo")
PAUSE_SECONDS = 0.3
"""Between two questions for a task, where all that are left are in somebody's hands."""


@dataclass
class Deed:
    """Something that was sent under a key. event: what the receipt said (an undo has no number); unanswered: calls that
    got no answer; repeated: it had been committed by one of those; counted: it came in time for its place."""

    annotator: str
    path: str
    body: dict[str, Any]
    acknowledged: bool = False
    event: int | None = None
    unanswered: int = 0
    repeated: bool = False
    counted: bool = True


@dataclass
class Ledger:
    """What all annotators sent and were told. wanted: labels that the queue asks for. labels: answers acknowledged, those
    that were taken back or replaced later among them. lease: seconds, where some shall take longer than that; None: nobody does. turns: kills and returns of the server and the database; odd: it is down. wrong: what must never
    happen, in words."""

    wanted: int
    people: int
    lease: float | None = None
    deeds: list[Deed] = field(default_factory=list)
    labels: int = 0
    in_flight: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    drafts: int = 0
    sent_again: int = 0
    commands_repeated: int = 0
    wrong: list[str] = field(default_factory=list)
    turns: Counter[str] = field(default_factory=Counter)
    idle: set[str] = field(default_factory=set)
    _awaited: list[tuple[int, asyncio.Event]] = field(default_factory=list)

    def acknowledge(self, deed: Deed) -> None:
        deed.acknowledged = True
        self.labels += deed.path == "/v1/submit"
        for labels, event in self._awaited:
            if self.labels >= labels:
                event.set()

    async def reached(self, labels: int) -> None:
        """Returns when that many labels are acknowledged."""
        event = asyncio.Event()
        self._awaited.append((labels, event))
        await event.wait()


class Busy(Annotator):
    def __init__(self, server: Server, name: str, password: str, ledger: Ledger, draw: random.Random) -> None:
        super().__init__(server, name, password)
        self._ledger, self._draw = ledger, draw
        self._deed: Deed | None = None

    async def work(self) -> None:
        """Until nobody finds a task any more."""
        while len(self._ledger.idle) < self._ledger.people:
            try:
                if not await self.turn():
                    self._ledger.idle.add(self.name)
                    await asyncio.sleep(PAUSE_SECONDS)
            except Refused as error:
                self._ledger.wrong.append(f"{self.name} was refused: {error}")
        self.close()

    async def turn(self) -> bool:
        """One task. False: there is none just now."""
        task = await self.next_task()
        if task is None:
            return False
        self._ledger.idle.discard(self.name)
        if self._happens(DRAFTS):
            await self._keep_draft(task)
        if self._happens(SKIPS) and self._ledger.labels < LAST_SKIP * self._ledger.wanted:
            await self.keyed("/v1/skip", {"lease": task["lease"], "reason": "not for me"})
            return True
        if self._ledger.lease is not None and self._happens(DAWDLES):
            await asyncio.sleep(1.5 * self._ledger.lease)
        deed = await self._answer(task)
        if self._happens(UNDOS):
            await self._answer((await self.keyed("/v1/undo", {}))[1]["task"])
        elif self._happens(EDITS):
            await self._answer(task, edits=deed.event)
        if self._happens(REPEATS):
            await self._send_again()
        return True

    async def keyed(self, path: str, body: dict[str, Any]) -> tuple[Deed, dict[str, Any]]:
        """Sends it under one key until there is an answer."""
        deed = Deed(self.name, path, {**body, "key": os.urandom(16).hex()})
        self._ledger.deeds.append(deed)
        self._deed = deed
        answer = await self.ask("POST", path, deed.body)
        self._deed = None
        receipt = answer.get("receipt") or {}
        deed.event, deed.repeated = receipt.get("event"), receipt.get("repeated", False)
        deed.counted = receipt.get("counted", True)
        if not deed.counted and self._ledger.lease is None:
            self._ledger.wrong.append(f"{self.name}'s label {deed.event} came too late for its place")
        self._ledger.acknowledge(deed)
        return deed, answer

    async def _answer(self, task: dict[str, Any], edits: int | None = None) -> Deed:
        body = {"lease": task["lease"], "answer": self._opinion(task), "edits": edits}
        return (await self.keyed("/v1/submit", body))[0]

    def _opinion(self, task: dict[str, Any]) -> dict[str, Any]:
        """Another one each time, or a label in the place of another could not be told from it."""
        answer = as_shown(task)
        if "tiers" in answer:
            self._draw.shuffle(answer["tiers"])
        if "text" in answer:
            answer["text"] += f" {self._draw.random()}"
        return {**answer, "seconds": round(self._draw.uniform(1, 60), 3)}

    async def _keep_draft(self, task: dict[str, Any]) -> None:
        """Half a thought, and a reload: it must be there."""
        text = f"half a thought {self._draw.random()}"
        await self.ask("POST", "/v1/draft", {"lease": task["lease"], "draft": text})
        self._ledger.drafts += 1
        again = await self.next_task()
        over = self._ledger.lease is not None and (again is None or again["lease"] != task["lease"])  # another has it
        if not over and (again is None or (again["lease"], again["draft"]) != (task["lease"], text)):
            came = again and {name: again[name] for name in ("lease", "draft", "practice")}
            self._ledger.wrong.append(f"{self.name}'s draft of {task['lease']} is lost; a reload gave {came}")

    async def _send_again(self) -> None:
        """A receipt of long ago, once more: the same event, and nothing new."""
        mine = [deed for deed in self._ledger.deeds if deed.annotator == self.name and deed.path == "/v1/submit"]
        deed = self._draw.choice(mine)
        receipt = (await self.ask("POST", deed.path, deed.body))["receipt"]
        self._ledger.sent_again += 1
        if (receipt["event"], receipt["repeated"]) != (deed.event, True):
            self._ledger.wrong.append(f"{self.name}'s key {deed.body['key']} made {deed.event}, and then {receipt}")

    def _happens(self, share: float) -> bool:
        return self._draw.random() < share

    async def _try(self, method: str, path: str, body: dict[str, Any] | None) -> Reply | None:
        self._ledger.in_flight[path] += 1
        try:
            reply = await super()._try(method, path, body)
        finally:
            self._ledger.in_flight[path] -= 1
        self._ledger.answers["no answer" if reply is None else str(reply.status)] += 1
        if self._deed is not None and self._deed.path == path and (reply is None or reply.status != 200):
            self._deed.unanswered += 1
        if reply is not None and reply.status == 500:
            raise Refused(reply.status, reply.body)  # a fault, which the page would go on asking about for ever
        return reply
