"""`align queue`: which responses people rank next."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy

from alignment.errors import UserError
from alignment.loop import information
from alignment.loop.information import Array, Knowledge, evidence, most_informative
from alignment.loop.queue_config import QueueSettings
from alignment.preferences.adding import Queue
from alignment.preferences.opening import made_or_gone
from alignment.preferences.store import Store
from alignment.progress import progress
from alignment.records import ResponseSet, read_prompts, read_responses

INFORMATION, UNIFORM = "information", "uniform"
"""Names of the slices, kept with each task and label."""

KNOWN = 5_000
"""Tasks of the store, newest first, that count as asked: what older ones told is in the reward model's scores."""


def run(settings: QueueSettings) -> dict[str, Any]:
    """Adds `count` tasks to the store, all or none, in a mixed order, so that whoever stops early leaves both slices."""
    from alignment.scorer import load_scorer
    from alignment.seeds import seed_everything

    sets = _askable(settings)
    seed_everything(settings.seed, settings.threads)
    scorer = load_scorer(settings.reward_model, "--reward-model")
    with made_or_gone(settings.store), Store(settings.store) as store:
        candidates = store.without_task(sets)
        if not candidates:
            raise UserError(
                f"--responses {settings.responses}: all {len(sets)} are tasks of {store.shown} already; sample new ones"
            )
        asked = store.rank_tasks(KNOWN)
        rows, known = _evidence(scorer, candidates, asked, settings)
        uniform, informative, gains = _chosen(rows, known, settings)
        runs = _runs(candidates, uniform, informative, settings)
        added = store.add_runs(runs, by="align queue")
    return {
        "candidates": len(candidates),
        "new_tasks": added.new,
        INFORMATION: len(informative),
        UNIFORM: len(uniform),
        "asked_before": len(asked),
        **gains,
    }


def _askable(settings: QueueSettings) -> list[ResponseSet]:
    """Sets with two different responses, without excluded prompts."""
    sets = read_responses(settings.responses)
    hidden = (
        {repr(record.prompt) for record in read_prompts(settings.exclude, "--exclude")} if settings.exclude else set()
    )
    kept = [one for one in sets if len({response.text for response in one.responses}) > 1 and repr(one.prompt) not in hidden]  # fmt: skip
    if not kept:
        raise UserError(
            f"--responses {settings.responses}: no set is left that has two different responses and is not in --exclude; "
            "sample others"
        )
    return kept


def _evidence(
    scorer: Any, candidates: list[ResponseSet], asked: list[ResponseSet], settings: QueueSettings
) -> tuple[list[Array], Knowledge]:
    """(what each candidate would tell, what is known by the tasks asked before)."""
    every = [*candidates, *asked]
    features, scores = _read(scorer, every, settings)
    try:
        known = Knowledge(features[: len(candidates)])
    except ValueError as error:
        raise UserError(f"--reward-model {settings.reward_model}: {error}; train it again") from error
    rows = [evidence(x, s, scorer.temperature) for x, s in zip(features, scores, strict=True)]
    for told in rows[len(candidates) :]:
        known.add(told)
    return rows[: len(candidates)], known


def _read(scorer: Any, sets: Sequence[ResponseSet], settings: QueueSettings) -> tuple[list[Array], list[Array]]:
    """Of each set: (K, H) features, brought down where they are wide, and (K,) scores. Of an ensemble: its first member's."""
    import torch

    encoded = [scorer.encode(one.prompt, response) for one in sets for response in one.responses]
    sequences = [[*each.prompt_ids, *each.response_ids] for each in encoded]
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    projection = information.projection(scorer.head.in_features, settings.seed)
    width = scorer.head.in_features if projection is None else information.WIDEST
    features, scores = numpy.empty((len(sequences), width)), numpy.empty(len(sequences))
    with progress(len(order), "reading", "response") as bar, torch.no_grad():
        for start in range(0, len(order), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            hidden = scorer.features([sequences[row] for row in rows]).float()
            scores[rows] = (scorer.head(hidden).squeeze(-1) + scorer.offset).double().cpu().numpy()
            raw = hidden.double().cpu().numpy()
            features[rows] = raw if projection is None else raw @ projection
            bar.update(len(rows))
    ends = numpy.cumsum([len(one.responses) for one in sets])[:-1]
    return numpy.split(features, ends), numpy.split(scores, ends)


def _chosen(
    rows: list[Array], known: Knowledge, settings: QueueSettings
) -> tuple[list[int], list[int], dict[str, float]]:
    """(at random, by information, what both tell). The draw at random comes first, from all: it must stay uniform."""
    count = min(settings.count, len(rows))
    shuffled = numpy.random.default_rng(settings.seed).permutation(len(rows)).tolist()
    uniform = sorted(shuffled[: round(count * settings.uniform_share)])
    rest = sorted(shuffled[len(uniform) :])
    told = 0.0
    for index in uniform:
        told += known.gain(rows[index])
        known.add(rows[index])
    chosen = list(most_informative(known, [rows[index] for index in rest], count - len(uniform)))
    gains = {"nats_uniform": told, "nats_information": sum(one.gain for one in chosen)}
    return uniform, [rest[one.index] for one in chosen], gains


def _runs(
    candidates: list[ResponseSet], uniform: list[int], informative: list[int], settings: QueueSettings
) -> list[tuple[list[ResponseSet], Queue]]:
    """Both slices mixed at random; the informative ones among each other most telling first."""
    slices = [UNIFORM] * len(uniform) + [INFORMATION] * len(informative)
    order = numpy.random.default_rng(settings.seed + 1).permutation(len(slices))
    left = {UNIFORM: iter(uniform), INFORMATION: iter(informative)}
    mixed = [(slices[place], candidates[next(left[slices[place]])]) for place in order]
    return [
        ([one for _, one in run], Queue(duplicate_share=settings.duplicate_share, slice=name))
        for name, run in itertools.groupby(mixed, key=lambda pair: pair[0])
    ]
