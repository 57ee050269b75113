"""People whom a proxy has logged in: it names them in a header, which counts from the proxy's own address alone."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, Request

from alignment.errors import UserError
from alignment.preferences.annotators import checked_name
from alignment.preferences.store import Store
from labeling_ui.accounts import Accounts
from labeling_ui.guard import Identify, Refusal
from labeling_ui.networks import Proxy
from labeling_ui.roles import Person


def identify_by(proxy: Proxy, accounts: Accounts) -> Identify:
    """Who is not in the file of people is refused: a proxy knows a whole company, and not all of it labels."""
    name = proxy.header.encode()

    def identify(scope: dict[str, Any]) -> Person | Refusal | None:
        values = [value for header, value in scope["headers"] if header.lower() == name]
        if not proxy.sent(scope.get("client")):
            return _refused("this page is reached through its proxy alone; open the address that you were given")
        if not values:
            return None
        if len(values) > 1:
            return _refused(f"the proxy sent {proxy.header} twice; let it set the header, and drop what a browser sent")
        return _named(values[0], proxy.header, accounts)

    return identify


def _named(value: bytes, header: str, accounts: Accounts) -> Person | Refusal:
    try:
        name = checked_name(value.decode("utf-8"))
    except (UnicodeDecodeError, UserError):
        return _refused(f"the name in {header} is none that an annotator can have; let the proxy send another field")
    account = accounts.find(name)
    if account is None:
        return _refused(f"{name} is not in the file of people; an admin adds them with `align label user`")
    return Person(name, account.role)


def _refused(sentence: str) -> Refusal:
    return Refusal(403, "proxy", sentence)


def enrolled(store: Store) -> Any:
    """A dependency of the routes: whoever comes for the first time, or in another role, is written into the store."""
    known: set[Person] = set()

    def enroll(request: Request) -> None:
        person = request.scope.get("person")
        if person is not None and person not in known:
            store.add_annotator(person.name, person.role, by="align label")
            known.add(person)

    return Depends(enroll)
