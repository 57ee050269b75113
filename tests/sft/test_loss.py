"""The loss against the plain formula in float64, and what it must not depend on.

Mutations seen to fail: `+logprobs` for `-logprobs`, and `labels[:, :-1]` for `labels[:, 1:]` in `Rows` (formula); packed
rows without position ids, or with positions that run on (packing_changes_nothing, each_document); a mean of the batches'
means in `quality`, and hits counted by log-prob instead of argmax (quality)."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch
from models import KINDS, tiny_model
from transformers import AutoModelForCausalLM

from alignment.models import load_policy, load_tokenizer
from alignment.records import Demonstration
from sft.data import Example, Rows, collate_rows, encode, pack
from sft.loss import quality, summed_nll

DEMONSTRATIONS = [
    Demonstration("The cat", " sat on the warm mat and looked at the moon."),
    Demonstration("Anna has", " a red kite."),
    Demonstration("", "Tom keeps a green boat at the river."),
    Demonstration("Where is the boat? The boat", " is at the river."),
    Demonstration("Tom", " is here."),
]


def rows(layout: list[list[Example]], pad_id: int = 0) -> Rows:
    return Rows.from_batch(collate_rows(layout, pad_id))


def alone(model, example: Example) -> tuple[torch.Tensor, torch.Tensor]:
    """(Σ −log π over the response, hits) of one demonstration by itself: the whole logits, no padding, no mask."""
    ids = torch.tensor([example.ids])
    every = torch.log_softmax(model(input_ids=ids).logits[0, :-1].double(), -1)
    start = example.prompt_length - 1
    chosen = every.gather(1, ids[0, 1:, None])[start:, 0]
    return -chosen.sum(), (every.argmax(-1) == ids[0, 1:])[start:]


@pytest.fixture(scope="module", params=KINDS)
def policy(request, tmp_path_factory: pytest.TempPathFactory):
    model, tokenizer = load_policy(tiny_model(request.param, tmp_path_factory.mktemp(request.param)), "--base")
    return model, encode(tokenizer, DEMONSTRATIONS, 100).examples


def gradients(model, loss: torch.Tensor) -> list[torch.Tensor]:
    return list(torch.autograd.grad(loss, [*model.parameters()], allow_unused=False))


def test_formula_and_gradient(policy):
    model, examples = policy
    expected = sum(alone(model, one)[0] for one in examples)
    loss = summed_nll(model, rows([[one] for one in examples]))
    torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=0)
    for ours, plain in zip(gradients(model, loss), gradients(model, expected)):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5 * float(plain.abs().max()))


def test_packing_changes_nothing(policy):
    model, examples = policy
    layout = pack(examples)
    assert max(len(row) for row in layout) >= 2
    apart, together = summed_nll(model, rows([[one] for one in examples])), summed_nll(model, rows(layout))
    torch.testing.assert_close(together, apart, rtol=2e-6, atol=0)
    for one, other in zip(gradients(model, together), gradients(model, apart)):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


def test_each_document_of_a_packed_row_keeps_its_loss(policy):
    model, examples = policy
    whole = rows([examples])
    for index, example in enumerate(examples):
        only = rows([examples])
        start = sum(len(one.ids) for one in examples[:index])
        mask = torch.zeros_like(only.response_mask)
        mask[0, start + example.prompt_length - 1 : start + len(example.ids) - 1] = True
        assert bool((whole.response_mask | ~mask).all())
        only.response_mask.copy_(mask)
        torch.testing.assert_close(summed_nll(model, only).double(), alone(model, example)[0], rtol=2e-6, atol=0)


def test_padding_changes_nothing(policy):
    model, examples = policy
    expected = summed_nll(model, rows([[one] for one in examples]))
    longer = Example([3] * 60, 59)
    extra = alone(model, longer)[0].float()
    for pad_id in (0, 1, 2, 200):
        padded = summed_nll(model, rows([[one] for one in [*examples, longer]], pad_id))
        torch.testing.assert_close(padded - extra, expected, rtol=1e-5, atol=0)


def test_special_tokens_change_nothing(tmp_path: Path):
    """The same weights under tokenizers without PAD, with EOS = PAD, with EOS = BOS: the masks come from positions."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model("llama", tmp_path / "model")).eval()
    for pad, bos_is_eos in product(["own", "none", "eos"], [False, True]):
        folder = tmp_path / f"{pad}-{bos_is_eos}"
        tokenizer = load_tokenizer(tiny_model("llama", folder, pad=pad, bos_is_eos=bos_is_eos), "--base")
        examples = encode(tokenizer, DEMONSTRATIONS, 100).examples
        assert all(one.ids[-1] == tokenizer.eos_token_id for one in examples)
        expected = sum(alone(model, one)[0] for one in examples)
        loss = summed_nll(model, rows([[one] for one in examples], tokenizer.eos_token_id))
        torch.testing.assert_close(loss.double(), expected, rtol=2e-6, atol=0)


def test_quality_is_sum_over_count_and_matches_argmax(policy):
    model, examples = policy
    biased = [Example([*one.ids[:-1], likely(model, one)], one.prompt_length) for one in examples]
    with torch.no_grad():
        results = [alone(model, one) for one in biased]
    count = sum(one.learned for one in biased)
    measured = quality(model, [rows([[one] for one in biased[:4]]), rows([biased[4:]])])
    assert measured.loss == pytest.approx(float(sum(loss for loss, _ in results)) / count, rel=2e-6)
    right = sum(int(hits.sum()) for _, hits in results)
    assert measured.token_accuracy == right / count
    assert len(biased) <= right < count
    assert quality(model, []) is None


def likely(model, example: Example) -> int:
    """The token that the model finds likeliest in the last place: so that there is something to hit."""
    return int(model(input_ids=torch.tensor([example.ids[:-1]])).logits[0, -1].argmax())
