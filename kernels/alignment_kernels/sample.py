"""K4: draws a token from each row of logits: temperature, top-k, top-p, and the log-prob of what was drawn."""

import torch
from torch import Tensor


@torch.no_grad()
def sample(
    logits: Tensor, *, temperature: float = 1.0, top_k: int = 0, top_p: float = 1.0, uniform: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """One token a row, drawn from the processed distribution q, and its log-prob under p and under q.

        p = softmax(z / T)
        K = the tokens no less likely than the k-th, P = of these the fewest, likeliest first, whose share of K's mass is >= top_p
        q = p on P, divided by the mass of P
        token = the first v with q_0 + ... + q_v > u,  u ~ Uniform[0, 1)

    Tokens exactly as likely as the last one that is kept are kept too, so the set does not depend on how ties are sorted.

    Args:
        logits: (N, V), finite or -inf (a token that can't be).
        temperature: T > 0; 1 is neutral.
        top_k: 0 = off. top_p: 1 = off.
        uniform: (N,) float64, u; None takes them from torch's global generator.

    Returns:
        tokens (N,) int64, logprob (N,) = log p[token], equal to `linear_logprob`'s up to rounding, and logprob_processed (N,) =
        log q[token], in nats; float64 if the logits are, else float32. A row with a NaN, with +inf or with -inf alone
        has the log-prob NaN.

    Raises:
        ValueError: logits that are no matrix, T <= 0, top_k < 0, top_p outside (0, 1], `uniform` of another shape.

    One u a row, summed up in float64, in place of V draws of Gumbel noise, which cost more than the rest together (25 ns each
    on a CPU).

    Source: inverse transform sampling; top-k Fan 2018, arXiv 1805.04833; nucleus Holtzman 2019, arXiv 1904.09751; the order temperature, top-k,
    top-p is transformers'.
    """
    _check(logits, temperature, top_k, top_p, uniform)
    p = torch.softmax(logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature, dim=-1)
    q = p
    if 0 < top_k < p.shape[1]:
        q = _no_less_likely(q, q.topk(top_k).values[:, -1:])
    if top_p < 1:
        q = _no_less_likely(q, _nucleus_floor(q, top_p))
    if uniform is None:
        uniform = torch.rand(len(q), dtype=torch.float64, device=q.device)
    cumulative = q.cumsum(dim=-1, dtype=torch.float64)
    mass = cumulative[:, -1]
    below = torch.minimum(uniform * mass, mass.nextafter(mass.new_zeros(())))  # u · mass may round up to the mass
    tokens = torch.searchsorted(cumulative, below[:, None], right=True).clamp(max=q.shape[1] - 1)  # of NaN: the last
    logprob = p.gather(1, tokens).squeeze(1).log()
    return tokens.squeeze(1), logprob, logprob - mass.log().to(logprob.dtype) if q is not p else logprob


def _no_less_likely(p: Tensor, floor: Tensor) -> Tensor:
    return torch.where(p < floor, 0.0, p)


def _nucleus_floor(p: Tensor, top_p: float) -> Tensor:
    """(N, 1) the probability of the last token of the nucleus."""
    ordered = p.sort(dim=-1, descending=True).values
    before = ordered.cumsum(dim=-1) - ordered
    kept = (before < top_p * ordered.sum(dim=-1, keepdim=True)).sum(dim=-1, keepdim=True)
    return ordered.gather(1, (kept - 1).clamp(min=0))


def _check(logits: Tensor, temperature: float, top_k: int, top_p: float, uniform: Tensor | None) -> None:
    if logits.ndim != 2 or not logits.is_floating_point():
        raise ValueError(f"logits must be (N, V) floating point, got {tuple(logits.shape)} {logits.dtype}")
    if not 0.0 < temperature < float("inf"):
        raise ValueError(f"temperature must be positive and finite, got {temperature}")
    if top_k < 0:
        raise ValueError(f"top_k must be 0 (off) or more, got {top_k}")
    if not 0.0 < top_p <= 1.0:
        raise ValueError(f"top_p must be above 0 and at most 1, got {top_p}")
    if uniform is not None and uniform.shape != logits.shape[:1]:
        raise ValueError(f"uniform must be ({len(logits)},), one a row of the logits, got {tuple(uniform.shape)}")
