"""What the tests of the labeling app share: its people, its tasks, and the server without a browser."""

from __future__ import annotations

from starlette.testclient import TestClient

from alignment.preferences.store import Store
from alignment.records import PromptRecord, Ranking, Response, ResponseSet

ORIGIN = "http://127.0.0.1:7860"
MODELS = ("secret-model-alpha", "secret-model-beta", "secret-model-gamma")
PASSWORD = "correct horse"
PEOPLE = {"ann": "annotator", "rob": "reviewer", "eve": "admin"}


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def ranked(number: int, texts: tuple[str, ...] = ("first text", "second text", "third text")) -> ResponseSet:
    responses = tuple(Response(f"{text} {number}", model) for text, model in zip(texts, MODELS))
    return ResponseSet(f"secret-record-{number}", f"Prompt number {number}?", responses)


def fill(store: Store, tasks: int = 4) -> None:
    store.add_tasks([ranked(number) for number in range(tasks)], source="secret-source")
    store.add_tasks([PromptRecord("w", "Write me.")], kind="write", source="secret-source")
    store.add_tasks([ranked(99)], kind="edit", source="secret-source")
    gold = ranked(77)
    store.add_gold([Ranking(gold.id, gold.prompt, gold.responses, (2, 1, 3))])


def client(app) -> TestClient:
    return TestClient(
        app, base_url=ORIGIN, headers={"origin": ORIGIN}, follow_redirects=False, raise_server_exceptions=False
    )


def logged_in(browser: TestClient, name: str | None) -> TestClient:
    if name is not None:
        answer = browser.post("/v1/login", json={"name": name, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
    return browser
