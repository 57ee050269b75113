"""Transactions: what is returned has been committed. On SQLite, calls that wait together share one commit; on PostgreSQL a
few are carried out at once, in the order in which they came."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, exc

from alignment.preferences.errors import unavailable

T = TypeVar("T")

TRIES = 5
"""Of a transaction that PostgreSQL broke off to resolve a deadlock (SQLSTATE class 40)."""

AT_ONCE = 64
"""Calls that one commit carries at most."""

WRITERS = 3
"""Transactions that change PostgreSQL at once, of one process: fewer than `engine.py` opens connections, so reads find one.

Ours: 50 annotators over HTTP were answered 241 labels/s with 3, 210 with 5 and 180 with 8, whose threads wait for the
interpreter more than for the database (2 cores, the database beside it)."""


class _Job:
    """A call that waits for its commit."""

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self.work = work
        self.outcome: Future[Any] = Future()
        self.result: Any = None
        self.error: Exception | None = None


class Transactions:
    """Reads and writes of one store. Safe to share between threads.

    A commit on SQLite waits for the disk several times, whatever it holds. So one thread writes: it takes all calls that
    queued up while it committed, each in a savepoint of its own, so that a refused one takes no other with it, and commits
    them together. PostgreSQL groups commits by itself, so a few threads write. They take calls in the order in which those
    came: where all wait for a free connection, whoever just gave one back gets it again, and the others wait for seconds."""

    def __init__(self, engine: Engine, shown: str) -> None:
        self.engine = engine
        self.shown = shown
        self._waiting: SimpleQueue[_Job | None] = SimpleQueue()
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()
        self._writers = ThreadPoolExecutor(WRITERS, "store-writer")  # starts no thread before the first call

    def close(self) -> None:
        """What was asked for before is carried out first."""
        if self._writer is not None:
            self._waiting.put(None)
            self._writer.join()
            self._writer = None
        self._writers.shutdown()
        self.engine.dispose()

    def read(self, work: Callable[[Connection], T]) -> T:
        """One consistent look at the store."""
        try:
            with self.engine.connect().execution_options(reads=True) as connection, connection.begin():
                if self.engine.dialect.name == "postgresql":
                    connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                return work(connection)
        except exc.SQLAlchemyError as error:
            raise unavailable(error, self.shown) from error

    def write(self, work: Callable[[Connection], T]) -> T:
        """All of `work` or nothing of it; returns after the commit. Unavailable: not acknowledged, may be repeated."""
        return self.write_soon(work).result()

    def write_soon(
        self, work: Callable[[Connection], T], before: Callable[[Connection], Any] | None = None
    ) -> Future[T]:
        """The same for who does not want to wait in a thread: it is done after the commit. before: a transaction that is
        carried out first, whatever comes of it."""
        works = [one for one in (before, work) if one is not None]
        if self.engine.dialect.name == "sqlite":
            return [self._together(one) for one in works][-1]
        return self._writers.submit(self._in_turn, works)

    def _in_turn(self, works: list[Callable[[Connection], Any]]) -> Any:
        *before, work = works
        for one in before:
            with contextlib.suppress(exc.SQLAlchemyError):
                self._alone(one)
        try:
            return self._alone(work)
        except exc.SQLAlchemyError as error:
            raise unavailable(error, self.shown) from error

    def _alone(self, work: Callable[[Connection], T]) -> T:
        for attempt in range(TRIES):
            try:
                with self.engine.begin() as connection:
                    return work(connection)
            except exc.DBAPIError as error:
                state = getattr(error.orig, "sqlstate", None) or ""
                if attempt == TRIES - 1 or not (state.startswith("40") or error.connection_invalidated):
                    raise
                time.sleep(0.02 * 2**attempt)
        raise AssertionError

    def _together(self, work: Callable[[Connection], T]) -> Future[T]:
        job = _Job(work)
        with self._starting:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_all, name="store-writer", daemon=True)
                self._writer.start()
            self._waiting.put(job)
        return job.outcome

    def _write_all(self) -> None:
        while (first := self._waiting.get()) is not None:
            jobs: list[_Job] = [first]
            while len(jobs) < AT_ONCE and not self._waiting.empty():
                following = self._waiting.get()
                if following is None:
                    self._waiting.put(None)
                    break
                jobs.append(following)
            self._carry_out(jobs)

    def _carry_out(self, jobs: list[_Job]) -> None:
        """Nobody hears of success before the commit; where that fails, it fails for all."""
        jobs = [job for job in jobs if job.outcome.set_running_or_notify_cancel()]
        try:
            with self.engine.begin() as connection:
                for job in jobs:
                    self._one(connection, job)
        except BaseException as error:
            for job in jobs:
                job.outcome.set_exception(self._told(error))
            return
        for job in jobs:
            if job.error is None:
                job.outcome.set_result(job.result)
            else:
                job.outcome.set_exception(self._told(job.error))

    def _told(self, error: BaseException) -> BaseException:
        if not isinstance(error, exc.SQLAlchemyError):
            return error
        told = unavailable(error, self.shown)
        told.__cause__ = error
        return told

    def _one(self, connection: Connection, job: _Job) -> None:
        run: Any = connection.connection.driver_connection
        run.execute("SAVEPOINT job")  # SQLAlchemy's own nested transactions take as long as the work
        try:
            job.result = job.work(connection)
        except (exc.OperationalError, exc.InternalError):
            raise  # the database itself is in trouble: nobody's work is committed
        except Exception as error:
            job.error = error
            run.execute("ROLLBACK TO job")
        run.execute("RELEASE job")
