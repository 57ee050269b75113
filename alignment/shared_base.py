"""One copy of a transformer's weights under several models: policy, reference, reward model and value model under LoRA.

Each model is a tree of modules of its own with adapters of its own; only the tensors that never learn are one. So nobody
switches adapters, no gradient flag is turned on the way, and what learns is listed by the model it belongs to."""

from __future__ import annotations

import copy
import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification

from alignment.chat import padding_id, same_tokens
from alignment.errors import UserError
from alignment.models import Dtype, backbone, explained, quiet_peft

FOLDER, FILE = "adapter", "adapter_model.safetensors"
"""Where a reward model's adapter lies, in the directory of the merged model: a PEFT directory with the head in it."""


def shared_copy(module: Any) -> Any:
    """The same modules again over the very same tensors; LoRA's are copied, with their values."""
    shared = [parameter for name, parameter in module.named_parameters() if not is_lora(name)]
    return copy.deepcopy(module, {id(tensor): tensor for tensor in [*shared, *module.buffers()]})


def is_lora(name: str) -> bool:
    """Whether a parameter of this name belongs to an adapter."""
    return "lora_" in name


def shares(one: Any, other: Any) -> bool:
    """Whether two models have the same token embedding, and so one base."""
    return one.get_input_embeddings().weight is other.get_input_embeddings().weight


def adapter_rank(path: str) -> int:
    """The rank of the adapter in a reward model's directory; 0 where it has none, or one that is damaged."""
    try:
        return int(json.loads((Path(path) / FOLDER / "adapter_config.json").read_text(encoding="utf-8"))["r"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def digests(policy: Any) -> dict[str, str]:
    """Type → sha256 of the policy's transformer in that type: what the safetensors of an adapter say of its base.

    By content, so that a base that was moved, or merged from an adapter again, is known as the same."""
    return {_key(dtype): digest(policy, getattr(torch, dtype)) for dtype in get_args(Dtype)}


def digest(policy: Any, dtype: torch.dtype) -> str:
    """sha256 over names, shapes and values of the transformer below the head, in `dtype`."""
    found = hashlib.sha256()
    for name, tensor in sorted(backbone(policy).state_dict().items()):
        value = tensor.detach().to("cpu", dtype).contiguous()
        found.update(f"{name} {tuple(value.shape)}\n".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()


def _key(dtype: str) -> str:
    return f"base_sha256_{dtype}"


@dataclass(frozen=True)
class Base:
    """A policy whose transformer others may share, as it was loaded: before an adapter of its own is added."""

    policy: Any
    tokenizer: Any

    def classifier(self, path: str, name: str, tokenizer: Any) -> Any | None:
        """The reward model in a directory as an adapter and a head on this base; None, with a line that says why, where
        it needs weights of its own.

        Its PAD may be a token more than the base has: padded places are masked, so the base's own PAD fills them."""
        reason = self._reason(Path(path), name, tokenizer)
        if reason:
            print(f"{name} {path}: {reason}, so it keeps a copy of its own in memory", file=sys.stderr)
            return None
        folder = Path(path) / FOLDER
        with explained(str(folder), name, "adapter"), quiet_peft():
            model = PeftModel.from_pretrained(self._headed(path), str(folder))
            _require_whole(model, folder, name)
        return model.eval()

    def _headed(self, path: str) -> Any:
        """The classifier of the reward model's config with this base in it; its head is to be read yet."""
        config, body = AutoConfig.from_pretrained(path, trust_remote_code=False), backbone(self.policy)
        weight = self.policy.get_input_embeddings().weight
        config.get_text_config().vocab_size = len(weight)
        config.get_text_config().pad_token_id = padding_id(self.tokenizer)
        with torch.device("meta"):
            model = AutoModelForSequenceClassification.from_config(config, dtype=weight.dtype)
        setattr(model, model.base_model_prefix, shared_copy(body))
        model.score = nn.Linear(model.score.in_features, 1, bias=False, device=weight.device, dtype=torch.float32)
        return model

    def _reason(self, path: Path, name: str, tokenizer: Any) -> str:
        """Why a reward model can't stand on this base; "" where it can."""
        if not (path / FOLDER).is_dir():
            return "is a full model (one that `align reward --lora-rank` trains on --policy would share its base)"
        try:
            with safe_open(path / FOLDER / FILE, framework="pt") as tensors:
                metadata, names = tensors.metadata() or {}, list(tensors.keys())
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{name} {path / FOLDER}: its {FILE} is missing or damaged ({error}); train it with `align reward`, or "
                f"remove {FOLDER}/: the model beside it is whole without"
            ) from error
        if not any(one.endswith("score.weight") for one in names):
            raise UserError(f"{name} {path / FOLDER}: its score head is missing; train it with `align reward`")
        dtype = self.policy.get_input_embeddings().weight.dtype
        if metadata.get(_key(str(dtype).removeprefix("torch."))) != digest(self.policy, dtype):
            return "was trained from other weights than --policy holds"
        return "" if same_tokens(self.tokenizer, tokenizer) else "reads other tokens than --policy"


def _require_whole(model: Any, folder: Path, name: str) -> None:
    """UserError where the file lacks what PEFT would make up, the head above all, or holds what is no number."""
    with safe_open(folder / FILE, framework="pt") as tensors:
        read = set(tensors.keys())
    expected = get_peft_model_state_dict(model, save_embedding_layers=False)
    if expected.keys() != read:
        lacking = sorted(expected.keys() ^ read)[0]
        raise UserError(
            f"{name} {folder}: lacks or has too many weights ({lacking}, ...); train it with `align reward`"
        )
    if not all(bool(weight.isfinite().all()) for weight in expected.values()):
        raise UserError(f"{name} {folder}: holds weights that are NaN or infinite; train it again with a lower --lr")
