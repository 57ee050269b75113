"""K responses to each prompt from a server, several prompts at once, in the order of the prompts."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from alignment.endpoints.answers import Given, Reply, is_chat, question
from alignment.endpoints.journal import Journal, kept_sentence
from alignment.endpoints.server import RejectedError, Server
from alignment.errors import UserError
from alignment.preferences.ids import digest_of
from alignment.progress import progress
from alignment.records import Prompt, PromptRecord

if TYPE_CHECKING:
    from alignment.sample import SampleSettings


@dataclass
class Tally:
    """What the requests of a run came to. kept: responses that an earlier run had got. read, written: tokens that the server
    says it read and wrote, earlier runs' included; None where it does not say."""

    calls: int = 0
    repeated: int = 0
    kept: int = 0
    models: set[str] = field(default_factory=set)
    read: int | None = 0
    written: int | None = 0

    def add(self, reply: Reply) -> None:
        self.models |= {reply.model} if reply.model else set()
        self.read = None if self.read is None or reply.read is None else self.read + reply.read
        self.written = None if self.written is None or reply.written is None else self.written + reply.written


def draw(settings: SampleSettings, records: list[PromptRecord]) -> tuple[list[list[Given]], Tally]:
    """K responses of each prompt. What has been answered is kept in a journal until the caller removes it."""
    require_askable(settings, records)
    journal, stopped = Journal(settings.output, settings.endpoint_resume), threading.Event()
    server = Server(settings, stopped)
    try:
        server.require_reachable()
        asker = _Asker(settings, server, journal)
        total = len(records) * settings.responses_per_prompt
        given: dict[int, list[Given]] = {}
        with progress(total, "asking the server", "response") as bar:
            for row, responses in _in_parallel(asker, records, settings.endpoint_concurrency, stopped):
                given[row] = responses
                bar.update(len(responses))
    except UserError as error:
        raise UserError(f"{error}{kept_sentence(settings.output)}") from error
    finally:
        stopped.set()
        server.close()
    asker.tally.calls, asker.tally.repeated = server.calls, server.repeated
    return [given[row] for row in range(len(records))], asker.tally


def require_askable(settings: SampleSettings, records: list[PromptRecord]) -> None:
    """UserError where a prompt cannot be asked for in this way."""
    for number, record in enumerate(records, start=1):
        where = f"--prompts {settings.prompts}, prompt {number}"
        if settings.endpoint_api == "completions" and not isinstance(record.prompt, str):
            raise UserError(f"{where}: is a list of messages; --endpoint-api must be chat or auto for it")
        if not record.prompt:
            raise UserError(f"{where}: is empty; a server answers only what says something")


def seed_of(seed: int, row: int, sample: int) -> int:
    """The request's own seed, 31 bits: of prompt `row`, from its response `sample` on."""
    return int(hashlib.sha256(f"{seed} {row} {sample}".encode()).hexdigest()[:8], 16) >> 1


class _Asker:
    """What all workers share. single: the server gives one response a request, whatever `n` says."""

    def __init__(self, settings: SampleSettings, server: Server, journal: Journal) -> None:
        self._settings, self._server, self._journal = settings, server, journal
        self.tally, self._lock = Tally(), threading.Lock()
        self._single, self._limit = False, "max_tokens"

    def responses(self, row: int, prompt: Prompt) -> list[Given]:
        k = self._settings.responses_per_prompt
        chat = is_chat(prompt, self._settings.endpoint_api)
        asked = self._name(row, prompt, chat)
        given: list[Given] = []
        for reply in self._journal.kept.get(asked, []):
            given += self._counted(reply)
        with self._lock:
            self.tally.kept += min(len(given), k)
        while len(given) < k:
            count = 1 if self._single else k - len(given)
            reply = self._ask(row, prompt, chat, len(given), count)
            self._journal.add(asked, reply)
            self._single = self._single or len(reply.given) < count
            given += self._counted(reply)
        return given[:k]

    def _counted(self, reply: Reply) -> tuple[Given, ...]:
        with self._lock:
            self.tally.add(reply)
        return reply.given

    def _name(self, row: int, prompt: Prompt, chat: bool) -> str:
        """The journal's name for the responses to this prompt: of everything that they depend on."""
        own = self._settings
        how = [own.max_new_tokens, own.temperature, own.top_p, seed_of(own.seed, row, 0)]
        return digest_of([own.endpoint, chat, own.policy, question(prompt, chat), *how])

    def _ask(self, row: int, prompt: Prompt, chat: bool, first: int, count: int) -> Reply:
        """Some servers know no `n` above 1, and some models call the limit by another name: they say so, and are asked
        once more."""
        own = self._settings
        body: dict[str, Any] = {"model": own.policy, **question(prompt, chat), "temperature": own.temperature}
        body |= {"top_p": own.top_p, "seed": seed_of(own.seed, row, first)}
        try:
            return self._server.ask(body | self._counts(count), chat)
        except RejectedError as error:
            if "max_completion_tokens" in str(error) and self._limit == "max_tokens":
                self._limit = "max_completion_tokens"
            elif count > 1:
                self._single, count = True, 1
            else:
                raise
        return self._server.ask(body | self._counts(count), chat)

    def _counts(self, count: int) -> dict[str, int]:
        return {self._limit: self._settings.max_new_tokens, **({"n": count} if count > 1 else {})}


def _in_parallel(
    asker: _Asker, records: list[PromptRecord], workers: int, stopped: threading.Event
) -> Iterator[tuple[int, list[Given]]]:
    """(row, its responses) as they come. The threads are daemons: Ctrl-C does not wait for a slow server."""
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, list[Given] | BaseException]] = queue.SimpleQueue()
    for row in range(len(records)):
        waiting.put(row)

    def work() -> None:
        while not stopped.is_set():
            try:
                row = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((row, asker.responses(row, records[row].prompt)))
            except BaseException as error:
                done.put((row, error))
                return

    for _ in range(min(workers, len(records))):
        threading.Thread(target=work, daemon=True).start()
    for _ in records:
        row, outcome = done.get()
        if isinstance(outcome, BaseException):
            raise outcome
        yield row, outcome
