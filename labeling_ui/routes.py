"""`/v1/...`: what the page asks the server for. Each handler acts for the person that the guard has found, and no other."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from alignment.labeling import FLAGS
from alignment.preferences.store import Store
from alignment.preferences.views import TaskView
from labeling_ui.markdown import PARSER
from labeling_ui.roles import Person
from labeling_ui.showing import shown_past, shown_task

SHORT = 10_000
"""Characters of cards that are made into HTML while all others wait, about 5 ms; for more, a thread is worth its cost."""

HISTORY = 30
PRACTICE_ITEMS = 5


class Sent(BaseModel):
    """What a client sends: these fields, of these types, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Draft(Sent):
    lease: str
    draft: str


class Answer(Sent):
    lease: str
    answer: dict[str, Any]
    key: Annotated[str, Field(min_length=8, max_length=200)]
    edits: int | None = None


class Skip(Sent):
    lease: str
    reason: str
    key: Annotated[str, Field(min_length=8, max_length=200)]


class Undo(Sent):
    key: Annotated[str, Field(min_length=8, max_length=200)]


async def person_of(request: Request) -> Person:
    """Refuses once more, should the guard ever be left out."""
    person = request.scope.get("person")
    if person is None:
        raise HTTPException(401)
    return person


Who = Annotated[Person, Depends(person_of)]


def labeling_routes(store: Store, guidelines: str, practice: bool, logout: str | None, proxy: bool) -> APIRouter:
    """The routes of one server. logout: where the page goes to log out, or None. proxy: whether a proxy logs people in."""
    router, desk = APIRouter(prefix="/v1"), Desk(store, practice)

    @router.get("/me")
    def me(who: Who) -> JSONResponse:
        return JSONResponse(
            {"name": who.name, "role": who.role, "logout": logout, "proxy": proxy, "flags": list(FLAGS)}
        )

    @router.post("/next")
    async def next_task(who: Who) -> JSONResponse:
        return JSONResponse({"task": await desk.next_task(who)})

    @router.post("/draft")
    def draft(who: Who, sent: Draft) -> JSONResponse:
        store.save_draft(who.name, sent.lease, sent.draft)
        return JSONResponse({"kept": True})

    @router.post("/submit")
    async def submit(who: Who, sent: Answer) -> JSONResponse:
        saving = store.submit_soon(who.name, sent.lease, sent.answer, sent.key, sent.edits)
        receipt = await asyncio.wrap_future(saving)
        return JSONResponse({"receipt": vars(receipt)})

    @router.get("/feedback/{lease}")
    def feedback(who: Who, lease: str) -> JSONResponse:
        return JSONResponse(store.feedback(who.name, lease))

    @router.post("/skip")
    def skip(who: Who, sent: Skip) -> JSONResponse:
        return JSONResponse({"receipt": vars(store.skip(who.name, sent.lease, sent.reason, sent.key))})

    @router.post("/undo")
    def undo(who: Who, sent: Undo) -> JSONResponse:
        return JSONResponse({"task": desk.again(who, store.undo(who.name, sent.key))})

    @router.get("/history")
    def history(who: Who) -> JSONResponse:
        return JSONResponse({"history": [shown_past(past) for past in store.history(who.name, HISTORY)]})

    @router.get("/progress")
    def progress(who: Who) -> JSONResponse:
        return JSONResponse(vars(store.progress(who.name)))

    shown_guidelines = PARSER.render(guidelines)

    @router.get("/guidelines")
    def guideline_page(who: Who) -> JSONResponse:
        return JSONResponse({"html": shown_guidelines})

    return router


class Desk:
    """What the server remembers for a while, to ask the store less often; all of it can be asked again."""

    def __init__(self, store: Store, practice: bool) -> None:
        self._store, self._practice = store, practice
        self._trained: set[str] = set()

    async def next_task(self, who: Person) -> dict[str, Any] | None:
        """Practice first, where there is any left for this person."""
        if self._practice and who.name not in self._trained:
            practice = await run_in_threadpool(self._practice_task, who)
            if practice is not None:
                return practice
        task = await asyncio.wrap_future(self._store.next_task_soon(who.name))
        if task is None:
            return None
        if sum(len(card.text) for card in task.cards) < SHORT:
            return shown_task(task)
        return await run_in_threadpool(shown_task, task)

    def _practice_task(self, who: Person) -> dict[str, Any] | None:
        practice = self._practice_item(who)
        if practice is None:
            return None
        done = sum(past.standing for past in self._store.history(who.name, PRACTICE_ITEMS))
        return shown_task(practice) | {"practice": {"number": min(done + 1, PRACTICE_ITEMS), "of": PRACTICE_ITEMS}}

    def again(self, who: Person, task: TaskView) -> dict[str, Any]:
        """A task whose answer was taken back: the one that the person holds now, be it practice or not."""
        self._trained.discard(who.name)
        held = self._practice_item(who)
        of = held is not None and held.lease == task.lease
        return shown_task(task) | ({"practice": {"number": 0, "of": PRACTICE_ITEMS}} if of else {})

    def _practice_item(self, who: Person) -> TaskView | None:
        """None once there is none left for this person; that is remembered."""
        if not self._practice or who.name in self._trained:
            return None
        item = self._store.next_task(who.name, practice=True)
        if item is None:
            self._trained.add(who.name)
        return item
