"""The reward model before and after training: made from the SFT model, normalised, saved."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import AutoModelForSequenceClassification

from alignment.chat import stop_ids
from alignment.errors import UserError
from alignment.models import backbone, context_length, device, load_policy
from alignment.processes import is_main
from alignment.scorer import OFFSET, TEMPERATURE, Scorer
from alignment.shared_base import digests
from reward_model.adapter import AdaptedScorer, adapted, save_adapter

PAD = "<|pad|>"


def new_scorer(base: str, max_length: int | None, lora_rank: int = 0) -> Scorer:
    """The SFT model's transformer under a fresh head, w ~ N(0, 1/(d+1)), no bias, offset 0; dropout off. With a rank, a
    fresh adapter on it learns with the head, instead of the whole transformer.

    Source of the head: Stiennon 2020, arXiv 2009.01325, app. B; N+ implementation details, arXiv 2403.17031.
    Raises UserError when the base cannot be loaded, or transformers has no classifier with a `score` head for it."""
    policy, tokenizer = load_policy(base, "--base")
    limit = context_length(policy)
    if max_length is not None and limit is not None and max_length > limit:
        raise UserError(f"--max-length is {max_length}; {base} reads at most {limit} tokens; lower it or leave it out")
    if max_length is not None:
        tokenizer.model_max_length = max_length
    tokenizer.padding_side, tokenizer.truncation_side = "right", "left"
    model = _classifier(policy, base)
    give_own_pad(model, tokenizer, stop_ids(tokenizer, policy))
    nn.init.normal_(model.score.weight, std=1 / math.sqrt(model.score.in_features + 1))
    scorer = Scorer(model.to(device()).eval(), tokenizer, 0.0)
    return adapted(scorer, lora_rank, base, digests(policy)) if lora_rank else scorer


def give_own_pad(model: Any, tokenizer: Any, stops: list[int]) -> None:
    """A PAD that no text produces: the tokenizer's own where it differs from EOS, BOS, UNK and the stop tokens, else a
    new token. Hugging Face's pooling reads the last id that is not PAD, so a PAD that is EOS hides the EOS."""
    taken = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id, *stops}
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id in taken:
        tokenizer.add_special_tokens({"pad_token": PAD})
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.get_text_config().pad_token_id = tokenizer.pad_token_id


@torch.no_grad()
def normalise(scorer: Scorer, scores: torch.Tensor) -> tuple[float, float]:
    """Brings the scores to mean 0 and sd 1 (population): w ← w/σ, offset ← (offset − μ)/σ. Returns (μ, σ).

    scores: (N,) of training responses, which came from the reference policy, by the scorer as it stands.
    Raises UserError when they are not finite or all equal. Source: Ziegler 2019, arXiv 1909.08593, §2.1."""
    mean, spread = scores.double().mean().item(), scores.double().std(correction=0).item()
    if not math.isfinite(spread):
        raise UserError("the scores are not finite: training diverged, or the base is damaged; lower --lr")
    if spread == 0:
        raise UserError("all responses have the same score; see that they differ, or change --lr")
    cast(torch.Tensor, scorer.head.weight).div_(spread)
    scorer.offset = (scorer.offset - mean) / spread
    return mean, spread


def save(scorer: Scorer, directory: Path) -> None:
    """A normal `AutoModelForSequenceClassification` directory (num_labels 1) with `score_offset` and `score_temperature` in
    its config; a model that was trained as an adapter is merged there, with the adapter in `adapter/`. The main process
    writes it."""
    if not is_main():
        return
    setattr(scorer.model.config, OFFSET, scorer.offset)
    setattr(scorer.model.config, TEMPERATURE, scorer.temperature)
    scorer.model.save_pretrained(directory)
    scorer.tokenizer.save_pretrained(directory)
    if isinstance(scorer, AdaptedScorer):
        save_adapter(scorer, directory)


def _classifier(policy: Any, base: str) -> Any:
    """The sequence classifier of the policy's architecture, num_labels 1, with the policy's own transformer in it."""
    config = copy.deepcopy(policy.config)
    config.num_labels = 1
    try:
        model = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    except ValueError:
        model = None
    if model is None or not isinstance(getattr(model, "score", None), nn.Linear):
        raise UserError(
            f"--base {base}: transformers has no sequence classifier with a `score` head for its architecture "
            f"({config.model_type}); give a base that has one, such as Llama, Qwen, Gemma, Mistral or GPT-2"
        )
    model.base_model.load_state_dict(backbone(policy).state_dict())
    return model
