"""The float64 twin: the same formulas with the whole (N, V) logits and autograd, to be read and tested
against.

Never on a hot path: it holds several (N, V) float64 matrices.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def linear_logprob(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Log-prob of each target and entropy of each row's distribution, in float64, differentiable.

        z = hidden Wᵀ / T,   log p = log softmax(z),   logprob = log p[target],   H = -Σ_v p_v log p_v

    Shapes: hidden (N, D), weight (V, D), targets (N,) int64. Returns two (N,), nats; 0 log 0 = 0.
    Weights of -inf are not for this twin (autograd makes 0·inf of them): a large finite weight says the
    same in float64.
    """
    logits = hidden.double() @ weight.double().T / temperature
    log_p = torch.log_softmax(logits, dim=-1)
    log_p_or_zero = torch.where(log_p == -torch.inf, 0.0, log_p)
    entropy = -(log_p.exp() * log_p_or_zero).sum(-1)
    return log_p.gather(-1, targets.unsqueeze(-1)).squeeze(-1), entropy


def linear_token_loss(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    loss_fn: Callable[[Tensor, Tensor, slice], Tensor],
    *,
    temperature: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """loss = Σ_i loss_fn(logprobs, entropy, slice(0, N))_i in float64; autograd makes the gradients.

    Arguments and returns as `fused_linear_token_loss`; `loss_fn` is called once, with all the tokens.
    """
    logprobs, entropy = linear_logprob(hidden, weight, targets, temperature=temperature)
    loss = loss_fn(logprobs, entropy, slice(0, len(targets))).sum()
    return loss, logprobs.detach(), entropy.detach()
