"""A server that speaks OpenAI's protocol as `transformers serve`, vLLM and hosted services do, and misbehaves as told.

Its answer to a prompt follows from the prompt, the seed and the number of the choice alone."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]
MODEL = "tiny-stand-in"


@dataclass
class StandIn:
    """trouble: what happens instead of an answer, one a request, in order: a status, (status, headers), "cut", "slow",
    "trickle", "html" or "list"; "-" answers. spoil: changes a choice. honours_n: else one choice a request; refuses_n: 400."""

    trouble: list[Any] = field(default_factory=list)
    spoil: Callable[[Json, Json], None] | None = None
    honours_n: bool = True
    refuses_n: bool = False
    limit_name: str = "max_tokens"
    key: str | None = None
    usage: bool = True
    seconds: float = 0.0
    asked: list[Json] = field(default_factory=list)
    headers: list[Json] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.lock, self.url = threading.Lock(), ""

    def answer(self, path: str, body: Json) -> tuple[int, Json]:
        chat = path.endswith("/chat/completions")
        if path not in ("/v1/chat/completions", "/v1/completions"):
            return 404, {"detail": "Not Found"}
        if body["model"] != MODEL:
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist", "code": "model_not_found"}}
        if self.limit_name not in body:
            return 400, {"error": {"message": f"Unsupported parameter: use '{self.limit_name}' instead"}}
        count = body.get("n", 1)
        if count > 1 and self.refuses_n:
            return 400, {"error": {"message": "'n' : number must be at most 1"}}
        choices = [self.choice(body, number, chat) for number in range(count if self.honours_n else 1)]
        answer = {"object": "chat.completion", "model": f"{MODEL}-2026", "choices": choices}
        usage = {"prompt_tokens": 10, "completion_tokens": 4 * len(choices)}
        return 200, answer | ({"usage": usage} if self.usage else {})

    def choice(self, body: Json, number: int, chat: bool) -> Json:
        text = text_of(body, number)
        made: Json = {"index": number, "finish_reason": "stop"}
        made |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        if self.spoil:
            self.spoil(made, body)
        return made


def text_of(body: Json, number: int) -> str:
    prompt = body.get("prompt") or body["messages"][-1]["content"]
    name = hashlib.sha256(f"{prompt} {body['seed']} {number}".encode()).hexdigest()[:6]
    return f"{prompt} → {name}"


@contextlib.contextmanager
def serving(**how: Any) -> Iterator[StandIn]:
    stand_in = StandIn(**how)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stand_in))
    server.daemon_threads = True
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield stand_in
    server.shutdown()
    server.server_close()
    thread.join(5)


def _handler(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and content in one piece: the other way waits 40 ms for the client to acknowledge

        def do_GET(self) -> None:
            wrong = stand_in.key is not None and self.headers.get("Authorization") != f"Bearer {stand_in.key}"
            said = f"Incorrect API key provided: {self.headers.get('Authorization', '')[7:]}"
            self.send(*((401, {"error": {"message": said}}) if wrong else (200, {"object": "list", "data": []})))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with stand_in.lock:
                stand_in.asked.append(body)
                stand_in.headers.append(dict(self.headers))
                trouble = stand_in.trouble.pop(0) if stand_in.trouble else "-"
                stand_in.at_once += 1
                stand_in.most_at_once = max(stand_in.most_at_once, stand_in.at_once)
            time.sleep(stand_in.seconds)
            with contextlib.suppress(ConnectionError):
                self.misbehave(trouble, body)
            with stand_in.lock:
                stand_in.at_once -= 1

        def misbehave(self, trouble: Any, body: Json) -> None:
            if isinstance(trouble, int | tuple):
                status, headers = trouble if isinstance(trouble, tuple) else (trouble, {})
                self.send(status, {"error": {"message": "not now"}}, headers)
            elif trouble == "html":
                self.send(200, b"<html>Welcome</html>")
            elif trouble == "list":
                self.send(200, {"choices": []})
            elif trouble == "cut":
                self.send(200, stand_in.answer(self.path, body)[1], cut=True)
            elif trouble == "trickle":  # a byte now and then: never silent for long
                self.send(200, stand_in.answer(self.path, body)[1], pause=0.1)
            else:
                time.sleep(30 if trouble == "slow" else 0)
                self.send(*stand_in.answer(self.path, body))

        def send(
            self, status: int, value: Any, headers: Json | None = None, cut: bool = False, pause: float = 0.0
        ) -> None:
            content = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            for name, text in {"Content-Length": str(len(content)), **(headers or {})}.items():
                self.send_header(name, text)
            self.end_headers()
            for start in range(len(content)) if pause else []:
                self.wfile.write(content[start : start + 1])
                self.wfile.flush()
                time.sleep(pause)
            if not pause:
                self.wfile.write(content[:20] if cut else content)
            self.wfile.flush()
            self.close_connection = self.close_connection or cut

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
