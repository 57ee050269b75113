"""Who may do what: every route for every role, forged addresses and cookies, guessed passwords, headers.

Mutations seen to fail (in `labeling_ui`):

- `guard`: every route open (every route ...); any Host taken (a forged host); the first of two cookies taken (forged cookies);
  Gradio's `access-control` headers let through (Gradio reflects ...)
- `sessions`: a session that was logged out of goes on, or one of an older password (a copied cookie ...)
- `guard`: a page of somebody else's acted for (a page that somebody else opened ...)
- `throttle`: no wait after wrong passwords (guessing ...)
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote

import pytest
from labeling_app import ORIGIN, PASSWORD, PEOPLE, client, logged_in
from starlette.routing import Mount

from alignment.preferences.store import Store
from labeling_ui.accounts import add_account
from labeling_ui.app import Setup, make_app
from labeling_ui.config import LabelSettings
from labeling_ui.guard import COOKIE, LARGEST_BODY, Site
from labeling_ui.serve import origins

NOBODY, EVERYBODY, TEAM = ("in", "in", "in", "in"), ("login", "in", "in", "in"), ("login", "closed", "in", "in")
ADMIN = ("login", "closed", "closed", "in")
EXPECTED = {
    "GET /login": NOBODY,
    "POST /v1/login": NOBODY,
    "GET /favicon.ico": NOBODY,
    "GET /ui/main.js": NOBODY,
    "POST /v1/logout": EVERYBODY,
    "GET /v1/me": EVERYBODY,
    "POST /v1/next": EVERYBODY,
    "POST /v1/draft": EVERYBODY,
    "POST /v1/submit": EVERYBODY,
    "POST /v1/skip": EVERYBODY,
    "GET /v1/feedback/0123abcd": EVERYBODY,
    "POST /v1/undo": EVERYBODY,
    "GET /v1/history": EVERYBODY,
    "GET /v1/progress": EVERYBODY,
    "GET /v1/guidelines": EVERYBODY,
    "GET /": EVERYBODY,
    "GET /config": EVERYBODY,
    "GET /theme.css": EVERYBODY,
    "GET /assets/0123abcd": EVERYBODY,
    "GET /static/0123abcd": EVERYBODY,
    "GET /svelte/0123abcd": EVERYBODY,
    "GET /team": TEAM,
    "GET /v1/team/sections": TEAM,
    "GET /v1/team/section/0123abcd": TEAM,
    "GET /v1/team/people": TEAM,
    "POST /v1/team/quarantine": ADMIN,
    "POST /v1/team/release": ADMIN,
    "POST /v1/team/adjudicate": TEAM,
    "GET /v1/team/answers/0123abcd": TEAM,
    "GET /v1/team/audit": TEAM,
    "GET /v1/team/snapshots": TEAM,
    "POST /v1/team/snapshot": TEAM,
    "GET /v1/team/download/0123abcd/0123abcd": ADMIN,
}
"""What is open, and to whom: nobody logged in, annotator, reviewer, admin. Every other route of the app must be shut."""


def routes_of(app, prefix: str = "") -> set[str]:
    """`METHOD /path` of everything that the app and what is mounted in it would answer."""
    found = set()
    for route in app.routes:
        path = prefix + re.sub(r"{[^}]*}", "0123abcd", getattr(route, "path", ""))
        included = getattr(route, "original_router", None)
        if included is not None:
            found |= routes_of(included, prefix + route.include_context.prefix)
        elif isinstance(route, Mount):
            inner = getattr(route.app, "routes", None)
            found |= routes_of(route.app, path) if inner else {f"GET {path}/main.js"}
        else:
            found |= {f"{method} {path}" for method in getattr(route, "methods", None) or {"GET"}}
    return {one.replace("HEAD ", "GET ") for one in found}


def verdict(browser, method: str, path: str) -> str:
    answer = browser.request(method, path, json={} if method == "POST" else None)
    if answer.status_code in (303, 401):
        return "login"
    said = answer.json().get("sentence", "") if "json" in answer.headers.get("content-type", "") else ""
    closed = {"this is for reviewers and admins": "closed", "this is for admins": "closed"}
    return {**closed, "there is no such page": "shut"}.get(said, "in")


def raw_get(app, path: str, cookie: str) -> tuple[int, str]:
    """As it comes from the socket: no client tidies the path up."""
    bare, _, query = path.partition("?")
    headers = [(b"host", ORIGIN[7:].encode()), (b"cookie", f"{COOKIE}={cookie}".encode())]
    scope = {
        "type": "http",
        "method": "GET",
        "path": unquote(bare),
        "raw_path": bare.encode(),
        "query_string": query.encode(),
    }
    scope |= {"headers": headers, "scheme": "http", "http_version": "1.1", "root_path": "", "client": ("127.0.0.1", 1)}
    sent: list = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    with ThreadPoolExecutor(1) as thread:  # Playwright keeps a loop running in the tests' own
        thread.submit(asyncio.run, asyncio.wait_for(app(scope, receive, send), 20)).result()
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent).decode("utf-8", "replace")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The app with Gradio's pages, and a browser for each role."""
    folder = tmp_path_factory.mktemp("whole")
    for name, role in PEOPLE.items():
        add_account(folder / "people.json", name, role, PASSWORD)
    with Store(str(folder / "labels.db")) as store:
        app = make_app(store, Setup(Site(frozenset({ORIGIN})), "#", auth=str(folder / "people.json")))
        yield app, [logged_in(client(app), name) for name in (None, *PEOPLE)]


def test_every_route_for_every_role(whole):
    app, browsers = whole
    routes = routes_of(app._app) | set(EXPECTED)
    assert len(routes) > 60, "Gradio's own are among them"
    assert {one for one in EXPECTED if one not in routes_of(app._app)} <= {"GET /ui/main.js"}
    last = sorted(routes, key=lambda one: "logout" in one)
    found = {one: tuple(verdict(browser, *one.split(" ")) for browser in browsers) for one in last}
    for browser, name in zip(browsers[1:], PEOPLE):
        logged_in(browser, name)  # for the tests that follow: the last route was the logout
    assert {one: found[one] for one in EXPECTED} == EXPECTED
    assert {one: said for one, said in found.items() if one not in EXPECTED and set(said) != {"shut"}} == {}


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/token", "/gradio_api/heartbeat/abc", "/gradio_api/queue/data?session_hash=abc", "/gradio_api/upload",
        "/gradio_api/file=/etc/passwd", "/file=labels.db", "/gradio_api/proxy=http://example.org", "/gradio_api/run/predict",
        "/gradio_api/info", "/gradio_api/runs", "/monitoring", "/docs", "/openapi.json", "/ui/../app.py", "/ui/%2e%2e/app.py",
        "/ui/labeling.html", "/ui/..%2f..%2fapp.py", "/assets/..%2f..%2f..%2f..%2fetc%2fpasswd", "/static/../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/routes.py", "/theme.css/..", "//etc/passwd", "/team/gradio_api/token", "/v1/feedback/../me",
    ],
)  # fmt: skip
def test_traps_of_gradio_and_paths_that_lead_elsewhere_are_shut(whole, path):
    app, browsers = whole
    status, text = raw_get(app, path, browsers[-1].cookies[COOKIE])
    assert status == 404, text[:200]
    assert "root:" not in text
    assert "import annotations" not in text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:7861", "localhost:7860.evil.example", ""])
def test_a_forged_host_is_refused(local, host):
    assert local.get("/v1/me", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:7860", "http://127.0.0.1:7861", ""]
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_forged_origin_is_refused(local, store, origin, method):
    answer = local.request(method, "/v1/next" if method == "POST" else "/v1/me", headers={"origin": origin})
    assert (answer.status_code, answer.json()["reason"]) == (403, "origin")


def test_a_change_without_an_origin_is_refused(store):
    app = make_app(store, Setup(Site(frozenset({ORIGIN})), "#", practice=False), pages=False)
    browser = client(app)
    del browser.headers["origin"]
    assert browser.get("/v1/me").status_code == 200
    assert browser.post("/v1/next", json={}).status_code == 403
    assert (
        browser.get("/v1/me", headers={"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}).status_code == 403
    )


def test_a_form_of_another_site_is_no_json(local):
    answer = local.post("/v1/undo", content=b'{"key": "key-of-a-form"}', headers={"content-type": "text/plain"})
    assert answer.status_code == 422


def test_too_large_a_request_is_refused(local):
    answer = local.post("/v1/draft", content=b"x" * (LARGEST_BODY + 1), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (413, "size")


def test_nobody_sees_or_touches_the_task_of_another(team):
    ann, rob = team("ann"), team("rob")
    task = ann.post("/v1/next", json={}).json()["task"]
    sent = {"lease": task["lease"], "answer": {"tiers": [["A"], ["B"], ["C"]]}, "key": "key-of-another"}
    assert rob.post("/v1/submit", json=sent).status_code == 404
    assert rob.post("/v1/draft", json={"lease": task["lease"], "draft": "x"}).status_code == 404
    assert ann.post("/v1/submit", json=sent).status_code == 200
    assert rob.get("/v1/history").json() == {"history": []}


def test_the_cookie_is_strict_and_ends(team, clock):
    ann = team()
    answer = ann.post("/v1/login", json={"name": "ann", "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=3600"))
    assert ann.get("/v1/me").json()["name"] == "ann"
    clock.now += 3599
    assert ann.get("/v1/me").status_code == 200
    clock.now += 1
    assert ann.get("/v1/me").status_code == 401
    assert ann.get("/").headers["location"] == "/login"


def test_a_copied_cookie_is_worth_nothing_after_logout_or_a_new_password(team, people, store, clock):
    ann, thief = team("ann"), team()
    thief.cookies.set(COOKIE, ann.cookies[COOKIE])
    assert thief.get("/v1/me").json()["name"] == "ann"
    ann.post("/v1/logout", json={})
    assert thief.get("/v1/me").status_code == 401
    again = make_app(store, Setup(Site(frozenset({ORIGIN})), "#", auth=str(people), clock=clock), pages=False)
    restarted = client(again)
    restarted.cookies.set(COOKIE, thief.cookies[COOKIE])
    assert restarted.get("/v1/me").status_code == 401, "nor after a restart"
    rob = team("rob")
    add_account(people, "rob", "reviewer", "another password")
    assert rob.get("/v1/me").status_code == 401


def test_a_session_outlives_a_restart(team, people, store, clock):
    ann = team("ann")
    again = make_app(store, Setup(Site(frozenset({ORIGIN})), "#", auth=str(people), clock=clock), pages=False)
    restarted = client(again)
    restarted.cookies.set(COOKIE, ann.cookies[COOKIE])
    assert restarted.get("/v1/me").json()["name"] == "ann"


@pytest.mark.parametrize("length", range(1, 7))
def test_names_of_any_length_stay_logged_in(team, people, length):
    add_account(people, "n" * length, "annotator", PASSWORD)
    assert team("n" * length).get("/v1/me").json()["name"] == "n" * length


def test_forged_cookies_are_refused(team):
    ann = team("ann")
    body, _, signature = ann.cookies[COOKIE].partition(".")
    claim = json.loads(base64.urlsafe_b64decode(body + "==")) | {"name": "eve"}
    other = base64.urlsafe_b64encode(json.dumps(claim).encode()).decode()
    forged = [
        f"{other}.{signature}",
        body,
        f"{body}.",
        f"{body}.{'0' * 64}",
        f".{signature}",
        "x" * 5000,
        "e30.e30",
        "\xff.x",
    ]
    for cookie in forged:
        answer = team().get("/v1/me", headers={"cookie": f"{COOKIE}={cookie}".encode("latin-1")})
        assert answer.status_code == 401, cookie
    twice = f"{COOKIE}={ann.cookies[COOKIE]}; {COOKIE}={ann.cookies[COOKIE]}"
    assert team().get("/v1/me", headers={"cookie": twice}).status_code == 401


def test_a_role_that_changes_holds_at_once(team, people):
    ann = team("ann")
    assert ann.get("/team").status_code == 403
    held = json.loads(people.read_text())
    held["people"]["ann"]["role"] = "reviewer"
    people.write_text(json.dumps(held))
    assert ann.get("/v1/me").json()["role"] == "reviewer"
    people.write_text("{")
    assert ann.get("/v1/me").status_code == 200, "a broken file under a running server changes nothing"


def test_guessing_is_slowed_down(team, clock):
    browser = team()
    guesses = [browser.post("/v1/login", json={"name": "ann", "password": f"wrong {n}"}).status_code for n in range(7)]
    assert guesses == [403] * 5 + [429] * 2
    right = browser.post("/v1/login", json={"name": "ann", "password": PASSWORD})
    assert (right.status_code, right.json()["sentence"]) == (429, "too many wrong passwords; try again in 1 seconds")
    assert browser.post("/v1/login", json={"name": "rob", "password": PASSWORD}).status_code == 200
    clock.now += 1
    assert browser.post("/v1/login", json={"name": "ann", "password": PASSWORD}).status_code == 200


def test_an_unknown_name_is_answered_like_a_wrong_password(team):
    answers = [team().post("/v1/login", json={"name": name, "password": "wrong"}) for name in ("ann", "nobody", "")]
    assert len({(one.status_code, one.text) for one in answers}) == 1


@pytest.mark.parametrize("path", ["/login", "/v1/me", "/ui/main.js", "/nowhere", "/"])
def test_headers(team, path):
    headers = team("ann").get(path).headers
    policy = headers["content-security-policy"]
    for part in (
        "default-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'self'",
        "frame-ancestors 'none'",
        "object-src 'none'",
    ):
        assert part in policy
    assert ("unsafe-eval" in policy) == (path in ("/", "/nowhere"))
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "DENY"
    assert not [name for name in headers if name.startswith("access-control-") or name == "server"]


def test_gradio_reflects_no_origin(whole):
    answer = whole[1][1].get("/config", headers={"origin": ORIGIN})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_config_holds_nothing_of_the_store(whole):
    text = whole[1][1].get("/config").text + whole[1][1].get("/").text
    assert "labels.db" not in text
    assert "people.json" not in text


def test_origins_of_the_settings():
    assert origins(LabelSettings(), 7) == {"http://127.0.0.1:7", "http://localhost:7", "http://[::1]:7"}
    behind = LabelSettings(auth="p", host="0.0.0.0", origin="https://Labels.example.org")
    assert origins(behind, 7) == {
        "https://labels.example.org",
        "http://127.0.0.1:7",
        "http://localhost:7",
        "http://[::1]:7",
    }
    assert origins(LabelSettings(auth="p", host="10.0.0.5"), 7) == {"http://10.0.0.5:7"}


def test_a_page_that_somebody_else_opened_acts_for_nobody(team, store: Store):
    """Rob's cookie, and a page of Ann's in another tab: her undo must not take his answer back."""
    rob = team("rob")
    assert rob.get("/v1/me", headers={"x-align-person": "rob"}).status_code == 200
    assert rob.post("/v1/undo", json={"key": "a-key-of-ann"}, headers={"x-align-person": "ann"}).status_code == 401
    assert rob.get("/v1/me", headers={"x-align-person": "r%6Fb"}).status_code == 200
    assert rob.get("/login", headers={"x-align-person": "ann"}).status_code == 200
