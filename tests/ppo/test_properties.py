"""What must hold of a whole rollout and update, on tiny models (float64 where a number is compared).

Mutations seen to fail, each applied once:
- loss ÷ micro-batch's own token count instead of the minibatch's: test_microbatch_size_changes_nothing
- old log-probs recomputed at temperature 1: test_fresh_rollout_has_ratio_1
- position ids without the mask: test_left_padding_changes_no_logprob
- stop mask by comparing every id to EOS (prompt included): test_eos_equal_to_bos_is_masked_right
- attention mask of ones: test_garbage_in_padding_changes_no_logprob
- LoRA reference = bare base (adapter not merged): test_lora_reference_is_the_sft_policy
- the offset left out of the value model's bias: test_value_model_starts_as_the_normalised_score
- generators left out of `PPOState.load`: test_saved_state_goes_on_bitwise"""

import json
from pathlib import Path

import pytest
import torch
from models import KINDS, tiny_model

from alignment.chat import Tokens, collate, encode_prompt
from alignment.config import GenerationSettings
from alignment.logprobs import response_logprobs
from alignment.models import add_lora, load_policy, save_model
from alignment.sampling import first_stop_mask, generate
from ppo.config import PPOSettings
from ppo.cursor import prompt_rows
from ppo.measure import measure
from ppo.train import Trainer
from ppo.value import value_model_from_scorer
from reward_model.model import new_scorer

PROMPTS = ["The cat", "Anna has a red kite. Tom keeps", "Where is the boat? The", "Tom", "The moon. The warm mat and"]


def reward(prompt: str, responses: list[str]) -> list[float]:
    return [float(text.count("e") - text.count("t")) + 0.01 * len(text) for text in responses]


@pytest.fixture
def prompts(tmp_path: Path) -> str:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    return str(path)


def trainer(tmp_path: Path, prompts: str, kind="llama", double=True, **changes) -> Trainer:
    policy = tmp_path / kind
    if not policy.exists():
        tiny_model(kind, policy)
    values = {
        "batch_size": 12,
        "minibatch_size": 6,
        "max_new_tokens": 9,
        "ppo_epochs": 2,
        "steps": 5,
        "lr": 1e-3,
        "kl_max": 1e9,
    }
    values |= {"reward": f"{__file__}:reward", "approx_kl_target": None, **changes}
    made = Trainer(PPOSettings(policy=str(policy), prompts=prompts, output="unused", **values))
    if double:
        for model in (made.roles.policy, made.roles.reference_model, made.state.value_model):
            model.double()
    return made


def moved(made: Trainer, steps: int = 1) -> None:
    """A few updates, so that policy and reference differ."""
    for _ in range(steps):
        rollout = made.rollout()
        made.state.step += 1
        made.update(rollout)


def weights(made: Trainer) -> torch.Tensor:
    both = [*made.roles.policy.parameters(), *made.state.value_model.parameters()]
    return torch.cat([parameter.detach().flatten() for parameter in both])


@pytest.mark.parametrize("lora_rank", [0, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_fresh_rollout_has_ratio_1(tmp_path, prompts, kind, lora_rank):
    made = trainer(
        tmp_path, prompts, kind, double=False, lora_rank=lora_rank, temperature=0.8, minibatch_size=12, ppo_epochs=1
    )
    for _ in range(2):
        rollout = made.rollout()
        made.state.step += 1
        metrics = made.update(rollout)
        assert metrics["policy/first_ratio_error"] == 0.0  # exactly, in fp32
        assert metrics["policy/approx_kl"] == 0.0
        assert metrics["policy/clip_fraction"] == 0.0


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_policy_equal_to_reference_has_kl_0(tmp_path, prompts, lora_rank):
    made = trainer(tmp_path, prompts, double=False, lora_rank=lora_rank)
    rollout = made.rollout()
    assert torch.equal(rollout.logprobs, rollout.ref_logprobs)
    assert measure(rollout, made.state, made.settings)["objective/kl"] == 0.0
    made.state.step += 1
    made.update(rollout)
    assert measure(made.rollout(), made.state, made.settings)["objective/kl"] != 0.0


@pytest.mark.parametrize("microbatch_size", [1, 4, 6])
def test_microbatch_size_changes_nothing(tmp_path, prompts, microbatch_size):
    results = []
    for size in (None, microbatch_size):
        made = trainer(tmp_path, prompts, microbatch_size=size)
        moved(made, 2)
        results.append(weights(made))
    assert (results[0] - weights(trainer(tmp_path, prompts))).abs().max() > 1e-4  # something was learned
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-9)


def test_only_the_first_stop_token_counts(tmp_path):
    responses = torch.tensor([[5, 2, 2, 7], [2, 0, 0, 0], [5, 6, 7, 8]])
    expected = [[True, True, False, False], [True, False, False, False], [True] * 4]
    assert first_stop_mask(responses, [2]).tolist() == expected


@pytest.mark.parametrize(("pad", "bos_is_eos"), [("own", True), ("eos", False), ("none", False), ("eos", True)])
def test_eos_equal_to_bos_is_masked_right(tmp_path, pad, bos_is_eos):
    """The same weights under another tokenizer's special tokens: every real token counts, no padding does."""
    model, tokenizer = load_policy(tiny_model("llama", tmp_path / "m", pad=pad, bos_is_eos=bos_is_eos), "--policy")
    encoded = [encode_prompt(tokenizer, prompt) for prompt in PROMPTS]
    assert all(ids[0] == tokenizer.bos_token_id for ids in encoded)
    torch.manual_seed(0)
    with torch.no_grad():  # make EOS likely, so that responses end at different places
        model.model.embed_tokens.weight[tokenizer.eos_token_id] *= 3.0
    tokens = generate(model, tokenizer, encoded * 8, GenerationSettings(max_new_tokens=12))
    lengths = tokens.response_mask.sum(1)
    assert lengths.min() < 12
    together, _ = response_logprobs(model, tokens)
    for row, (prompt, response) in enumerate(tokens.rows()):
        assert prompt == encoded[row % len(encoded)]
        assert tokenizer.eos_token_id not in response[:-1]
        alone = Tokens(torch.tensor([prompt + response]), torch.ones(1, len(prompt + response), dtype=torch.bool),
                       torch.ones(1, len(response), dtype=torch.bool))  # fmt: skip
        torch.testing.assert_close(
            together[row, : len(response)], response_logprobs(model, alone)[0][0], rtol=0, atol=2e-5
        )


@pytest.mark.parametrize("kind", KINDS)
def test_left_padding_changes_no_logprob(tmp_path, kind):
    model, tokenizer = load_policy(tiny_model(kind, tmp_path / kind), "--policy")
    model.double()
    prompts, responses = (
        [encode_prompt(tokenizer, text) for text in PROMPTS],
        [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14], [15]],
    )
    batch = collate(prompts, responses, 0)
    expected, entropy = response_logprobs(model, batch)
    for extra in (1, 5):
        padded = Tokens(
            torch.nn.functional.pad(batch.input_ids, (extra, 0), value=3),
            torch.nn.functional.pad(batch.attention_mask, (extra, 0), value=False),
            batch.response_mask,
        )
        again, entropy_again = response_logprobs(model, padded)
        torch.testing.assert_close(again, expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(entropy_again, entropy, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_in_padding_changes_no_logprob(tmp_path, kind):
    model, tokenizer = load_policy(tiny_model(kind, tmp_path / kind), "--policy")
    model.double()
    batch = collate(
        [encode_prompt(tokenizer, text) for text in PROMPTS], [[5, 6, 7], [8], [9, 10], [11, 12, 13, 14], [15]], 0
    )
    garbage = torch.where(batch.attention_mask, batch.input_ids, torch.randint_like(batch.input_ids, len(tokenizer)))
    dirty = Tokens(garbage, batch.attention_mask, batch.response_mask)
    torch.testing.assert_close(
        response_logprobs(model, dirty)[0], response_logprobs(model, batch)[0], rtol=0, atol=1e-12
    )


def test_lora_reference_is_the_sft_policy(tmp_path, prompts):
    """A LoRA SFT followed by a LoRA PPO: with its adapter off, the learner is the SFT policy to the last bit."""
    base = tiny_model("llama", tmp_path / "base")
    model, tokenizer = load_policy(base, "--base")
    sft = add_lora(model, 4)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in sft.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    save_model(sft, tokenizer, tmp_path / "sft", base, tmp_path / "sft")
    merged, _ = load_policy(str(tmp_path / "sft"), "--policy")
    bare, _ = load_policy(base, "--policy")
    (tmp_path / "llama").symlink_to(tmp_path / "sft")
    made = trainer(tmp_path, prompts, double=False, lora_rank=4)
    moved(made, 2)
    rollout = made.rollout()
    for _, rows in [(0, torch.arange(12))]:
        with made.roles.reference():
            reference = response_logprobs(made.roles.reference_model, rollout.tokens.select(rows))[0]
        assert torch.equal(reference, response_logprobs(merged, rollout.tokens.select(rows))[0])
        assert not torch.allclose(reference, response_logprobs(bare, rollout.tokens.select(rows))[0], atol=1e-2)
    assert not torch.equal(rollout.logprobs, rollout.ref_logprobs)


def test_value_model_of_a_python_reward_starts_at_0(tmp_path, prompts):
    rollout = trainer(tmp_path, prompts).rollout()
    assert (rollout.values == 0).all()


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_value_model_starts_as_the_normalised_score(tmp_path, lora_rank):
    """V before response token t = (the score read at the token before it − mean) / sd."""
    scorer = new_scorer(tiny_model("llama", tmp_path / "base"), None)
    scorer.offset = 0.7
    value_model = value_model_from_scorer(scorer, mean=0.4, sd=2.5, lora_rank=lora_rank)
    prompts, responses = [[1, 7, 8, 9], [1, 5]], [[11, 12, 13], [14]]
    with torch.no_grad():
        values = value_model(collate(prompts, responses, 0))
        for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            read = [prompt + response[:t] for t in range(len(response))]
            expected = (scorer.score_ids(read) - 0.4) / 2.5
            torch.testing.assert_close(values[row, : len(response)], expected, rtol=0, atol=1e-5)
            assert expected.abs().max() > 1e-2


def test_saved_state_goes_on_bitwise(tmp_path, prompts):
    made = trainer(tmp_path, prompts, double=False, lr=None, approx_kl_target=0.006)
    moved(made, 2)
    made.state.keep_best({"objective/kl": 1.0})
    made.state.save(tmp_path / "state")
    moved(made, 2)
    other = trainer(tmp_path, prompts, double=False, lr=None, approx_kl_target=0.006)
    torch.rand(7)
    other.state.load(tmp_path / "state")
    assert other.state.best == {"step": 2, "objective/kl": 1.0}
    moved(other, 2)
    assert torch.equal(weights(made), weights(other))
    assert (made.state.step, made.state.prompts_taken, made.state.lr_scale) == (
        other.state.step, other.state.prompts_taken, other.state.lr_scale,
    )  # fmt: skip


def test_every_prompt_is_used_once_a_cycle():
    rows = [row for taken in range(0, 35, 5) for row in prompt_rows(taken, 5, 7, seed=3)]
    cycles = [rows[start : start + 7] for start in range(0, 35, 7)]
    assert all(sorted(cycle) == list(range(7)) for cycle in cycles)
    assert cycles[0] != cycles[1]
    assert rows != [row for taken in range(0, 35, 5) for row in prompt_rows(taken, 5, 7, seed=4)]
