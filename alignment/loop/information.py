"""What a ranking would teach the reward model: D-optimal design on its last features.

A reward model's score is s = w · φ + offset, φ the last hidden state, and P(i is preferred to j) = σ((s_i − s_j) / T).
A ranking of K responses then tells about w the Fisher information

    I = c_K / T² · Σ_{i<j} p_ij (1 − p_ij) (φ_i − φ_j)(φ_i − φ_j)ᵀ,    c_K = 4 / (K (K − 1)) · Σ_{m=2..K} (m − 1) / m.

c_K is 1 for two responses and .639 for four: the pairs of one ranking are not independent. With it I is that of the
Plackett–Luce model exactly where all scores are equal. What is known already, A = λ 1 + the sum of I, decides what is worth
asking: the gain of a ranking is log det(A + I) − log det(A), in nats. The best set of rankings is chosen greedily, which
reaches 1 − 1/e of the best there is, since the gain is submodular.

Source: Mukherjee et al. 2024, "Optimal Design for Human Preference Elicitation", arXiv 2404.13895 (the design); Minoux 1978
(lazy greedy)."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

Array = NDArray[numpy.float64]

WIDEST = 256
"""Features beyond this many are brought down to it by a random projection, which keeps distances to about 1/√256
(Johnson & Lindenstrauss 1984): A is of that size squared, and changes with each choice."""


@dataclass(frozen=True)
class Chosen:
    """index: place among the candidates. gain: what it tells after all chosen before it, in nats."""

    index: int
    gain: float


def share_of_pairs(k: int) -> float:
    """c_K: how much of the sum over its pairs a ranking of k responses tells (dimensionless)."""
    return 4 / (k * (k - 1)) * sum((m - 1) / m for m in range(2, k + 1))


def evidence(features: Array, scores: Array, temperature: float) -> Array:
    """(pairs, H) rows x with I = Σ x xᵀ, of the (K, H) features and (K,) scores of one prompt's responses."""
    first, second = numpy.triu_indices(len(scores), k=1)
    chance = 1 / (1 + numpy.exp((scores[second] - scores[first]) / temperature))
    weight = share_of_pairs(len(scores)) * chance * (1 - chance) / temperature**2
    return numpy.sqrt(weight)[:, None] * (features[first] - features[second])


def projection(width: int, seed: int) -> Array | None:
    """(H, 256) matrix that features are multiplied by, entries N(0, 1/256); None where they are few enough as they are."""
    if width <= WIDEST:
        return None
    return numpy.random.default_rng(seed).normal(scale=WIDEST**-0.5, size=(width, WIDEST))


class Knowledge:
    """What rankings have told about w so far: A⁻¹, (H, H)."""

    def __init__(self, sets: Sequence[Array]) -> None:
        """sets: the (K, H) features of candidates. λ is the precision of a prior under which scores have sd 1, as those of a
        normalised reward model: two responses differ by w · d, whose variance ‖d‖² / λ is 2 on average."""
        differences = [features[i] - features[j] for features in sets for i in range(len(features)) for j in range(i)]
        spread = float(numpy.mean([difference @ difference for difference in differences]))
        if spread == 0:
            raise ValueError("all responses of each prompt have the same features; there is nothing to learn from them")
        self.ridge = spread / 2
        self.covariance: Array = numpy.eye(sets[0].shape[1]) / self.ridge

    def gain(self, rows: Array) -> float:
        """log det(1 + X A⁻¹ Xᵀ), the nats that X, (pairs, H), would add."""
        return float(numpy.linalg.slogdet(numpy.eye(len(rows)) + rows @ self.covariance @ rows.T)[1])

    def add(self, rows: Array) -> None:
        """A ← A + Xᵀ X, by Woodbury's formula."""
        seen = self.covariance @ rows.T
        inner = numpy.eye(len(rows)) + rows @ seen
        self.covariance = self.covariance - seen @ numpy.linalg.solve(inner, seen.T)


def most_informative(knowledge: Knowledge, candidates: Sequence[Array], count: int) -> Iterator[Chosen]:
    """The `count` candidates that tell most together, most first; each is added to what is known.

    Lazy: a gain only falls as more is known, so an old one bounds the new one, and most are never computed again."""
    queue = [(-knowledge.gain(rows), index, 0) for index, rows in enumerate(candidates)]
    heapq.heapify(queue)
    for made in range(min(count, len(candidates))):
        while queue[0][2] < made:
            _, index, _ = queue[0]
            heapq.heapreplace(queue, (-knowledge.gain(candidates[index]), index, made))
        gain, index, _ = heapq.heappop(queue)
        knowledge.add(candidates[index])
        yield Chosen(index, -gain)
