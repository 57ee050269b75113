"""The decode loop: the tokens of transformers' `generate`, log-probs that scoring finds again, rows that leave when they end.

Mutations seen to fail: places not moved on; padding of the prompt attended to; a stop token of an ended row counted again;
rows of the answer not chosen with those of the batch; the wrong rows kept in the cache; no scaling of queries; heads folded
the wrong way round; logits in the model's own type."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from models import KINDS, tiny_model
from transformers import AutoModelForCausalLM, GenerationConfig, MistralConfig

from alignment import decoding
from alignment.chat import Tokens, collate
from alignment.config import GenerationSettings
from alignment.decoding import decode, decodes, greedy
from alignment.logprobs import response_logprobs
from alignment.models import add_lora, load_policy
from alignment.sampling import generate
from alignment_kernels.sample import sample

PROMPTS = [[5, 9, 3], [7], [11, 4, 6, 8, 12, 5], [3, 3], [9, 10, 4, 5], [6, 8]]


@pytest.fixture(scope="module", params=KINDS)
def policy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    return load_policy(tiny_model(request.param, tmp_path_factory.mktemp(request.param)), "--policy")


def batch(prompts: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = collate(prompts, [[] for _ in prompts], 0)
    return tokens.input_ids[:, :-1], tokens.attention_mask[:, :-1]


def by_transformers(model, ids, mask, stops: list[int], limit: int) -> torch.Tensor:
    config = GenerationConfig(max_new_tokens=limit, do_sample=False, eos_token_id=stops, pad_token_id=0)
    model.generation_config = config
    return model.generate(input_ids=ids, attention_mask=mask.long())[:, ids.shape[1] :]


def test_greedy_tokens_are_those_of_generate(policy) -> None:
    """Ragged prompts, and as stop tokens two that end some rows early and leave others to the limit."""
    model, _ = policy
    ids, mask = batch(PROMPTS)
    free = decode(model, ids, mask, greedy, [], 24, 0).ids
    stops = [int(free[0, 2]), int(free[2, 7])]
    drawn = decode(model, ids, mask, greedy, stops, 24, 0)
    expected = by_transformers(model, ids, mask, stops, 24)
    assert drawn.ids.tolist() == expected.tolist()
    lengths = drawn.counts.sum(1).tolist()
    assert min(lengths) <= 3, lengths
    assert all(int(row[length - 1]) in stops for row, length in zip(drawn.ids, lengths) if length < 24)


def test_equal_prompts_need_no_mask(policy) -> None:
    model, _ = policy
    ids, mask = batch([prompt[:1] * 4 for prompt in PROMPTS])
    assert (
        decode(model, ids, mask, greedy, [1], 12, 0).ids.tolist() == by_transformers(model, ids, mask, [1], 12).tolist()
    )


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_log_probs_are_found_again_by_scoring(policy, temperature: float) -> None:
    model, _ = policy
    ids, mask = batch(PROMPTS * 4)
    torch.manual_seed(3)
    drawn = decode(
        model, ids, mask, lambda logits: sample(logits, temperature=temperature)[:2], list(range(1, 60)), 16, 0
    )
    tokens = Tokens(torch.cat([ids, drawn.ids], 1), torch.cat([mask, drawn.counts], 1), drawn.counts)
    expected, _ = response_logprobs(model, tokens, temperature)
    assert drawn.counts.sum(1).unique().numel() > 3  # rows did end at different places
    torch.testing.assert_close(drawn.logprobs * drawn.counts, expected, rtol=0, atol=1e-5)
    assert not drawn.logprobs[~drawn.counts].any()


def test_ended_rows_are_not_computed(policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the rows end at once: from then on the model reads the other half."""
    model, _ = policy
    read: list[int] = []
    forward = decoding._State._forward
    monkeypatch.setattr(
        decoding._State, "_forward", lambda self, ids, *rest: read.append(len(ids)) or forward(self, ids, *rest)
    )

    def choose(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        token = torch.full((len(logits),), 4)
        token[::2] = 1 if len(read) == 1 else 4
        return token, torch.zeros(len(logits))

    drawn = decode(model, *batch(PROMPTS), choose, [1], 5, 0)
    assert read == [6, 3, 3, 3, 3]
    assert drawn.counts.sum(1).tolist() == [1, 5, 1, 5, 1, 5]


def test_a_lora_policy_decodes_without_merging(tmp_path: Path) -> None:
    model, _ = load_policy(tiny_model("llama", tmp_path), "--policy")
    plain = decode(model, *batch(PROMPTS), greedy, [], 12, 0).ids
    adapted = add_lora(model, 4)
    torch.manual_seed(0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    ids, mask = batch(PROMPTS)
    assert decodes(adapted, 30)
    drawn = decode(adapted, ids, mask, greedy, [], 12, 0).ids
    assert drawn.tolist() != plain.tolist()
    assert drawn.tolist() == by_transformers(adapted.get_base_model(), ids, mask, [], 12).tolist()


def test_half_weights_are_multiplied_into_float32(tmp_path: Path) -> None:
    """The logits of a bfloat16 head are sums in float32: rounded to bfloat16 they would be multiples of 1/128 or coarser."""
    model, _ = load_policy(tiny_model("llama", tmp_path), "--policy", "bfloat16")
    seen: list[torch.Tensor] = []
    decode(model, *batch(PROMPTS), lambda logits: seen.append(logits) or greedy(logits), [], 2, 0)
    assert seen[0].dtype == torch.float32
    assert not torch.equal(seen[0], seen[0].bfloat16().float())


def test_a_sliding_window_is_left_to_transformers(tmp_path: Path) -> None:
    torch.manual_seed(0)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = MistralConfig(vocab_size=32, num_key_value_heads=1, head_dim=8, sliding_window=8, **size)
    model = AutoModelForCausalLM.from_config(config).eval()
    assert decodes(model, 8)
    assert not decodes(model, 9)


def test_a_model_that_the_loop_gets_wrong_is_left_to_transformers(tmp_path: Path, caplog, monkeypatch) -> None:
    """Seen by its logits, once: here places do not move on, and places matter."""
    path = tiny_model("llama", tmp_path)
    model, tokenizer = load_policy(path, "--policy")

    def advance(self, token: torch.Tensor) -> None:
        self.logits = self._forward(token[:, None], None, self.place * 0)

    monkeypatch.setattr(decoding._State, "advance", advance)
    with caplog.at_level(logging.WARNING):
        assert not decodes(model, 20)
        assert not decodes(model, 20)
    assert caplog.text.count("drawn by transformers' generate, which is slower") == 1
    drawn = generate(model, tokenizer, PROMPTS, GenerationSettings(max_new_tokens=6))
    assert drawn.response_mask.shape[0] == len(PROMPTS)


def test_the_model_is_left_as_it_was(policy) -> None:
    model, tokenizer = policy
    before = model.config._attn_implementation
    generate(model, tokenizer, PROMPTS, GenerationSettings(max_new_tokens=3))
    assert model.config._attn_implementation == before
