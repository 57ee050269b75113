"""The preference store, as the labeling app, the simulated annotators and the loop use it. docs/store.md shows how."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection

from alignment.preferences import adding, annotators, bringing, labels, leases, overview, snapshots
from alignment.preferences.adding import Added, Queue
from alignment.preferences.annotators import Annotator
from alignment.preferences.engine import durability, make_engine, shown_url, store_url
from alignment.preferences.events import Receipt, append
from alignment.preferences.labels import Past, Submission
from alignment.preferences.leases import Terms
from alignment.preferences.opening import open_database
from alignment.preferences.overview import AuditEntry, GoldResult, Progress
from alignment.preferences.reading import Label, Records, records
from alignment.preferences.reading import labels as read_labels
from alignment.preferences.snapshots import Snapshot
from alignment.preferences.transactions import Transactions
from alignment.preferences.views import TaskView
from alignment.records import Demonstration, PromptRecord, Ranking, ResponseSet, Verdict

T = TypeVar("T")

LEASE_SECONDS = 30 * 60
"""Ours: longer than a long ranking takes, shorter than a lunch."""

RECLAIM_EVERY_MS = 1_000

WANTED_SECONDS = 10.0
NEVER = (-WANTED_SECONDS, 0)

GOLD_SHARE = 0.05
"""Half of the 10 % for duplicates and gold items in "what to label next"."""


def system_clock() -> float:
    return time.time()


class Store:
    """A store that is open. Every method returns after its commit; methods may be called from many threads at once.

    Raises Refused where the call makes no sense, with a `reason`, and Unavailable where the database cannot just now: then
    the same call may be repeated, with the same key. Both are UserErrors of one sentence (errors.py)."""

    def __init__(
        self,
        url: str,
        *,
        create: bool = True,
        lease_seconds: float = LEASE_SECONDS,
        gold_share: float = GOLD_SHARE,
        draw: random.Random | None = None,
        clock: Callable[[], float] = system_clock,
    ) -> None:
        """url: a path (SQLite) or `postgresql://...`. create: make the store where there is none. draw: shuffles the cards;
        only tests give one. clock: seconds since 1970."""
        parsed = store_url(url)
        self.shown = shown_url(parsed)
        self.engine = make_engine(parsed)
        self._terms = Terms(int(lease_seconds * 1000), gold_share, draw or random.SystemRandom())
        self._clock = clock
        self._reclaimed = 0
        self._counted = NEVER
        self._transactions = Transactions(self.engine, self.shown)
        try:
            open_database(self.engine, self.shown, create)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._transactions.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _now(self) -> int:
        return int(self._clock() * 1000)

    def read(self, work: Callable[[Connection], T]) -> T:
        """One consistent look, for the modules of the store."""
        return self._transactions.read(work)

    def write(self, work: Callable[[Connection], T]) -> T:
        """All of `work` or nothing, returned after the commit; for the modules of the store."""
        return self._transactions.write(work)

    # The team: who labels, and what

    def add_annotator(self, name: str, role: str = "annotator", by: str = "") -> None:
        """role: annotator, reviewer or admin. A known annotator gets that role. by: who did it, for the audit trail."""
        self.write(lambda c: annotators.add(c, self._now(), name, role, by))

    def annotators(self) -> list[Annotator]:
        return self.read(annotators.everyone)

    def quarantine(self, name: str, reason: str, by: str = "") -> None:
        """Snapshots made from now on leave this annotator's labels out; nothing is deleted. They get no more tasks."""
        self.write(lambda c: annotators.quarantine(c, self._now(), name, True, reason, by))

    def release(self, name: str, reason: str, by: str = "") -> None:
        self.write(lambda c: annotators.quarantine(c, self._now(), name, False, reason, by))

    def add_tasks(
        self,
        records: Iterable[PromptRecord | ResponseSet],
        queue: Queue | None = None,
        *,
        kind: str = "rank",
        source: str | None = None,
        by: str = "",
    ) -> Added:
        """Prompts, responses and tasks in one. Adding the same records again adds nothing, but raises the overlap and sets
        the priority to the queue's.

        kind: rank (2 to 9 responses), edit (the best of 1 to 9), judge (one response: good or bad), write (a prompt).
        source: goes into the records, for measures by source."""
        chosen = queue or Queue()
        drafts = [adding.draft(record, kind, chosen.purpose, source) for record in records]

        def work(connection: Any) -> Added:
            added, _ = adding.add(connection, drafts, chosen)
            append(connection, self._now(), by, "tasks", {"kind": kind, **vars(chosen), **vars(added)})
            return added

        added = self.write(work)
        self._counted = NEVER
        return added

    def add_gold(
        self, rankings: Iterable[Ranking], *, practice: bool = False, note: str | None = None, by: str = ""
    ) -> Added:
        """Items with a known answer, for everybody: silently mixed in, or for practice, with feedback and a note."""
        found = list(rankings)
        return self.write(lambda c: bringing.add_gold(c, self._now(), found, practice, note, by))

    def import_records(self, found: Iterable[Ranking | Demonstration | Verdict], by: str = "") -> Added:
        """Labels made elsewhere, all or none. What is there already is not added twice; see bringing.py."""
        given = list(found)
        return self.write(lambda c: bringing.add_labels(c, self._now(), given, by))

    # An annotator

    def next_task(self, annotator: str, *, practice: bool = False) -> TaskView | None:
        """The task that the annotator holds, or the next; None where there is none for them. A reload gives the same one."""
        return self.next_task_soon(annotator, practice=practice).result()

    def next_task_soon(self, annotator: str, *, practice: bool = False) -> Future[TaskView | None]:
        """The same for a server that waits for many at once; done after the commit. A future of concurrent.futures."""
        return self._transactions.write_soon(
            lambda c: leases.next_task(c, self._now(), annotator, self._terms, practice), before=self._reclaiming()
        )

    def _reclaiming(self) -> Callable[[Connection], None] | None:
        """Once a second at most, in a transaction of its own: it takes rows in another order than the others."""
        now = self._now()
        if abs(now - self._reclaimed) < RECLAIM_EVERY_MS:
            return None
        self._reclaimed = now
        return lambda c: leases.reclaim(c, now)

    def submit(self, annotator: str, lease: str, answer: dict[str, Any], key: str, edits: int | None = None) -> Receipt:
        """Saves an answer. key: drawn by the client for this answer and kept for every retry. edits: the number of the
        annotator's event that it replaces. docs/store.md shows an answer of each kind."""
        return self.submit_soon(annotator, lease, answer, key, edits).result()

    def submit_soon(
        self, annotator: str, lease: str, answer: dict[str, Any], key: str, edits: int | None = None
    ) -> Future[Receipt]:
        """The same for a server that waits for many at once; done after the commit."""
        sent = Submission(lease, answer, key, edits)
        return self._transactions.write_soon(lambda c: labels.submit(c, self._now(), annotator, sent))

    def skip(self, annotator: str, lease: str, reason: str, key: str) -> Receipt:
        """Gives the task to others; this annotator does not see it again."""
        return self.write(lambda c: labels.skip(c, self._now(), annotator, lease, reason, key))

    def undo(self, annotator: str, key: str) -> TaskView:
        """Takes the newest answer back, by a new event, and gives its task again, with what was answered."""
        return self.write(lambda c: labels.undo(c, self._now(), annotator, key, self._terms.lease_ms))

    def history(self, annotator: str, limit: int = 20) -> list[Past]:
        """The annotator's answers, newest first, in slots, with what an edit needs: `task.lease` and `event`."""
        return self.read(lambda c: labels.history(c, annotator, limit))

    def save_draft(self, annotator: str, lease: str, draft: str) -> None:
        """Any text of the client's; `TaskView.draft` gives it back until the task is answered."""
        self.write(lambda c: labels.save_draft(c, annotator, lease, draft))

    def feedback(self, annotator: str, lease: str) -> dict[str, Any]:
        """{tiers, unranked, note}: the known answer of a practice item that the annotator has answered, in slots."""
        return self.read(lambda c: labels.feedback(c, annotator, lease))

    # What it comes to

    def progress(self, annotator: str | None = None) -> Progress:
        """Quick, but for `wanted`, which is at most WANTED_SECONDS old where another process adds tasks."""
        return self.read(lambda c: overview.progress(c, annotator, self._wanted(c)))

    def _wanted(self, connection: Connection) -> int:
        at, wanted = self._counted
        if time.monotonic() - at >= WANTED_SECONDS:
            wanted = overview.wanted(connection)
            self._counted = (time.monotonic(), wanted)
        return wanted

    def gold_results(self, *, practice: bool = False) -> list[GoldResult]:
        return self.read(lambda c: overview.gold_results(c, practice))

    def labels(self, *, purpose: str = "label", quarantined: bool = False) -> list[Label]:
        """Standing labels with everything known of them, oldest first: for agreement, bias and quality. For the team only."""
        return self.read(lambda c: list(read_labels(c, None, purpose, quarantined)))

    def snapshot(self, by: str = "") -> Snapshot:
        """All labels of now under a name made of their content; the same labels again are the same snapshot."""
        return self.write(lambda c: snapshots.take(c, self._now(), by))

    def snapshots(self) -> list[Snapshot]:
        return self.read(snapshots.every)

    def records(self, snapshot: str | None = None) -> Records:
        """Of a snapshot (by its name or how it begins), checked against that name, in an order that its content decides;
        None: of the labels that stand now, oldest first."""
        if snapshot is None:
            return self.read(lambda c: records(read_labels(c)))
        return self.read(lambda c: snapshots.read(c, snapshots.find(c, snapshot)))

    def audit(self, after: int = 0, limit: int = 100) -> list[AuditEntry]:
        """The append-only log: events with a number above `after`, oldest first."""
        return self.read(lambda c: overview.audit(c, after, limit))

    def info(self) -> dict[str, Any]:
        """What it is, how it keeps what it acknowledged, and how much it holds."""
        held = self.read(overview.counts)
        return {"store": self.shown, "durability": durability(self.engine), **held}


@contextmanager
def existing(url: str) -> Iterator[Store]:
    """A store that must be there."""
    with Store(url, create=False) as store:
        yield store
