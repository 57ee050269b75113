"""Fixtures of the labeling app's tests: a store with tasks; the app for one annotator or for a team, without pages; a
server with its page, and an annotator in a browser before it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from labeling_app import ORIGIN, PASSWORD, PEOPLE, Clock, client, fill, logged_in
from labeling_desk import COUNT, DESKTOP, log_in, ready
from labeling_server import Thread, opened
from playwright.sync_api import Browser, Page
from starlette.testclient import TestClient

from alignment.preferences.adding import Queue
from alignment.preferences.store import Store
from labeling_ui import accounts
from labeling_ui.app import Setup, make_app
from labeling_ui.guard import Site


@pytest.fixture(scope="module", autouse=True)
def _cheap_passwords():
    """A hundredth of the work, and each look at the file is a fresh one: both are tested as they are in test_accounts.py."""
    patch = pytest.MonkeyPatch()
    patch.setattr(accounts, "LOOK_EVERY", 0.0)
    patch.setitem(accounts.COST, "n", 2**4)
    patch.setattr(accounts, "NOBODY", accounts.hashed("nobody's"))
    yield
    patch.undo()


@pytest.fixture
def store(tmp_path: Path):
    with Store(str(tmp_path / "labels.db"), draw=random.Random(5), gold_share=0.0) as made:
        fill(made)
        yield made


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.json"
    for name, role in PEOPLE.items():
        accounts.add_account(path, name, role, PASSWORD)
    return path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def local(store: Store) -> TestClient:
    """One annotator, without a login."""
    return client(make_app(store, Setup(Site(frozenset({ORIGIN})), "# Rules", practice=False), pages=False))


@pytest.fixture
def team(store: Store, people: Path, clock: Clock):
    """The app of a team: `team()` is a browser that nobody has logged in from."""
    setup = Setup(
        Site(frozenset({ORIGIN})), "# Rules", practice=False, auth=str(people), session_seconds=3600, clock=clock
    )
    app = make_app(store, setup, pages=False)
    return lambda name=None: logged_in(client(app), name)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One server of a team for all tests; each has a person of its own, whose tasks come first in the queue."""
    folder, clock = tmp_path_factory.mktemp("served"), Clock()
    accounts.add_account(folder / "people.json", "eve", "admin", PASSWORD)
    with opened(folder) as store:
        server = Thread(store, auth=str(folder / "people.json"), practice=False, clock=clock, session_seconds=3600)
        server.people, server.clock = folder / "people.json", clock
        yield server
        server.close()


@pytest.fixture
def desk(served, browser: Browser):
    """desk(tasks, kind, **context) → the page of a new annotator, who gets these tasks first."""
    contexts = []

    def sit(tasks, kind: str = "rank", **context) -> Page:
        number = next(COUNT)
        served.store.add_tasks(tasks, Queue(priority=number), kind=kind, source="secret-source")
        contexts.append(browser.new_context(**{"viewport": DESKTOP, **context}))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.name, page.errors = f"person {number}", []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        accounts.add_account(served.people, page.name, "annotator", PASSWORD)
        log_in(page, served.url)
        page.goto(served.url)
        ready(page)
        return page

    yield sit
    for context in contexts:
        assert [page.errors for page in context.pages if page.errors] == []
        context.close()
