"""Verdicts on single responses: how a thumb is learned, and how often the scores agree with thumbs that were held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch

from alignment.progress import progress
from alignment.records import Verdict
from alignment.scorer import Scorer


@dataclass(frozen=True)
class Thumb:
    """A verdict as one token sequence, prompt and response."""

    good: bool
    sequence: list[int]


def encode_thumbs(scorer: Scorer, verdicts: Sequence[Verdict], name: str) -> list[Thumb]:
    """Token sequences of the verdicts' responses, in order."""
    thumbs = []
    with progress(len(verdicts), name, "verdict") as bar:
        for verdict in verdicts:
            encoded = scorer.encode(verdict.prompt, verdict.response)
            thumbs.append(Thumb(verdict.verdict == "good", [*encoded.prompt_ids, *encoded.response_ids]))
            bar.update()
    return thumbs


def portions(thumbs: Sequence[Thumb], steps: int, generator: torch.Generator) -> list[list[Thumb]]:
    """An epoch's thumbs in a fresh order, cut into `steps` portions of sizes that differ by at most one."""
    order = torch.randperm(len(thumbs), generator=generator).tolist()
    edges = [len(order) * step // steps for step in range(steps + 1)]
    return [[thumbs[row] for row in order[start:end]] for start, end in pairwise(edges)]


def thumb_losses(scores: torch.Tensor, good: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """loss = −log σ(s − μ) for a thumb up, −log σ(μ − s) for a thumb down.

    scores: (V,). good: (V,) bool. reference: μ, the mean score of the reference's responses, a number that no gradient
    flows through. Returns (V,) nats. Source: the logistic loss; a detached reference point as in KTO, arXiv 2402.01306."""
    sign = torch.where(good, 1.0, -1.0).to(scores.dtype)
    return torch.nn.functional.softplus(-sign * (scores - reference))


def agreement(scores: Sequence[float], good: Sequence[bool], mean: float = 0.0) -> float:
    """Share of thumbs on the side of the reference's mean score that they should be on; on it counts half."""
    sides = [0.5 if score == mean else float((score > mean) == up) for score, up in zip(scores, good, strict=True)]
    return sum(sides) / len(sides)
