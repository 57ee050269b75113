"""`/team` and `/v1/team/...`: for reviewers and admins. Each handler checks the role again, should the guard be left out."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException
from fastapi.responses import HTMLResponse, JSONResponse

from alignment.preferences.store import Store
from labeling_ui.roles import TEAM, Person
from labeling_ui.routes import Who
from labeling_ui.team.child import in_child
from labeling_ui.team.kept import Kept
from labeling_ui.team.sections import COMPUTED, SECTIONS


def reviewer_of(who: Who) -> Person:
    if who.role not in TEAM:
        raise HTTPException(403)
    return who


Reviewer = Annotated[Person, Depends(reviewer_of)]


def team_routes(store: Store) -> APIRouter:
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
        return JSONResponse({"section": kept.get(name, fresh)})

    return router
