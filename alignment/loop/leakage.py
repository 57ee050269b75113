"""The gate on leakage: no prompt on two sides of a split, word for word or nearly."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from alignment.data_check.encoding import cleaned
from alignment.data_check.excerpt import excerpt
from alignment.data_check.near import NearIndex
from alignment.loop.gates import GateResult, gate_result
from alignment.loop.policy import Policy
from alignment.text_statistics import normalised

SHOWN = 3


def leakage(sides: Mapping[str, Sequence[str]], policy: Policy) -> GateResult:
    """Prompts that two sides share: equal but for case, spacing and punctuation, or near-duplicates (Jaccard similarity of
    word triples, as `align data check`). estimate: how many.

    sides: name → prompts as text, for example train, holdout, evaluation."""
    found = [leak for one, other in itertools.combinations(sides, 2) for leak in _shared(one, other, sides, policy)]
    total = sum(len(prompts) for prompts in sides.values())
    told = "; ".join(found[:SHOWN]) + (f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
    return gate_result(
        "leakage",
        "fail" if found else "pass",
        told or f"no prompt of {total} is on two sides",
        estimate=float(len(found)),
        n=total,
        threshold=0.0,
    )


def _shared(one: str, other: str, sides: Mapping[str, Sequence[str]], policy: Policy) -> list[str]:
    """A sentence for each prompt of `other` that `one` has too."""
    index = NearIndex(policy.near_duplicate)
    places: dict[str, str] = {}
    for prompt in sides[one]:
        text = cleaned(prompt)
        if places.setdefault(normalised(text), prompt) is prompt:
            index.find(text, add=True)
    leaks = []
    for prompt in sides[other]:
        text = cleaned(prompt)
        near = None if normalised(text) in places else index.find(text, add=False)
        if normalised(text) in places or near:
            how = f"{near[1]:.0%} alike" if near else "the same"
            leaks.append(f"{one} and {other} share a prompt ({how}): {excerpt(prompt)!r}")
    return leaks
