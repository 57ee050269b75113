"""`align label` as a user starts it: without torch, nothing to ask outside; killed and started again under an open page.

Mutation seen to fail: Gradio's folder kept (nothing is left behind).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from labeling_server import ROOT, Process
from playwright.sync_api import expect

from alignment.preferences.store import Store
from labeling_ui.demo import ROUNDS, fill
from labeling_ui.serve import GRACE_SECONDS

pytestmark = pytest.mark.xdist_group("labeling")


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    process = Process(tmp_path_factory.mktemp("label"))
    process.start()
    yield process
    if process.child.poll() is None:
        process.kill()


@pytest.fixture(scope="module")
def page(browser):
    made = browser.new_page(viewport={"width": 1280, "height": 860})
    made.set_default_timeout(60_000)
    yield made
    made.close()


def rank_all(page):
    """Types the letters of all cards, once they are there."""
    page.locator(".card").first.wait_for()
    cards = page.locator(".card").count()
    for key in "abcdefghi"[:cards]:
        page.keyboard.press(key)
    expect(page.locator(".order .tier")).to_have_count(cards)


def test_from_the_command_to_a_saved_ranking_and_through_a_crash(started, page):
    """Practice with feedback first; the server is killed while an answer is on its way and started again: it is saved."""
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(started.url)
    for number in range(1, 6):
        expect(page.locator(".banner")).to_contain_text(f"Practice {number} of 5", timeout=30_000)
        rank_all(page)
        page.keyboard.press("Enter")
        expect(page.locator(".feedback [data-go]")).to_be_focused(timeout=30_000)
        assert "The team" in page.locator(".feedback").inner_text()
        page.keyboard.press("Enter")
        expect(page.locator(".feedback")).to_be_hidden()
    expect(page.locator(".banner")).to_be_hidden(timeout=30_000)
    rank_all(page)
    started.kill()
    page.keyboard.press("Enter")
    expect(page.locator(".state-text")).to_contain_text("Not saved yet", timeout=30_000)
    started.start()
    expect(page.locator(".state-text")).to_contain_text("Saved at", timeout=60_000)
    expect(page.locator(".order .tier")).to_have_count(0, timeout=30_000)
    with Store(str(started.folder / "demo-labels.db"), create=False) as store:
        assert store.progress("local").done == 1
    assert [url for url in asked if not url.startswith(started.url)] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_in_bounded_time_although_a_page_is_open(started, page, number):
    """The page of the test before keeps its connections; the fixture's server is started again for the second signal."""
    if started.child.poll() is not None:
        started.start()
        page.goto(started.url)
        page.locator(".card").first.wait_for()
    with socket.create_connection(("127.0.0.1", started.port)) as waiting:
        waiting.sendall(b"POST /v1/next HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n")  # a request that never ends
        began = time.monotonic()
        code, printed = started.stop(number)
    assert time.monotonic() - began < GRACE_SECONDS + 7
    assert code == 130
    assert "stopped; every saved label is in demo-labels.db" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(tmp_path, monkeypatch, number):
    """Neither in the temporary folder nor in the working directory, but the store: whether it is stopped or killed."""
    temporary, work = tmp_path / "tmp", tmp_path / "work"
    temporary.mkdir()
    work.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    process = Process(work)
    process.start()
    assert urllib.request.urlopen(f"{process.url}/config").status == 200
    process.child.send_signal(number)
    process.child.wait(20)
    assert os.listdir(temporary) == []
    assert {path.split("-")[0] for path in os.listdir(work)} == {"demo"}


def test_it_never_imports_torch(tmp_path):
    code = (
        "import sys, labeling_ui.app, labeling_ui.pages, labeling_ui.serve, labeling_ui.server, labeling_ui.demo\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'transformers', 'datasets', 'matplotlib')])"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"}
    made = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert made.stdout == "[]\n"


def test_gradio_writes_no_type_stubs_at_each_start(tmp_path):
    """Half of the time to the first page. Mutation: `add_pages` without `without_type_stubs`."""
    code = (
        "import ast, inspect\n"
        "before, written = inspect.getfile, []\n"
        "ast.get_source_segment = lambda source, node: written.append(node.name)\n"
        "from fastapi import FastAPI\n"
        "from labeling_ui.app import add_pages\n"
        "add_pages(FastAPI())\n"
        "print(written, inspect.getfile is before)"
    )
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"}
    made = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert made.stdout == "[] True\n", made.stderr


def test_the_demo_holds_every_kind_and_its_answers_differ(tmp_path):
    with Store(str(tmp_path / "a.db"), gold_share=0.0) as store:
        fill(store)
        before = store.info()
        fill(store)
        assert store.info()["tasks"] == before["tasks"] == ROUNDS * 7 + 8
        store.add_annotator("x")
        kinds = []
        while (task := store.next_task("x")) is not None:
            kinds.append(task.kind)
            assert len({card.text for card in task.cards}) == len(task.cards)
            store.skip("x", task.lease, "", f"key-{len(kinds)}")
        assert kinds == (["rank"] * 5 + ["write", "edit"]) * ROUNDS
