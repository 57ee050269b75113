"""The team's page in Chromium: every section in light, dark and at 390 px, with axe; adjudicating, setting aside, snapshot.

Labels are of SIMULATED annotators: two look at the text, one always prefers slot A.

Mutations seen to fail:
- (team.css) `.scroll` without overflow-x, or without position -> test_every_section
- (tokens.css) a muted colour too pale -> test_every_section[light] or [dark]
- (pictures.py) the page's colours left out of plots -> test_plots_follow_light_and_dark
- (team-section.js) a plot put into the page instead of an <img> -> test_plots_follow_light_and_dark
- (labeling.html) the link to the team shown to all -> test_the_link_is_for_reviewers_and_admins
- (team-disputes.js) submit without the order -> test_a_reviewer_adjudicates_by_keyboard"""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from kept_changes import change
from labeling_app import PASSWORD, PEOPLE, ranked
from labeling_server import Thread, opened
from playwright.sync_api import Browser, Page, expect

from alignment.preferences.adding import Queue
from labeling_ui.accounts import add_account
from labeling_ui.team.sections import SECTIONS, computed

pytestmark = pytest.mark.xdist_group("labeling")
LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}
TASKS, PAPER = 6, {"light": [255, 255, 255], "dark": [31, 34, 38]}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server of a team, with labels; sections are computed in this process, a second less for each."""
    folder = tmp_path_factory.mktemp("served")
    patch = pytest.MonkeyPatch()
    for name, role in PEOPLE.items():
        add_account(folder / "people.json", name, role, PASSWORD)
    with opened(folder) as store:
        patch.setattr("labeling_ui.team.routes.in_child", lambda _, name: computed(store, name))
        label(store)
        for number in (1, 2):
            store.add_reward_change(change(number, prompt="<b>?</b> " + "w" * 300))
        server = Thread(store, auth=str(folder / "people.json"), practice=False)
        yield server
        server.close()
    patch.undo()


def label(store) -> None:
    store.add_tasks([ranked(number) for number in range(TASKS)], Queue(overlap=3))
    for name, best in (("hana", "fst"), ("hugo", "tfs"), ("slot a", None)):
        store.add_annotator(name)
        while (task := store.next_task(name)) is not None:
            slots = [card.slot for card in task.cards]
            order = (
                slots
                if best is None
                else sorted(slots, key=lambda slot: best.index(task.cards["ABC".index(slot)].text[0]))
            )
            answer = {"tiers": [[slot] for slot in order], "seconds": 9.0}
            store.submit(name, task.lease, answer, f"key-{name}-{task.lease}")


@pytest.fixture
def visit(served, browser: Browser):
    """visit(name, look) → a page of that person, logged in."""
    contexts = []

    def come(name: str, look: str = "light") -> Page:
        contexts.append(browser.new_context(**LOOKS[look]))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
        page.errors, page.asked = [], []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        sent = {"name": name, "password": PASSWORD}
        assert page.request.post(f"{served.url}/v1/login", data=sent, headers={"origin": served.url}).ok
        return page

    yield come
    for context in contexts:
        for page in context.pages:
            assert page.errors == []
            assert [url for url in page.asked if not url.startswith((served.url, "data:image/svg+xml"))] == []
        context.close()


def show(page: Page, served, name: str) -> None:
    page.goto(f"{served.url}/team#{name}")
    page.locator(f"[data-section={name}]").wait_for()
    page.locator("#team-main[aria-busy=false]").wait_for()


def faults(page: Page) -> list:
    return [(one["id"], one["nodes"][0]["html"]) for one in Axe().run(page).response["violations"]]


@pytest.mark.parametrize("look", LOOKS)
def test_every_section(visit, served, look):
    page = visit("eve", look)
    for entry in SECTIONS:
        show(page, served, entry.name)
        expect(page.locator("h1")).to_have_text(entry.title)
        expect(page.locator(".team-menu [aria-current]")).to_have_text(entry.title)
        assert page.locator(".team-main .problem[role=alert]").all_inner_texts() in ([], [""]), entry.name
        assert page.evaluate("document.documentElement.scrollWidth") == LOOKS[look]["viewport"]["width"], entry.name
        assert faults(page) == [], entry.name


@pytest.mark.parametrize("look", ["light", "dark"])
def test_plots_follow_light_and_dark(visit, served, look):
    """A plot is an image with a text; the ground behind its words is the page's own."""
    page = visit("rob", look)
    show(page, served, "agreement")
    images = page.locator("figure img")
    expect(images).to_have_count(3)
    assert page.locator("figure svg, .team-main script").count() == 0
    for image in images.all():
        assert len(image.get_attribute("alt")) > 40
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    # the patch of paper behind a row's name in the first plot
    colours = images.first.evaluate(
        """async (image) => {
            const canvas = new OffscreenCanvas(600, 400);
            const paint = canvas.getContext("2d");
            paint.drawImage(image, 0, 0, 600, 400);
            const { data } = paint.getImageData(0, 0, 600, 400);
            const found = new Set();
            for (let i = 0; i < data.length; i += 4) if (data[i + 3] === 255) found.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
            return [...found];
        }"""
    )
    assert ",".join(map(str, PAPER[look])) in colours
    assert ",".join(map(str, PAPER["dark" if look == "light" else "light"])) not in colours


def test_the_link_is_for_reviewers_and_admins(visit, served):
    for name, shown in (("ann", False), ("rob", True), ("eve", True)):
        page = visit(name)
        page.goto(served.url)
        page.locator("#align .tools [data-do=logout]").wait_for()
        assert page.get_by_role("link", name="Team").is_visible() == shown, name
    page.get_by_role("link", name="Team").click()
    expect(page.locator("h1")).to_have_text("Progress")


def test_a_reviewer_adjudicates_by_keyboard(visit, served):
    page = visit("rob")
    show(page, served, "disputes")
    before = page.locator(".dispute").count()
    assert before > 1
    page.locator(".dispute button").first.focus()
    page.keyboard.press("Enter")
    page.locator(".desk .card").first.wait_for()
    assert faults(page) == []
    for slot in "CAB":
        page.locator(f".desk-order .chip[data-drag={slot}]").focus()
        page.keyboard.press("Enter")
    page.get_by_role("button", name="Tie B with the one above").press("Enter")
    page.get_by_role("button", name="Submit").press("Enter")
    expect(page.get_by_role("button", name="Back to the list")).to_be_focused()
    said = page.locator(".desk table tbody tr").all_inner_texts()
    assert re.sub(r"\s+", " ", said[0]) == "you C > A = B"
    assert [line.split("\t")[0].strip() for line in said[1:]] == ["hana", "hugo", "slot a"]
    last = next(past for past in served.store.history("rob") if past.standing)
    assert last.task.answer["tiers"] == [["C"], ["A", "B"]]
    assert faults(page) == []
    page.keyboard.press("Enter")
    expect(page.locator(".dispute")).to_have_count(before - 1)


def test_an_admin_sets_aside_and_takes_a_snapshot(visit, served):
    page = visit("eve")
    show(page, served, "annotators")
    page.get_by_role("button", name="Set aside slot a").click()
    page.locator("#team-reason").fill("always prefers slot A")
    assert faults(page) == []
    page.get_by_role("button", name="Set slot a aside").click()
    expect(page.get_by_role("button", name="Release slot a")).to_be_focused()
    expect(page.locator(".people tr", has_text="slot a")).to_contain_text("always prefers slot A (eve")
    show(page, served, "export")
    page.get_by_role("button", name="Take a snapshot").click()
    name = page.locator(".snapshot").get_attribute("data-name")
    expect(page.locator(".snapshot .command").first).to_contain_text(f"@{name} --output reward-model")
    with page.expect_download() as download:
        page.get_by_role("link", name="rankings.jsonl").click()
    names = {line.split('"annotator": "')[1].split('"')[0] for line in download.value.path().read_text().splitlines()}
    assert {"hana", "hugo"} <= names <= {"hana", "hugo", "rob"}, "without whoever is set aside"
    show(page, served, "audit")
    expect(page.locator(".trail li").first).to_contain_text(f"took the snapshot {name}")
    page.locator("#team-kind").select_option("quarantine")
    expect(page.locator(".trail li")).to_have_count(1)
    expect(page.locator(".trail li")).to_contain_text("set slot a aside: always prefers slot A")


def test_a_reviewer_has_neither_buttons_nor_downloads(visit, served):
    page = visit("rob")
    show(page, served, "annotators")
    expect(page.locator(".people table")).to_be_visible()
    assert page.locator(".people button").count() == 0
    show(page, served, "export")
    assert page.locator("a[download]").count() == 0


def test_a_lost_login_leads_to_the_login_page(visit, served):
    page = visit("rob")
    show(page, served, "progress")
    page.context.clear_cookies()
    page.locator(".team-menu a", has_text="Gold").click()
    page.wait_for_url("**/login")
