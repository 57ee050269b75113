"""What the two ops share: checked inputs, logits for a chunk of tokens at a time, the softmax of some rows.

Both ops call the same `logit_tiles` and `softmax_rows_` with the same shapes; that their log-probs are
equal to the last bit rests on this, so neither op may have its own copy.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor

ROWS = 16
"""Tiles have a multiple of this many rows (the rest is padding). ours: because matrix products of 1, 2, 3
rows, or in float64 of an odd number, go another way through the BLAS and round differently from the same
row in a larger product."""

TILE_ELEMENTS = 2**24
"""Logits of one tile unless `chunk_tokens` says otherwise: 64 MiB in fp32. ours: measured, the matrix
products reach their full speed from about 500 rows at V = 32,000."""

BLOCK_ELEMENTS = {"cpu": 2**19}
"""Logits of the rows that go through the elementwise work together: 2 MiB, so that they stay in a core's
cache."""


def check_inputs(hidden: Tensor, weight: Tensor, targets: Tensor, temperature: float, chunk_tokens: int | None) -> None:
    """Refuse what cannot be meant, with a ValueError that names the argument and what it must be."""
    if hidden.ndim != 2 or weight.ndim != 2:
        raise ValueError(
            f"hidden must be (N, D) and weight (V, D), got {tuple(hidden.shape)} and {tuple(weight.shape)}: "
            "flatten batch and time first"
        )
    if hidden.shape[1] != weight.shape[1]:
        hint = ": these look like logits, pass the hidden states" if hidden.shape[1] == weight.shape[0] else ""
        raise ValueError(
            f"hidden must be (N, {weight.shape[1]}) to fit weight {tuple(weight.shape)}, "
            f"got {tuple(hidden.shape)}{hint}"
        )
    if not (hidden.is_floating_point() and weight.is_floating_point()):
        raise ValueError(f"hidden and weight must be floating point, got {hidden.dtype} and {weight.dtype}")
    if targets.shape != hidden.shape[:1] or targets.dtype != torch.int64:
        raise ValueError(
            f"targets must be ({len(hidden)},) int64, one per row of hidden, got {tuple(targets.shape)} {targets.dtype}"
        )
    if not 0.0 < temperature < float("inf"):
        raise ValueError(f"temperature must be positive and finite, got {temperature}")
    if chunk_tokens is not None and chunk_tokens < 1:
        raise ValueError(f"chunk_tokens must be at least 1, got {chunk_tokens}")
    if len(targets):
        lowest, highest = (int(x) for x in torch.stack(targets.aminmax()).tolist())
        if lowest < 0 or highest >= len(weight):
            raise ValueError(
                f"targets must lie in 0..{len(weight) - 1}, got {lowest if lowest < 0 else highest}: "
                "drop masked tokens before the head, there is no ignore index"
            )


def logit_dtype(hidden: Tensor, weight: Tensor) -> torch.dtype:
    """float64 if an input is, else float32: logits, log-probs and sums are never held in half precision."""
    return torch.float64 if torch.float64 in (hidden.dtype, weight.dtype) else torch.float32


def operand_dtype(hidden: Tensor, weight: Tensor) -> torch.dtype:
    """Type that the matrix products read: the inputs' own half type where a device multiplies it into fp32
    (CUDA), else `logit_dtype`. bf16 weights on a CPU are therefore copied to fp32 once per call, V·D·4 bytes."""
    half = hidden.dtype == weight.dtype and hidden.dtype in (torch.bfloat16, torch.float16)
    return hidden.dtype if half and hidden.device.type == "cuda" else logit_dtype(hidden, weight)


def matmul_into(out: Tensor, a: Tensor, b: Tensor, *, alpha: float = 1.0, add: bool = False) -> None:
    """out = alpha · a @ b (+ out), summed in `out`'s type, also where a and b are half."""
    beta = 1.0 if add else 0.0
    if a.dtype == out.dtype:
        torch.addmm(out, a, b, beta=beta, alpha=alpha, out=out)
    else:
        torch.addmm(out, a, b, out_dtype=out.dtype, beta=beta, alpha=alpha, out=out)


@contextlib.contextmanager
def exact_matmul(device: torch.device) -> Iterator[None]:
    """fp32 products stay fp32 inside, whatever `torch.set_float32_matmul_precision` or autocast say outside.

    ours: because TF32 or bf16 products put an error of 1e-2 on a log-prob, and PPO's clip range is .2.
    """
    backend = {"cuda": torch.backends.cuda, "cpu": torch.backends.mkldnn}.get(device.type)
    before = backend.matmul.fp32_precision if backend else None
    try:
        if backend:
            backend.matmul.fp32_precision = "ieee"
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        if backend:
            backend.matmul.fp32_precision = before


def tile_rows(n_tokens: int, vocab: int, chunk_tokens: int | None, device: torch.device) -> int:
    """Rows of the (rows, V) tile that logits live in: `chunk_tokens`, or what `TILE_ELEMENTS` allows."""
    rows = chunk_tokens or min(max(TILE_ELEMENTS // vocab, 256), 4096)
    if device.type == "cpu":
        rows = min(rows, max(n_tokens, 1))
    return -(-rows // ROWS) * ROWS


def logit_tiles(
    hidden: Tensor, weight: Tensor, temperature: float, chunk_tokens: int | None
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """For chunks of tokens in order: z = hidden Wᵀ / T, the only place where logits are made.

    weight is already in `operand_dtype`. Yields (tokens, hidden chunk (n, D) in that type, logits (rows,
    V)); rows >= n is a multiple of `ROWS`, those after the n-th are padding. All chunks share the tile's
    memory: use it before the next.

    On a CPU only the last tile is cut to its tokens. Elsewhere every tile keeps all its rows, so that each
    product is the same call whatever the number of tokens.
    """
    n_tokens, vocab = len(hidden), len(weight)
    rows = tile_rows(n_tokens, vocab, chunk_tokens, hidden.device)
    buffer = torch.empty((rows, vocab), dtype=logit_dtype(hidden, weight), device=hidden.device)
    for start in range(0, n_tokens, rows):
        tokens = slice(start, min(start + rows, n_tokens))
        n = tokens.stop - tokens.start
        padded = -(-n // ROWS) * ROWS if hidden.device.type == "cpu" else rows
        chunk = hidden[tokens].to(weight.dtype).contiguous()
        if padded > n:
            chunk = torch.cat([chunk, chunk.new_zeros(padded - n, chunk.shape[1])])
        logits = buffer[:padded]
        matmul_into(logits, chunk, weight.T, alpha=1.0 / temperature)
        yield tokens, chunk[:n], logits


def row_blocks(n: int, logits: Tensor) -> Iterator[tuple[slice, slice]]:
    """Cut a tile's rows so that a block fits in cache: (all rows of the block, those that are tokens)."""
    elements = BLOCK_ELEMENTS.get(logits.device.type, TILE_ELEMENTS)
    step = max(elements // logits.shape[1] // ROWS, 1) * ROWS
    for start in range(0, n, step):
        yield slice(start, min(start + step, len(logits))), slice(start, min(start + step, n))


def softmax_rows_(logits: Tensor, targets: Tensor, scratch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Softmax of rows in place:  logits <- p,  scratch <- p log p,  logprob = log p[target],  H = -Σ p log p.

    logits (r, V) and scratch at least as large, both of the logit type; targets (n,), n <= r (the rest is
    padding). Returns the filled scratch (r, V), logprobs (n,), entropy (n,). Logits of -inf give p = 0 and
    p log p = 0.
    """
    p, p_log_p = logits, scratch[: len(logits)]
    n = len(targets)
    log_p = torch.log_softmax(logits, dim=-1, out=p_log_p)
    logprobs = log_p[:n].gather(1, targets.unsqueeze(1)).squeeze(1)
    torch.exp(log_p, out=p)
    p_log_p.mul_(p)
    entropy = -p_log_p.sum(-1)
    if bool(entropy.isnan().any()):
        p_log_p.masked_fill_(p == 0.0, 0.0)
        entropy = -p_log_p.sum(-1)
    return p_log_p, logprobs, entropy[:n]
