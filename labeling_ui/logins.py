"""The login page of team mode, and what it calls."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import Field

from alignment.preferences.store import Store
from labeling_ui.accounts import LONGEST_PASSWORD, Accounts
from labeling_ui.guard import COOKIE
from labeling_ui.routes import Sent, Who
from labeling_ui.sessions import Sessions
from labeling_ui.throttle import Throttle


class Login(Sent):
    name: Annotated[str, Field(max_length=100)]
    password: Annotated[str, Field(max_length=LONGEST_PASSWORD)]


def login_routes(store: Store, accounts: Accounts, sessions: Sessions, throttle: Throttle, secure: bool) -> APIRouter:
    """secure: whether the cookie may travel over https alone."""
    router = APIRouter()
    page = files("labeling_ui").joinpath("static/login.html").read_text(encoding="utf-8")

    @router.get("/login")
    def login_page() -> HTMLResponse:
        return HTMLResponse(page)

    @router.post("/v1/login")
    def login(request: Request, sent: Login) -> JSONResponse:
        address = request.client.host if request.client else ""
        wait = throttle.wait(sent.name, address)
        if wait:
            sentence = f"too many wrong passwords; try again in {wait} seconds"
            return JSONResponse({"reason": "wait", "sentence": sentence}, 429, {"retry-after": str(wait)})
        person = accounts.login(sent.name, sent.password)
        if person is None:
            throttle.failed(sent.name, address)
            return JSONResponse({"reason": "login", "sentence": "name or password is wrong"}, 403)
        throttle.passed(sent.name, address)
        store.add_annotator(person.name, person.role, by="align label")
        answer = JSONResponse({"name": person.name, "role": person.role})
        answer.set_cookie(
            COOKIE,
            sessions.start(person),
            int(sessions.seconds),
            path="/",
            secure=secure,
            httponly=True,
            samesite="strict",
        )
        return answer

    @router.post("/v1/logout")
    def logout(request: Request, who: Who) -> JSONResponse:
        sessions.end(request.cookies.get(COOKIE))
        answer = JSONResponse({"name": who.name})
        answer.delete_cookie(COOKIE, path="/", secure=secure, httponly=True, samesite="strict")
        return answer

    return router
