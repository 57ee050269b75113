"""Statistics over the places where a mask is True. Sums over counts, never a mean of means, never over padding."""

from __future__ import annotations

import torch


def masked_mean(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Σ m·x / Σ m. values, mask: same shape. Returns a scalar; 0 when nothing counts."""
    return masked_sum(values, mask) / mask.sum().clamp(min=1)


def masked_sum(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Σ m·x, without touching what is masked (NaN there stays there)."""
    return values.masked_fill(~mask, 0).sum()


def masked_variance(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Population variance Σ m·(x−μ)² / Σ m (OpenAI, N+, OpenRLHF; TRL and verl apply Bessel's correction)."""
    return masked_mean((values - masked_mean(values, mask)).square(), mask)


def masked_whiten(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(x − μ) / √(σ² + 1e-8) where the mask is True, 0 elsewhere. Source: lm-human-preferences, N+ detail on whitening."""
    centred = values - masked_mean(values, mask)
    return (centred * torch.rsqrt(masked_variance(values, mask) + 1e-8)).masked_fill(~mask, 0)


def full_precision(values: torch.Tensor) -> torch.Tensor:
    """The values in fp32, or as they are where they are float64: what statistics and losses are computed in."""
    return values if values.dtype == torch.float64 else values.float()
