"""The five practice items: what an annotator ranks, and is told about, before the first real task."""

from __future__ import annotations

import json
from importlib.resources import files

from alignment.preferences.store import Store
from alignment.records import RECORD_KINDS, Ranking

BY = "align label"


def practice_items() -> list[tuple[Ranking, str]]:
    """(known ranking, what is said about it) from practice.jsonl."""
    lines = files("labeling_ui").joinpath("practice.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    return [(RECORD_KINDS["rankings"].parse(item), item.pop("note")) for item in items]


def add_practice(store: Store) -> None:
    """Nothing changes where they are there already."""
    for ranking, note in practice_items():
        store.add_gold([ranking], practice=True, note=note, by=BY)
