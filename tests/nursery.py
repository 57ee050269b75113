"""Labeling servers without pages, each forked off a process that has imported all of it: one answers after milliseconds.

    with Nursery() as nursery:
        server = Forked(nursery, "labels.db", auth="people.json")
        server.start()
        server.kill()

Run as a program it is that process. It takes orders as lines of JSON on stdin, and ends with it and all its servers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODES = {"wal": ("wal", "FULL"), "delete": ("delete", "EXTRA")}
"""(journal_mode, synchronous) that SQLite is used in."""


class Nursery:
    """environment: for the process and all its servers, such as LD_PRELOAD."""

    def __init__(self, **environment: str) -> None:
        paths = os.pathsep.join([str(HERE.parent), str(HERE.parent / "kernels"), str(HERE)])
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "nursery.py")], env={**os.environ, "PYTHONPATH": paths, **environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, order: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


class Forked:
    """A server of the nursery's, killed and started again like `labeling_server.Process`."""

    def __init__(
        self, nursery: Nursery, store: str, auth: str | None = None, journal: str | None = None, lease: float = 1800
    ) -> None:
        """journal: `wal` or `delete`, whatever the linked SQLite is. lease: seconds."""
        self._nursery = nursery
        self._order = {"store": store, "auth": auth, "journal": journal, "lease": lease}
        self.port = quiet_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self, **environment: str) -> None:
        """Returns once it answers."""
        self.pid = self._nursery.ask({**self._order, "port": self.port, "environment": environment})

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Its exit code, once it has ended; −N where signal N ended it."""
        return self._nursery.ask({"wait": self.pid})


def quiet_port() -> int:
    """A free port outside of those that outgoing connections draw: a client that keeps asking for a server that is gone
    could otherwise be given that very port, and be connected to itself."""
    import random
    import socket

    while True:
        port = random.randrange(15_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def main() -> None:
    running: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            running.discard(order["wait"])
            print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
        else:
            running.add(child := fork(order))
            print(child, flush=True)
    for child in running:
        os.kill(child, signal.SIGKILL)


def fork(order: dict[str, Any]) -> int:
    """The process of a server that answers."""
    said, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(said)
        os.environ.update(order["environment"])
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        sys.stdout = os.fdopen(tell, "w")
        serve(order)
        os._exit(0)
    os.close(tell)
    with os.fdopen(said) as reader:
        assert reader.readline() == "ready\n", "the server did not start"
    return child


def serve(order: dict[str, Any]) -> None:
    if order["journal"]:
        engine.sqlite_mode = lambda: MODES[order["journal"]]
    store = Store(order["store"], gold_share=0.0, lease_seconds=order["lease"])
    setup = Setup(Site(frozenset({f"http://127.0.0.1:{order['port']}"})), "# Rules", practice=False, auth=order["auth"])
    config = uvicorn.Config(make_app(store, setup, pages=False), port=order["port"], log_level="warning", ws="none")
    with only_server(store, "a test"):
        AnnouncingServer(config, "ready").run()


if __name__ == "__main__":
    import uvicorn

    from alignment.preferences import engine
    from alignment.preferences.store import Store
    from labeling_ui.app import Setup, make_app
    from labeling_ui.claim import only_server
    from labeling_ui.guard import Site
    from labeling_ui.server import AnnouncingServer

    main()
