"""A server that speaks the protocol of `vllm serve` in its development mode, as TRL 1.16's `VLLMClient` uses it: the same
routes, the same JSON. It runs a tiny model by transformers, one token at a time, each request from its own seed.

Like the real one it keeps what it computed for a prompt until /reset_prefix_cache, ends a response at its own EOS unless
`ignore_eos`, and takes sampling parameters that a request leaves open from the model's generation config."""

from __future__ import annotations

import contextlib
import json
import math
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from transformers import AutoModelForCausalLM

Json = dict[str, Any]


@dataclass
class StandIn:
    """The server and its faults. said: what it says its --logprobs-mode is; logprobs_mode: what it does."""

    folder: str
    logprobs_mode: str = "processed_logprobs"
    said: str = "processed_logprobs"
    weight_transfer: bool = True
    dev_mode: bool = True
    max_model_len: int = 128
    ignores_updates: bool = False
    spoil: Any = None  # a function of a choice, before it is sent
    dies_after: int | None = None  # completions
    asked: list[tuple[str, Json]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(self.folder).eval()
        self.cache: dict[tuple[int, ...], torch.Tensor] = {}
        self.updating, self.dead = False, False
        self.lock, self.communicator = threading.Lock(), None

    def answer(self, path: str, body: Json) -> Json | None:
        """The JSON answer to a request; None where there is no such route."""
        with self.lock:
            self.asked.append((path, body))
            name = path.strip("/").replace("/", "_").removeprefix("v1_")
            public = name in ("health", "models", "completions")
            handler = getattr(self, f"on_{name}", None)
            return handler(body) if handler and (public or self.dev_mode) else None

    def count(self, path: str) -> int:
        return sum(one == path for one, _ in self.asked)

    def on_health(self, _: Json) -> Json:
        return {}

    def on_models(self, _: Json) -> Json:
        return {"object": "list", "data": [{"id": self.folder, "object": "model", "max_model_len": self.max_model_len}]}

    def on_server_info(self, _: Json) -> Json:
        text = str(self.model.config)  # what pydantic falls back to
        model = {"model": self.folder, "max_model_len": self.max_model_len, "logprobs_mode": self.said}
        transfer = {"backend": "nccl"} if self.weight_transfer else None
        return {"vllm_config": {"model_config": model | {"hf_text_config": text}, "weight_transfer_config": transfer}}

    def on_get_world_size(self, _: Json) -> Json:
        return {"world_size": 1}

    def on_init_weight_transfer_engine(self, body: Json) -> Json:
        from vllm.distributed.weight_transfer.nccl_common import Communicator

        info = body["init_info"]
        address, port = info["master_address"], info["master_port"]
        self.communicator = Communicator(address, port, info["rank_offset"], info["world_size"])
        return {"message": "Weight transfer initialized"}

    def on_start_weight_update(self, _: Json) -> Json:
        self.updating = True
        return {"message": "Weight update started"}

    @torch.no_grad()
    def on_update_weights(self, body: Json) -> Json:
        info = body["update_info"]
        assert self.updating
        assert self.communicator is not None
        kinds = [getattr(torch, name) for name in info["dtype_names"]]
        sizes = [math.prod(shape) * kind.itemsize for shape, kind in zip(info["shapes"], kinds, strict=True)]
        packed = torch.empty(sum(sizes), dtype=torch.uint8)
        self.communicator.broadcast(packed, src=0)
        for name, kind, shape, part in zip(info["names"], kinds, info["shapes"], packed.split(sizes), strict=True):
            own = self.model.get_parameter(name)
            weight = part.clone().view(kind).view(shape)
            assert own.shape == weight.shape
            if not self.ignores_updates:
                own.copy_(weight)
        return {"message": "Weights updated"}

    def on_finish_weight_update(self, _: Json) -> Json:
        self.updating = False
        return {"message": "Weight update finished"}

    def on_reset_prefix_cache(self, _: Json) -> Json:
        self.cache.clear()
        return {"success": True}

    def on_completions(self, body: Json) -> Json:
        assert body["model"] == self.folder
        assert body["return_token_ids"]
        assert body["return_tokens_as_token_ids"]
        choices = [self.complete(prompt, body) for prompt in body["prompt"] for _ in range(body["n"])]
        if self.dies_after is not None and self.count("/v1/completions") > self.dies_after:
            self.dead = True
        if self.spoil:
            choices = [self.spoil(choice) for choice in choices]
        return {"object": "text_completion", "model": self.folder, "choices": choices}

    def complete(self, prompt: list[int], asked: Json) -> Json:
        draws = torch.Generator().manual_seed(asked["seed"])
        stops = {*asked.get("stop_token_ids", [])}
        if not asked.get("ignore_eos"):
            stops.add(self.model.config.eos_token_id)
        most = min(asked["max_tokens"], self.max_model_len - len(prompt))
        ids: list[int] = []
        logprobs: list[float] = []
        while len(ids) < most and not (ids and ids[-1] in stops):
            raw = self.logits(prompt + ids, keep=not ids)
            processed = torch.log_softmax(raw / asked["temperature"], dim=-1)
            token = int(torch.multinomial(processed.exp(), 1, generator=draws))
            given = processed if self.logprobs_mode == "processed_logprobs" else torch.log_softmax(raw, dim=-1)
            ids.append(token)
            logprobs.append(float(given[token]))
        names = [f"token_id:{token}" for token in ids]
        top = [{name: value} for name, value in zip(names, logprobs, strict=True)]
        return {
            "index": 0, "text": "", "prompt_token_ids": prompt, "token_ids": ids,
            "finish_reason": "stop" if ids[-1] in stops else "length",
            "logprobs": {"tokens": names, "token_logprobs": logprobs, "top_logprobs": top, "text_offset": [0] * len(ids)},
        }  # fmt: skip

    @torch.no_grad()
    def logits(self, ids: list[int], keep: bool) -> torch.Tensor:
        if tuple(ids) not in self.cache:
            logits = self.model(input_ids=torch.tensor([ids])).logits[0, -1].float()
            if not keep:
                return logits
            self.cache[tuple(ids)] = logits
        return self.cache[tuple(ids)]


class Handler(BaseHTTPRequestHandler):
    """HTTP around a `StandIn`."""

    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.connections.append(self.connection)  # type: ignore[attr-defined]

    def do_GET(self) -> None:
        self.reply({})

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.reply(json.loads(self.rfile.read(size)) if size else {})

    def reply(self, body: Json) -> None:
        served: StandIn = self.server.served  # type: ignore[attr-defined]
        if served.dead:
            self.close_connection = True
            return
        try:
            answer, status = served.answer(self.path.split("?")[0], body), 200
        except AssertionError as error:
            answer, status = {"error": f"{error!r}"}, 400
        if served.dead:
            self.close_connection = True
            return
        if answer is None:
            answer, status = {"detail": "Not Found"}, 404
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def serving(stand_in: StandIn) -> Iterator[str]:
    """The address at which it answers, a free port, until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False  # `server_close` waits for them: a daemon could meet the end of the interpreter
    server.served, server.connections = stand_in, []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        for connection in server.connections:  # type: ignore[attr-defined]
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.server_close()
        thread.join()
