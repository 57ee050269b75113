"""Takes the pictures of docs/labeling.md anew: `python docs/screenshots.py [FOLDER]`. Needs Chromium and the packages of the tests.

Every page of `align label`, wide and on a phone, on the demo's world. All labels are of SIMULATED annotators: four who see quality
through noise, and one who always prefers the first card."""

from __future__ import annotations

import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

from chromium import chromium  # noqa: E402
from labeling_server import Thread  # noqa: E402
from PIL import Image  # noqa: E402

from alignment.demo.annotator import gold  # noqa: E402
from alignment.preferences.adding import Queue  # noqa: E402
from alignment.preferences.store import Store  # noqa: E402
from labeling_ui import demo  # noqa: E402
from labeling_ui.accounts import add_account  # noqa: E402
from labeling_ui.app import built_in_guidelines  # noqa: E402
from labeling_ui.practice import add_practice  # noqa: E402

SIZES = {"wide": {"width": 1280, "height": 860}, "phone": {"width": 390, "height": 844}}
PASSWORD = "correct horse battery"
DAY = 86_400.0
BEGAN = 1_790_000_000.0
COLOURS = 128
"""Of a picture's palette: a third of the size, and nobody sees it."""

Shot = Callable[[Any], object]


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
    with tempfile.TemporaryDirectory() as made, chromium() as browser:
        for size, view in SIZES.items():
            taken = {}
            with served(Path(made) / size) as server, browser.new_context(viewport=view) as context:
                page = context.new_page()
                for name, shot in shots(server.url).items():
                    shot(page)
                    page.wait_for_timeout(400)  # until what moves stands still
                    taken[name] = Image.open(BytesIO(page.screenshot()))
            keep(folder, size, taken)


def keep(folder: Path, size: str, taken: dict[str, Image.Image]) -> None:
    """Wide ones one by one, phones four in a row."""
    if size == "wide":
        for name, picture in taken.items():
            save(picture, folder / f"labeling-{name}.png")
        return
    for group in ("task", "team"):
        some = [picture for name, picture in taken.items() if name.startswith("team") == (group == "team")]
        for row, start in enumerate(range(0, len(some), 4), start=1):
            save(in_a_row(some[start : start + 4]), folder / f"labeling-phone-{group}-{row}.png")


def in_a_row(pictures: list[Image.Image]) -> Image.Image:
    width, height, gap = *pictures[0].size, 24
    row = Image.new("RGB", ((width + gap) * len(pictures) - gap, height), "white")
    for place, picture in enumerate(pictures):
        row.paste(picture, (place * (width + gap), 0))
    return row


def save(picture: Image.Image, path: Path) -> None:
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path.name, f"{path.stat().st_size / 1024:.0f} KiB")


@contextmanager
def served(folder: Path) -> Iterator[Thread]:
    folder.mkdir()
    people = folder / "people.json"
    for name, role in (("ada", "admin"), ("mia", "annotator")):
        add_account(people, name, role, PASSWORD)
    now = [BEGAN]
    with Store(str(folder / "labels.db"), draw=random.Random(1), clock=lambda: now[0], gold_share=0.1) as store:
        add_practice(store)
        label(store, now)
        demo.fill(store)
        server = Thread(store, built_in_guidelines(), auth=str(people), practice=True)
        yield server
        server.close()


def label(store: Store, now: list[float]) -> None:
    """Six days of work by simulated annotators on tasks that three of them see."""
    rng = random.Random("pictures")
    store.add_gold([demo.known(demo.responses_to(one, rng)) for one in demo.records("dev", 20)])
    store.add_tasks([demo.responses_to(one, rng) for one in demo.records("train", 80)], Queue(overlap=3))
    noise = {"ben": 0.3, "cleo": 0.6, "dora": 0.6, "emil": 1.5, "finn": None}
    for name in noise:
        store.add_annotator(name)
    for _ in range(6):
        now[0] += DAY
        for name, spread in noise.items():
            for _ in range(rng.randint(6, 11)):
                now[0] += 30
                answer(store, name, spread, rng)


def answer(store: Store, name: str, spread: float | None, rng: random.Random) -> None:
    task = store.next_task(name)
    if task is None:
        return
    cards = list(task.cards)
    if spread is not None:
        quality = dict(zip(cards, gold(str(task.prompt), [card.text for card in cards]), strict=True))
        cards.sort(key=lambda card: -(quality[card] + rng.gauss(0, spread)))
    said = {"tiers": [[card.slot] for card in cards], "seconds": round(rng.lognormvariate(3, 0.5), 1)}
    store.submit(name, task.lease, said, f"picture-{task.lease}")


def shots(url: str) -> dict[str, Shot]:
    """In this order: each goes on where the one before has stopped."""

    def key(*keys: str) -> Shot:
        return lambda page: [page.keyboard.press(one) for one in keys]

    def ready(page: Any) -> None:
        page.locator("#align .prompt .message").first.wait_for()

    def login(page: Any) -> None:
        page.goto(f"{url}/login")

    def practice(page: Any) -> None:
        page.locator("input[name=name]").fill("mia")
        page.locator("input[name=password]").fill(PASSWORD)
        page.keyboard.press("Enter")
        ready(page)
        key("b", "a", "c", "Enter")(page)
        page.locator(".feedback").wait_for()

    def until(kind: str) -> Shot:
        """Answers by the page's own calls until a task of this kind is on the desk."""

        def go(page: Any) -> None:
            page.evaluate(ANSWER_UNTIL, kind)
            page.goto(url)
            ready(page)

        return go

    def after(*several: Shot) -> Shot:
        return lambda page: [one(page) for one in several]

    def section(name: str) -> Shot:
        def go(page: Any) -> None:
            page.goto(f"{url}/team#{name}")
            page.locator(f"[data-section={name}]").wait_for()
            page.locator("#team-main[aria-busy=false]").wait_for(timeout=60_000)

        return go

    def as_admin(page: Any) -> None:
        page.context.clear_cookies()
        sent = {"name": "ada", "password": PASSWORD}
        page.request.post(f"{url}/v1/login", data=sent, headers={"origin": url})

    team = ["progress", "agreement", "annotators", "bias", "gold", "disputes", "changes", "audit", "export"]
    made: dict[str, Shot] = {
        "login": login,
        "practice": practice,
        "rank": after(until("rank"), key("b", "=", "c", "a")),
        "compare": key("v"),
        "flags": after(key("Escape", "Shift+a")),
        "skip": after(key("Escape", "s")),
        "history": after(key("Escape", "y")),
        "write": after(key("Escape"), until("write")),
        "edit": until("edit"),
    }
    first, *rest = team
    made[f"team-{first}"] = after(as_admin, section(first))
    return made | {f"team-{name}": section(name) for name in rest}


ANSWER_UNTIL = """async (kind) => {
  const call = (path, sent) => fetch(path, { method: "POST", body: JSON.stringify(sent), headers: { "content-type": "application/json" } }).then((one) => one.json());
  for (let n = 0; n < 60; n++) {
    const { task } = await call("/v1/next", {});
    if (!task.practice && task.kind === kind) return;
    const slots = task.cards.map((card) => card.slot);
    const answer = { rank: { tiers: slots.sort(() => Math.random() - 0.5).map((slot) => [slot]) }, write: { text: "Tom has three boats." }, edit: { slot: slots[0], text: "Tom has three boats." } }[task.kind];
    await call("/v1/submit", { lease: task.lease, answer, key: `picture-${Math.random()}-${n}`, edits: null });
  }
  throw new Error(`no task of kind ${kind}`);
}"""


if __name__ == "__main__":
    main()
