"""`/team` and `/v1/team/...`: for reviewers and admins. Each handler checks the role again, should the guard be left out."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from pydantic import Field

from alignment.preferences.annotators import LONGEST_NAME
from alignment.preferences.labels import LONGEST_REASON
from alignment.preferences.reading import Kind
from alignment.preferences.store import Store
from alignment.records import encoded, plain
from labeling_ui.roles import ADMIN, TEAM, Person
from labeling_ui.routes import Sent, Who
from labeling_ui.showing import shown_task
from labeling_ui.team.audit import in_words, people
from labeling_ui.team.child import in_child
from labeling_ui.team.export import shown_snapshot
from labeling_ui.team.kept import Kept
from labeling_ui.team.sections import COMPUTED, SECTIONS

PAGE = 50
"""Events of the audit trail at once."""


class Setting(Sent):
    """Who is set aside or released, and why."""

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    reason: Annotated[str, Field(min_length=3, max_length=LONGEST_REASON)]


class Dispute(Sent):
    task: int


def reviewer_of(who: Who) -> Person:
    if who.role not in TEAM:
        raise HTTPException(403)
    return who


def admin_of(who: Who) -> Person:
    if who.role not in ADMIN:
        raise HTTPException(403)
    return who


Reviewer = Annotated[Person, Depends(reviewer_of)]
Admin = Annotated[Person, Depends(admin_of)]


def team_routes(store: Store) -> APIRouter:
    """The routes of one server; what is computed from labels is kept for all visitors."""
    router = APIRouter()
    url = store.engine.url.render_as_string(hide_password=False)
    kept = Kept(lambda name: in_child(url, name))
    page = files("labeling_ui").joinpath("static/team.html").read_text(encoding="utf-8")

    @router.get("/team")
    def team_page(who: Reviewer) -> HTMLResponse:
        return HTMLResponse(page)

    @router.get("/v1/team/sections")
    def sections(who: Reviewer) -> JSONResponse:
        return JSONResponse({"sections": [{"name": one.name, "title": one.title} for one in SECTIONS]})

    @router.get("/v1/team/section/{name}")
    def section(who: Reviewer, name: str, fresh: bool = False) -> JSONResponse:
        """{"section": None} while it is computed for the first time."""
        if name not in COMPUTED:
            raise HTTPException(404)
        found = kept.get(name, fresh)
        return JSONResponse({"section": found and _for_reviewer(store, who, found)})

    _people_routes(router, store, kept)
    _dispute_routes(router, store)
    _record_routes(router, store)
    return router


def _people_routes(router: APIRouter, store: Store, kept: Kept) -> None:
    @router.get("/v1/team/people")
    def everybody(who: Reviewer) -> JSONResponse:
        return JSONResponse({"people": people(store)})

    @router.post("/v1/team/quarantine")
    def quarantine(who: Admin, sent: Setting) -> JSONResponse:
        store.quarantine(sent.name, sent.reason, by=who.name)
        kept.outdate()
        return JSONResponse({"people": people(store)})

    @router.post("/v1/team/release")
    def release(who: Admin, sent: Setting) -> JSONResponse:
        store.release(sent.name, sent.reason, by=who.name)
        kept.outdate()
        return JSONResponse({"people": people(store)})


def _dispute_routes(router: APIRouter, store: Store) -> None:
    @router.post("/v1/team/adjudicate")
    def adjudicate(who: Reviewer, sent: Dispute) -> JSONResponse:
        """The task, blind, with a lease that `/v1/submit` takes."""
        return JSONResponse({"task": shown_task(store.adjudicate(who.name, sent.task))})

    @router.get("/v1/team/answers/{lease}")
    def answers(who: Reviewer, lease: str) -> JSONResponse:
        return JSONResponse({"answers": [vars(one) for one in store.answers_to(who.name, lease)]})


def _record_routes(router: APIRouter, store: Store) -> None:
    @router.get("/v1/team/audit")
    def audit(who: Reviewer, before: int | None = None, by: str | None = None, kind: str | None = None) -> JSONResponse:
        found = store.trail(before, PAGE, by=by, kind=kind)
        return JSONResponse({"events": [in_words(one) for one in found], "more": len(found) == PAGE})

    @router.get("/v1/team/snapshots")
    def snapshots(who: Reviewer) -> JSONResponse:
        newest_first = reversed(store.snapshots())
        return JSONResponse({"snapshots": [shown_snapshot(store.shown, one) for one in newest_first]})

    @router.post("/v1/team/snapshot")
    def snapshot(who: Reviewer) -> JSONResponse:
        return JSONResponse({"snapshot": shown_snapshot(store.shown, store.snapshot(by=who.name))})

    @router.get("/v1/team/download/{digest}/{kind}")
    def download(who: Admin, digest: str, kind: Kind) -> StreamingResponse:
        """Records name models, so they are for admins alone."""
        records = store.records(digest).of(kind)
        headers = {"content-disposition": f'attachment; filename="{kind}-{digest[:12]}.jsonl"'}
        return StreamingResponse(_lines(records), media_type="application/x-ndjson", headers=headers)


def _lines(records: list[Any]) -> Iterator[bytes]:
    for one in records:
        yield encoded(plain(one)) + b"\n"


def _for_reviewer(store: Store, who: Person, section: dict[str, Any]) -> dict[str, Any]:
    """Of disagreements: without those that the reviewer took part in, or that were settled meanwhile, and without names."""
    if "disputes" not in section:
        return section
    settled = store.adjudications()
    mine = [one for one in section["disputes"] if one["task"] not in settled and who.name not in one["annotators"]]
    return section | {"disputes": [one | {"annotators": len(one["annotators"])} for one in mine]}
