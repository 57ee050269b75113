"""A PostgreSQL of the tests' own: a fresh cluster in a temporary folder on a free port, gone afterwards."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

REASON = "PostgreSQL is not installed: apt-get install postgresql (initdb and postgres are looked for)"


def binaries() -> Path | None:
    """The folder of `initdb` and `postgres`."""
    folders = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        Path("/usr/local/bin"),
        Path("/usr/bin"),
    ]
    return next(
        (folder.resolve() for folder in folders if all((folder / n).exists() for n in ("initdb", "postgres"))), None
    )


class Cluster:
    """`fast`: without fsync, for tests that kill nothing. PostgreSQL refuses to run as root: then it runs as `postgres`
    or `nobody`."""

    def __init__(self, fast: bool) -> None:
        found = binaries()
        assert found is not None
        self.bin = found
        self.user = _someone() if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="align-postgres-"))
        if self.user:
            shutil.chown(self.folder, self.user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.fast = fast
        self.databases = 0
        self._run(
            "initdb", "-D", self.folder / "data", "-U", "align", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"
        )
        self.start()

    def start(self) -> None:
        """Also after a kill: what a crash left is recovered from the log."""
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)
        settings = {"port": self.port, "listen_addresses": "127.0.0.1", "unix_socket_directories": self.folder}
        settings |= {"max_connections": 200, "fsync": "off" if self.fast else "on"}
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.server = subprocess.Popen(
            [self.bin / "postgres", "-D", self.folder / "data", *words],
            user=self.user, start_new_session=True, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self.answers():
            assert time.monotonic() < deadline, "PostgreSQL did not start"
            time.sleep(0.05)

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL for the server and every process it started."""
        os.killpg(self.server.pid, signal.SIGKILL)
        self.server.wait()

    def stop(self) -> None:
        self.kill()  # nothing of it is kept
        shutil.rmtree(self.folder)

    def new_database(self, **settings: int) -> str:
        """The URL of an empty one, with these settings of the server's, such as commit_delay."""
        import psycopg

        self.databases += 1
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE d{self.databases}")
            for name, value in settings.items():
                connection.execute(f"ALTER DATABASE d{self.databases} SET {name} = {value}")
        return self.url(f"d{self.databases}")

    def url(self, database: str) -> str:
        return f"postgresql://align@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *words: object) -> None:
        subprocess.run([self.bin / program, *map(str, words)], user=self.user, cwd="/", check=True, capture_output=True)


def _someone() -> str:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    return getpass.getuser()
