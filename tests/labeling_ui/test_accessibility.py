"""What a screen reader hears, and what axe-core finds: nothing, on every page of an annotator."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from labeling_desk import PHONE, some
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.xdist_group("labeling")


def test_what_a_screen_reader_hears(desk):
    page = desk(some(2))
    said = page.locator("#align [role=status]")
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
        "status: A is 1st",
    ):
        assert part in heard, heard


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
