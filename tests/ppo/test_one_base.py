"""Policy, reference, reward and value model as adapters and heads on one copy of the base's weights.

Mutations seen to fail: every tree with weights of its own (one_copy), LoRA's tensors shared too, or the value model's adapter
left frozen (nothing_else_does), a digest of names and shapes alone (known_by_its_content), a head that is not the merged
model's, or the PAD of the reward model (same_numbers), PEFT's own idea of what may be missing (damaged_adapter), tokens not
compared (says_so_in_a_line), a base shared in full training, or not by the selection reward model, by the members of an
ensemble, by the value model of a Python reward (the test of each), the value model's weights left out of what is restored
(goes_on_bitwise), an adapter of SFT not merged (after_a_lora_sft), the float32 digest for bfloat16 (bfloat16), the note of
the dry run without a look at the weights (dry_run)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from models import KINDS, tiny_model
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from alignment import ensembles
from alignment.errors import UserError
from alignment.logprobs import response_logprobs
from alignment.models import add_lora, load_policy, load_tokenizer, save_model, trainable
from alignment.scorer import load_scorer
from alignment.shared_base import FILE, FOLDER, Base, is_lora, shares
from alignment.training_state import load_tensors, trainable_tensors
from ppo.config import PPOSettings
from ppo.plan import plan
from ppo.train import Trainer
from ppo.value import value_model_from_scorer
from reward_model.adapter import merged
from reward_model.model import new_scorer, save

PROMPTS = ["The cat", "Anna has a red kite. Tom keeps", "Where is the boat? The", "Tom", "The moon. The warm mat and"]
RANK, REWARD_RANK = 4, 3


def reward(prompt: str, responses: list[str]) -> list[float]:
    return [float(text.count("e") - text.count("t")) + 0.01 * len(text) for text in responses]


def random_adapter(model, seed: int) -> None:
    """As if it had been trained: a fresh adapter changes nothing."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.2)


def reward_model(base: str, directory: Path, seed: int = 1, rank: int = REWARD_RANK) -> str:
    torch.manual_seed(seed)
    scorer = new_scorer(base, None, rank)
    random_adapter(scorer.model, seed)
    whole = merged(scorer)
    whole.offset = 0.3
    save(whole, directory)
    return str(directory)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """KIND/ and KIND-reward/ for each family. EOS is their PAD, so that reward models have a token more."""
    made = tmp_path_factory.mktemp("one-base")
    (made / "prompts.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    for kind in KINDS:
        reward_model(tiny_model(kind, made / kind, pad="eos"), made / f"{kind}-reward")
    return made


def trainer(folder: Path, kind: str = "llama", **changes) -> Trainer:
    values = {"policy": str(folder / kind), "prompts": str(folder / "prompts.jsonl"), "lora_rank": RANK}
    if "reward" not in changes:
        values["reward_model"] = str(folder / f"{kind}-reward")
    values |= {"batch_size": 8, "minibatch_size": 4, "max_new_tokens": 7, "steps": 5, "lr": 1e-2, "kl_max": 1e9}
    return Trainer(PPOSettings(**values | {"output": "unused"} | changes))


def moved(made: Trainer, steps: int = 1) -> None:
    for _ in range(steps):
        rollout = made.rollout()
        made.state.step += 1
        made.update(rollout)


def models(made: Trainer) -> list[torch.nn.Module]:
    return [made.roles.policy, made.inputs.scorer.model, made.state.value_model]


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_as_four_separate_models(folder, kind):
    made = trainer(folder, kind)
    random_adapter(made.roles.policy, 7)
    rollout = made.rollout()
    tokens = rollout.tokens
    bare, _ = load_policy(str(folder / kind), "--policy")
    policy = add_lora(load_policy(str(folder / kind), "--policy")[0], RANK)
    load_tensors(policy, trainable_tensors(made.roles.policy))
    scorer = load_scorer(str(folder / f"{kind}-reward"), "--reward-model")
    values = value_model_from_scorer(scorer, made.state.score_mean, made.state.score_sd, lora_rank=0)
    assert scorer.pad_id == scorer.model.get_input_embeddings().num_embeddings - 1  # a row that the base has not
    assert len(bare.get_input_embeddings().weight) == scorer.pad_id
    mask = tokens.response_mask
    with torch.no_grad():
        pairs = [
            (rollout.scores, scorer.score(tokens)),
            (rollout.values[mask], values(tokens)[mask]),
            (rollout.logprobs[mask], response_logprobs(policy, tokens)[0][mask]),
            (rollout.ref_logprobs[mask], response_logprobs(bare, tokens)[0][mask]),
        ]
    for ours, separate in pairs:
        torch.testing.assert_close(ours, separate, rtol=0, atol=1e-5)
        assert ours.std() > 1e-2
    assert not torch.allclose(rollout.logprobs, rollout.ref_logprobs, atol=1e-2)


def test_there_is_one_copy_of_the_weights(folder):
    made = trainer(folder)
    base, _ = load_policy(str(folder / "llama"), "--policy")
    count = sum(parameter.numel() for parameter in base.parameters())
    held = {id(parameter): parameter for model in models(made) for parameter in model.parameters()}
    learned = sum(one.numel() for one in trainable(made.roles.policy))
    heads = 3 * 32 + 1  # PEFT's two of the reward model, which it never trains; the value model's with its bias
    adapter = sum(value.numel() for name, value in made.inputs.scorer.model.named_parameters() if is_lora(name))
    assert sum(one.numel() for one in held.values()) == count + learned + 2 * adapter + heads
    assert made.roles.reference_model is made.roles.policy


def test_an_ensemble_stands_on_one_base(folder, tmp_path):
    for number in range(2):
        reward_model(str(folder / "llama"), tmp_path / f"member-{number}", seed=number)
    ensembles.write(tmp_path, ["member-0", "member-1"], 1.0)
    made = trainer(folder, reward_model=str(tmp_path), ensemble_rule="worst")
    first, second = made.inputs.scorer, made.inputs.scorer.others[0]
    assert shares(made.roles.policy, first.model)
    assert shares(made.roles.policy, second.model)
    apart = load_scorer(str(tmp_path), "--reward-model", rule="worst")
    sequences = [[5, 6, 7, 2], [9, 8, 2]]
    assert made.inputs.scorer.score_many(sequences) == pytest.approx(apart.score_many(sequences), abs=1e-5)


def test_a_python_reward_leaves_policy_and_value_model_on_one_base(folder):
    made = trainer(folder, reward=f"{__file__}:reward")
    weights = {id(one) for one in made.roles.policy.parameters()}
    assert all(id(one) in weights for name, one in made.state.value_model.body.named_parameters() if not is_lora(name))


def test_policy_and_value_adapter_learn_and_nothing_else_does(folder):
    made = trainer(folder)
    scorer, sequences = made.inputs.scorer, [[5, 6, 7, 2], [9, 8, 2]]
    named = [(which, *pair) for which, model in enumerate(models(made)) for pair in model.named_parameters()]
    before, scores = [one.detach().clone() for _, _, one in named], scorer.score_many(sequences)
    moved(made, 2)
    changed = {(which, name) for (which, name, one), old in zip(named, before) if not torch.equal(one, old)}
    learning = {(which, name) for which, name, _ in named if (which != 1 and is_lora(name)) or name.startswith("head")}
    assert changed == learning
    assert all(one.grad is None for which, name, one in named if (which, name) not in learning)
    assert scorer.score_many(sequences) == scores  # to the last bit
    for optimizer, model in ((made.state.policy_optimizer, 0), (made.state.value_optimizer, 2)):
        held = {id(one) for group in optimizer.param_groups for one in group["params"]}
        assert held == {id(one) for which, name, one in named if (which, name) in learning and which == model}


def test_the_reference_is_the_policy_that_it_started_from(folder):
    made = trainer(folder)
    moved(made, 2)
    rollout = made.rollout()
    start, _ = load_policy(str(folder / "llama"), "--policy")
    with made.roles.reference():
        reference = response_logprobs(made.roles.reference_model, rollout.tokens)[0]
    assert torch.equal(reference, response_logprobs(start, rollout.tokens)[0])


def test_after_a_lora_sft_the_base_is_the_merged_policy(folder, tmp_path):
    """Reward model and PPO both start from the adapter of SFT; known by content, for both merge it anew."""
    model, tokenizer = load_policy(str(folder / "llama"), "--base")
    adapter = add_lora(model, 2)
    random_adapter(adapter, 5)
    save_model(adapter, tokenizer, tmp_path / "sft", str(folder / "llama"), tmp_path / "sft")
    reward_model(str(tmp_path / "sft"), tmp_path / "reward")
    made = trainer(folder, policy=str(tmp_path / "sft"), reward_model=str(tmp_path / "reward"))
    assert shares(made.roles.policy, made.inputs.scorer.model)
    moved(made)
    sft, bare = (load_policy(path, "--policy")[0] for path in (str(tmp_path / "sft"), str(folder / "llama")))
    rollout = made.rollout()
    with made.roles.reference():
        reference = response_logprobs(made.roles.reference_model, rollout.tokens)[0]
    assert torch.equal(reference, response_logprobs(sft, rollout.tokens)[0])
    assert not torch.allclose(reference, response_logprobs(bare, rollout.tokens)[0], atol=1e-2)


def test_it_goes_on_bitwise(folder, tmp_path):
    made = trainer(folder, lr=None)
    moved(made, 2)
    made.state.keep_best({"objective/kl": 1.0})
    parts = made.state.parts()
    assert {name.split(".")[0] for name in parts["policy"]} == {"base_model"}
    assert {name.split(".")[0] for name in parts["value"]} == {"body", "head"}
    assert all(is_lora(name) for name in [*parts["policy"], *parts["best"]])
    made.state.save(tmp_path / "state")
    moved(made, 2)
    torch.rand(7)
    other = Trainer(made.settings, checkpoint=tmp_path / "state")
    moved(other, 2)
    for ours, theirs in zip(models(made), models(other)):
        assert all(map(torch.equal, ours.parameters(), theirs.parameters()))


def test_the_base_is_known_by_its_content(folder, tmp_path, capsys):
    """A base that was moved is the same; one number changed in its last bit makes another of it."""
    policy, tokenizer = load_policy(str(folder / "llama"), "--policy")
    policy.save_pretrained(tmp_path / "elsewhere")
    tokenizer.save_pretrained(tmp_path / "elsewhere")
    made = trainer(folder, policy=str(tmp_path / "elsewhere"))
    assert shares(made.roles.policy, made.inputs.scorer.model)
    assert "--reward-model" not in capsys.readouterr().err
    with torch.no_grad():
        weight = policy.model.layers[1].mlp.down_proj.weight
        weight[3, 4] = torch.nextafter(weight[3, 4], torch.tensor(9.0))
    path = str(folder / "llama-reward")
    assert Base(policy, tokenizer).classifier(path, "--reward-model", load_tokenizer(path, "--reward-model")) is None
    assert "other weights than --policy" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("case", "phrase"),
    [("full", "is a full model"), ("other", "was trained from other weights"), ("tokens", "reads other tokens")],
)
def test_a_reward_model_that_cannot_share_says_so_in_a_line(folder, tmp_path, capsys, case, phrase):
    base = str(folder / "llama")
    if case == "full":
        save(new_scorer(base, None), tmp_path / "reward")
    elif case == "other":
        reward_model(tiny_model("llama", tmp_path / "other", pad="eos", seed=3), tmp_path / "reward")
    else:
        reward_model(base, tmp_path / "reward")
        tokenizer = json.loads((tmp_path / "reward" / "tokenizer.json").read_text())
        words = tokenizer["model"]["vocab"]
        words["a"], words["b"] = words["b"], words["a"]
        (tmp_path / "reward" / "tokenizer.json").write_text(json.dumps(tokenizer))
    made = trainer(folder, reward_model=str(tmp_path / "reward"))
    lines = [line for line in capsys.readouterr().err.splitlines() if "--reward-model" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"--reward-model {tmp_path}/reward: ")
    assert phrase in lines[0]
    assert lines[0].endswith("keeps a copy of its own in memory")
    assert not shares(made.roles.policy, made.inputs.scorer.model)
    moved(made)


def test_full_training_shares_nothing(folder, capsys):
    made = trainer(folder, lora_rank=0)
    parameters = [{id(one) for one in model.parameters()} for model in (*models(made), made.roles.reference_model)]
    assert sum(map(len, parameters)) == len(set().union(*parameters))
    assert "--reward-model" not in capsys.readouterr().err


def test_bfloat16_shares_too(folder):
    """The base is held in bfloat16, adapters and heads in float32."""
    made = trainer(folder, dtype="bfloat16")
    assert shares(made.roles.policy, made.inputs.scorer.model)
    named = [pair for model in models(made) for pair in model.named_parameters()]
    assert {one.dtype for name, one in named if is_lora(name) or "score." in name or name.startswith("head")} == {
        torch.float32
    }
    assert {one.dtype for name, one in named if "layers" in name and not is_lora(name)} == {torch.bfloat16}
    moved(made)


def test_activations_are_recomputed_on_one_base(folder):
    """With gradient checkpointing, in each tree by itself: the same update to the last bit."""
    ended = []
    for on in (False, True):
        made = trainer(folder, gradient_checkpointing=on)
        moved(made)
        ended.append([one.detach().clone() for model in models(made) for one in trainable(model)])
    assert all(map(torch.equal, *ended))


def without(word: str):
    """A function that takes the first tensor of this name out of the file; its metadata stay."""

    def spoil(path: Path) -> None:
        tensors = load_file(path)
        tensors.pop(next(name for name in tensors if word in name))
        rewrite(path, tensors)

    return spoil


def with_nan(path: Path) -> None:
    tensors = load_file(path)
    next(iter(tensors.values()))[0, 0] = float("nan")
    rewrite(path, tensors)


def rewrite(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(tensors, path, metadata=metadata)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")  # PEFT would go on
@pytest.mark.parametrize(
    ("spoil", "phrase"),
    [
        (without("score"), "score head is missing"),
        (without("lora_B"), "lacks or has too many weights"),
        (with_nan, "NaN or infinite"),
        (Path.unlink, "missing or damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "missing or damaged"),
        (lambda path: path.with_name("adapter_config.json").write_text("{"), "adapter cannot be loaded"),
    ],
)
def test_a_damaged_adapter_is_refused(folder, tmp_path, spoil, phrase):
    reward_model(str(folder / "llama"), tmp_path / "reward")
    spoil(tmp_path / "reward" / FOLDER / FILE)
    with pytest.raises(UserError, match=phrase):
        trainer(folder, reward_model=str(tmp_path / "reward"))


def test_the_selection_reward_model_shares_it_too(folder, tmp_path, monkeypatch):
    second, loaded = reward_model(str(folder / "llama"), tmp_path / "second", seed=9), []
    monkeypatch.setattr("ppo.selection.load_scorer", lambda *given: (loaded.append(load_scorer(*given)), loaded[-1])[1])
    names = {"selection_reward_model": second, "selection_prompts": str(folder / "prompts.jsonl")}
    made, apart = trainer(folder, **names), trainer(folder, **names, lora_rank=0)
    assert shares(made.roles.policy, loaded[0].model)
    assert not shares(apart.roles.policy, loaded[1].model)
    measured = [
        one.inputs.selection.measure(one.roles.policy, one.roles.tokenizer, one.settings) for one in (made, apart)
    ]
    assert measured[0] == pytest.approx(measured[1], abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({}, "one base in memory: policy, reference, reward model and value model"),
        ({"reward": f"{__file__}:reward"}, "one base in memory: policy, reference, value model"),
        ({"policy": "qwen3"}, "two bases in memory"),
        ({"lora_rank": 0}, ""),
    ],
)
def test_the_dry_run_says_what_is_shared(folder, tmp_path, monkeypatch, changes, phrase):
    monkeypatch.chdir(tmp_path)
    values = {"policy": "llama", "prompts": str(folder / "prompts.jsonl"), "lora_rank": RANK, "output": "out"} | changes
    values["policy"] = str(folder / values["policy"])
    if "reward" not in changes:
        values["reward_model"] = str(folder / "llama-reward")
    small = {"batch_size": 8, "minibatch_size": 4, "max_new_tokens": 3, "steps": 1}
    notes = [note for note in plan(PPOSettings(**values, **small)).notes if " in memory" in note]
    assert [note.startswith(phrase) for note in notes] == [True] * bool(phrase)
