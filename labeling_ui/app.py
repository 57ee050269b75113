"""The server, put together: routes, pages, and the guard before them."""

from __future__ import annotations

import inspect
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from alignment.preferences.store import Store
from labeling_ui.accounts import Accounts
from labeling_ui.failures import add_failures
from labeling_ui.guard import Guard, Site
from labeling_ui.logins import login_routes
from labeling_ui.roles import ROLES, Person
from labeling_ui.routes import labeling_routes
from labeling_ui.sessions import Sessions
from labeling_ui.team.routes import team_routes
from labeling_ui.throttle import Throttle

LOCAL = Person("local", ROLES[-1])
"""The one annotator without a login. They own the machine, so they may see everything."""


@dataclass(frozen=True)
class Setup:
    """auth: the file of people, or None for one annotator on this machine."""

    site: Site
    guidelines: str
    practice: bool = True
    auth: str | None = None
    session_seconds: float = 12 * 3600
    clock: Callable[[], float] = time.time


def make_app(store: Store, setup: Setup, pages: bool = True) -> Any:
    """The ASGI app. pages: False leaves Gradio out, for tests of the routes alone."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    add_failures(app)
    app.include_router(labeling_routes(store, setup.guidelines, setup.practice, setup.auth is None))
    app.include_router(team_routes(store))
    identify = _local(store) if setup.auth is None else _team(app, store, setup, setup.auth)
    app.add_api_route("/favicon.ico", _icon)
    app.mount("/ui", StaticFiles(packages=[("labeling_ui", "static")]))
    if pages:
        add_pages(app)
    return Guard(app, setup.site, identify)


def add_pages(app: FastAPI) -> None:
    """Gradio keeps its uploads in a folder of this process alone, and tells nobody that it runs."""
    os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="align-label-")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with without_type_stubs():
        from labeling_ui.pages import label_page, mount

    mount(app, label_page())


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


def _local(store: Store) -> Callable[[str | None], Person | None]:
    store.add_annotator(LOCAL.name, LOCAL.role, by="align label")
    return lambda _: LOCAL


def _team(app: FastAPI, store: Store, setup: Setup, auth: str) -> Callable[[str | None], Person | None]:
    accounts = Accounts(auth)
    sessions = Sessions(accounts, auth, setup.session_seconds, setup.clock)
    app.include_router(login_routes(store, accounts, sessions, Throttle(setup.clock), setup.site.secure))
    return sessions.person
