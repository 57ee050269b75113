"""A process of the chaos tests: labels until there is nothing left, and says what was acknowledged.

python writer.py URL ANNOTATOR LOG. Before an answer is sent its key goes to LOG ("sent KEY"), after the receipt "saved KEY
EVENT". Both lines reach the system at once, so they survive a SIGKILL of this process. A key that was sent and not
acknowledged by the process before is sent again first, as a browser's outbox would. RECEIPT_SECONDS: how long a receipt is on
its way."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

from alignment.preferences.errors import Unavailable
from alignment.preferences.store import Store


def main(url: str, name: str, log: str) -> None:
    open_sent = unanswered(Path(log))
    with open(log, "a", buffering=1) as file:
        store = patiently(lambda: Store(url, gold_share=0.0))
        while True:
            if open_sent is None:
                task = patiently(lambda: store.next_task(name))
                if task is None:
                    return
                answer = {"tiers": [[card.slot] for card in task.cards]}
                open_sent = {"key": os.urandom(8).hex(), "lease": task.lease, "answer": answer}
                file.write(f"sent {json.dumps(open_sent)}\n")
            sent = open_sent
            receipt = patiently(lambda sent=sent: store.submit(name, sent["lease"], sent["answer"], sent["key"]))
            time.sleep(float(os.environ.get("RECEIPT_SECONDS", "0")))
            file.write(f"saved {sent['key']} {receipt.event} {receipt.counted}\n")
            open_sent = None


def unanswered(log: Path) -> dict | None:
    """The answer that was sent last, if no receipt came."""
    lines = log.read_text().splitlines() if log.exists() else []
    return json.loads(lines[-1].removeprefix("sent ")) if lines and lines[-1].startswith("sent ") else None


def patiently(call):
    """Again until the database answers."""
    for _ in range(600):
        try:
            return call()
        except Unavailable:
            time.sleep(0.05)
    raise TimeoutError


if __name__ == "__main__":
    main(*sys.argv[1:])
