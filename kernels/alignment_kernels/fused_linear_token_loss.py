"""K2: a loss of per-token log-prob and entropy, and its gradients for hidden states and weight, in one
pass."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from alignment_kernels.logit_tiles import (
    check_inputs,
    exact_matmul,
    logit_dtype,
    logit_tiles,
    matmul_into,
    operand_dtype,
    row_blocks,
    softmax_rows_,
)

TokenLoss = Callable[[Tensor, Tensor, slice], Tensor]


def fused_linear_token_loss(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    loss_fn: TokenLoss,
    *,
    temperature: float = 1.0,
    chunk_tokens: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Sum of a per-token loss from hidden states and the output weight, logits living a chunk at a time.

        z = hidden Wᵀ / T,   loss = Σ_i loss_fn(logprobs, entropy)_i,   g = ∂loss/∂logprob,   h = ∂loss/∂H
        ∂loss/∂(hidden Wᵀ) = [g (onehot(target) - p) - h p (log p + H)] / T

    The gradients are made in the forward, from the same logits: 6·N·V·D FLOPs where recomputing the logits
    in the backward takes 8. The backward only multiplies them by the upstream gradient. Without gradient
    (`torch.no_grad()`, or neither input requires it) only the loss is computed; a frozen weight gets no
    gradient, nor do hidden states that need none.

    Args:
        hidden: (N, D), the states at the positions that predict `targets`.
        weight: (V, D), the output head's weight.
        targets: (N,) int64 in 0..V-1. There is no ignore index: leave masked tokens out.
        loss_fn: `(logprobs (n,), entropy (n,), tokens: slice) -> (n,)`, plain differentiable torch, called
            on a few consecutive tokens at a time; `tokens` says which, so that it can index its own
            advantages or old log-probs. Each token's loss may depend on that token alone, and gradients
            go to logprobs and entropy alone. SFT: `lambda logprobs, entropy, tokens: -logprobs`.
        temperature: T > 0; 1 is neutral.
        chunk_tokens: tokens whose logits exist together (memory only); None chooses 64 MiB of fp32 logits.

    Returns:
        loss (scalar), logprobs (N,), entropy (N,), the last two detached, in nats; float64 if an input is,
        else float32. The log-probs are equal to `linear_logprob`'s to the last bit (its docstring says what
        else is). N = 0 gives loss 0 and zero gradients.

    Precision: logits, softmax and the sum of the weight's gradient over chunks are fp32 also for bf16
    inputs; the result is rounded to the weight's type once. A weight of -inf (a token that can't be) counts
    as probability 0 and adds nothing to the gradients.

    Raises:
        ValueError: shapes that do not fit, logits in place of hidden states, a target out of range, T <= 0,
            a `loss_fn` that does not return one loss per token.

    Source: gradient in the forward as in Cut Your Losses and Liger-Kernel's fused linear cross-entropy;
    ours: any loss of (log-prob, entropy), because SFT, PPO and scoring then share one head and one
    precision.
    """
    check_inputs(hidden, weight, targets, temperature, chunk_tokens)
    needs_grad = torch.is_grad_enabled()
    hidden_grad = torch.zeros_like(hidden) if needs_grad and hidden.requires_grad else None
    weight_grad = None
    if needs_grad and weight.requires_grad:
        weight_grad = torch.zeros(weight.shape, dtype=logit_dtype(hidden, weight), device=weight.device)
    with torch.no_grad(), exact_matmul(hidden.device):
        losses, logprobs, entropy = _one_pass(
            hidden, weight, targets, loss_fn, temperature, chunk_tokens, hidden_grad, weight_grad
        )
        loss = losses.sum()
    if hidden_grad is None and weight_grad is None:
        return loss, logprobs, entropy
    if weight_grad is not None:
        weight_grad = weight_grad.to(weight.dtype)
    return _WithGradients.apply(hidden, weight, loss, hidden_grad, weight_grad), logprobs, entropy


def _one_pass(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    loss_fn: TokenLoss,
    temperature: float,
    chunk_tokens: int | None,
    hidden_grad: Tensor | None,
    weight_grad: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Per-token losses, log-probs and entropy, each (N,); fills the gradient buffers that are there."""
    with_gradient = hidden_grad is not None or weight_grad is not None
    losses = hidden.new_empty(len(hidden), dtype=logit_dtype(hidden, weight))
    logprobs, entropy = torch.empty_like(losses), torch.empty_like(losses)
    operand = weight.to(operand_dtype(hidden, weight))
    finite_operand = _without_infinities(operand) if hidden_grad is not None else operand
    scratch = None
    for tokens, hidden_chunk, logits in logit_tiles(hidden, operand, temperature, chunk_tokens):
        n = tokens.stop - tokens.start
        for rows, real in row_blocks(n, logits):
            if scratch is None:
                scratch = torch.empty_like(logits[rows])
            at = slice(tokens.start + real.start, tokens.start + real.stop)
            p_log_p, logprobs[at], entropy[at] = softmax_rows_(logits[rows], targets[at], scratch)
            losses[at], g, h = _token_loss(loss_fn, logprobs[at], entropy[at], at, with_gradient)
            if with_gradient:
                _dlogits_(logits[real], p_log_p, entropy[at], targets[at], g, h, temperature)
        dlogits = logits[:n].to(operand.dtype) if with_gradient else logits
        if hidden_grad is not None:
            hidden_grad[tokens] = torch.mm(dlogits, finite_operand).to(hidden.dtype)
        if weight_grad is not None:
            matmul_into(weight_grad, dlogits.T, hidden_chunk, add=True)
    return losses, logprobs, entropy


def _token_loss(
    loss_fn: TokenLoss, logprobs: Tensor, entropy: Tensor, tokens: slice, with_gradient: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """loss_fn on a few tokens: losses, ∂loss/∂logprob and ∂loss/∂H, each (n,); None where independent."""
    with torch.set_grad_enabled(with_gradient):
        logprobs = logprobs.detach().requires_grad_(with_gradient)
        entropy = entropy.detach().requires_grad_(with_gradient)
        losses = loss_fn(logprobs, entropy, tokens)
    if not isinstance(losses, Tensor) or losses.shape != logprobs.shape:
        got = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
        raise ValueError(f"loss_fn must return one loss per token, {tuple(logprobs.shape)}, got {got}")
    if not losses.requires_grad:
        return losses, None, None
    g, h = torch.autograd.grad(losses, (logprobs, entropy), torch.ones_like(losses), allow_unused=True)
    return losses.detach(), g, h


def _dlogits_(
    p: Tensor,
    p_log_p: Tensor,
    entropy: Tensor,
    targets: Tensor,
    g: Tensor | None,
    h: Tensor | None,
    temperature: float,
) -> None:
    """In place, rows of p (n, V) become  [g (onehot(target) - p) - h (p log p + p H)] / T."""
    g = torch.zeros_like(entropy) if g is None else g / temperature
    if h is None:
        p.mul_(-g.unsqueeze(1))
    else:
        h = h / temperature
        p.mul_(-(g + h * entropy).unsqueeze(1))
        p.addcmul_(p_log_p[: len(p)], h.unsqueeze(1), value=-1.0)
    p.scatter_add_(1, targets.unsqueeze(1), g.unsqueeze(1))


def _without_infinities(weight: Tensor) -> Tensor:
    """weight, or where it holds infinities a copy with 0 there: a dlogit of 0 times them is 0, not NaN."""
    if weight.numel() == 0 or not bool(torch.stack(weight.aminmax()).isinf().any()):
        return weight
    return weight.masked_fill(weight.isinf(), 0.0)


class _WithGradients(torch.autograd.Function):
    """The loss, carrying gradients that are already made."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        loss: Tensor,
        hidden_grad: Tensor | None,
        weight_grad: Tensor | None,
    ) -> Tensor:
        ctx.save_for_backward(hidden_grad, weight_grad)
        return loss.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        grads = (None if grad is None else grad * upstream.to(grad.dtype) for grad in ctx.saved_tensors)
        return *grads, None, None, None
