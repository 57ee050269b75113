"""`align store rank`: a simulated annotator at work in the store, task by task, by the same calls as people.

It sees what they see: the cards of a task in the order shown, and nothing else. So its labels count in agreement, position
and quality as anybody's do, under a name that says that no person is behind them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy
from sqlalchemy import Connection, select

from alignment import label_noise
from alignment.errors import UserError
from alignment.functions import Judge, load_function
from alignment.label_noise import Inversions, Scores
from alignment.preferences.annotators import LONGEST_NAME
from alignment.preferences.answers import tiers_of
from alignment.preferences.command import StoreRankSettings
from alignment.preferences.errors import Unavailable
from alignment.preferences.ids import canonical
from alignment.preferences.schema import TASKS
from alignment.preferences.store import Store, existing
from alignment.preferences.views import TaskView, members, prompt_of
from alignment.progress import progress
from alignment.rank import noise_for, simulated
from alignment.records import Prompt, Response

T = TypeVar("T")

CALIBRATED_ON = 1_000
"""Tasks whose gold scores say how strong the noise must be: those with the smallest ids, which are hashes."""

WAITS = (0.5, 1, 2, 4, 8)
"""Seconds before each further try where the store cannot just now."""


def rank(settings: StoreRankSettings) -> dict[str, Any]:
    """Ranks every task that is open to it. What needs a person (to write, to edit, to judge) it skips."""
    name = simulated_name(settings)
    judge = load_function(settings.annotator, "--annotator", settings.function_timeout)
    with existing(settings.store) as store:
        noise = noise_for(_some_gold(store, judge), settings)
        store.add_annotator(name, "annotator", by="align store rank")
        work = _Work(store, name, judge, noise, settings.seed)
        work.run(settings.max_labels)
    return {
        "annotator": f"simulated annotator {settings.annotator}",
        "name": name,
        "labels": work.labels,
        "late": work.late,
        "skipped": work.skipped,
        "flip_probability": settings.flip_probability,
        "noise_sd": noise,
        "pairs": work.counts.pairs,
        "inverted_pairs": work.counts.inverted,
        "inversion_rate": work.counts.rate,
    }


def simulated_name(settings: StoreRankSettings) -> str:
    name = simulated(settings.name if settings.name is not None else settings.annotator)
    if len(name) > LONGEST_NAME or not name.isprintable() or not name.removeprefix("simulated:").strip():
        raise UserError(f"--name is {name!r}; it must be 1 to {LONGEST_NAME} printable characters; give a shorter one")
    return name


class _Work:
    """What one simulated annotator does in one run."""

    def __init__(self, store: Store, name: str, judge: Judge, noise: float, seed: int) -> None:
        self._store, self._name, self._judge, self._noise, self._seed = store, name, judge, noise, seed
        self.labels = self.late = self.skipped = 0
        self.counts = Inversions(0, 0)

    def run(self, most: int | None) -> None:
        with progress(self._open(most), "simulated annotator", "label") as bar:
            while self.labels != most and (task := until_done(lambda: self._store.next_task(self._name))) is not None:
                if task.kind == "rank":
                    self._label(task)
                    bar.update(1)
                else:
                    self._skip(task)

    def _open(self, most: int | None) -> int:
        known = self._store.progress()
        wanted = max(known.wanted - known.labels, 0)
        return wanted if most is None else min(wanted, most)

    def _label(self, task: TaskView) -> None:
        texts = [card.text for card in task.cards]
        gold = _gold(self._judge, task.prompt, texts)
        scores = self._noisy(task, gold, texts)
        tiers, _ = tiers_of(label_noise.ranks(scores), range(len(texts)))
        receipt = until_done(
            lambda: self._store.submit(self._name, task.lease, {"tiers": tiers}, key=f"simulated-{task.lease}")
        )
        self.labels += 1
        self.late += not receipt.counted
        found = label_noise.inversions(gold, scores)
        self.counts = Inversions(self.counts.pairs + found.pairs, self.counts.inverted + found.inverted)

    def _skip(self, task: TaskView) -> None:
        reason = f"a simulated annotator only ranks; this is to {task.kind}"
        until_done(lambda: self._store.skip(self._name, task.lease, reason, key=f"skipped-{task.lease}"))
        self.skipped += 1

    def _noisy(self, task: TaskView, gold: Scores, texts: list[str]) -> Scores:
        """The draws belong to the texts, in whatever order they are shown: the same task is ranked alike again."""
        if self._noise == 0:
            return gold
        order = sorted(range(len(texts)), key=texts.__getitem__)
        named = canonical([self._seed, self._name, task.prompt, [texts[place] for place in order]])
        generator = numpy.random.default_rng(int(hashlib.sha256(named.encode("utf-8")).hexdigest(), 16))
        drawn = label_noise.noisy_scores(
            [gold[place] for place in order], [texts[place] for place in order], self._noise, generator
        )
        return [score for _, score in sorted(zip(order, drawn))]


def until_done(call: Callable[[], T]) -> T:
    """Calls of the store that were not acknowledged are repeated, with the same key, for a while."""
    for wait in WAITS:
        try:
            return call()
        except Unavailable:
            time.sleep(wait)
    return call()


def _gold(judge: Judge, prompt: Prompt, texts: list[str]) -> Scores:
    return judge([(prompt, [Response(text) for text in texts])])[0]


def _some_gold(store: Store, judge: Judge) -> list[Scores]:
    found = store.read(_to_rank)
    if not found:
        raise UserError(
            f"STORE {store.shown}: holds nothing to rank; bring responses in with `align store import` first"
        )
    return [_gold(judge, prompt, texts) for prompt, texts in found]


def _to_rank(connection: Connection) -> list[tuple[Prompt, list[str]]]:
    """Prompt and different responses of some of the tasks of ranking."""
    wanted = select(TASKS.c.number, TASKS.c.prompt_id).where(TASKS.c.kind == "rank", TASKS.c.purpose == "label")
    open_to_people = wanted.where(TASKS.c.overlap > 0).order_by(TASKS.c.id).limit(CALIBRATED_ON)
    return [
        (
            prompt_of(connection, task.prompt_id),
            list(dict.fromkeys(json.loads(one.text) for one in members(connection, task.number))),
        )
        for task in connection.execute(open_to_people).all()
    ]
