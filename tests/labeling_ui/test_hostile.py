"""Texts that try to run, load, link, cover the page or deceive: each of them as a prompt and as a response, through the
store and the server, in Chromium. None runs, none asks for anything, and each stands on the page to the letter.

Mutations seen to fail (in `labeling_ui/static`):

- `dom`: a plain text parsed as HTML (every hostile text ...); a character lost from each piece (a million)
- `cards`: nothing folded; `diff`: any two texts compared (a million)
"""

from __future__ import annotations

import pytest
from hostile_texts import HOSTILE
from labeling_desk import COUNT, DESKTOP, last, saved, some
from playwright.sync_api import Page, expect

from alignment.records import Response, ResponseSet

pytestmark = pytest.mark.xdist_group("labeling")

CARDS = 9
SHORT_ENOUGH = [text for text in HOSTILE if len(text) < 100_000]
"""All but the line of a million, which has a test of its own."""

SHOWN = """() => ({
    prompt: [...document.querySelectorAll('#align .prompt .text')].map((one) => one.textContent),
    cards: [...document.querySelectorAll('#align .card .text')].map((one) => one.textContent),
    made: document.querySelectorAll('#align .text :is(img, a, form, iframe, svg, style, script, link, input, object, embed, video, audio, base, meta, [style], [id], [name], [href], [src], [onclick])').length,
    outside: [...document.querySelectorAll('#align .text, #align .text *')].filter((one) => ['fixed', 'absolute', 'sticky'].includes(getComputedStyle(one).position)).length,
    covered: document.elementFromPoint(innerWidth / 2, innerHeight - 30).closest('.dock') === null,
    ran: window.ran ?? null,
    scroll: document.documentElement.scrollWidth,
})"""


def tasks() -> list[ResponseSet]:
    """Nine hostile messages and nine hostile responses in each; the responses of one are the messages of the next."""
    parts = [SHORT_ENOUGH[start : start + CARDS] for start in range(0, len(SHORT_ENOUGH), CARDS)]
    made = []
    for part, others in zip(parts, [*parts[1:], parts[0]]):
        roles = ("user", "assistant") * CARDS
        prompt = [{"role": role, "content": text} for role, text in zip(roles, part)]
        more = [text for text in ("one more", "and another") if len(others) < 2]
        made.append(ResponseSet(f"hostile{next(COUNT)}", prompt, tuple(map(Response, [*others, *more]))))
    return made


def watched(page: Page) -> list[str]:
    """What the page asks for from now on."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: (asked.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("framenavigated", lambda frame: asked.append(frame.url))
    return asked


def test_every_hostile_text_as_prompt_and_as_response(desk, served):
    given = tasks()
    assert len({*SHORT_ENOUGH}) >= 200
    page = desk([*given, *some()])
    asked, prompts, responses = watched(page), [], []
    for _ in given:
        seen = page.evaluate(SHOWN)
        assert (seen["made"], seen["outside"], seen["covered"], seen["ran"]) == (0, 0, False, None)
        assert seen["scroll"] == DESKTOP["width"]
        page.keyboard.press("m")
        seen = page.evaluate(SHOWN)
        prompts += seen["prompt"]
        responses += seen["cards"]
        assert (seen["made"], seen["outside"], seen["covered"], seen["ran"]) == (0, 0, False, None)
        assert seen["scroll"] == DESKTOP["width"]
        page.keyboard.press("m")
        before = page.evaluate("document.querySelector('#align .prompt .text').textContent")
        page.keyboard.press("s")
        page.get_by_role("button", name="Skip this task").click()
        page.wait_for_function(
            "(old) => document.querySelector('#align .prompt .text').textContent !== old", arg=before
        )
    assert sorted(prompts) == sorted(SHORT_ENOUGH)
    assert sorted(text for text in responses if text not in ("one more", "and another")) == sorted(SHORT_ENOUGH)
    assert page.evaluate("window.ran ?? null") is None
    assert [url for url in asked if not url.startswith(served.url)] == []


def test_a_line_of_a_million_characters(desk, served):
    """As prompt and as response: there to the letter, and the page still does what it is asked, at once."""
    line = "A" * 1_000_000
    tag = str(next(COUNT))
    page = desk([ResponseSet(f"million{tag}", tag + line, (Response(line), Response("short"))), *some()])
    asked = watched(page)
    for _ in range(2):
        seen = page.evaluate(SHOWN)
        assert seen["prompt"] == [tag + line]
        assert sorted(seen["cards"], key=len) == ["short", line]
        assert (seen["scroll"], seen["covered"]) == (DESKTOP["width"], False)
        page.keyboard.press("m")
    assert page.locator("#align .card").first.bounding_box()["y"] < DESKTOP["height"], "the cards are in sight"
    page.locator(".prompt").get_by_role("button", name="Show all").click()
    assert page.locator("#align .prompt .text").bounding_box()["height"] > 10_000
    page.locator(".prompt").get_by_role("button", name="Show less").click()
    page.keyboard.press("v")
    expect(page.locator(".compared")).to_have_text("These texts are too long to compare word by word.")
    page.keyboard.press("Escape")
    began = page.evaluate("performance.now()")
    page.keyboard.press("b")
    page.keyboard.press("a")
    expect(page.locator(".order .tier")).to_have_count(2)
    assert page.evaluate("performance.now()") - began < 2000
    page.keyboard.press("Control+Enter")  # the focus is on a button, which Enter would press
    saved(page)
    assert last(served, page)["tiers"] == [["B"], ["A"]]
    page.keyboard.press("y")
    page.locator(".history").wait_for()
    assert len(page.locator(".history .excerpt").first.text_content()) == 160
    assert [url for url in asked if not url.startswith(served.url)] == []


WORST = ("${window.ran=1}", "{{window.ran=1}}", "<img src=x onerror=window.ran=1>", "![a](http://evil.example/a.png)", "safe\u202eexe.txt")  # fmt: skip


def test_hostile_texts_around_the_task(desk, served):
    """Compared, in the history, in the field where they are improved, as a draft, and in an answer that comes back."""
    tag = next(COUNT)
    page = desk([ResponseSet(f"h{tag}", f"{tag}" + "".join(WORST), tuple(map(Response, WORST))), *some()], "edit")
    asked = watched(page)
    page.keyboard.press("v")
    page.locator(".compared").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    text = page.locator("#align-text").input_value()
    assert text in WORST
    page.locator("#align-text").fill(text + "".join(WORST))
    page.locator("[data-field=comment] summary").click()
    page.locator("#align-comment").fill("".join(WORST))
    page.reload()
    page.locator(".card").first.wait_for()
    expect(page.locator("#align-text")).to_have_value(text + "".join(WORST))
    page.keyboard.press("Control+Enter")
    saved(page)
    assert (last(served, page)["text"], last(served, page)["comment"]) == (text + "".join(WORST), "".join(WORST))
    page.get_by_role("button", name="History").click()
    excerpt = page.locator(".history .excerpt").first
    assert excerpt.text_content() == (f"{tag}" + "".join(WORST))[:160]
    page.locator(".history button").first.click()
    expect(page.locator("#align-text")).to_have_value(text + "".join(WORST))
    assert page.evaluate("window.ran ?? null") is None
    assert [url for url in asked if not url.startswith(served.url)] == []
