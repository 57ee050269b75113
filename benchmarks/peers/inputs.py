"""The ragged tensors that every implementation is given, made from a seed. Needs numpy and torch only: peers import it too."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

SEED = 20240324
LENGTHS = (24, 1, 2, 23, 7, 13, 24, 5, 1, 18, 11, 9)  # response tokens; the first row of 24 does not end in EOS
B, T, V, P = len(LENGTHS), max(LENGTHS), 6, 2
PAD, EOS, FIRST_WORD, FIRST_ROW = 0, 1, 2, 100  # a query begins with FIRST_ROW + its row, so that models know the row
GAMMA, LAM, KL_COEF, CLIP_RANGE, VALUE_CLIP_RANGE = 0.98, 0.95, 0.07, 0.2, 0.15  # none of them neutral
KL_INIT, KL_TARGET, KL_HORIZON, KL_RESPONSES, KL_SEEN = 0.2, 6.0, 1e4, 512, (1.0, 12.0, 6.5, 5.9, 30.0)
DTYPES = {"fp32": torch.float32, "fp64": torch.float64}


@dataclass(frozen=True)
class Inputs:
    """One rollout and one update of B responses. What lies behind a response's end is garbage, as in a real batch.

    queries (B,P), responses (B,T) ids; mask (B,T); logits, ref_logits, new_logits (B,T,V); values, new_values (B,T);
    scores (B,) multiples of 1/64, for verl keeps them in fp32; advantages, returns (B,T), for losses called
    alone; numbers (B,T), mean ½, for the masked statistics. All of order 1, so that 1e-6 means the same everywhere."""

    queries: Tensor
    responses: Tensor
    mask: Tensor
    logits: Tensor
    ref_logits: Tensor
    new_logits: Tensor
    values: Tensor
    new_values: Tensor
    scores: Tensor
    advantages: Tensor
    returns: Tensor
    numbers: Tensor

    def logprobs(self, logits: Tensor) -> Tensor:
        """(B,T) log-probability of each response token."""
        return logits.log_softmax(-1).gather(2, self.responses[..., None]).squeeze(-1)

    def digest(self) -> str:
        """SHA-256 of every tensor's bytes: who is given other inputs says so."""
        digest = hashlib.sha256()
        for field in fields(self):
            digest.update(getattr(self, field.name).contiguous().numpy().tobytes())
        return digest.hexdigest()


def inputs(dtype: torch.dtype) -> Inputs:
    """Drawn in float64, only by uniform draws and exact arithmetic, then rounded to `dtype`."""
    rng = np.random.default_rng(SEED)

    def uniform(width: float, *shape: int) -> np.ndarray:
        return width * (2.0 * rng.random(shape) - 1.0)

    lengths = np.array(LENGTHS)
    position = np.arange(T)[None, :]
    words = FIRST_WORD + np.floor(rng.random((B, T)) * (V - FIRST_WORD)).astype(np.int64)
    responses = np.where(position == lengths[:, None] - 1, EOS, words)
    responses[0, -1] = FIRST_WORD  # cut at the limit
    logits, values = uniform(1.0, B, T, V), uniform(1.0, B, T)
    floats = {
        "logits": logits, "ref_logits": logits + uniform(0.6, B, T, V), "new_logits": logits + uniform(0.5, B, T, V),
        "values": values, "new_values": values + uniform(0.5, B, T), "scores": np.round(64 * uniform(2.0, B)) / 64,
        "advantages": uniform(2.0, B, T), "returns": uniform(1.5, B, T), "numbers": 0.5 + uniform(1.5, B, T),
    }  # fmt: skip
    queries = np.stack([FIRST_ROW + np.arange(B), np.full(B, FIRST_WORD)], 1)
    return Inputs(
        queries=torch.from_numpy(queries),
        responses=torch.from_numpy(responses),
        mask=torch.from_numpy(position < lengths[:, None]),
        **{name: torch.from_numpy(value).to(dtype) for name, value in floats.items()},
    )
