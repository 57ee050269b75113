"""The page in Chromium: ranking with mouse, keyboard and fingers, writing, editing, undo; nothing lost; nobody unblinded.

Mutations seen to fail (in `labeling_ui/static`): `commands`: no key for a verdict; `answers`: the verdict always good (good or
bad), what is not ranked is nothing (a part ...); `surroundings`: the choice of "as written" not kept; `labeling.css`: its button
hidden on phones (text as written ...).
"""

from __future__ import annotations

import itertools

import pytest
from labeling_app import MODELS, PASSWORD
from labeling_desk import COUNT, PHONE, count, drag, last, ready, saved, some
from labeling_server import order
from playwright.sync_api import expect

from alignment.records import PromptRecord, Response, ResponseSet

pytestmark = pytest.mark.xdist_group("labeling")


def test_keyboard_alone_takes_one_stroke_a_response_and_one_more(desk, served):
    page = desk(some(3))
    for key in "bac":
        page.keyboard.press(key)
    assert order(page) == "B>A>C"
    page.keyboard.press("Enter")
    saved(page)
    assert last(served, page)["tiers"] == [["B"], ["A"], ["C"]]
    assert last(served, page)["seconds"] > 0
    expect(page.locator(".order .tier")).to_have_count(0)
    for key in ("c", "=", "a", "Backspace", "a", "Delete", "c", "=", "a", "b", "2", "n", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".order .tier")).to_have_count(0)
    answer = last(served, page)
    assert (answer["tiers"], answer["strength"], answer["none_acceptable"]) == ([["A", "C"], ["B"]], 2, True)


def test_a_part_is_sent_only_when_it_is_said_twice(desk, served):
    page = desk(some(2))
    page.keyboard.press("Enter")
    saved(page, "Nothing is ranked yet")
    for key in ("b", "a", "Enter"):
        page.keyboard.press(key)
    saved(page, "C is not ranked yet. Submit again")
    assert count(served, page) == 0
    page.keyboard.press("Enter")
    expect(page.locator(".order .tier")).to_have_count(0)
    assert (last(served, page)["tiers"], last(served, page)["unranked"]) == ([["B"], ["A"]], ["C"])


def test_mouse_clicks_and_drags(desk, served):
    page = desk(some(2))
    page.locator(".order .tray .chip").first.click()
    assert order(page) == "A"
    drag(page, "B", ".order [data-gap='0']")
    assert order(page) == "B>A"
    drag(page, "C", ".order [data-tier='1']")
    assert order(page) == "B>A=C"
    drag(page, "A", ".order [data-gap='2']")
    assert order(page) == "B>C>A"
    drag(page, "B", ".order .tray")
    assert order(page) == "C>A"
    page.locator(".card[data-slot=B] .letter").hover()
    page.mouse.down()
    box = page.locator(".order [data-gap='1']").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 10, steps=4)
    page.mouse.up()
    assert order(page) == "C>B>A"
    page.get_by_role("button", name="Submit", exact=True).click()
    saved(page)
    assert last(served, page)["tiers"] == [["C"], ["B"], ["A"]]


def test_fingers_at_390_pixels(desk, served):
    page = desk(some(2), viewport=PHONE, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for label in ("Move C up", "Move A up", "Move B up", "Move B up", "Tie A with the one above"):
        page.get_by_role("button", name=label).tap()
    assert order(page) == "C>A=B"
    page.get_by_role("button", name="Move A up").tap()
    page.get_by_role("button", name="Move C down").tap()
    assert order(page) == "A>C>B"
    page.locator("#align-none").tap()
    page.get_by_role("button", name="Submit", exact=True).tap()
    saved(page)
    assert (last(served, page)["tiers"], last(served, page)["none_acceptable"]) == ([["A"], ["C"], ["B"]], True)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_flags_ideal_answer_comment_and_skip(desk, served):
    page = desk(some(3))
    page.keyboard.press("Shift+B")
    page.get_by_role("group", name="Flags of response B").get_by_role("button", name="false").click()
    page.locator(".card[data-slot=A] summary").click()
    page.get_by_role("group", name="Flags of response A").get_by_role("button", name="off topic").click()
    page.locator("[data-field=ideal] summary").click()
    page.locator("#align-ideal").fill("abc = the ideal answer")
    page.locator("[data-field=comment] summary").click()
    page.locator("#align-comment").fill("hard to say")
    assert order(page) == "", "letters typed into a field rank nothing"
    page.locator(".card[data-slot=A] .card-body").click()
    for key in ("a", "b", "c"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Submit", exact=True).click()
    saved(page)
    answer = last(served, page)
    assert answer["flags"] == {"A": ["off-topic"], "B": ["false"]}
    assert (answer["ideal"], answer["comment"]) == ("abc = the ideal answer", "hard to say")
    before = page.locator(".prompt").inner_text()
    page.keyboard.press("s")
    page.locator("#align-reason-text").fill("not my field")
    page.get_by_role("button", name="Skip this task").click()
    saved(page, "Skipped")
    expect(page.locator(".prompt")).not_to_have_text(before)
    assert any(entry.body == {"reason": "not my field"} for entry in served.store.audit(limit=10_000))


def test_undo_and_correcting_an_older_answer(desk, served):
    page = desk(some(3))
    for key in ("a", "b", "c", "Enter"):
        page.keyboard.press(key)
    saved(page)
    expect(page.locator(".order .tier")).to_have_count(0)
    page.keyboard.press("u")
    expect(page.locator(".order .tier")).to_have_count(3)
    assert order(page) == "A>B>C"
    for key in ("Delete", "c", "b", "a", "Enter"):
        page.keyboard.press(key)
    saved(page)
    expect(page.locator(".order .tier")).to_have_count(0)
    assert [past.standing for past in served.store.history(page.name)] == [True, False]
    page.get_by_role("button", name="History").click()
    page.locator(".history button").first.click()
    expect(page.locator(".banner")).to_contain_text("You correct an earlier answer")
    for key in ("Delete", "b", "=", "a", "=", "c", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".banner")).to_be_hidden()
    assert last(served, page)["tiers"] == [["A", "B", "C"]]
    assert [past.standing for past in served.store.history(page.name)] == [True, False, False]


def test_writing_and_editing(desk, served):
    page = desk([PromptRecord(f"w{next(COUNT)}", f"Write number {next(COUNT)}.")], "write")
    page.locator("#align-text").fill("A response by hand: abc.")
    page.keyboard.press("Control+Enter")
    saved(page)
    assert last(served, page)["text"] == "A response by hand: abc."
    page = desk(some(), "edit")
    page.keyboard.press("b")
    before = page.locator("#align-text").input_value()
    assert before == page.locator(".card[data-slot=B] .text").inner_text()
    page.keyboard.press("Control+Enter")
    saved(page, "Nothing is changed yet")
    page.locator("#align-text").fill(before + " Better.")
    page.keyboard.press("Control+Enter")
    saved(page)
    assert (last(served, page)["slot"], last(served, page)["text"]) == ("B", before + " Better.")


def test_good_or_bad(desk, served):
    """One response, judged: by mouse with a flag, and by key; nothing is sent before it is said."""
    tag = next(COUNT)
    page = desk(
        [ResponseSet(f"j{tag}-{one}", f"Judge {tag} {one}.", (Response(f"Response {one}."),)) for one in "xy"], "judge"
    )
    expect(page.locator(".banner")).to_have_text("Say whether this response is good or bad.")
    assert page.locator(".order, [data-do=compare]").evaluate_all("all => all.map(one => one.hidden)") == [True, True]
    page.keyboard.press("Enter")
    saved(page, "Say whether it is good or bad")
    assert count(served, page) == 0
    page.get_by_role("radio", name="bad").click()
    page.locator(".card[data-slot=A] summary").click()
    page.get_by_role("group", name="Flags of response A").get_by_role("button", name="harmful").click()
    page.get_by_role("button", name="Submit", exact=True).click()
    saved(page)
    assert (last(served, page)["verdict"], last(served, page)["flags"]) == ("bad", {"A": ["harmful"]})
    expect(page.get_by_role("radio", name="bad")).not_to_be_checked()
    for key in ("a", "0", "1", "2", "Enter"):
        page.keyboard.press(key)
    saved(page)
    expect(page.get_by_role("radio", name="good")).to_have_count(0)
    assert last(served, page)["verdict"] == "good"


@pytest.mark.parametrize("view", [{}, {"viewport": PHONE, "has_touch": True, "is_mobile": True}])
def test_text_as_written_at_a_button(desk, view):
    tag = next(COUNT)
    page = desk([ResponseSet(f"m{tag}", f"**p** {tag}", (Response("**b**"), Response("`c`")))], **view)
    assert page.locator(".card strong, .card code, .prompt strong").count() == 3
    button = page.get_by_role("button", name="As written")
    expect(button).to_have_attribute("aria-pressed", "false")
    button.tap() if view else button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.locator(".text :is(strong, code)").count() == 0
    assert sorted(page.locator(".card .text").all_inner_texts()) == ["**b**", "`c`"]
    page.reload()
    expect(button).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_reload_in_the_middle_keeps_the_draft(desk, served):
    page = desk(some())
    for key in ("c", "a", "1"):
        page.keyboard.press(key)
    page.reload()
    expect(page.locator(".order .tier")).to_have_count(2)
    assert order(page) == "C>A"
    assert page.locator("#align-strength-1").is_checked()
    page.wait_for_timeout(900)  # the server has it, too
    page.evaluate("localStorage.clear()")
    page.reload()
    expect(page.locator(".order .tier")).to_have_count(2)
    assert order(page) == "C>A"


def test_a_network_that_breaks_during_submit_loses_and_doubles_nothing(desk, served):
    page = desk(some(2))
    lost = []

    def swallow(route):
        if len(lost) < 2:
            lost.append(route.request.post_data_json["key"])
            if len(lost) == 2:
                route.fetch()  # arrives, and its answer is lost
            route.abort()
        else:
            lost.append(route.request.post_data_json["key"])
            route.continue_()

    page.route("**/v1/submit", swallow)
    page.evaluate(
        """() => { window.states = []; const state = document.querySelector('#align .state');
        new MutationObserver(() => window.states.push(state.dataset.state)).observe(state, {attributes: true}); }"""
    )
    for key in ("a", "c", "b", "Enter"):
        page.keyboard.press(key)
    saved(page, "Saved")
    states = [state for state, _ in itertools.groupby(page.evaluate("window.states")) if state != "idle"]
    assert states == ["saving", "waiting", "saving", "waiting", "saving", "saved"]
    assert len(lost) == 3
    assert len(set(lost)) == 1
    assert [past.task.answer["tiers"] for past in served.store.history(page.name)] == [[["A"], ["C"], ["B"]]]


def test_a_page_closed_before_the_receipt_saves_when_it_is_opened_again(desk, served):
    page = desk(some(2))
    page.route("**/v1/submit", lambda route: route.abort())
    for key in ("b", "c", "a", "Enter"):
        page.keyboard.press(key)
    saved(page, "Not saved yet")
    page.unroute("**/v1/submit")
    page.route("**/v1/draft", lambda route: route.abort())
    page.reload()
    saved(page, "An answer from before is saved")
    assert [past.task.answer["tiers"] for past in served.store.history(page.name)] == [[["B"], ["C"], ["A"]]]


def test_an_expired_login_is_said_and_the_work_is_saved_after_it(desk, served):
    page = desk(some(2))
    for key in ("c", "b", "a"):
        page.keyboard.press(key)
    served.clock.now += 3601
    page.keyboard.press("Enter")
    saved(page, "You are logged out. Your answer is kept here")
    assert count(served, page) == 0
    page.locator("#align-login-password").fill("wrong password")
    page.keyboard.press("Enter")
    expect(page.locator("dialog .problem")).to_contain_text("name or password is wrong")
    page.locator("#align-login-password").fill(PASSWORD)
    page.keyboard.press("Enter")
    saved(page, "Saved")
    assert [past.task.answer["tiers"] for past in served.store.history(page.name)] == [[["C"], ["B"], ["A"]]]


def test_an_answer_is_its_authors_after_somebody_else_has_logged_in_in_another_tab(desk, served):
    """The cookie is then the other's. Nothing is sent, undone or lost in their name; it is saved once the author is back."""
    page = desk(some(2))
    for key in ("c", "b", "a"):
        page.keyboard.press(key)
    sent = {"name": "eve", "password": PASSWORD}
    assert page.request.post(f"{served.url}/v1/login", data=sent, headers={"origin": served.url}).ok
    page.keyboard.press("Enter")
    saved(page, "You are logged out. Your answer is kept here")
    assert (count(served, page), served.store.history("eve")) == (0, [])
    page.locator("#align-login-password").fill(PASSWORD)
    page.keyboard.press("Enter")
    saved(page, "Saved")
    assert [past.task.answer["tiers"] for past in served.store.history(page.name)] == [[["C"], ["B"], ["A"]]]
    assert served.store.history("eve") == []


def test_an_answer_that_another_tab_gave_is_said_and_makes_room(desk, served):
    page = desk(some(2))
    task = served.store.next_task(page.name)
    served.store.submit(page.name, task.lease, {"tiers": [["A"], ["B"], ["C"]]}, "key-of-another-tab")
    for key in ("c", "b", "a", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".notice")).to_contain_text("Not saved: this task is answered already")
    expect(page.locator(".order .tier")).to_have_count(0)
    assert last(served, page)["tiers"] == [["A"], ["B"], ["C"]]


def test_nothing_that_a_browser_gets_says_who_wrote_what(desk, served):
    bodies, frames = [], []
    page = desk(some(3))
    page.on("websocket", lambda socket: frames.append(socket.url))

    def noted(route):
        """The answer as the page gets it, kept before it does: the browser forgets bodies when it leaves a page."""
        answer = route.fetch()
        bodies.append(answer.body().decode("utf-8", "replace"))
        route.fulfill(response=answer)

    page.route("**/*", noted)
    page.reload()
    ready(page)
    for key in ("a", "b", "c", "Enter"):
        page.keyboard.press(key)
    saved(page)
    page.get_by_role("button", name="History").click()
    page.locator(".history").wait_for()
    bodies += [page.content(), page.request.get(f"{served.url}/config").text()]
    assert len(bodies) > 20
    everything = "\n".join(bodies)
    assert "first text" in everything
    assert [word for word in (*MODELS, "secret-record", "secret-source") if word in everything] == []
    assert frames == [], "no page of ours opens a websocket"


def test_right_to_left_text_reads_from_the_right(desk):
    tag = next(COUNT)
    page = desk([ResponseSet(f"r{tag}", f"مرحبا {tag}", (Response("نعم، هذا صحيح."), Response("No, it is not.")))])
    direction = page.locator(".card .text").evaluate_all(
        "all => all.map(one => [one.textContent[0], getComputedStyle(one).direction])"
    )
    assert dict(map(tuple, direction)) == {"ن": "rtl", "N": "ltr"}


def test_words_that_differ_are_marked(desk):
    tag = next(COUNT)
    page = desk(
        [ResponseSet(f"d{tag}", f"d {tag}", (Response("The red boat sails."), Response("The blue boat sails away.")))]
    )
    slot = page.locator(".card", has_text="red").get_attribute("data-slot")
    other = "AB".replace(slot, "")
    page.keyboard.press(slot.lower())
    page.keyboard.press(other.lower())
    page.keyboard.press("v")
    assert page.locator(".compared del").all_inner_texts() == ["red"]
    assert page.locator(".compared ins").all_inner_texts() == ["blue", " away"]


def test_keys_can_be_changed_and_conflicts_are_refused(desk, served):
    page = desk(some(2))
    page.keyboard.press("?")
    page.locator("#align-key-tie").press("t")
    page.locator("#align-key-skip").press("t")
    page.get_by_role("button", name="Use these keys").click()
    expect(page.locator("dialog .problem")).to_contain_text("“t” is given to")
    page.locator("#align-key-skip").press("b")
    page.get_by_role("button", name="Use these keys").click()
    expect(page.locator("dialog .problem")).to_contain_text("“b” is a response's letter")
    page.locator("#align-key-skip").press("s")
    page.get_by_role("button", name="Use these keys").click()
    for key in ("a", "t", "b"):
        page.keyboard.press(key)
    assert order(page) == "A=B"
    page.evaluate("localStorage.setItem('align:keys', JSON.stringify({tie: 'x', skip: 'x'}))")
    page.reload()
    expect(page.locator(".notice")).to_contain_text("Your keys are not used: “x” is given to")
    ready(page)
    page.keyboard.press("=")
    page.keyboard.press("c")
    expect(page.locator(".order .tier")).to_have_count(1)


def test_identical_answers_share_a_card(desk):
    tag = next(COUNT)
    page = desk(
        [ResponseSet(f"i{tag}", f"i {tag}", (Response("same", "x"), Response("other", "y"), Response("same", "z")))]
    )
    assert sorted(page.locator(".card .text").all_inner_texts()) == ["other", "same"]
