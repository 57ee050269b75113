"""People whom a proxy has logged in: the header counts from the proxy's address alone, and names one person or nobody.

Mutations seen to fail (in `labeling_ui`):

- `networks`: any address trusted (... from elsewhere ...); an IPv4 address in IPv6's clothes not recognised (the name from the
  proxy ...); everybody may be trusted (mistakes)
- `proxy`: the first of two headers taken (... twice ...); a name that is not in the file is an annotator (... unknown ...);
  bytes read as Latin-1 (... any script ...); nobody written into the store (the name from the proxy ...)
- `rules`: login and logout there behind a proxy (no passwords ...); `guard`: sent to a login page (without the header ...)
- `accounts`: no password is a password (somebody without ...); `config`: a browser's own header allowed (mistakes)
"""

from __future__ import annotations

import pytest
from labeling_app import ORIGIN, PASSWORD, ranked
from labeling_server import Thread, opened
from playwright.sync_api import Browser, expect
from refusals import refused
from starlette.testclient import TestClient

from alignment.preferences.store import Store
from labeling_ui import accounts
from labeling_ui.app import Setup, make_app
from labeling_ui.config import COMMAND, LabelSettings
from labeling_ui.guard import Refusal, Site
from labeling_ui.networks import Proxy, networks
from labeling_ui.proxy import identify_by
from labeling_ui.serve import _proxy

HEADER = "x-forwarded-user"
TRUSTED = "10.0.0.2"
SETTINGS = [
    "--auth",
    "people.json",
    "--auth-proxy",
    "X-Forwarded-User",
    "--trust",
    TRUSTED,
    "--origin",
    "https://x.org",
]


@pytest.fixture
def app(store: Store, people):
    proxy = Proxy(HEADER, networks(f"{TRUSTED},10.1.0.0/16,fd00::/64"), "/oauth2/sign_out")
    return make_app(store, Setup(Site(frozenset({ORIGIN})), "#", practice=False, auth=str(people), proxy=proxy), False)


@pytest.fixture
def peer(app):
    """peer(address) → a client that calls from there."""

    def at(address: str = TRUSTED) -> TestClient:
        headers = {"origin": ORIGIN}
        return TestClient(app, ORIGIN, headers=headers, follow_redirects=False, client=(address, 5))

    return at


def named(*values: str) -> list[tuple[str, bytes]]:
    return [(HEADER, value.encode()) for value in values]


@pytest.mark.parametrize("address", [TRUSTED, "10.1.255.3", "fd00::7", "::ffff:10.0.0.2"])
def test_the_name_from_the_proxy_is_who_it_is(peer, address, store):
    browser = peer(address)
    me = browser.get("/v1/me", headers=named("rob")).json()
    assert (me["name"], me["role"], me["logout"], me["proxy"]) == ("rob", "reviewer", "/oauth2/sign_out", True)
    task = browser.post("/v1/next", json={}, headers=named("ann")).json()["task"]
    sent = {"lease": task["lease"], "answer": {"tiers": [["A"], ["B"], ["C"]]}, "key": "key-of-a-test"}
    assert browser.post("/v1/submit", json=sent, headers=named("rob")).status_code == 404, "ann's, not rob's"
    assert browser.post("/v1/submit", json=sent, headers=named("ann")).status_code == 200
    assert [one.annotator for one in store.records().rankings] == ["ann"]
    assert browser.get("/team", headers=named("ann")).status_code == 403


@pytest.mark.parametrize(
    "address", ["10.0.0.3", "127.0.0.1", "10.2.0.1", "fd00:0:0:1::7", "::ffff:10.0.0.3", "unix", ""]
)
@pytest.mark.parametrize("path", ["/v1/me", "/", "/ui/main.js", "/login"])
def test_a_header_from_elsewhere_is_refused(peer, address, path):
    forged = [*named("eve"), ("x-forwarded-for", TRUSTED.encode()), ("forwarded", f"for={TRUSTED}".encode())]
    answer = peer(address).get(path, headers=forged)
    assert (answer.status_code, answer.json()["reason"]) == (403, "proxy")
    assert "through its proxy alone" in answer.json()["sentence"]


@pytest.mark.parametrize("path", ["/v1/me", "/", "/team", "/v1/history"])
def test_without_the_header_nobody_is_logged_in(peer, path):
    answer = peer().get(path)
    assert (answer.status_code, answer.json()["reason"]) == (401, "proxy")
    assert "location" not in answer.headers, "there is no login here to be sent to"
    assert peer().get(path, headers=[("x_forwarded_user", b"eve"), ("remote-user", b"eve")]).status_code == 401


@pytest.mark.parametrize("values", [("ann", "eve"), ("eve", "eve"), ("ann", "")])
def test_a_header_that_is_there_twice_names_nobody(peer, values):
    answer = peer().get("/v1/me", headers=named(*values))
    assert answer.status_code == 403
    assert f"the proxy sent {HEADER} twice" in answer.json()["sentence"]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("", "none that an annotator can have"),
        ("x" * 101, "none that an annotator can have"),
        ("an\u202en", "none that an annotator can have"),
        ("ann\u200b", "none that an annotator can have"),
        ("ann, eve", "not in the file of people"),
        ("ann;eve", "not in the file of people"),
        ("ANN", "not in the file of people"),
        ("a%6En", "not in the file of people"),
        ("../ann", "not in the file of people"),
        ("<script>window.ran=1</script>", "not in the file of people"),
        ("stranger@example.org", "not in the file of people"),
    ],
)  # fmt: skip
def test_names_that_are_none_or_unknown_are_refused(peer, store, value, sentence):
    answer = peer().get("/v1/me", headers=named(value))
    assert (answer.status_code, answer.json()["reason"]) == (403, "proxy")
    assert sentence in answer.json()["sentence"]
    assert answer.headers["content-type"] == "application/json"
    assert {one.name for one in store.annotators()} == set()


def test_a_name_that_is_no_text_is_refused(people):
    """Straight from the socket: a client of the tests makes text of it."""
    identify = identify_by(Proxy(HEADER, networks(TRUSTED)), accounts.Accounts(str(people)))
    said = identify({"headers": [(HEADER.encode(), b"\xff\xfeann")], "client": (TRUSTED, 5)})
    assert isinstance(said, Refusal)
    assert "none that an annotator can have" in said.sentence


def test_names_of_any_script_work(peer, people):
    accounts.add_account(people, "Zoë 李", "annotator", None)
    assert peer().get("/v1/me", headers=named("Zoë 李")).json()["name"] == "Zoë 李"


def test_there_are_no_passwords_and_no_logout_of_ours(peer):
    browser = peer()
    assert browser.get("/login", headers=named("ann")).json()["reason"] == "unknown", "and so to the guard"
    for path in ("/v1/login", "/v1/logout"):
        sent = {"name": "ann", "password": PASSWORD}
        assert browser.post(path, json=sent, headers=named("ann")).status_code == 404
    assert not browser.cookies


def test_the_other_checks_hold_behind_a_proxy_too(peer):
    browser = peer()
    ann = dict(named("ann"))
    assert browser.get("/v1/me", headers={**ann, "host": "evil.example"}).status_code == 421
    assert browser.post("/v1/next", json={}, headers={**ann, "origin": "http://evil.example"}).status_code == 403
    assert browser.get("/v1/me", headers={**ann, "sec-fetch-site": "cross-site"}).status_code == 403
    assert browser.get("/gradio_api/token", headers=ann).status_code == 404


def test_a_role_that_changes_or_a_person_who_goes_holds_at_once(peer, people, store):
    browser = peer()
    browser.get("/v1/me", headers=named("ann"))
    accounts.add_account(people, "ann", "reviewer", None)
    assert browser.get("/v1/me", headers=named("ann")).json()["role"] == "reviewer"
    assert {one.name: one.role for one in store.annotators()} == {"ann": "reviewer"}
    people.write_text(people.read_text().replace('"ann"', '"anna"'))
    assert browser.get("/v1/me", headers=named("ann")).status_code == 403


def test_elsewhere_the_header_says_nothing(local, team):
    assert local.get("/v1/me", headers=named("eve")).json()["name"] == "local"
    assert team().get("/v1/me", headers=named("eve")).status_code == 401
    assert team("ann").get("/v1/me", headers=named("eve")).json()["name"] == "ann"


def test_somebody_without_a_password_cannot_log_in_with_one(people):
    accounts.add_account(people, "zoe", "annotator", None)
    found = accounts.Accounts(str(people))
    assert found.find("zoe").role == "annotator"
    assert [found.login("zoe", word) for word in ("", "nobody's", PASSWORD)] == [None] * 3


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (SETTINGS[2:6], ("--auth-proxy is X-Forwarded-User and --auth is none", "who may come")),
        (SETTINGS[:4] + SETTINGS[6:], ("--auth-proxy is X-Forwarded-User and --trust is none",)),
        (SETTINGS[:6], ("--auth-proxy is X-Forwarded-User and --origin is none",)),
        (["--trust", TRUSTED], (f"--trust is {TRUSTED} and --auth-proxy is none",)),
        (["--proxy-logout", "/out"], ("--proxy-logout is /out and --auth-proxy is none",)),
        ([*SETTINGS, "--auth-proxy", "Cookie"], ("--auth-proxy is 'Cookie'", "that the proxy alone sets")),
        ([*SETTINGS, "--auth-proxy", "X Y"], ("--auth-proxy is 'X Y'",)),
        ([*SETTINGS, "--auth-proxy", "X_User"], ("--auth-proxy is 'X_User'",)),
        ([*SETTINGS, "--trust", "proxy.local"], ("--trust is 'proxy.local'", "must be addresses such as")),
        ([*SETTINGS, "--trust", "10.0.0.1/8"], ("--trust is '10.0.0.1/8'", "host bits")),
        ([*SETTINGS, "--trust", "10.0.0.1,"], ("--trust is '10.0.0.1,'",)),
        ([*SETTINGS, "--trust", "10.0.0.1,0.0.0.0/0"], ("which trusts everybody",)),
        ([*SETTINGS, "--trust", "::/0"], ("which trusts everybody",)),
        ([*SETTINGS, "--proxy-logout", "javascript:alert(1)"], ("--proxy-logout is 'javascript:alert(1)'",)),
        ([*SETTINGS, "--proxy-logout", "//evil.example"], ("--proxy-logout is '//evil.example'",)),
        (["--host", "0.0.0.0", *SETTINGS[2:]], ("--host is 0.0.0.0", "--auth is none")),
    ],
)  # fmt: skip
def test_mistakes(tmp_path, capsys, arguments, phrases):
    refused(capsys, COMMAND, arguments, tmp_path, *phrases)


def test_what_the_settings_become():
    settings = LabelSettings(
        auth="p", auth_proxy="Remote-User", trust="10.0.0.2, 10.1.0.0/16", origin="https://x.org", proxy_logout="/out"
    )
    assert _proxy(settings) == Proxy("remote-user", networks("10.0.0.2/32,10.1.0.0/16"), "/out")
    assert _proxy(LabelSettings()) is None


@pytest.mark.xdist_group("labeling")
def test_a_login_at_the_proxy_that_runs_out_keeps_the_work(browser: Browser, tmp_path, people):
    """The page says it, waits, and saves once the proxy names the same person again."""
    with opened(tmp_path, "proxied.db") as store:
        store.add_tasks([ranked(number) for number in range(2)])
        proxy = Proxy(HEADER, networks("127.0.0.1"), "/oauth2/sign_out")
        server = Thread(store, auth=str(people), proxy=proxy, practice=False)
        context = browser.new_context(extra_http_headers={HEADER: "ann"})
        page = context.new_page()
        page.goto(server.url)
        page.locator("#align .card").first.wait_for()
        for key in "cba":
            page.keyboard.press(key)
        context.set_extra_http_headers({})
        page.keyboard.press("Enter")
        window = page.get_by_role("dialog", name="You are logged out")
        window.wait_for()
        expect(window).to_have_accessible_description("Your work is kept here. Log in and it is saved.")
        window.get_by_role("button", name="I am logged in").click()
        expect(window.get_by_role("alert")).to_contain_text("the proxy named nobody")
        assert store.progress("ann").done == 0
        context.set_extra_http_headers({HEADER: "ann"})
        window.get_by_role("button", name="I am logged in").click()
        expect(page.locator("#align .state-text")).to_contain_text("Saved at")
        assert [past.task.answer["tiers"] for past in store.history("ann")] == [[["C"], ["B"], ["A"]]]
        page.route("**/oauth2/sign_out", lambda route: route.fulfill(body="signed out"))
        page.get_by_role("button", name="Log out").click()
        expect(page.locator("body")).to_have_text("signed out")
        context.close()
        server.close()
