"""The server, put together: routes, pages, and the guard before them."""

from __future__ import annotations

import inspect
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from alignment.preferences.store import Store
from labeling_ui.accounts import Accounts
from labeling_ui.failures import add_failures
from labeling_ui.guard import Guard, Identify, Site, cookie_of
from labeling_ui.logins import login_routes
from labeling_ui.networks import Proxy
from labeling_ui.proxy import enrolled, identify_by
from labeling_ui.roles import ROLES, Person
from labeling_ui.routes import labeling_routes
from labeling_ui.sessions import Sessions
from labeling_ui.team.routes import team_routes
from labeling_ui.throttle import Throttle

LOCAL = Person("local", ROLES[-1])
"""The one annotator without a login. They own the machine, so they may see everything."""


@dataclass(frozen=True)
class Setup:
    """auth: the file of people, or None for one annotator on this machine. proxy: what logs them in, in place of passwords."""

    site: Site
    guidelines: str
    practice: bool = True
    auth: str | None = None
    proxy: Proxy | None = None
    session_seconds: float = 12 * 3600
    clock: Callable[[], float] = time.time


def make_app(store: Store, setup: Setup, pages: bool = True) -> Any:
    """The ASGI app. pages: False leaves Gradio out, for tests of the routes alone."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    add_failures(app)
    passwords = setup.auth is not None and setup.proxy is None
    logout = "/login" if passwords else getattr(setup.proxy, "logout", None)
    enroll = [enrolled(store)] if setup.proxy else []
    routes = labeling_routes(store, setup.guidelines, setup.practice, logout, setup.proxy is not None)
    app.include_router(routes, dependencies=enroll)
    app.include_router(team_routes(store), dependencies=enroll)
    identify = _local(store) if setup.auth is None else _team(app, store, setup, Accounts(setup.auth))
    app.add_api_route("/favicon.ico", _icon)
    app.mount("/ui", StaticFiles(packages=[("labeling_ui", "static")]))
    if pages:
        add_pages(app)
    return Guard(app, setup.site, identify, passwords)


GRADIO_FOLDER = Path(tempfile.gettempdir()) / f"align-label-{secrets.token_hex(8)}"
"""One for all apps of a process: Gradio remembers the first that it was given."""


def add_pages(app: FastAPI) -> None:
    """Gradio tells nobody that it runs. It makes folders when it is put together, and needs none afterwards: its uploads are
    shut. So they are gone before the first request, and a killed server leaves none behind."""
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_TEMP_DIR": str(GRADIO_FOLDER)}
    GRADIO_FOLDER.mkdir(mode=0o700)
    try:
        with without_type_stubs():
            from labeling_ui.pages import label_page, mount

        mount(app, label_page())
    finally:
        shutil.rmtree(GRADIO_FOLDER)


@contextmanager
def without_type_stubs() -> Iterator[None]:
    """While Gradio is imported it writes a type stub for each of its components, beside its own code: half of the time from the
    command to the first page. It leaves out what has no file, and here none of its classes has one."""
    real = inspect.getfile

    def getfile(thing: Any) -> str:
        if isinstance(thing, type) and thing.__module__.startswith("gradio."):
            raise OSError("not while it is imported")
        return real(thing)

    inspect.getfile = getfile  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = real


def _icon() -> FileResponse:
    """Browsers ask for it before they read the page."""
    return FileResponse(str(files("labeling_ui").joinpath("static/icon.svg")), media_type="image/svg+xml")


def built_in_guidelines() -> str:
    return files("labeling_ui").joinpath("guidelines.md").read_text(encoding="utf-8")


def _local(store: Store) -> Identify:
    store.add_annotator(LOCAL.name, LOCAL.role, by="align label")
    return lambda _: LOCAL


def _team(app: FastAPI, store: Store, setup: Setup, accounts: Accounts) -> Identify:
    """Who a request comes from: the proxy says it, or a cookie that a password was given for."""
    if setup.proxy is not None:
        return identify_by(setup.proxy, accounts)
    sessions = Sessions(accounts, str(setup.auth), setup.session_seconds, setup.clock)
    app.include_router(login_routes(store, accounts, sessions, Throttle(setup.clock), setup.site.secure))
    return lambda scope: sessions.person(cookie_of(scope))
