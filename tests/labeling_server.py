"""A labeling server in a process of its own, and Chromium: what the browser tests share."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import uvicorn

from alignment.preferences.store import Store
from labeling_ui.app import Setup, make_app
from labeling_ui.guard import Site

ROOT = Path(__file__).resolve().parents[1]


class Process:
    """`align label` as a user starts it; may be killed and started again on the same port and store."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder, self.arguments, self.port = folder, arguments, free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Seconds until it said where it is."""
        command = [sys.executable, "-m", "alignment", "label", "--port", str(self.port), *self.arguments]
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}", "PYTHONUNBUFFERED": "1"}
        began = time.monotonic()
        self.child = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self.child.stdout is not None
        self.printed = ""
        for line in self.child.stdout:
            self.printed += line
            if line.startswith("stop with"):
                return time.monotonic() - began
        raise AssertionError(f"it did not start: {self.printed}")

    def kill(self) -> None:
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(20)

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """(exit code, all that it printed)."""
        self.child.send_signal(number)
        assert self.child.stdout is not None
        self.printed += self.child.stdout.read()
        return self.child.wait(30), self.printed


class Thread:
    """The same server within the test's process: its store and its clock can be reached."""

    def __init__(self, store: Store, guidelines: str = "# Rules\n\nBe **kind**.", **setup) -> None:
        self.store, self.port = store, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        app = make_app(store, Setup(Site(frozenset({self.url})), guidelines, **setup))
        config = uvicorn.Config(
            app, port=self.port, log_level="warning", timeout_graceful_shutdown=1, ws="none", server_header=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.02)

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def opened(folder: Path, name: str = "labels.db") -> Store:
    return Store(str(folder / name), draw=random.Random(1), gold_share=0.0)


def order(page) -> str:
    """The order in the dock, such as `B>A=C`."""
    tiers = page.locator(".order .tier").all()
    return ">".join("=".join(re.findall("[A-I]", tier.inner_text())) for tier in tiers)
