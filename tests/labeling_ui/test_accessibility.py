"""What a screen reader hears, and what axe-core finds: nothing, on every page of an annotator.

Mutations seen to fail (in `labeling_ui/static`): `voice`: only the newest announcement kept; `labeling.html`: the notice is no
alert; `dialogs`: a window without its description (what is read out ...); `extras`: a verdict without a label (... other tasks).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from labeling_desk import COUNT, DESKTOP, PHONE, ready, saved, some
from labeling_server import Thread, opened
from playwright.sync_api import Browser, Page, expect

from alignment.records import PromptRecord, Response, ResponseSet
from labeling_ui.practice import add_practice

pytestmark = pytest.mark.xdist_group("labeling")


def test_what_a_screen_reader_hears(desk):
    page = desk(some(2))
    said = page.locator("#align [role=status] p").last
    expect(said).to_have_text("New task: rank 3 responses.")
    page.keyboard.press("b")
    expect(said).to_have_text("B: 1st. Order: B.")
    page.keyboard.press("=")
    expect(said).to_have_text("The next letter ties.")
    page.keyboard.press("a")
    expect(said).to_have_text("A: 1st, tied with B. Order: A = B.")
    page.keyboard.press("a")
    expect(said).to_have_text("A is 1st, tied with B already.")
    heard = page.locator("#align").aria_snapshot()
    for part in (
        'article "Response A"',
        'button "Move A up"',
        'region "Prompt"',
        'progressbar "Labels of all tasks"',
        'checkbox "None is acceptable"',
        "paragraph: A is 1st",
    ):
        assert part in heard, heard


def live(page: Page) -> list[tuple[str, str]]:
    """(politeness, text) of what a screen reader would read out, from Chromium's own accessibility tree."""
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    found = []
    for node in nodes:
        if node["role"]["value"] == "StaticText" and not node["ignored"]:
            above = parents(node, {one["nodeId"]: one for one in nodes})
            found += [(value, node["name"]["value"]) for value in above[:1]]
    return found


def parents(node: dict, by_id: dict[str, dict]) -> list[str]:
    """The politeness of every live region around a node, the nearest first."""
    found = []
    while node := by_id.get(node.get("parentId")):
        values = {one["name"]: one["value"].get("value") for one in node.get("properties", [])}
        if values.get("live") in ("polite", "assertive"):
            found.append(values["live"])
    return found


def test_what_is_read_out_by_itself(desk, served):
    """Saved, the next task, what is wrong, and a login that ran out: in Chromium's accessibility tree, in live regions."""
    page = desk(some(3))
    page.keyboard.press("Enter")
    expect(page.locator("#align .state")).to_have_attribute("data-state", "problem")
    assert ("polite", "Nothing is ranked yet. Rank the responses, or skip the task.") in live(page)
    for key in "abc":
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    saved(page)
    expect(page.locator(".order .tier")).to_have_count(0)
    heard = live(page)
    assert [text for _, text in heard][-1] == "New task: rank 3 responses."
    assert any(text.startswith("Saved at ") for _, text in heard), "not lost behind the next task"
    task = served.store.next_task(page.name)
    served.store.submit(page.name, task.lease, {"tiers": [["A"], ["B"], ["C"]]}, "key-of-another-tab")
    for key in ("c", "b", "a", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".notice")).to_be_visible()
    assert any(how == "assertive" and text.startswith("Not saved: this task is answered") for how, text in live(page))
    served.clock.now += 3601
    for key in ("c", "b", "a", "Enter"):
        page.keyboard.press(key)
    window = page.get_by_role("dialog", name="You are logged out")
    expect(window).to_have_accessible_description("Your work is kept here. Log in and it is saved.")
    page.locator("#align-login-password").fill("wrong password")
    page.keyboard.press("Enter")
    expect(window.get_by_role("alert")).to_have_text("name or password is wrong.")
    assert ("assertive", "name or password is wrong.") in live(page)


def test_axe_finds_nothing_on_the_other_tasks(desk):
    """Writing, editing, judging, what comes after a skip, an undo and a correction, and the login that ran out."""
    found = {}
    page = desk([PromptRecord(f"w{next(COUNT)}", f"Write {next(COUNT)}.")], "write")
    page.locator("#align-text").fill("A response by hand.")
    found["writing"] = violations(page)
    page = desk(some(), "edit")
    page.keyboard.press("a")
    found["editing"] = violations(page)
    judged = ResponseSet(f"j{next(COUNT)}", f"Judge {next(COUNT)}.", (Response("The one response."),))
    page = desk([judged], "judge")
    page.keyboard.press("1")
    found["judging"] = violations(page)
    page = desk(some(3))
    page.get_by_role("button", name="Guidelines").click()
    found["without guidelines"] = violations(page)
    page.keyboard.press("r")
    page.locator(".guidelines-text p").first.wait_for()
    found["guidelines"] = violations(page)
    for key in ("a", "b", "c", "Enter"):
        page.keyboard.press(key)
    saved(page)
    page.keyboard.press("u")
    expect(page.locator(".order .tier")).to_have_count(3)
    found["undone"] = violations(page)
    page.get_by_role("button", name="Submit", exact=True).click()
    saved(page)
    page.get_by_role("button", name="History").click()
    page.locator(".history").wait_for()
    found["history"] = violations(page)
    page.locator(".history button").first.click()
    expect(page.locator(".banner")).to_contain_text("You correct an earlier answer")
    found["correcting"] = violations(page)
    page.route("**/v1/submit", lambda route: route.fulfill(status=401, json={"reason": "login", "sentence": "x"}))
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="You are logged out").wait_for()
    found["logged out"] = violations(page)
    assert {place: what for place, what in found.items() if what} == {}


@pytest.mark.parametrize("view", ["desktop", "phone", "dark"])
def test_axe_finds_nothing(desk, view):
    context = {"desktop": {}, "phone": {"viewport": PHONE, "has_touch": True}, "dark": {"color_scheme": "dark"}}[view]
    page = desk(some(2), **context)
    found = {"task": violations(page)}
    page.keyboard.press("b")
    page.keyboard.press("Shift+A")
    page.keyboard.press("Enter")
    found["flags"] = violations(page)
    page.locator("#align .card").first.click(position={"x": 200, "y": 10})
    for key in ("?", "v", "s", "y"):
        page.keyboard.press(key)
        page.locator("dialog").wait_for()
        found[f"window {key}"] = violations(page)
        page.keyboard.press("Escape")
        page.locator("dialog").wait_for(state="detached")
    if view == "phone":
        page.get_by_role("button", name="Guidelines").tap()
        page.locator(".guidelines-text p").first.wait_for()
        found["guidelines"] = violations(page)
    page.request.post(page.url + "v1/logout", data={}, headers={"origin": page.url.rstrip("/")})
    page.goto(page.url + "login")
    found["login"] = violations(page)
    assert {place: what for place, what in found.items() if what} == {}


def violations(page: Page) -> list[str]:
    page.wait_for_timeout(350)  # what fades in has its colours by then
    made = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:120]} {node['failureSummary'][:200]}" for one in made for node in one["nodes"]
    ]


@pytest.mark.parametrize("look", ["light", "dark"])
def test_feedback_on_a_practice_item(browser: Browser, tmp_path: Path, look: str):
    """Right and wrong, wide and on a phone."""
    with opened(tmp_path) as store:
        add_practice(store)
        server = Thread(store, practice=True)
        page = browser.new_page(color_scheme=look)
        page.goto(server.url)
        ready(page)
        for size in (DESKTOP, PHONE):
            page.set_viewport_size(size)
            for key in ("a", "b", "c", "Enter"):
                page.keyboard.press(key)
            page.locator(".feedback").wait_for()
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            page.keyboard.press("Enter")
            page.locator(".feedback").wait_for(state="hidden")
        page.close()
        server.close()
