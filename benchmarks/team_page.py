"""How long the sections of the team's page take, and what annotators notice of it: `python benchmarks/team_page.py 10000 [SECTION ...]`.

Labels are of SIMULATED annotators: quality seen through noise, in a random order of cards. Each section is computed as the
server does it, in a process of its own, while one annotator ranks with a pause of PAUSE seconds."""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from alignment.labeling import Labeling
from alignment.preferences.adding import Queue
from alignment.preferences.store import Store
from alignment.records import Ranking, Response, ResponseSet
from labeling_ui.team.child import in_child
from labeling_ui.team.sections import COMPUTED

RESPONSES, PEOPLE, OVERLAP, AT_ONCE, PAUSE = 4, 20, 2, 2_000, 0.02


def main(count: int, names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = str(Path(folder) / "labels.db")
        with Store(url, gold_share=0.0) as store:
            fill(store, count)
            store.add_annotator("ann")
            store.add_tasks(
                [sets(f"live {number}", random.Random(number)) for number in range(5_000)], Queue(priority=1)
            )
            print(f"alone: {told(ranking_meanwhile(store, lambda: time.sleep(5)))}")
            for name in names:
                began = time.monotonic()
                waits = ranking_meanwhile(store, lambda name=name: checked(in_child(url, name)))
                print(f"{name:11} {time.monotonic() - began:6.1f} s   annotator: {told(waits)}", flush=True)
            waits = ranking_meanwhile(store, store.snapshot)
            print(f"{'snapshot':11} annotator: {told(waits)}")


def fill(store: Store, count: int) -> None:
    draw, made = random.Random(0), []
    for number in range(count // OVERLAP):
        task = sets(f"task {number}", draw)
        for person in draw.sample(range(PEOPLE), OVERLAP):
            made.append(simulated(task, f"person {person}", draw))
        if len(made) >= AT_ONCE:
            store.import_records(made)
            made = []
    if made:
        store.import_records(made)


def sets(name: str, draw: random.Random) -> ResponseSet:
    texts = [f"{name}, quality {draw.gauss(0, 1):.3f} " + "word " * draw.randint(5, 120) for _ in range(RESPONSES)]
    return ResponseSet(name, f"The prompt of {name}", tuple(Response(text, "model") for text in texts))


def simulated(task: ResponseSet, name: str, draw: random.Random) -> Ranking:
    seen = [float(one.text.split("quality ")[1].split()[0]) + draw.gauss(0, 0.7) for one in task.responses]
    ranks = tuple(1 + sum(other > mine for other in seen) for mine in seen)
    shown = tuple(draw.sample(range(RESPONSES), RESPONSES))
    how = Labeling(seconds=round(draw.lognormvariate(3, 0.5), 1), shown=shown)
    return Ranking(task.id, task.prompt, task.responses, ranks, name, labeling=how)


def ranking_meanwhile(store: Store, work) -> list[float]:
    """Milliseconds of each `next_task` and `submit` of one annotator until the work is done."""
    thread = threading.Thread(target=work)
    thread.start()
    waits = []
    while thread.is_alive():
        began = time.monotonic()
        task = store.next_task("ann")
        assert task is not None
        tiers = [[card.slot] for card in task.cards]
        store.submit("ann", task.lease, {"tiers": tiers}, task.lease)
        waits.append(1000 * (time.monotonic() - began))
        time.sleep(PAUSE)
    return waits


def told(waits: list[float]) -> str:
    ninety_five = statistics.quantiles(waits, n=20)[-1] if len(waits) > 1 else waits[0]
    return f"{len(waits):5} labels, median {statistics.median(waits):5.0f} ms, p95 {ninety_five:5.0f}, longest {max(waits):5.0f}"


def checked(section: dict) -> None:
    assert "problem" not in section, section


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, sys.argv[2:] or list(COMPUTED))
