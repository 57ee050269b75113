"""The adapter of a LoRA reward model, kept beside the merged model: what PPO puts onto the base that it holds anyway."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import torch
from peft import PeftConfig, PeftModel, get_peft_model_state_dict
from safetensors.torch import save_file

from alignment.models import add_lora
from alignment.scorer import Scorer
from alignment.shared_base import FILE, FOLDER, is_lora

HEAD = "base_model.model.score.weight"  # PEFT's name of a head that was trained with an adapter


@dataclass(frozen=True)
class Adapter:
    """base: path or Hub id of the model that it was trained on. digests: of that model's weights, see `shared_base`.

    config, tensors: as PEFT writes them, the head apart; none before it is trained."""

    base: str
    digests: dict[str, str]
    config: PeftConfig | None = None
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass
class AdaptedScorer(Scorer):
    """A scorer whose transformer has an adapter, to train; after `merged`, the full model with the adapter beside it."""

    adapter: Adapter = field(kw_only=True)


def adapted(scorer: Scorer, lora_rank: int, base: str, digests: dict[str, str]) -> AdaptedScorer:
    """The scorer with a fresh LoRA adapter, which trains together with the head."""
    model = add_lora(scorer.model, lora_rank, task="SEQ_CLS")
    return AdaptedScorer(model, scorer.tokenizer, scorer.offset, adapter=Adapter(base, digests))


def merged(scorer: Scorer) -> Scorer:
    """The scorer with its adapter merged, a full model that any library loads, and the adapter kept."""
    if not isinstance(scorer, AdaptedScorer) or not isinstance(scorer.model, PeftModel):
        return scorer
    tensors = {
        name: value.clone()
        for name, value in get_peft_model_state_dict(scorer.model, save_embedding_layers=False).items()
        if is_lora(name)
    }
    kept = replace(scorer.adapter, config=copy.copy(scorer.model.peft_config["default"]), tensors=tensors)
    return AdaptedScorer(scorer.model.merge_and_unload().eval(), scorer.tokenizer, scorer.offset, adapter=kept)


def save_adapter(scorer: AdaptedScorer, directory: Path) -> None:
    """`adapter/`: a PEFT directory for sequence classification, with the head as it is and the tokenizer.

    The metadata of its safetensors say by sha256 which weights it belongs to."""
    adapter, folder = scorer.adapter, directory / FOLDER
    assert adapter.config is not None
    folder.mkdir()
    config = copy.copy(adapter.config)
    config.inference_mode = True
    config.base_model_name_or_path = str(Path(adapter.base).resolve()) if Path(adapter.base).is_dir() else adapter.base
    config.save_pretrained(str(folder))
    tensors: dict[str, torch.Tensor] = {**adapter.tensors, HEAD: cast(torch.Tensor, scorer.head.weight)}
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(whole, folder / FILE, metadata={"format": "pt", **adapter.digests})
    scorer.tokenizer.save_pretrained(folder)
