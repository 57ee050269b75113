"""From the reward's scores to what is maximised: normalised, lowered where the EOS is missing, clipped. Pure functions."""

from __future__ import annotations

import torch

from alignment.chat import Tokens

MISSING_EOS_SCORE = -1.0  # the reference's mean − 1 sd, in normalised units


def maximised(
    scores: torch.Tensor, ended: torch.Tensor, mean: float, sd: float, missing_eos: str, score_clip: float | None
) -> torch.Tensor:
    """(score − mean) / sd; min(that, −1) where missing_eos is "penalty" and no EOS ended the response; then within ± score_clip.

    scores (B,); ended (B,) bool; mean 0, sd 1, "none" and None are neutral. Returns (B,).
    Source: Ziegler 2019 (normalisation); ours (min, so that a bad unended response stays bad: N+ sets −1 for all of them)."""
    normalized = (scores - mean) / sd
    if missing_eos == "penalty":
        normalized = torch.where(ended, normalized, normalized.clamp(max=MISSING_EOS_SCORE))
    return normalized if score_clip is None else normalized.clamp(-score_clip, score_clip)


def ended(tokens: Tokens, stops: list[int]) -> torch.Tensor:
    """(B,) whether a stop token is the last of the response."""
    last = tokens.response_mask.sum(1, keepdim=True) - 1
    ids = tokens.response_ids.gather(1, last).squeeze(1)
    return torch.isin(ids, torch.tensor(stops, device=ids.device))
