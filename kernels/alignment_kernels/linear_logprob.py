"""K1: per-token log-prob and entropy from hidden states and the output weight, without gradient."""

import torch
from torch import Tensor

from alignment_kernels.logit_tiles import (
    check_inputs,
    exact_matmul,
    logit_dtype,
    logit_tiles,
    operand_dtype,
    row_blocks,
    softmax_rows_,
)


@torch.no_grad()
def linear_logprob(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    temperature: float = 1.0,
    chunk_tokens: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Log-prob of each target token and entropy of its distribution, logits living a chunk at a time.

        z = hidden Wᵀ / T,   logprob = z[target] - log Σ_v exp z_v,   H = -Σ_v p_v log p_v

    Args:
        hidden: (N, D), the states at the positions that predict `targets`.
        weight: (V, D), the output head's weight.
        targets: (N,) int64 in 0..V-1. There is no ignore index: leave masked tokens out.
        temperature: T > 0; 1 is neutral.
        chunk_tokens: tokens whose logits exist together (memory only); None chooses 64 MiB of fp32 logits.

    Returns:
        logprobs (N,), entropy (N,), in nats; float64 if an input is, else float32. Products are summed in
        fp32.

    What is equal to the last bit: the result here and the log-probs of `fused_linear_token_loss`, for the
    same inputs, always. So PPO's first ratio is exactly 1. For the same token in other company (another
    micro-batch, order, N or `chunk_tokens`): on x86 CPUs with MKL, measured for fp32, float64 and bf16, D
    64..3584, V 512..32,000, with one thread, because tiles have a multiple of 16 rows and no row's
    arithmetic depends on its neighbours. On other devices the matrix product is the same call as long as
    `chunk_tokens` and V are, whatever N is; not measured there. Should a BLAS break it, the difference is
    the rounding of a D-long fp32 sum, about 1e-6·(1+|logit|).

    Raises:
        ValueError: shapes that do not fit, logits in place of hidden states, a target out of range, T <= 0.

    Source: ours, because a (N, V) matrix of logits is the largest tensor of a PPO step and nobody needs it.
    """
    check_inputs(hidden, weight, targets, temperature, chunk_tokens)
    with exact_matmul(hidden.device):
        logprobs = hidden.new_empty(len(hidden), dtype=logit_dtype(hidden, weight))
        entropy = torch.empty_like(logprobs)
        operand = weight.to(operand_dtype(hidden, weight))
        scratch = None
        for tokens, _, logits in logit_tiles(hidden, operand, temperature, chunk_tokens):
            for rows, real in row_blocks(tokens.stop - tokens.start, logits):
                if scratch is None:
                    scratch = torch.empty_like(logits[rows])
                at = slice(tokens.start + real.start, tokens.start + real.stop)
                _, logprobs[at], entropy[at] = softmax_rows_(logits[rows], targets[at], scratch)
    return logprobs, entropy
