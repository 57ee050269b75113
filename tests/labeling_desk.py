"""An annotator's desk: what the browser tests of the labeling page share."""

from __future__ import annotations

import itertools

from labeling_app import PASSWORD, ranked
from playwright.sync_api import Page, expect

from alignment.records import ResponseSet

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
COUNT = itertools.count(1)


def ready(page: Page) -> None:
    page.locator("#align .prompt .message").first.wait_for()


def log_in(page: Page, url: str) -> None:
    sent = {"name": page.name, "password": PASSWORD}
    assert page.request.post(f"{url}/v1/login", data=sent, headers={"origin": url}).ok


def some(count: int = 1) -> list[ResponseSet]:
    """Tasks that no other test has; the first letter of a response says which it is."""
    first = 1000 * next(COUNT)
    return [ranked(first + number) for number in range(count)]


def saved(page: Page, said: str = "Saved") -> None:
    expect(page.locator("#align .state-text")).to_contain_text(said, timeout=30_000)


def last(served, page: Page) -> dict:
    """The newest standing answer, in slots."""
    return next(past.task.answer for past in served.store.history(page.name) if past.standing)


def count(served, page: Page) -> int:
    return len(served.store.history(page.name))


def drag(page: Page, slot: str, target: str) -> None:
    page.locator(f".order .chip[data-drag={slot}]").hover()
    page.mouse.down()
    box = page.locator(target).bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
