"""The decode loop: one token a step for a batch of prompts, on any causal LM of transformers whose layers all look at
everything before. Beside transformers' `generate` it neither copies the cache each step (it is allocated once and read in
place), nor repeats keys for grouped queries, nor computes rows that have ended (they leave the batch)."""

from __future__ import annotations

import contextlib
import logging
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.cache_utils import Cache, CacheLayerMixin
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from alignment.chat import Tokens
from alignment.logprobs import has_plain_head
from alignment.models import backbone, unwrapped
from alignment_kernels.logit_tiles import exact_matmul, logit_dtype, matmul_into, operand_dtype

ATTENTION = "align_decode"
"""Name under which transformers finds `attention`."""

DROP_SHARE = 0.125
"""Share of the computed rows that must have ended before they are left out: leaving them out copies the cache of the rest."""

log = logging.getLogger(__name__)

_DECODES: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


class Slab(CacheLayerMixin):
    """Keys and values of one layer, (B, heads, S, D), S as long as the longest sequence will be. `update` writes in place
    and returns what is filled so far, without a copy."""

    is_sliding = False

    def __init__(self, longest: int) -> None:
        super().__init__()
        self.longest, self.length = longest, 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.keys = key_states.new_empty(*key_states.shape[:2], self.longest, key_states.shape[3])
        self.values = value_states.new_empty(*value_states.shape[:2], self.longest, value_states.shape[3])
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if self.keys is None or self.values is None:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        start, self.length = self.length, self.length + key_states.shape[2]
        self.keys[:, :, start : self.length] = key_states
        self.values[:, :, start : self.length] = value_states
        return self.keys[:, :, : self.length], self.values[:, :, : self.length]

    def keep(self, rows: torch.Tensor) -> None:
        """Only these rows of the batch from now on, and of their places only the filled ones are copied."""
        assert self.keys is not None
        assert self.values is not None
        for name, old in (("keys", self.keys), ("values", self.values)):
            new = old.new_empty(len(rows), *old.shape[1:])
            new[:, :, : self.length] = old[rows, :, : self.length]
            setattr(self, name, new)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return self.longest


def attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention, softmax(q kᵀ · scaling + mask) v, in transformers' form: query (B, H, Q, D), key and value
    (B, G, S, D) → (B, Q, H, D). For one token (Q = 1) the H / G heads of a group are taken as the queries of one head: the same
    products, and no key is repeated."""
    batch, heads, queries, width = query.shape
    groups = key.shape[1]
    if queries == 1:
        folded = query.reshape(batch, groups, heads // groups, width)
        return _one_token(folded, key, value, attention_mask, scaling).reshape(batch, 1, heads, -1), None
    out = scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=attention_mask,
        scale=scaling,
        is_causal=attention_mask is None,
        enable_gqa=heads != groups,
    )
    return out.transpose(1, 2).contiguous(), None


def _one_token(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, scaling: float | None
) -> torch.Tensor:
    """On a CPU two products and a softmax take three quarters of the time of torch's fused form, which is made for many
    queries."""
    if query.device.type != "cpu":
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scaling)
    scores = torch.matmul(query * (query.shape[-1] ** -0.5 if scaling is None else scaling), key.transpose(2, 3))
    if mask is not None:
        scores += mask
    return torch.matmul(torch.softmax(scores, dim=-1), value)


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)

Choose = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""logits (n, V) → token (n,) and its log-prob (n,)."""


@dataclass(frozen=True)
class Decoded:
    """ids (B, T): responses, the first stop token included, then padding. counts (B, T) bool: which of them are response.
    logprobs (B, T): what `choose` gave, nats, 0 where it does not count."""

    ids: torch.Tensor
    counts: torch.Tensor
    logprobs: torch.Tensor


def greedy(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest token and its log-prob."""
    logprob, token = torch.log_softmax(logits, dim=-1).max(dim=-1)
    return token, logprob


@torch.no_grad()
def decode(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, choose: Choose, stops: list[int], limit: int, pad: int
) -> Decoded:
    """One response a row, of at most `limit` tokens. ids, mask (B, P): prompts, left-padded; mask is True on real tokens.

    T is the length of the longest response. The model must pass `decodes`."""
    count, device = len(ids), ids.device
    answer = torch.full((count, limit), pad, device=device)
    logprobs = torch.zeros((count, limit), device=device)
    stop = torch.tensor(stops, device=device)
    rows = torch.arange(count, device=device)
    ended = torch.zeros(count, dtype=torch.bool, device=device)
    with _reading_in_place(model):
        state = _State(model, ids, mask, limit)
        for step in range(limit):
            token, logprob = choose(state.logits)
            answer[rows, step] = token.masked_fill(ended, pad)
            logprobs[rows, step] = logprob.to(logprobs.dtype).masked_fill(ended, 0.0)
            ended = ended | torch.isin(token, stop)
            left = int(len(ended) - ended.sum())
            if left == 0 or step == limit - 1:
                break
            if len(ended) - left >= DROP_SHARE * len(ended):
                kept = (~ended).nonzero().squeeze(1)
                rows, token, ended = rows[kept], token[kept], ended[kept]
                state.keep(kept)
            state.advance(token)
    answer, logprobs = answer[:, : step + 1], logprobs[:, : step + 1]
    is_stop = torch.isin(answer, stop)
    counts = (is_stop.long().cumsum(1) - is_stop.long()) == 0
    return Decoded(answer, counts, logprobs)


class _State:
    """What a step needs of the steps before: the cache, which places are real, where each row stands, and its next logits."""

    def __init__(self, model: Any, ids: torch.Tensor, mask: torch.Tensor, limit: int) -> None:
        self.model, self.plain = model, has_plain_head(model)
        layers = unwrapped(model).config.get_text_config().num_hidden_layers
        self.slabs = [Slab(ids.shape[1] + limit) for _ in range(layers)]
        self.cache = Cache(layers=[*self.slabs])
        self.mask = None if bool(mask.all()) else _additive(mask, limit, unwrapped(model).dtype)
        self.place = mask.sum(1, keepdim=True)
        head = unwrapped(model).get_output_embeddings().weight if self.plain else None
        self.head = None if head is None else head.to(operand_dtype(head, head))
        places = (mask.long().cumsum(1) - 1).clamp(min=0)
        self.logits = self._forward(ids, None if self.mask is None else mask.long(), places)

    def advance(self, token: torch.Tensor) -> None:
        """Reads one token a row, (n,)."""
        length = self.slabs[0].length + 1
        mask = None if self.mask is None else self.mask[..., :length]
        self.logits = self._forward(token[:, None], mask, self.place)
        self.place = self.place + 1

    def keep(self, rows: torch.Tensor) -> None:
        """Only these rows from now on."""
        for slab in self.slabs:
            slab.keep(rows)
        self.place = self.place[rows]
        if self.mask is not None:
            self.mask = self.mask[rows]

    def _forward(self, ids: torch.Tensor, mask: torch.Tensor | None, places: torch.Tensor) -> torch.Tensor:
        """(n, V) logits after the last token, at least float32 where the head is nothing but a matrix."""
        given: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "position_ids": places}
        given |= {"past_key_values": self.cache, "use_cache": True}
        if self.head is None:
            return unwrapped(self.model)(**given, logits_to_keep=1).logits[:, -1]
        hidden = backbone(self.model)(**given).last_hidden_state[:, -1].to(self.head.dtype)
        logits = hidden.new_empty((len(hidden), len(self.head)), dtype=logit_dtype(hidden, self.head))
        with exact_matmul(hidden.device):
            matmul_into(logits, hidden, self.head.T)
        return logits


def _additive(mask: torch.Tensor, more: int, dtype: torch.dtype) -> torch.Tensor:
    """(B, 1, 1, P + more): 0 on real places and on the `more` to come, -inf on padding."""
    room = torch.zeros(len(mask), mask.shape[1] + more, dtype=dtype, device=mask.device)
    room[:, : mask.shape[1]].masked_fill_(~mask, float("-inf"))
    return room[:, None, None]


@contextlib.contextmanager
def _reading_in_place(model: Any) -> Iterator[None]:
    config = unwrapped(model).config
    before, config._attn_implementation = config._attn_implementation, ATTENTION
    try:
        yield
    finally:
        config._attn_implementation = before


def decodes(model: Any, longest: int) -> bool:
    """Whether the loop gives this model's own logits, for sequences of up to `longest` tokens: seen once a model, on a few
    tokens, rather than assumed. Where it does not, the log says once that transformers' `generate` draws."""
    inner = unwrapped(model)
    config = inner.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    if window is not None and longest > window:
        return False
    if inner not in _DECODES:
        _DECODES[inner] = _same_logits(model)
        if not _DECODES[inner]:
            log.warning("%s: its responses are drawn by transformers' generate, which is slower", config.model_type)
    return _DECODES[inner]


@torch.no_grad()
def _same_logits(model: Any) -> bool:
    """Two ragged prompts, read whole and in two parts."""
    if unwrapped(model).config._attn_implementation not in ("sdpa", "eager"):
        return False
    device = unwrapped(model).device
    ids = torch.tensor([[0, 1, 2, 3, 1], [0, 0, 0, 2, 1]], device=device)
    mask = torch.tensor([[1, 1, 1, 1, 1], [0, 0, 1, 1, 1]], device=device).bool()
    whole = Tokens(ids, mask, mask[:, 4:]).model_inputs()
    expected = unwrapped(model)(**whole, use_cache=False, logits_to_keep=1).logits[:, -1]
    try:
        with _reading_in_place(model):
            state = _State(model, ids[:, :3], mask[:, :3], 2)
            for place in (3, 4):
                state.advance(ids[:, place])
    except Exception as error:  # whatever an architecture raises that knows no such cache
        log.info("decode loop: %s", error)
        return False
    share = 1e-4 if expected.dtype == torch.float32 else 5e-2
    room = share * float(expected.abs().max().nan_to_num())
    return torch.allclose(state.logits.float(), expected.float(), rtol=share, atol=room, equal_nan=True)
