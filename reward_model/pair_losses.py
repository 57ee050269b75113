"""Losses of one pair beside the plain −log σ(Δ): ties, margins, labels that may be wrong. Pure functions of Δ."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch.nn.functional import softplus

from alignment.errors import UserError
from alignment.records import STRENGTHS, Ranking

PairLoss = Callable[[torch.Tensor], torch.Tensor]
"""Δ = s_i − s_j, i the preferred → nats a pair."""

LLAMA_2 = "llama-2"
LLAMA_2_MARGINS = (0.0, 1 / 3, 2 / 3, 1.0)
"""Margin of each strength, negligibly to significantly better. Source: Llama 2, arXiv 2307.09288, table 27, "margin small"."""


@dataclass(frozen=True)
class TieModel:
    """What a probability model of ties says of a pair: nats of "i is better" and of "they tie", functions of Δ."""

    strict: PairLoss
    tied: PairLoss


def bradley_terry(difference: torch.Tensor) -> torch.Tensor:
    """−log σ(Δ). Source: Bradley & Terry 1952."""
    return softplus(-difference)


def rao_kupper(tie_probability: float) -> TieModel:
    """P(i above j) = σ(Δ − η), P(tie) = (e^{2η} − 1) σ(Δ − η) σ(−Δ − η), η = log((1 + t) / (1 − t)).

    tie_probability: t in (0, 1), what two equally good responses tie with; η ≥ 0 is the threshold that a difference has
    to pass to be seen. Source: Rao & Kupper 1967, "Ties in paired-comparison experiments", θ = e^η."""
    eta = math.log((1 + tie_probability) / (1 - tie_probability))
    constant = math.log(math.expm1(2 * eta))
    return TieModel(
        strict=lambda difference: softplus(eta - difference),
        tied=lambda difference: softplus(eta - difference) + softplus(eta + difference) - constant,
    )


def davidson(tie_probability: float) -> TieModel:
    """P(i above j) = e^{Δ/2} / Z, P(tie) = ν / Z, Z = e^{Δ/2} + e^{−Δ/2} + ν, ν = 2t / (1 − t).

    tie_probability: t in (0, 1), what two equally good responses tie with.
    Source: Davidson 1970, "On extending the Bradley-Terry model to accommodate ties"."""
    log_nu = math.log(2 * tie_probability / (1 - tie_probability))

    def log_z(difference: torch.Tensor) -> torch.Tensor:
        half = difference / 2
        return torch.stack([half, -half, torch.full_like(half, log_nu)]).logsumexp(0)

    return TieModel(
        strict=lambda difference: log_z(difference) - difference / 2,
        tied=lambda difference: log_z(difference) - log_nu,
    )


TIE_MODELS = {"rao-kupper": rao_kupper, "davidson": davidson}


def tie_share(rankings: list[Ranking]) -> float:
    """Ties ÷ compared pairs over all rankings, 0 … 1. Raises ValueError where nothing is compared."""
    tied = sum(len(ranking.tied_pairs()) for ranking in rankings)
    compared = tied + sum(len(ranking.strict_pairs()) for ranking in rankings)
    if not compared:
        raise ValueError("no two responses are compared")
    return tied / compared


def smoothed(loss: PairLoss, noise: float) -> PairLoss:
    """(1 − ε) ℓ(Δ) + ε ℓ(−Δ): the expected loss if each label were flipped with probability ε = `noise` ≥ 0.

    It has a minimum at a finite Δ, log((1 − ε)/ε), so a wrong label cannot pull without end.
    Source: Szegedy 2016 (label smoothing); for preferences Mitchell 2023, "A note on DPO with noisy preferences" (cDPO)."""
    return lambda difference: (1 - noise) * loss(difference) + noise * loss(-difference)


def unbiased(loss: PairLoss, noise: float) -> PairLoss:
    """[(1 − ε) ℓ(Δ) − ε ℓ(−Δ)] / (1 − 2ε): its mean over labels flipped with probability ε is the loss of the true ones.

    noise: ε in [0, ½). It has no lower bound. Source: Natarajan 2013, "Learning with noisy labels", lemma 1; for
    preferences Chowdhury 2024, arXiv 2403.00409 (rDPO)."""
    return lambda difference: ((1 - noise) * loss(difference) - noise * loss(-difference)) / (1 - 2 * noise)


NOISE_LOSSES = {"smoothing": smoothed, "unbiased": unbiased}


def margins(text: str) -> tuple[float, ...]:
    """The margin of each strength 0 … 3 from "0,1/3,2/3,1", or Llama 2's from "llama-2".

    Raises UserError where it is not four numbers ≥ 0 that do not fall."""
    if text == LLAMA_2:
        return LLAMA_2_MARGINS
    try:
        found = tuple(float(Fraction(part.strip())) for part in text.split(","))
    except (ValueError, ZeroDivisionError, OverflowError):
        found = ()
    if len(found) != len(STRENGTHS) or found[0] < 0 or list(found) != sorted(found):
        raise UserError(
            f"--strength-margins is {text!r}; it must be {LLAMA_2} or four numbers of at least 0 that do not fall, "
            "one for each strength from 0 to 3, for example 0,1/3,2/3,1"
        )
    return found
