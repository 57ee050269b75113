"""A reward model in use: loaded from a plain `AutoModelForSequenceClassification` directory, scoring responses.

Trained in `reward_model/`; read here by PPO, by evaluation and by whatever judges."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from transformers import AutoModelForSequenceClassification

from alignment.chat import Tokens, collate, encode_prompt, encode_response
from alignment.errors import UserError
from alignment.functions import Judge, load_function
from alignment.logprobs import hidden_states
from alignment.models import Dtype, context_length, device, load_tokenizer, unwrapped
from alignment.records import Prompt, Response

OFFSET = "score_offset"
"""Name of the config field that holds the offset: Hugging Face's `score` head has no bias."""


@dataclass
class Scorer:
    """score(prompt, response) = w · h + offset, h = the last hidden state at the response's last token (EOS included).

    The gain of the normalisation (mean 0, sd 1 on the training responses) is folded into w; the offset lives in
    config.json as `score_offset`, so plain transformers' score + offset is this score."""

    model: Any
    tokenizer: Any
    offset: float

    def score(self, tokens: Tokens) -> torch.Tensor:
        """(B,) fp32 scores of a batch of prompts and responses. Keeps the gradient where it is enabled."""
        hidden = hidden_states(self.model, tokens)
        last = tokens.prompt_length - 1 + tokens.response_mask.sum(1)  # an empty response is read at the prompt's end
        return self.head(hidden[torch.arange(len(tokens), device=last.device), last]).squeeze(-1).float() + self.offset

    @property
    def head(self) -> nn.Module:
        """Linear (D → 1) without bias."""
        return unwrapped(self.model).score

    def encode(self, prompt: Prompt, response: Response) -> tuple[list[int], list[int], bool]:
        """(prompt ids, response ids, was it cut): what does not fit into the context is cut from the prompt's left."""
        prompt_ids = encode_prompt(self.tokenizer, prompt)
        response_ids = encode_response(self.tokenizer, prompt, response.text, response.finished)
        limit = context_length(self.model) or len(prompt_ids) + len(response_ids)
        response_ids = response_ids[: limit - 1]
        kept = prompt_ids[max(0, len(prompt_ids) + len(response_ids) - limit) :]
        return kept, response_ids, len(kept) < len(prompt_ids)

    @torch.no_grad()
    def score_responses(self, items: list[tuple[Prompt, Response]], batch_size: int = 128) -> list[float]:
        """One score for each (prompt, response), in order, computed in batches of like length."""
        encoded = [self.encode(prompt, response)[:2] for prompt, response in items]
        order = sorted(range(len(encoded)), key=lambda index: sum(map(len, encoded[index])))
        scores = [0.0] * len(encoded)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            batch = collate([encoded[row][0] for row in rows], [encoded[row][1] for row in rows], self.pad_id)
            for row, score in zip(rows, self.score(batch.to(self.model.device)).tolist(), strict=True):
                scores[row] = score
        return scores

    @property
    def pad_id(self) -> int:
        """PAD of a reward model differs from EOS, because Hugging Face's pooling looks for the last id that is not PAD."""
        return self.model.config.get_text_config().pad_token_id


def load_scorer(path: str, name: str, dtype: Dtype = "float32") -> Scorer:
    """The reward model in a directory. Refused without its head: transformers would make up a random one."""
    tokenizer = load_tokenizer(path, name)
    _require_head(Path(path), name)
    try:
        model = AutoModelForSequenceClassification.from_pretrained(path, dtype=getattr(torch, dtype))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{name} {path}: cannot be loaded ({str(error).splitlines()[0]}); give a directory that `align reward` wrote"
        ) from error
    return Scorer(model.to(device()).eval(), tokenizer, float(getattr(model.config, OFFSET, 0.0)))


def load_judge(reference: str, name: str, batch_size: int = 128) -> Judge:
    """A judge from MODULE:FUNCTION, or from reward-model:DIR."""
    if not reference.startswith("reward-model:"):
        return load_function(reference, name)
    scorer = load_scorer(reference.removeprefix("reward-model:"), name)

    def judge(items: list[tuple[Prompt, list[Response]]]) -> list[list[float]]:
        scores = iter(
            scorer.score_responses(
                [(prompt, response) for prompt, several in items for response in several], batch_size
            )
        )
        return [[next(scores) for _ in several] for _, several in items]

    return judge


def _require_head(path: Path, name: str) -> None:
    files = sorted(path.glob("*.safetensors"))
    if not files:
        raise UserError(f"{name} {path}: holds no safetensors; give a directory that `align reward` wrote")
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            if any(key.rsplit(".", 2)[-2:] == ["score", "weight"] for key in tensors.keys()):  # noqa: SIM118
                return
    raise UserError(
        f"{name} {path}: its score head is missing, so its scores would be random; train it with `align reward`"
    )
