"""What the latest rankings changed in the reward model, kept as events for the team's page."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from alignment.preferences.events import Receipt, append, earlier, receipt
from alignment.preferences.ids import digest_of
from alignment.preferences.schema import EVENTS

KIND = "reward_change"

BY = "align reward changes"
"""Who wrote them, and no other event: by their author the database finds them at once among millions of labels."""


def add(connection: Connection, now: int, change: dict[str, Any]) -> Receipt:
    """One more event; its key is the change's content, so that a repeated run does not keep it twice."""
    key = digest_of(change)
    known = earlier(connection, BY, key, key)
    if known is not None:
        return receipt(known, change, repeated=True)
    number = append(connection, now, BY, KIND, change, key=key)
    made = connection.execute(select(EVENTS).where(EVENTS.c.number == number)).one()
    return receipt(made, change, repeated=False)
