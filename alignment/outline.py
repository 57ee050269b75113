"""A model's size without the model: from its config alone, before anything is loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from alignment.memory import Held, held
from alignment.models import Dtype, adapter_base, is_adapter


def saving(model: nn.Module, base: str) -> int:
    """Bytes that `save_model` takes besides: at most a copy of what it writes; an adapter of an adapter writes the merged
    base too, from a copy of all."""
    if not isinstance(model, PeftModel):
        return held(model).weights
    return held(model).learning + (2 * held(model).weights if is_adapter(base) else 0)


def outline(path: str, dtype: Dtype = "float32", adapt: Callable[[Any], Any] = lambda model: model) -> Held:
    """The model in a directory (or Hub id) from its config alone, without any weight in memory; `adapt` makes of it what
    the run makes of it, for example adds LoRA adapters. Nothing where it cannot be told, for example because the model
    is damaged: whoever loads it will say so."""
    try:
        source = adapter_base(path, "") if is_adapter(path) else path
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)  # else it asks the user
        kind = getattr(torch, dtype)
        with torch.device("meta"), _default_type(kind):  # adapters take their base's type only on a real device
            return held(adapt(AutoModelForCausalLM.from_config(config, dtype=kind, trust_remote_code=False)))
    except Exception:  # of whatever kind: this is only an early warning
        return Held(0, 0)


@contextlib.contextmanager
def _default_type(kind: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
