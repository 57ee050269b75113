"""Two reward models on the same rankings: which pairs the newer one orders otherwise, and whether as the labels say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, get_args

import numpy

from alignment.intervals import clustered_mean
from alignment.mcnemar import mcnemar
from alignment.records import Ranking, prompt_text
from alignment.winrates import outcome, turned
from reward_model.ceiling import SIMULATED
from reward_model.metrics import spearman

Part = Literal["new", "shared", "held_out"]
PARTS: tuple[Part, ...] = get_args(Part)
"""new: rankings that only the newer model was given. shared: that both were. held_out: of a file besides."""

POINTS = 200
"""Pairs of a part that are kept for the plot, drawn at random; more would hide each other."""

LONGEST = 2000
"""Characters of a text that are kept of a much changed pair."""


@dataclass(frozen=True)
class Scored:
    """A ranking with both models' scores of its responses, K each.

    unit: its cluster, the prompts that stay together. unseen: neither model was trained on its prompt or group."""

    ranking: Ranking
    old: Sequence[float]
    new: Sequence[float]
    part: Part
    unit: int
    unseen: bool

    @cached_property
    def pairs(self) -> list[Pair]:
        return [Pair(self, i, j) for i, j in self.ranking.strict_pairs()]


@dataclass(frozen=True)
class Pair:
    """A strict pair of a ranking: places of the response that the label prefers, and of the other."""

    of: Scored
    chosen: int
    rejected: int

    @property
    def old(self) -> float:
        """The older model's margin, score of the preferred response − score of the other."""
        return self.of.old[self.chosen] - self.of.old[self.rejected]

    @property
    def new(self) -> float:
        return self.of.new[self.chosen] - self.of.new[self.rejected]

    @property
    def change(self) -> float:
        return self.new - self.old

    @property
    def turned(self) -> int:
        """1 where the order turned towards the label, −1 where away from it, 0 where it is as before."""
        return turned(self.old, self.new)


def by_part(scored: Sequence[Scored], seed: int = 0) -> dict[str, Any]:
    """Part → its figures; under `unseen` those of the rankings that neither model was trained on. None: no strict pair."""
    made: dict[str, Any] = {}
    for part in PARTS:
        own = [one for one in scored if one.part == part]
        if own:
            found = figures(own, seed)
            made[part] = found and {**found, "unseen": figures([one for one in own if one.unseen], seed)}
    return made


def figures(scored: Sequence[Scored], seed: int = 0) -> dict[str, Any] | None:
    """How either model orders the strict pairs of these rankings; None where there is none.

    accuracy: share ordered as the label says, equal scores half. accuracy_change: new − old on the same pairs; p: McNemar's by
    prompt. margin_change: mean of (new − old margin). towards, away: share of pairs whose order turned. Each {value, low, high}
    with a 95 % bootstrap interval over units. Spearman's ρ over the different responses: of the two models' scores
    (scores_spearman), and of each model's scores with length in characters."""
    pairs = [pair for one in scored for pair in one.pairs]
    if not pairs:
        return None
    units = [str(pair.of.unit) for pair in pairs]
    old, new, turned, change = (
        numpy.array(column, dtype=float)
        for column in zip(*((outcome(p.old), outcome(p.new), p.turned, p.change) for p in pairs), strict=True)
    )

    def mean(values: numpy.ndarray) -> dict[str, float]:
        found = clustered_mean(values, units, seed)
        assert found is not None  # there is a pair
        return {"value": found.value, "low": found.low, "high": found.high}

    return {
        **_counts(scored),
        "n_pairs": len(pairs),
        "n_units": len(set(units)),
        "accuracy_old": mean(old),
        "accuracy_new": mean(new),
        "accuracy_change": mean(new - old),
        "p": mcnemar(new, old, numpy.array(units))["p"],
        "margin_change": mean(change),
        "towards": mean((turned > 0).astype(float)),
        "away": mean((turned < 0).astype(float)),
        **_correlations(scored),
    }


def people(rankings: Iterable[Ranking]) -> dict[str, int]:
    """How many annotators are named; simulated ones are no people and counted apart."""
    names = {ranking.annotator for ranking in rankings if ranking.annotator}
    simulated = {name for name in names if name.startswith(SIMULATED)}
    return {"n_annotators": len(names - simulated), "n_simulated_annotators": len(simulated)}


def most_changed(scored: Sequence[Scored], count: int) -> list[dict[str, Any]]:
    """The pairs whose margins changed most, one a prompt so that one prompt does not fill the list."""
    seen: set[str] = set()
    chosen: list[dict[str, Any]] = []
    for pair in sorted((p for one in scored for p in one.pairs), key=lambda p: -abs(p.change)):
        prompt = prompt_text(pair.of.ranking.prompt)
        if prompt not in seen and len(chosen) < count:
            seen.add(prompt)
            chosen.append(_told(pair, prompt))
    return chosen


def points(scored: Sequence[Scored], seed: int = 0) -> dict[str, list[list[float]]]:
    """Part → [old margin, new margin] of at most POINTS of its pairs."""
    generator = numpy.random.default_rng(seed)
    made: dict[str, list[list[float]]] = {}
    for part in PARTS:
        pairs = [pair for one in scored if one.part == part for pair in one.pairs]
        kept = sorted(generator.permutation(len(pairs))[:POINTS].tolist())
        if kept:
            made[part] = [[round(pairs[row].old, 4), round(pairs[row].new, 4)] for row in kept]
    return made


def _counts(scored: Sequence[Scored]) -> dict[str, int]:
    return {"n_rankings": len(scored), **people(one.ranking for one in scored)}


def _correlations(scored: Sequence[Scored]) -> dict[str, float | None]:
    """A response that was ranked several times counts once."""
    different = {
        (prompt_text(one.ranking.prompt), response.text): (one.old[place], one.new[place])
        for one in scored
        for place, response in enumerate(one.ranking.responses)
    }
    lengths = [float(len(text)) for _, text in different]
    old, new = ([scores[side] for scores in different.values()] for side in (0, 1))
    return {
        "n_responses": len(different),
        "scores_spearman": spearman(old, new),
        "length_spearman_old": spearman(old, lengths),
        "length_spearman_new": spearman(new, lengths),
    }


def _told(pair: Pair, prompt: str) -> dict[str, Any]:
    responses = pair.of.ranking.responses
    return {
        "prompt": _cut(prompt),
        "chosen": _cut(responses[pair.chosen].text),
        "rejected": _cut(responses[pair.rejected].text),
        "annotator": pair.of.ranking.annotator,
        "part": pair.of.part,
        "unseen": pair.of.unseen,
        "margin_old": pair.old,
        "margin_new": pair.new,
        "turned": pair.turned,
    }


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
