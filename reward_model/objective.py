"""Which loss a run trains on: its settings → one loss a ranking. Without options it is `ranking_losses`, nothing around it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from alignment.records import Ranking
from reward_model import pair_losses
from reward_model.config import RewardSettings
from reward_model.loss import compared_pairs, means, ranking_losses, strict_pairs
from reward_model.plackett_luce import plackett_luce

Objective = Callable[[torch.Tensor, list[Ranking]], torch.Tensor]
"""((N,) scores of the responses one after the other, R rankings) → (R,) losses, in nats."""


def bradley_terry(scores: torch.Tensor, rankings: list[Ranking]) -> torch.Tensor:
    """`ranking_losses` over the strict pairs: the default."""
    return ranking_losses(scores, strict_pairs(rankings).to(scores.device))


def objective(settings: RewardSettings, tie_probability: float | None = None) -> Objective:
    """The loss that the settings ask for. tie_probability: of the tie model, where one is asked for."""
    if settings.loss == "plackett-luce":
        return plackett_luce
    if settings.tie_model != "none":
        assert tie_probability is not None
        model = pair_losses.TIE_MODELS[settings.tie_model](tie_probability)
        return _with_ties(model.tied, _robust(model.strict, settings))
    if settings.strength_margins or settings.label_noise:
        margins = pair_losses.margins(settings.strength_margins) if settings.strength_margins else None
        return _with_margins(margins, settings)
    return bradley_terry


def _robust(loss: pair_losses.PairLoss, settings: RewardSettings) -> pair_losses.PairLoss:
    """The loss made robust to wrong labels where the settings ask for it."""
    return pair_losses.NOISE_LOSSES[settings.noise_loss](loss, settings.label_noise) if settings.label_noise else loss


def _with_ties(tied_loss: pair_losses.PairLoss, strict_loss: pair_losses.PairLoss) -> Objective:
    """Strict pairs and ties, each pair with one weight; a tie has no side that noise could flip."""

    def losses(scores: torch.Tensor, rankings: list[Ranking]) -> torch.Tensor:
        pairs, tied = compared_pairs(rankings)
        pairs, tied = pairs.to(scores.device), tied.to(scores.device)
        difference = scores[pairs.better] - scores[pairs.worse]
        return means(torch.where(tied, tied_loss(difference), strict_loss(difference)), pairs)

    return losses


def _with_margins(margins: tuple[float, ...] | None, settings: RewardSettings) -> Objective:
    """−log σ(Δ − m), m the margin of the ranking's strength, 0 where it has none; made robust where asked for."""

    def losses(scores: torch.Tensor, rankings: list[Ranking]) -> torch.Tensor:
        pairs = strict_pairs(rankings).to(scores.device)
        difference = scores[pairs.better] - scores[pairs.worse]
        each = [0.0 if margins is None or one.strength is None else margins[one.strength] for one in rankings]
        margin = torch.tensor(each, dtype=scores.dtype, device=scores.device)[pairs.ranking]
        return means(_robust(lambda some: pair_losses.bradley_terry(some - margin), settings)(difference), pairs)

    return losses
