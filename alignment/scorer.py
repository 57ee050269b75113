"""A reward model in use: loaded from a plain `AutoModelForSequenceClassification` directory, scoring responses.

Trained in `reward_model/`; read here by PPO, by evaluation and by whatever judges."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoModelForSequenceClassification

from alignment.chat import Tokens, collate, encode_prompt, encode_response, padding_id
from alignment.ensembles import FILE, Rule, combined, member_paths, read
from alignment.errors import UserError
from alignment.functions import Judge, load_function
from alignment.logprobs import hidden_states
from alignment.masked import full_precision
from alignment.models import Dtype, context_length, device, load_tokenizer, load_weights, refuse_pickle, unwrapped
from alignment.progress import progress
from alignment.records import Prompt, Response
from alignment.shared_base import Base

OFFSET = "score_offset"
"""Name of the config field that holds the offset: Hugging Face's `score` head has no bias."""

TEMPERATURE = "score_temperature"
"""Name of the config field that holds the temperature, fitted on rankings that were not trained on."""


class Encoded(NamedTuple):
    """A prompt and a response as token ids, fitted into the reward model's context."""

    prompt_ids: list[int]
    response_ids: list[int]
    prompt_cut: bool
    response_cut: bool


@dataclass
class Scorer:
    """score(prompt, response) = w · h + offset, h = the last hidden state at the EOS that closes the response.

    A response that was cut at the length limit is closed for the reward model too: one token to read at, whatever the
    text, is learned far sooner than "wherever it stopped" (real tiny model, 1,253 noisy rankings, most responses cut:
    pair accuracy .78 against .73 after two passes). So do TRL's RewardTrainer and OpenRLHF. What a missing end costs
    is PPO's to decide, not the reward model's. The policy's own tokens are not changed.

    The gain of the normalisation (mean 0, sd 1 on the training responses) is folded into w; the offset lives in
    config.json as `score_offset`, so plain transformers' score + offset is this score.

    P(i is preferred to j) = σ((score_i − score_j) / temperature); the temperature lies there as `score_temperature`."""

    model: Any
    tokenizer: Any
    offset: float
    temperature: float = 1.0

    def score(self, tokens: Tokens) -> torch.Tensor:
        """(B,) fp32 scores of a batch of prompts and responses. Keeps the gradient where it is enabled.

        How the batch is padded changes nothing; a row longer than `max_length` with its EOS loses its leftmost tokens."""
        special = set(self.tokenizer.all_special_ids)
        return self.score_ids([self._closed(prompt, response, special) for prompt, response in tokens.rows()])

    def score_ids(self, sequences: list[list[int]]) -> torch.Tensor:
        """(B,) scores, at least fp32, of whole sequences (prompt, response, EOS in one), each read at its last token.

        Right-padded, as plain transformers would: rows of unlike prompt lengths need no more places than the longest."""
        hidden = self.features(sequences)
        with torch.autocast(hidden.device.type, enabled=False):  # bfloat16 would leave a score 8 bits
            return self.head(full_precision(hidden)).squeeze(-1) + self.offset

    def features(self, sequences: list[list[int]]) -> torch.Tensor:
        """(B, D) hidden states at the last token, in the model's type: what the head reads."""
        tokens = collate([[] for _ in sequences], sequences, self.pad_id).to(self.model.device)
        last = tokens.response_mask.sum(1) - 1
        return hidden_states(self.model, tokens)[torch.arange(len(tokens), device=last.device), last]

    def _closed(self, prompt: list[int], response: list[int], special: set[int]) -> list[int]:
        """The sequence that is read: a stop token at the response's end, or nothing there, becomes the one EOS."""
        kept = response[:-1] if response and response[-1] in special else response
        return [*prompt, *kept, self.tokenizer.eos_token_id][-(self.max_length or 0) :]

    @property
    def head(self) -> nn.Module:
        """Linear (D → 1) without bias."""
        return unwrapped(self.model).score

    @property
    def max_length(self) -> int | None:
        """The longest sequence that is read (tokens): the smaller of the model's context and the tokenizer's own limit,
        where `align reward --max-length` is kept; None where neither names one."""
        limits = [limit for limit in (context_length(self.model), self.tokenizer.model_max_length) if limit]
        longest = min(limits, default=None)
        return None if longest is None or longest > 10**9 else longest  # tokenizers write 10³⁰ for "no limit"

    def encode(self, prompt: Prompt, response: Response) -> Encoded:
        """What does not fit is cut from the prompt's left; a response that is too long by itself loses its end.

        EOS closes every response, `finished` or not."""
        prompt_ids = encode_prompt(self.tokenizer, prompt)
        *text_ids, eos = encode_response(self.tokenizer, prompt, response.text, finished=True)
        limit = self.max_length or len(prompt_ids) + len(text_ids) + 1
        kept_text = text_ids[: limit - 2]  # one prompt token and EOS stay
        kept_prompt = prompt_ids[max(0, len(prompt_ids) + len(kept_text) + 1 - limit) :]
        return Encoded(
            kept_prompt, [*kept_text, eos], len(kept_prompt) < len(prompt_ids), len(kept_text) < len(text_ids)
        )

    @torch.no_grad()
    def score_responses(self, items: list[tuple[Prompt, Response]], batch_size: int = 128) -> list[float]:
        """One score for each (prompt, response), in order, computed in batches of like length."""
        encoded = [self.encode(prompt, response) for prompt, response in items]
        return self.score_many([[*each.prompt_ids, *each.response_ids] for each in encoded], batch_size)

    @torch.no_grad()
    def score_many(self, sequences: list[list[int]], batch_size: int = 128, name: str | None = None) -> list[float]:
        """One score for each token sequence, in order, computed in batches of like length; `name` shows a bar."""
        order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
        scores = [0.0] * len(sequences)
        with progress(len(order), name, "response") if name else contextlib.nullcontext() as bar:
            for start in range(0, len(order), batch_size):
                rows = order[start : start + batch_size]
                for row, score in zip(rows, self.score_ids([sequences[row] for row in rows]).tolist(), strict=True):
                    scores[row] = score
                if bar is not None:
                    bar.update(len(rows))
        return scores

    @property
    def pad_id(self) -> int:
        """Fills padded places. Reward models of this house have a PAD that differs from EOS, because Hugging Face's
        pooling looks for the last id that is not PAD; here any id will do, since places come from masks."""
        configured = self.model.config.get_text_config().pad_token_id
        return padding_id(self.tokenizer) if configured is None else configured


@dataclass
class Ensemble(Scorer):
    """Several reward models of one base that score as one. Model, head, offset and tokenizer are the first member's."""

    others: tuple[Scorer, ...] = ()
    rule: Rule = "mean"
    penalty: float = 0.0

    def score_ids(self, sequences: list[list[int]]) -> torch.Tensor:
        """(B,) what `combined` makes of the members' scores."""
        own = super().score_ids(sequences)
        return combined(torch.stack([own, *(one.score_ids(sequences) for one in self.others)]), self.rule, self.penalty)


def load_scorer(
    path: str,
    name: str,
    dtype: Dtype = "float32",
    rule: Rule = "mean",
    penalty: float = 0.0,
    base: Base | None = None,
) -> Scorer:
    """The reward model in a directory, or the ensemble: `rule` and `penalty` say how its members become one score.

    base: whose weights it shares where its adapter was trained on them. Refused without its head: transformers would make
    up a random one."""
    if (Path(path) / FILE).is_file():
        return _load_ensemble(path, name, dtype, rule, penalty, base)
    if not Path(path).is_dir():
        raise UserError(f"{name} {path}: no such directory; give a directory that `align reward` wrote")
    refuse_pickle(path, name)
    _require_head(Path(path), name)
    tokenizer = load_tokenizer(path, name)
    model = base.classifier(path, name, tokenizer) if base else None
    if model is None:
        model = load_weights(AutoModelForSequenceClassification, path, name, dtype)
    if model.config.num_labels != 1:
        raise UserError(
            f"{name} {path}: its head gives {model.config.num_labels} numbers; a reward model gives one (num_labels 1)"
        )
    model.score.float()  # the head, also of a transformer in bfloat16
    offset, temperature = float(getattr(model.config, OFFSET, 0.0)), float(getattr(model.config, TEMPERATURE, 1.0))
    return Scorer(model.to(device()).eval(), tokenizer, offset, temperature)


def _load_ensemble(path: str, name: str, dtype: Dtype, rule: Rule, penalty: float, base: Base | None) -> Ensemble:
    first, *others = (load_scorer(member, name, dtype, base=base) for member in member_paths(path, name))
    temperature = read(path, name)["score_temperature"]
    if any(one.tokenizer.get_vocab() != first.tokenizer.get_vocab() for one in others):
        raise UserError(f"{name} {path}: its members read different tokens; train it with `align reward --ensemble`")
    return Ensemble(first.model, first.tokenizer, first.offset, temperature, tuple(others), rule, penalty)


def load_judge(
    reference: str,
    name: str,
    timeout: float | None = None,
    batch_size: int = 128,
    rule: Rule = "mean",
    penalty: float = 0.0,
) -> Judge:
    """A judge from MODULE:FUNCTION (one call may take `timeout` seconds), or from reward-model:DIR, where `rule` and
    `penalty` are those of an ensemble."""
    if not reference.startswith("reward-model:"):
        return load_function(reference, name, timeout)
    scorer = load_scorer(reference.removeprefix("reward-model:"), name, rule=rule, penalty=penalty)

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
    try:
        for file in files:
            with safe_open(file, framework="pt") as tensors:
                if any(key.rsplit(".", 2)[-2:] == ["score", "weight"] for key in tensors.keys()):  # noqa: SIM118
                    return
    except SafetensorError as error:
        raise UserError(f"{name} {path}: {file.name} is damaged ({error}); train it with `align reward`") from error
    raise UserError(
        f"{name} {path}: its score head is missing, so its scores would be random; train it with `align reward`"
    )
