"""Tasks from the embedded world, made from a seed and without a model: what `align label` shows when no store is named."""

from __future__ import annotations

from random import Random

from alignment.demo.annotator import gold
from alignment.demo.grammar import read_prompt
from alignment.demo.labelers import answer
from alignment.demo.world import prompts
from alignment.preferences.adding import Queue
from alignment.preferences.store import Store
from alignment.records import PromptRecord, Ranking, Response, ResponseSet

ROUNDS = 12
RANKED_A_ROUND = 5
"""A round is five tasks of ranking, one of writing and one of editing: 84 tasks."""

GOLD_ITEMS = 8
RESPONSES = (3, 4, 4, 5)
SEED = 0
BY = "align label (demo)"


def fill(store: Store) -> None:
    """Adds the demo's tasks; those that are there already are not added twice."""
    rng = Random(f"demo tasks {SEED}")
    ranked = [responses_to(prompt, rng) for prompt in records("rank", ROUNDS * RANKED_A_ROUND)]
    edited = [responses_to(prompt, rng) for prompt in records("ppo", ROUNDS)]
    written = records("train", ROUNDS)
    queue = Queue(slice="uniform")
    for number in range(ROUNDS):
        first = number * RANKED_A_ROUND
        store.add_tasks(ranked[first : first + RANKED_A_ROUND], queue, source="demo world", by=BY)
        store.add_tasks(written[number : number + 1], queue, kind="write", source="demo world", by=BY)
        store.add_tasks(edited[number : number + 1], queue, kind="edit", source="demo world", by=BY)
    store.add_gold([known(responses_to(prompt, rng)) for prompt in records("dev", GOLD_ITEMS)], by=BY)


def records(split: str, count: int) -> list[PromptRecord]:
    return [PromptRecord(one["id"], one["prompt"]) for one in prompts(count, SEED, split)]


def responses_to(prompt: PromptRecord, rng: Random) -> ResponseSet:
    """Answers of hurried labelers, some of them the same: at least two are different."""
    story = read_prompt(str(prompt.prompt))
    wanted = rng.choice(RESPONSES)
    texts: list[str] = []
    while len(texts) < wanted or len(set(texts)) < 2:
        texts.append(answer(story, rng))
    made = tuple(Response(text, f"hurried labeler {place}") for place, text in enumerate(texts[:9], start=1))
    return ResponseSet(prompt.id, prompt.prompt, made)


def known(item: ResponseSet) -> Ranking:
    """As the simulated annotator ranks it."""
    scores = gold(str(item.prompt), [one.text for one in item.responses])
    ranks = tuple(1 + sum(other > score for other in set(scores)) for score in scores)
    return Ranking(item.id, item.prompt, item.responses, ranks)
