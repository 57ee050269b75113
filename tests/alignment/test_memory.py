"""Memory before a run: the least that models need, counted by hand, and the sentence where that is more than is free.

Mutations seen to fail: one moment instead of two, or no gradient (test_the_least_by_hand); the reference not counted, or the
value model counted as the policy with its head (test_ppo_by_hand); a reward model's adapter counted as a whole model
(test_ppo_with_one_base_...); frozen weights taken to learn under LoRA
(test_lora_by_hand); the limit of the container not looked at (test_a_container_counts); models loaded before the refusal
(test_too_little_memory_is_refused_before_loading); advice that is already taken (test_advice)."""

from __future__ import annotations

import pytest
import torch
from models import tiny_model
from peft import PeftModel
from refusals import refused

import ppo.config
import ppo.plan
import reward_model.config
import sft.config
import sft.plan
from alignment import ensembles, evaluate, memory, sample
from alignment.config import StageSettings
from alignment.errors import UserError
from alignment.memory import Held, advice, explained_memory, free_memory, held, least_bytes
from alignment.models import add_lora, load_policy
from alignment.outline import outline, saving
from ppo.config import PPOSettings
from reward_model.adapter import merged
from reward_model.model import new_scorer, save
from sft.config import SFTSettings

HIDDEN, INNER, LAYERS = 32, 48, 2  # those of tests/models.py; 4 heads of 8, 2 of them for keys
ATTENTION = HIDDEN * 32 + 2 * HIDDEN * 16 + 32 * HIDDEN
BODY = LAYERS * (ATTENTION + 3 * HIDDEN * INNER + 2 * HIDDEN) + HIDDEN  # norms: two a layer, one at the end
RANK = 4
LORA = LAYERS * RANK * (2 * (HIDDEN + 32) + 2 * (HIDDEN + 16) + 3 * (HIDDEN + INNER))  # q, o · k, v · gate, up, down


@pytest.fixture(scope="module")
def llama(tmp_path_factory) -> str:
    """Embedding and head are one matrix."""
    return tiny_model("llama", tmp_path_factory.mktemp("llama"))


def embedding(path: str) -> int:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(path).vocab_size * HIDDEN


def settings(path: str, **changes) -> SFTSettings:
    return SFTSettings(base=path, data="d", output="o", **changes)


def test_the_least_by_hand(llama):
    count = embedding(llama) + BODY
    assert sft.plan._least(settings(llama)) == Held(4 * count, 4 * count)
    assert least_bytes([Held(4 * count, 4 * count), Held(10)]) == 16 * count + 10
    assert Held(8, 8).frozen == Held(8, 0)
    model, _ = load_policy(llama, "--base")
    assert held(model) == Held(4 * count, 4 * count)


def test_lora_by_hand(llama):
    count = embedding(llama) + BODY
    assert sft.plan._least(settings(llama, lora_rank=RANK)) == Held(4 * (count + LORA), 4 * LORA)
    half = sft.plan._least(settings(llama, lora_rank=RANK, dtype="bfloat16"))
    assert half == Held(2 * count + 4 * LORA, 4 * LORA)  # what learns stays in float32
    assert sft.plan._least(settings(llama, dtype="bfloat16")) == Held(4 * count, 4 * count)


def test_ppo_by_hand(llama):
    whole, body = embedding(llama) + BODY, embedding(llama) + BODY  # tied: the head is the embedding
    plain = PPOSettings(policy=llama, prompts="p", reward="x:y", output="o")
    assert ppo.plan._least(plain) == [Held(4 * whole, 4 * whole), Held(4 * body, 4 * body), Held(4 * whole)]
    lora = PPOSettings(policy=llama, prompts="p", reward_model=llama, output="o", lora_rank=RANK, dtype="bfloat16")
    adapted = Held(2 * whole + 4 * LORA, 4 * LORA)  # what learns stays in float32
    alone = Held(4 * LORA, 4 * LORA)  # the value model's base is there already
    assert ppo.plan._least(lora) == [adapted, alone, Held(2 * body)]
    half = PPOSettings(policy=llama, prompts="p", reward_model=llama, output="o", dtype="bfloat16")
    learns, reference, scorer = Held(4 * whole, 4 * whole), Held(4 * whole), Held(2 * body)
    assert ppo.plan._least(half) == [learns, learns, reference, scorer]


def test_ppo_with_one_base_by_hand(llama, tmp_path):
    """Each reward model of an ensemble adds its adapter and nothing else; without --lora-rank it is a whole model."""
    whole = embedding(llama) + BODY
    for number in range(2):
        save(merged(new_scorer(llama, None, lora_rank=2)), tmp_path / f"member-{number}")
    ensembles.write(tmp_path, ["member-0", "member-1"], 1.0)
    names = {"policy": llama, "prompts": "p", "reward_model": str(tmp_path), "output": "o"}
    policy, value, *scorers = ppo.plan._least(PPOSettings(**names, lora_rank=RANK))
    assert (policy, value) == (Held(4 * (whole + LORA), 4 * LORA), Held(4 * LORA, 4 * LORA))
    assert scorers == [Held(4 * LORA * 2 // RANK)] * 2
    assert ppo.plan._least(PPOSettings(**names))[3:] == [Held(4 * whole)] * 2


def test_an_untied_head_is_no_part_of_the_value_model(tmp_path):
    path = tiny_model("qwen3", tmp_path / "qwen3")
    policy, value, _ = ppo.plan._least(PPOSettings(policy=path, prompts="p", reward="x:y", output="o"))
    assert policy.weights - value.weights == 4 * embedding(path)


def test_an_outline_is_the_model_itself(tmp_path):
    for kind in ("llama", "qwen3", "gpt2", "gemma"):
        path = tiny_model(kind, tmp_path / kind)
        model, tokenizer = load_policy(path, "--base")
        assert outline(path) == held(model)
        adapter = add_lora(model, RANK)
        assert outline(path, adapt=lambda one: add_lora(one, RANK)) == held(adapter)
        adapter.save_pretrained(str(tmp_path / f"{kind}-lora"))
        tokenizer.save_pretrained(tmp_path / f"{kind}-lora")


def test_a_damaged_model_is_left_to_whoever_loads_it(tmp_path):
    (tmp_path / "config.json").write_text("{")
    assert outline(str(tmp_path)) == outline(str(tmp_path / "absent")) == Held(0, 0)


def test_saving(llama, tmp_path):
    model, _ = load_policy(llama, "--base")
    count = embedding(llama) + BODY
    assert saving(model, llama) == 4 * count
    adapter: PeftModel = add_lora(model, RANK)
    assert saving(adapter, llama) == 4 * LORA
    (tmp_path / "adapter_config.json").write_text("{}")
    assert saving(adapter, str(tmp_path)) == 4 * LORA + 2 * 4 * (count + LORA)


@pytest.mark.parametrize(
    ("command", "more", "phrases"),
    [
        (sft.config.COMMAND, ["--base", "MODEL", "--data", "d.jsonl"], ("--gradient-checkpointing", "--lora-rank 16")),
        (sample.COMMAND, ["--policy", "MODEL", "--prompts", "p.jsonl"], ("weights", "--batch-size 1")),
        (reward_model.config.COMMAND, ["--base", "MODEL", "--rankings", "r.jsonl"], ("AdamW's moments",)),
        (ppo.config.COMMAND, ["--policy", "MODEL", "--prompts", "p.jsonl", "--reward", "a:b"], ("--dtype bfloat16",)),
        (
            evaluate.COMMAND,
            ["--policy", "MODEL", "--against", "MODEL", "--prompts", "p.jsonl", "--judge", "a:b"],
            ("gradients 0 MB",),
        ),
    ],
)
def test_too_little_memory_is_refused_before_loading(llama, tmp_path, capsys, monkeypatch, command, more, phrases):
    monkeypatch.setattr(memory, "free_memory", lambda: 1000)
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", None)  # a call would be a TypeError
    arguments = [llama if word == "MODEL" else word for word in [*more, "--output", "out", "--dry-run"]]
    sentence = refused(capsys, command, arguments, tmp_path, "the models need at least", "0 MB are free", *phrases)
    assert sentence.endswith("or a smaller model")


def test_the_sentence_has_the_figures(monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: 7 * 10**9)
    with pytest.raises(UserError) as caught:
        memory.require_memory([Held(2 * 10**9, 2 * 10**9)], settings("m"))
    assert str(caught.value) == (
        "the models need at least 8.00 GB (weights 2.00 GB, gradients 2.00 GB, AdamW's moments 4.00 GB), but 7.00 GB are "
        "free on this machine; give --lora-rank 16, --dtype bfloat16, --microbatch-size 1, --gradient-checkpointing, or a "
        "smaller model"
    )
    memory.require_memory([Held(2 * 10**9, 10**9)], settings("m"))


def test_advice():
    taken = settings("m", lora_rank=1, dtype="bfloat16", microbatch_size=1)
    assert advice(taken) == "give --gradient-checkpointing, or a smaller model"
    assert advice(StageSettings(output="o")) == "give a smaller model"


def test_a_container_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    whole = free_memory()
    assert whole > 10**7
    (tmp_path / "memory.current").write_text("400\n")
    (tmp_path / "memory.max").write_text("1000\n")
    assert free_memory() == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() > 10**7


def test_a_device_that_runs_out_is_one_sentence():
    with (
        pytest.raises(UserError, match=r"ran out of the device's memory.*--lora-rank 16"),
        explained_memory(settings("m")),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")
