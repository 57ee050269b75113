"""How a transformer below its head is computed: matrix products in bfloat16, activations recomputed in the backward pass.

Both are hooks on the transformer itself, so they hold wherever it is called from (sampling, log-probs, values, scores), and
go into its copies. The head stays outside: log-probs, values and scores are products of float32."""

from __future__ import annotations

from typing import Any

import torch
from transformers.modeling_layers import GradientCheckpointingLayer

from alignment.errors import UserError
from alignment.models import Dtype, backbone


def compute_in(model: Any, dtype: Dtype) -> None:
    """Has the transformer's matrix products run in bfloat16 (autocast), whatever its weights are held in.

    What learns has to be held in float32: bfloat16 keeps 8 bits, so AdamW's steps are lost below about 1/500 of a weight
    (sd .02, lr 3e-6: 20 equal steps moved 4 % of the weights). Source: Micikevicius 2018, arXiv 1710.03740, §3.1."""
    if dtype == "bfloat16":
        body = backbone(model)
        body.register_forward_pre_hook(_enter_autocast)
        body.register_forward_hook(_leave_autocast, always_call=True)


def recompute_activations(model: Any) -> None:
    """Keeps only each layer's input for the backward pass, which computes the rest again (gradient checkpointing).

    transformers does so in training mode alone, and then drops the cache that generation needs. The house's models stay
    in evaluation mode (no dropout), so the layers alone are in training mode, and only while gradients are recorded.
    Raises UserError where transformers cannot do it. Source: Chen 2016, arXiv 1604.06174."""
    body: Any = backbone(model)
    layers = [module for module in body.modules() if isinstance(module, GradientCheckpointingLayer)]
    if not layers or not body.supports_gradient_checkpointing:
        raise UserError(
            f"--gradient-checkpointing: transformers cannot recompute the activations of {body.config.model_type}; "
            "leave it off"
        )
    # the reentrant kind gives no gradient where a layer's input needs none, as under LoRA; transformers then makes the
    # embeddings need one, but the other kind asks for nothing of the sort
    enable = getattr(body, "activation_checkpointing_enable", None) or body.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    body.register_forward_pre_hook(_enter_recomputing)
    body.register_forward_hook(_leave_recomputing, always_call=True)


def _enter_autocast(body: Any, inputs: Any) -> None:
    context = torch.autocast(next(body.parameters()).device.type, torch.bfloat16)
    context.__enter__()
    body.__dict__.setdefault("_autocasts", []).append(context)


def _leave_autocast(body: Any, inputs: Any, output: Any) -> None:
    body._autocasts.pop().__exit__(None, None, None)


def _enter_recomputing(body: Any, inputs: Any) -> None:
    _set_training(body, torch.is_grad_enabled())


def _leave_recomputing(body: Any, inputs: Any, output: Any) -> None:
    _set_training(body, False)


def _set_training(body: Any, on: bool) -> None:
    """Of the layers themselves, not of what is in them: dropout stays off."""
    for module in body.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.training = on
