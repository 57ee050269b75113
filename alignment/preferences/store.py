"""The preference store, as the labeling app, the simulated annotators and the loop use it. docs/store.md shows how."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection

from alignment.preferences import (
    adding,
    adjudication,
    annotators,
    bringing,
    headway,
    labels,
    leases,
    overview,
    reward_changes,
    snapshots,
    tasks,
)
from alignment.preferences.adding import Added, Queue
from alignment.preferences.adjudication import OthersAnswer
from alignment.preferences.annotators import Annotator
from alignment.preferences.engine import durability, make_engine, shown_url, store_url
from alignment.preferences.events import Receipt, append
from alignment.preferences.headway import Headway
from alignment.preferences.labels import Past, Submission
from alignment.preferences.leases import Terms
from alignment.preferences.opening import open_database
from alignment.preferences.overview import AuditEntry, Progress
from alignment.preferences.reading import AT_ONCE, STANDING, Choice, Label, Records, labels_at, records, standing
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
        return self.add_runs([(records, queue or Queue())], kind=kind, source=source, by=by)

    def add_runs(
        self,
        runs: Iterable[tuple[Iterable[PromptRecord | ResponseSet], Queue]],
        *,
        kind: str = "rank",
        source: str | None = None,
        by: str = "",
    ) -> Added:
        """Several `add_tasks` in one, all or nothing; people get them in this order."""
        drafts = [
            (queue, [adding.draft(one, kind, queue.purpose, source) for one in records]) for records, queue in runs
        ]

        def work(connection: Any) -> Added:
            total = Added(0, 0)
            for queue, some in drafts:
                added, _ = adding.add(connection, some, queue)
                append(connection, self._now(), by, "tasks", {"kind": kind, **vars(queue), **vars(added)})
                total = Added(total.new + added.new, total.known + added.known)
            return total

        added = self.write(work)
        self._counted = NEVER
        return added

    def rank_tasks(self, limit: int) -> list[ResponseSet]:
        """The newest tasks to rank, answered or not, without gold and practice items."""
        return self.read(lambda c: tasks.newest_to_rank(c, limit))

    def without_task(self, records: Iterable[ResponseSet]) -> list[ResponseSet]:
        """Those of the records that `add_tasks` would make a new task to rank of."""
        return self.read(lambda c: tasks.without_task(c, list(records)))

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

    # A reviewer, where annotators disagree

    def adjudicate(self, reviewer: str, task: int) -> TaskView:
        """A task (by its number) for the reviewer to rank, as `next_task` gives it, beyond the labels that it asks for; its
        `lease` does not run out. Refused where the reviewer has had it, or wrote one of its texts."""
        return self.write(lambda c: adjudication.take_up(c, self._now(), reviewer, task, self._terms.draw))

    def adjudications(self) -> dict[int, set[str]]:
        """Number of a task → the reviewers who took it up and whose answer stands."""
        return self.read(adjudication.settled)

    def answers_to(self, reviewer: str, lease: str) -> list[OthersAnswer]:
        """What all others said of a task that the reviewer adjudicated, in the slots that the reviewer saw."""
        return self.read(lambda c: adjudication.others(c, reviewer, lease))

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

    def labels(self, choice: Choice = STANDING) -> list[Label]:
        """Standing labels with everything known of them, oldest first: for agreement, bias and quality. For the team only."""
        return self.read(lambda c: list(read_labels(c, None, choice)))

    def known_answers(self) -> dict[int, tuple[int | None, ...]]:
        """Number of a gold or practice item's task → its known ranks by position."""
        return self.read(overview.known_answers)

    def headway(self) -> Headway:
        """By kind of task, by day, and why tasks were skipped."""
        return self.read(headway.headway)

    def snapshot(self, by: str = "") -> Snapshot:
        """All labels of now under a name made of their content; the same labels again are the same snapshot. Those of
        quarantined annotators are left out.

        Now is one short look at which labels stand. What they say never changes, and is read after it in short looks too, so
        that annotators, whose commits may have to wait for a look, do not notice."""
        numbers = self.read(standing)
        parts = [numbers[first : first + AT_ONCE] for first in range(0, len(numbers), AT_ONCE)]
        found = [label for part in parts for label in self._labels_at(part)]
        made = snapshots.prepared(found)
        return self.write(lambda c: snapshots.keep(c, self._now(), by, made))

    def _labels_at(self, numbers: list[int]) -> list[Label]:
        return self.read(lambda c: labels_at(c, numbers))

    def snapshots(self) -> list[Snapshot]:
        return self.read(snapshots.every)

    def records(self, snapshot: str | None = None) -> Records:
        """Of a snapshot (by its name or how it begins), checked against that name, in an order that its content decides;
        None: of the labels that stand now, oldest first."""
        if snapshot is None:
            return self.read(lambda c: records(read_labels(c)))
        return self.read(lambda c: snapshots.read(c, snapshots.find(c, snapshot)))

    def add_reward_change(self, change: dict[str, Any]) -> Receipt:
        """What `align reward changes` found, for the team. The same change again is known, and not kept twice."""
        return self.write(lambda c: reward_changes.add(c, self._now(), change))

    def reward_changes(self, limit: int = 1) -> list[AuditEntry]:
        """The newest of them, newest first; `body` is the change."""
        return self.trail(None, limit, by=reward_changes.BY, kind=reward_changes.KIND)

    def digest(self) -> str:
        """The name that a snapshot of now would have."""
        return snapshots.records_digest(self.records())

    def audit(self, after: int = 0, limit: int = 100) -> list[AuditEntry]:
        """The append-only log: events with a number above `after`, oldest first."""
        return self.read(lambda c: overview.audit(c, after, limit))

    def trail(
        self, before: int | None = None, limit: int = 100, *, by: str | None = None, kind: str | None = None
    ) -> list[AuditEntry]:
        """The log, newest first: events with a number below `before`, of one person or one kind."""
        return self.read(lambda c: overview.trail(c, before, limit, by, kind))

    def newest(self) -> int:
        """The number of the newest event: while it is the same, nothing has happened."""
        return self.read(overview.newest)

    def info(self) -> dict[str, Any]:
        """What it is, how it keeps what it acknowledged, and how much it holds."""
        held = self.read(overview.counts)
        return {"store": self.shown, "durability": durability(self.engine), **held}


@contextmanager
def existing(url: str) -> Iterator[Store]:
    """A store that must be there."""
    with Store(url, create=False) as store:
        yield store
