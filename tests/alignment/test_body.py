"""Products in bfloat16 and recomputed activations: what they change, and what they must not.

Mutations seen to fail (alignment/body.py): a layer's insides in training mode too, layers in training mode without
gradients or never, training mode or autocast not left (after an error either), hooks that hold the original's layers,
autocast switched off or on for float32; (alignment/models.py) adapters in the type of their base.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from models import KINDS, tiny_model
from torch import nn

from alignment.body import compute_in, recompute_activations
from alignment.chat import collate
from alignment.config import GenerationSettings
from alignment.decoding import decodes
from alignment.errors import UserError
from alignment.logprobs import hidden_states, response_logprobs, response_loss
from alignment.models import add_lora, backbone, frozen_copy, load_policy, trainable
from alignment.sampling import generate

PROMPTS = [[5, 9, 30, 31], [7, 8], [40, 41, 42]]
RESPONSES = [[50, 51, 52, 53, 54], [60, 61], [70, 71, 72]]


@pytest.fixture(scope="module")
def bases(tmp_path_factory) -> dict[str, str]:
    return {kind: tiny_model(kind, tmp_path_factory.mktemp(kind)) for kind in KINDS}


def loaded(bases, kind="llama", rank=0, dtype="float32"):
    policy, tokenizer = load_policy(bases[kind], "--policy", dtype)
    torch.manual_seed(0)
    model = add_lora(policy, rank) if rank else policy
    for name, weight in model.named_parameters():  # a fresh adapter gives no gradient to half of itself
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.1)
    return model, tokenizer


def tokens():
    return collate(PROMPTS, RESPONSES, 0)


def summed_loss(model) -> torch.Tensor:
    return response_loss(model, tokens(), lambda logprobs, entropy, rows: -logprobs + 0.1 * entropy)[0]


def gradients(model) -> list[torch.Tensor]:
    summed_loss(model).backward()
    return [weight.grad for weight in trainable(model)]


def saved_bytes(model) -> int:
    """Of all that a forward pass keeps for its backward pass, weights apart; what is kept twice counts once."""
    own = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        loss = hidden_states(model, tokens()).square().sum()
    loss.backward()
    return sum(kept.values())


@pytest.mark.parametrize("rank", [0, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_recomputing_changes_no_gradient_and_keeps_less(bases, kind, rank):
    """GPT-2's config has dropout: were its layers' insides in training mode, its gradients would be others."""
    plain, _ = loaded(bases, kind, rank)
    expected = gradients(plain)
    recomputing, _ = loaded(bases, kind, rank)
    recompute_activations(recomputing)
    found = gradients(recomputing)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-6 * other.abs().max()
    assert saved_bytes(recomputing) < 0.5 * saved_bytes(plain)
    assert not any(module.training for module in recomputing.modules())


def test_generation_keeps_its_cache(bases):
    lengths, answers = [], []
    for recomputing in (False, True):
        model, tokenizer = loaded(bases)
        if recomputing:
            recompute_activations(model)
        assert decodes(model, 20)  # looked at once a model, before it draws
        backbone(model).register_forward_pre_hook(
            lambda body, inputs, named: lengths.append(named["input_ids"].shape[1]), with_kwargs=True
        )
        torch.manual_seed(1)
        answers.append(generate(model, tokenizer, PROMPTS, GenerationSettings(max_new_tokens=5)).input_ids)
    assert torch.equal(*answers)
    half = len(lengths) // 2
    assert lengths[:half] == lengths[half:] == [4] + [1] * (half - 1)


@pytest.mark.parametrize("prepare", [recompute_activations, lambda model: compute_in(model, "bfloat16")])
def test_a_copy_is_prepared_by_itself(bases, prepare):
    """Whatever the original then does, or whether it is there at all."""
    model, _ = loaded(bases)
    prepare(model)
    twin, other = copy.deepcopy(model), frozen_copy(model)
    expected = gradients(model)
    assert torch.equal(response_logprobs(other, tokens())[0], response_logprobs(model, tokens())[0])
    modes = set(observed(model, twin))
    assert modes == {False}
    assert all(torch.equal(one, two) for one, two in zip(gradients(twin), expected, strict=True))


def observed(model, twin) -> Iterator[bool]:
    """Whether a layer of `model` is in training mode while `twin` computes."""
    seen: list[bool] = []
    layer = backbone(model).layers[0]
    handle = backbone(twin).layers[0].register_forward_hook(lambda *_: seen.append(layer.training))
    summed_loss(twin)
    handle.remove()
    yield from seen


def test_what_cannot_be_recomputed_is_one_sentence(bases, monkeypatch):
    model, _ = loaded(bases)
    monkeypatch.setattr(type(backbone(model)), "supports_gradient_checkpointing", False)
    with pytest.raises(UserError, match=r"--gradient-checkpointing: transformers cannot .* of llama; leave it off"):
        recompute_activations(model)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_is_the_products_and_not_the_weights_nor_the_head(bases, kind):
    """Against the whole model in bfloat16: nearer to the exact log-probs, and not rounded to 8 bits itself."""
    exact, _ = loaded(bases, kind)
    mixed, _ = loaded(bases, kind)
    compute_in(mixed, "bfloat16")
    expected, found = (response_logprobs(model, tokens())[0] for model in (exact, mixed))
    assert not torch.equal(found, expected)
    assert (found - expected).abs().max() < 0.1
    assert all(weight.dtype == torch.float32 for weight in mixed.parameters())
    assert all(gradient.dtype == torch.float32 for gradient in gradients(mixed))
    assert found.dtype == torch.float32
    assert not torch.equal(found, found.bfloat16().float())


def test_float32_has_no_hook(bases):
    model, _ = loaded(bases)
    compute_in(model, "float32")
    assert not backbone(model)._forward_pre_hooks


@pytest.mark.parametrize("recomputing", [False, True])
def test_outside_and_after_an_error_nothing_is_in_bfloat16(bases, recomputing):
    model, _ = loaded(bases)
    compute_in(model, "bfloat16")
    if recomputing:
        recompute_activations(model)
    gradients(model)
    assert not torch.is_autocast_enabled("cpu")
    handle = backbone(model).layers[1].register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        summed_loss(model)
    assert not torch.is_autocast_enabled("cpu")
    assert not any(module.training for module in model.modules())
    handle.remove()
    with torch.no_grad():
        assert hidden_states(model, tokens()).isfinite().all()


def test_an_adapter_of_a_bfloat16_base_is_float32(bases):
    model, _ = loaded(bases, rank=4, dtype="bfloat16")
    assert {weight.dtype for weight in trainable(model)} == {torch.float32}
    frozen = {weight.dtype for weight in model.parameters() if not weight.requires_grad}
    assert frozen == {torch.bfloat16}
