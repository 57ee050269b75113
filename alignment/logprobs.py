"""Log-probs of response tokens. Old, new and reference log-probs all come through here, so that the ratio of a fresh
rollout is exactly 1. Only response tokens reach the head, and their logits are never held all at once."""

from __future__ import annotations

import weakref
from typing import Any

import torch

from alignment.chat import Tokens
from alignment.distributed import through
from alignment.masked import full_precision
from alignment.models import backbone, unwrapped
from alignment_kernels.fused_linear_token_loss import TokenLoss, fused_linear_token_loss
from alignment_kernels.linear_logprob import linear_logprob

_HIT_LOGITS = 2**24  # logits held at once when only the likeliest token is wanted: 64 MiB
_PLAIN_HEADS: weakref.WeakKeyDictionary[Any, bool] = weakref.WeakKeyDictionary()


@torch.no_grad()
@through
def response_logprobs(model: Any, tokens: Tokens, temperature: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """log π(a_t | s_t) and the entropy of π(· | s_t) for every response token: two (B,T) fp32, nats, 0 where masked.

    temperature divides the logits (1 = neutral) and must be the one that the rollout was sampled at."""
    if has_plain_head(model):
        logprobs, entropy = linear_logprob(
            _hidden(model, tokens), _head(model), _targets(tokens), temperature=temperature
        )
    else:
        logprobs, entropy = _dense(_logits(model, tokens), _targets(tokens), temperature)
    return _scatter(logprobs, tokens), _scatter(entropy, tokens)


@through
def response_loss(
    model: Any, tokens: Tokens, loss: TokenLoss, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(Σ_t loss_t with its gradient, logprobs (B,T), entropy (B,T), both detached).

    `loss(logprobs (n,), entropy (n,), rows: slice) -> (n,)` is called on runs of response tokens in the order of
    `tokens.response_mask`; `rows` says which."""
    if has_plain_head(model):
        total, logprobs, entropy = fused_linear_token_loss(
            _hidden(model, tokens), _head(model), _targets(tokens), loss, temperature=temperature
        )
    else:
        logprobs, entropy = _dense(_logits(model, tokens), _targets(tokens), temperature)
        total = loss(logprobs, entropy, slice(0, len(logprobs))).sum()
    return total, _scatter(logprobs.detach(), tokens), _scatter(entropy.detach(), tokens)


@torch.no_grad()
@through
def response_hits(model: Any, tokens: Tokens) -> tuple[torch.Tensor, torch.Tensor]:
    """(logprobs (B,T) at temperature 1, hits (B,T) bool: the token is the likeliest one), 0 and False where masked."""
    targets = _targets(tokens)
    if has_plain_head(model):
        hidden, head = _hidden(model, tokens), _head(model)
        logprobs, _ = linear_logprob(hidden, head, targets)
        rows = max(_HIT_LOGITS // len(head), 1)
        likeliest = torch.cat([(some.to(head.dtype) @ head.T).argmax(-1) for some in hidden.split(rows)])
    else:
        logits = _logits(model, tokens)
        logprobs, _ = _dense(logits, targets, 1.0)
        likeliest = logits.argmax(-1)
    return _scatter(logprobs, tokens), _scatter(likeliest == targets, tokens)


def hidden_states(model: Any, tokens: Tokens) -> torch.Tensor:
    """(B,S,D) last hidden states; position ids come from the mask, so that left padding changes nothing."""
    return backbone(model)(**tokens.model_inputs(), use_cache=False).last_hidden_state


def _hidden(model: Any, tokens: Tokens) -> torch.Tensor:
    """(N,D) the states that predict the N response tokens: each is one place before its token."""
    predicting = hidden_states(model, tokens)[:, tokens.prompt_length - 1 : -1]
    return predicting[tokens.response_mask]


def _logits(model: Any, tokens: Tokens) -> torch.Tensor:
    """(N,V) for models whose head is more than a matrix (bias, soft cap, scale)."""
    keep = tokens.response_mask.shape[1] + 1
    logits = unwrapped(model)(**tokens.model_inputs(), use_cache=False, logits_to_keep=keep).logits
    return logits[:, :-1][tokens.response_mask]


def _dense(logits: torch.Tensor, targets: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    every = torch.log_softmax(full_precision(logits) / temperature, dim=-1)
    return every.gather(1, targets[:, None]).squeeze(1), -(every.exp() * every.clamp(min=-1e30)).sum(-1)


def _head(model: Any) -> torch.Tensor:
    return unwrapped(model).get_output_embeddings().weight


def _targets(tokens: Tokens) -> torch.Tensor:
    return tokens.response_ids[tokens.response_mask]


def _scatter(values: torch.Tensor, tokens: Tokens) -> torch.Tensor:
    result = torch.zeros(tokens.response_mask.shape, dtype=values.dtype, device=values.device)
    result[tokens.response_mask] = values
    return result


@torch.no_grad()
def has_plain_head(model: Any) -> bool:
    """Whether logits = hidden · Wᵀ and nothing else, seen once a model on a few tokens rather than assumed."""
    inner = unwrapped(model)
    if inner not in _PLAIN_HEADS:
        head = inner.get_output_embeddings()
        plain = head is not None and getattr(head, "bias", None) is None
        if plain:
            ids = torch.tensor([[0, 1, 2]], device=inner.device)
            few = Tokens(ids, torch.ones_like(ids, dtype=torch.bool), torch.ones_like(ids[:, 1:], dtype=torch.bool))
            expected = _logits(inner, few)
            room = 1e-2 * float(expected.abs().max().nan_to_num())
            plain = torch.allclose(_hidden(inner, few) @ head.weight.T, expected, rtol=1e-2, atol=room, equal_nan=True)
        _PLAIN_HEADS[inner] = plain
    return _PLAIN_HEADS[inner]
