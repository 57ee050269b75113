"""The value model: what the policy's state before each response token is worth."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from torch import nn

from alignment.chat import Tokens
from alignment.distributed import through
from alignment.masked import full_precision
from alignment.models import add_lora, backbone
from alignment.scorer import Scorer
from alignment.shared_base import is_lora, shared_copy


class ValueModel(nn.Module):
    """V(s_t) = w · h_t + b, h_t = the hidden state that predicts response token t."""

    def __init__(self, body: Any, head: nn.Linear) -> None:
        super().__init__()
        self.body = body
        self.head = head

    @through
    def forward(self, tokens: Tokens) -> torch.Tensor:
        """(B,T), at least fp32; places outside the response mask hold values of no meaning."""
        hidden = self.body(
            input_ids=tokens.input_ids,
            attention_mask=tokens.attention_mask.long(),
            position_ids=tokens.position_ids,
            use_cache=False,
        ).last_hidden_state
        return self.head(full_precision(hidden[:, tokens.prompt_length - 1 : -1])).squeeze(-1)


def value_model_from_scorer(scorer: Scorer, mean: float, sd: float, lora_rank: int) -> ValueModel:
    """Starts as the normalised reward model read at every token: V = (score − mean) / sd (N+, InstructGPT §3.5)."""
    source = full_precision(cast(torch.Tensor, scorer.head.weight))
    head = nn.Linear(source.shape[1], 1, device=source.device, dtype=source.dtype)
    with torch.no_grad():
        head.weight.copy_(source / sd)
        head.bias.fill_((scorer.offset - mean) / sd)
    return ValueModel(_body(scorer.model, lora_rank), head)


def value_model_from_policy(policy: Any, lora_rank: int) -> ValueModel:
    """The policy's own transformer with a head of zeros: V = 0 at first. For rewards that are no reward model."""
    weight = full_precision(policy.get_output_embeddings().weight)
    head = nn.Linear(weight.shape[1], 1, device=weight.device, dtype=weight.dtype)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return ValueModel(_body(policy, lora_rank), head)


def _body(model: Any, lora_rank: int) -> Any:
    """The transformer, to learn in full from a copy, in float32 at least, or by an adapter over the weights of `model`
    itself: the reward model's own adapter goes on learning where it has one, else a fresh one does."""
    body = backbone(model)
    if not lora_rank:
        body = copy.deepcopy(body).requires_grad_(True).eval()
        return body.float() if body.dtype == torch.bfloat16 else body
    body = shared_copy(body).eval()
    own = [parameter for name, parameter in body.named_parameters() if is_lora(name)]
    if not own:
        return add_lora(body, lora_rank, task="FEATURE_EXTRACTION")
    for parameter in own:
        parameter.requires_grad_(True)
    return body
