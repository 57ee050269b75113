"""`align label`: opens the store, binds the port, serves until it is stopped. `align label user`: writes the file of people."""

from __future__ import annotations

import contextlib
import getpass
import socket
import sys
from pathlib import Path
from typing import Any

from alignment.command import Outcome
from alignment.errors import UserError
from alignment.exit_codes import INTERRUPTED
from alignment.preferences.store import Store
from alignment.text_files import read_text
from labeling_ui.accounts import Accounts, add_account
from labeling_ui.claim import only_server
from labeling_ui.config import DEMO_STORE, LOOPBACK, WILDCARD, LabelSettings, LabelUserSettings
from labeling_ui.demo import fill
from labeling_ui.networks import Proxy, networks
from labeling_ui.practice import add_practice

GRACE_SECONDS = 3
"""What open pages get to finish when the server is stopped; without a bound it would wait for them for ever."""


def label(settings: LabelSettings) -> Outcome:
    """Runs until Ctrl-C. What was acknowledged is in the store by then."""
    guidelines = None if settings.guidelines is None else _guidelines(settings.guidelines)
    if settings.auth is not None:
        Accounts(settings.auth)  # refuses a file that is none before anything is made
    with _bound(settings) as listener:
        url = settings.store or DEMO_STORE
        with Store(url, gold_share=settings.gold_share) as store, only_server(store, _address(settings, listener)):
            if settings.store is None:
                fill(store)
            if settings.practice:
                add_practice(store)
            _serve(store, settings, listener, guidelines)
            return Outcome({"store": store.shown}, f"\nstopped; every saved label is in {store.shown}", INTERRUPTED)


def add_user(settings: LabelUserSettings) -> dict[str, Any]:
    """The password is read from the terminal, or from the first line of stdin."""
    password: str | None
    if not settings.password:
        password = None
    elif sys.stdin.isatty():
        password = getpass.getpass(f"password for {settings.name}: ")
        if getpass.getpass("once more: ") != password:
            raise UserError("the two passwords differ; type the same one twice")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    new = add_account(Path(settings.auth), settings.name, settings.role, password)
    return {"auth": settings.auth, "name": settings.name, "role": settings.role, "new": new}


def _serve(store: Store, settings: LabelSettings, listener: socket.socket, guidelines: str | None) -> None:
    import uvicorn

    from labeling_ui.app import Setup, built_in_guidelines, make_app
    from labeling_ui.guard import Site
    from labeling_ui.server import AnnouncingServer

    port = listener.getsockname()[1]
    address = _address(settings, listener)
    setup = Setup(
        site=Site(origins(settings, port)),
        guidelines=guidelines or built_in_guidelines(),
        practice=settings.practice,
        auth=settings.auth,
        proxy=_proxy(settings),
        session_seconds=settings.session_hours * 3600,
    )
    config = uvicorn.Config(
        make_app(store, setup),
        log_level="warning",
        access_log=False,
        server_header=False,
        # Who the proxy is must be seen on the connection itself, not in a header of the request.
        proxy_headers=settings.origin is not None and settings.auth_proxy is None,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ws="none",
    )
    with contextlib.suppress(KeyboardInterrupt):  # the normal way to stop it
        AnnouncingServer(config, _greeting(store.shown, address, settings)).run(sockets=[listener])


def _address(settings: LabelSettings, listener: socket.socket) -> str:
    """What people open."""
    return settings.origin or f"http://{_in_url(settings.host)}:{listener.getsockname()[1]}"


def _proxy(settings: LabelSettings) -> Proxy | None:
    if settings.auth_proxy is None:
        return None
    return Proxy(settings.auth_proxy.lower(), networks(str(settings.trust)), settings.proxy_logout)


def origins(settings: LabelSettings, port: int) -> frozenset[str]:
    """How a browser may name this server."""
    names = set(LOOPBACK) if settings.host in (*LOOPBACK, *WILDCARD) else {settings.host}
    own = {f"http://{_in_url(name)}:{port}" for name in names}
    return frozenset({settings.origin.lower()} | own if settings.origin else own)


def _bound(settings: LabelSettings) -> socket.socket:
    """The port, taken before anything else is done: who finds it taken has made nothing."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise UserError(
            f"--port {settings.port} on --host {settings.host} cannot be used ({error.strerror}); "
            "stop what uses it, or give another, or 0 for a free one"
        ) from None
    return listener


def _greeting(store: str, address: str, settings: LabelSettings) -> str:
    who = "one annotator, this machine alone" if settings.auth is None else f"people of {settings.auth}"
    if settings.auth_proxy:
        who += f", named in {settings.auth_proxy} by {settings.trust}"
    lines = [f"label at   {address}", f"store      {store}", f"for        {who}", "stop with  Ctrl-C"]
    if settings.auth and address.startswith("http://") and settings.host not in LOOPBACK:
        lines.append(
            "NOT ENCRYPTED: passwords and labels can be read on the way; put a proxy with TLS before it (--origin)"
        )
    return "\n".join(lines)


def _guidelines(path: str) -> str:
    text = read_text(Path(path), "--guidelines", "a Markdown file")
    if not text.strip():
        raise UserError(f"--guidelines {path}: is empty; write what annotators shall go by")
    return text


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
