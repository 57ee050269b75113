"""Shared by the tests of rollouts by vLLM: the stand-in package, free ports, settings of a small run."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

PACKAGES = Path(__file__).parent / "packages"
PROMPTS = ["The cat", "Anna has a red kite. Tom keeps", "Where is the boat? The", "Tom", "The moon. The warm mat and"]
REWARD = f"{__file__}:letters"


def letters(prompt: str, responses: list[str]) -> list[float]:
    return [float(text.count("e") - text.count("t")) + 0.01 * len(text) for text in responses]


@contextlib.contextmanager
def stand_in_package(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """`import vllm` finds the stand-in; this machine has a GPU to send weights from, in name; lost servers are noticed at once."""
    _forget()
    patch.syspath_prepend(str(PACKAGES))
    patch.setattr("ppo.vllm_server.device", lambda: torch.device("cuda"))
    patch.setattr("urllib3.util.retry.Retry.get_backoff_time", lambda self: 0.0)
    try:
        yield
    finally:
        _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "vllm" or name.startswith("trl.generation")]:
        del sys.modules[name]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def write_prompts(folder: Path) -> str:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    return str(path)


def line(policy: str, prompts: str, url: str, output: Path, *more: str) -> list[str]:
    """The arguments of a small run; the last of two equal flags counts."""
    small = "--batch-size 8 --minibatch-size 4 --max-new-tokens 6 --ppo-epochs 1 --steps 2 --lr 1e-3 --kl-max 1e9"
    engine = ["--rollout-engine", "vllm", "--vllm-url", url, "--vllm-group-port", str(free_port())]
    named = ["--policy", policy, "--prompts", prompts, "--reward", REWARD, "--output", str(output)]
    return [*named, *small.split(), "--approx-kl-target", "off", *engine, *more]


def history(output: Path) -> list[dict[str, float]]:
    return [json.loads(row) for row in (output / "history.jsonl").read_text().splitlines()]
