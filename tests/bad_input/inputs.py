"""The folder that a good command line works in, and ways to spoil a model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from models import tiny_model
from safetensors.torch import load_file, save_file
from torch import nn

from alignment.preferences.store import Store
from alignment.records import read_rankings, read_responses
from alignment.registry.registry import Registry
from alignment.run import RESULT_FILES, write_config
from reward_model.config import RewardSettings
from sft.config import SFTSettings

OPINIONS = """
import time

def length(prompt, responses):
    return [float(len(response)) for response in responses]

def same(prompt, responses):
    return [1.0 for _ in responses]

def raises(prompt, responses):
    raise RuntimeError("no\\nopinion")

def leaves(prompt, responses):
    raise SystemExit(3)

def short(prompt, responses):
    return [1.0] * (len(responses) - 1)

def text(prompt, responses):
    return ["good" for _ in responses]

def nothing(prompt, responses):
    return None

def truth(prompt, responses):
    return [True for _ in responses]

def nan(prompt, responses):
    return [float("nan") for _ in responses]

def infinite(prompt, responses):
    return [float("inf") for _ in responses]

def enormous(prompt, responses):
    return [1e300 for _ in responses]

def hangs(prompt, responses):  # not for ever, so that a missing limit fails a test and does not stop it
    time.sleep(2)

def hangs_on(prompt, responses):
    end = time.monotonic() + 2
    while time.monotonic() < end:
        try:
            time.sleep(2)
        except Exception:
            pass

def slow(prompt, responses):
    time.sleep(0.1)
    return [float(len(response)) for response in responses]

number = 3
"""


def make_inputs(folder: Path) -> None:
    """Models `policy` and `reward-model`, records of all kinds, a preference store, opinions.py, two runs of a stage."""
    from reward_model.model import new_scorer, save
    from sft.train import run as train_run

    policy = tiny_model("llama", folder / "policy")
    (folder / "reward-model").mkdir()
    save(new_scorer(policy, None), folder / "reward-model")
    prompts = [f"Tom has {number} boats" for number in range(8)]
    answers = [{"text": f" and {'a red kite ' * k}"} for k in range(3)]
    write(folder / "prompts.jsonl", [{"prompt": prompt} for prompt in prompts])
    write(folder / "demonstrations.jsonl", [{"prompt": prompt, "response": " at the river."} for prompt in prompts])
    write(folder / "responses.jsonl", [{"prompt": prompt, "responses": answers} for prompt in prompts])
    rankings = [{"prompt": prompt, "responses": answers, "ranks": [1, 2, 2]} for prompt in prompts]
    write(folder / "rankings.jsonl", rankings)
    write(folder / "more-rankings.jsonl", [*rankings, {**rankings[0], "ranks": [2, 1, 2]}])
    for name, file in (("old-reward", "rankings.jsonl"), ("new-reward", "more-rankings.jsonl")):
        shutil.copytree(folder / "reward-model", folder / name)
        write_config(folder / name / "config.yaml", RewardSettings(base="policy", rankings=file, output=name))
        (folder / name / "run.json").write_text('{"command": "reward"}')
    with Store(str(folder / "labels.db")) as store:
        store.import_records(read_rankings(folder / "rankings.jsonl"))
        store.snapshot()
        store.add_tasks(read_responses(folder / "responses.jsonl")[:3])
    make_registry(folder)
    (folder / "opinions.py").write_text(OPINIONS)
    write(folder / "foreign.json", [{"instruction": prompt, "output": "At the river."} for prompt in prompts])
    settings = SFTSettings(
        base=policy, data=str(folder / "demonstrations.jsonl"), output=str(folder / "run"), threads=1
    )
    train_run(settings)
    for file in (folder / "run").iterdir():
        if file.name not in (*RESULT_FILES, "history.jsonl"):
            file.unlink()
    shutil.copytree(folder / "run", folder / "other-run")
    (folder / "ppo-run").mkdir()
    (folder / "ppo-run" / "run.json").write_text('{"command": "ppo"}')
    (folder / "ppo-run" / "config.yaml").write_text("batch_size: 8\nkl_max: 9.0\ndtype: float32\n")
    write(folder / "ppo-run" / "history.jsonl", [{"step": 0, "objective/kl": 0.0}])


def make_registry(folder: Path) -> None:
    """`policy` v1, the champion, and v2; `served`, whose champion is v2, v1 before it; `rm`, a reward model."""
    registry = Registry(folder / "registry", make=True)
    shutil.copytree(folder / "policy", folder / "second")
    (folder / "second" / "generation_config.json").unlink()
    for name in ("policy", "served"):
        registry.add(folder / "policy", name, "sft")
        registry.add(folder / "second", name, "policy")
        registry.promote(name, 1, expected=None)
    registry.promote("served", 2, expected=1)
    registry.add(folder / "reward-model", "rm", "reward")
    shutil.rmtree(folder / "second")


def write(path: Path, records: list[dict]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def other_reward_model(folder: Path) -> None:
    """`other`, a reward model with more tokens and other ids."""
    from reward_model.model import new_scorer, save

    policy = tiny_model("gpt2", folder / "other-policy", bos_is_eos=True)
    (folder / "other").mkdir()
    save(new_scorer(policy, None), folder / "other")


Spoil = Callable[[Path], object]
"""Takes a good model directory and breaks it."""


def spoiled(source: str, spoil: Spoil) -> Callable[[Path], object]:
    """`bad`, a copy of the model `source` that is then spoiled."""

    def make(folder: Path) -> None:
        shutil.copytree(folder / source, folder / "bad")
        spoil(folder / "bad")

    return make


def downloaded(spoil: Spoil) -> Callable[[Path], object]:
    """`team/bad`, a Hub id whose files lie in the cache folder `hub`: a copy of `policy` that is then spoiled."""

    def make(folder: Path) -> None:
        spoiled("policy", spoil)(folder)
        repository = folder / "hub" / "models--team--bad"
        (repository / "snapshots").mkdir(parents=True)
        (folder / "bad").rename(repository / "snapshots" / "1")
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("1")

    return make


def unspoiled(model: Path) -> None:
    pass


def emptied(model: Path) -> None:
    for file in model.iterdir():
        file.unlink()


def a_file(model: Path) -> None:
    shutil.rmtree(model)
    model.write_text("weights")


def absent(model: Path) -> None:
    shutil.rmtree(model)


def damaged_config(model: Path) -> None:
    (model / "config.json").write_text('{"model_type": "llama", ')


def unknown_architecture(model: Path) -> None:
    edit(model / "config.json", model_type="no_such_model", architectures=["NoSuchModel"])


def own_code(model: Path) -> None:
    edit(
        model / "config.json", model_type="mine", auto_map={"AutoConfig": "mine.Mine", "AutoModelForCausalLM": "mine.M"}
    )
    (model / "mine.py").write_text("raise SystemExit('this code ran')\n")


def truncated(model: Path) -> None:
    truncated_file(model / "model.safetensors")


def truncated_file(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes()[:-1000])


def a_layer_lost(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    save_file(
        {k: v for k, v in tensors.items() if ".layers.1." not in k}, model / "model.safetensors", {"format": "pt"}
    )


def without_weights(model: Path) -> None:
    (model / "model.safetensors").unlink()


def pickled(model: Path) -> None:
    """A pickle that runs code when it is loaded."""
    import torch

    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()


def without_tokenizer(model: Path) -> None:
    for file in [*model.glob("tokenizer*"), *model.glob("special_tokens*")]:
        file.unlink()


def without_eos(model: Path) -> None:
    edit(model / "tokenizer_config.json", eos_token=None)


def without_head(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    save_file(
        {k: v for k, v in tensors.items() if not k.startswith("score")}, model / "model.safetensors", {"format": "pt"}
    )


def nan_weights(model: Path) -> None:
    tensors = load_file(model / "model.safetensors")
    save_file({k: v * float("nan") for k, v in tensors.items()}, model / "model.safetensors", {"format": "pt"})


def enormous_weights(model: Path) -> None:
    """Finite, but their products are not: attention turns NaN."""
    tensors = load_file(model / "model.safetensors")
    far = {k: v * 1e38 if "q_proj" in k or "k_proj" in k else v for k, v in tensors.items()}
    save_file(far, model / "model.safetensors", {"format": "pt"})


def enormous_head(model: Path) -> None:
    """Finite, but the scores are not."""
    tensors = load_file(model / "model.safetensors")
    tensors["score.weight"].fill_(3e38)
    save_file(tensors, model / "model.safetensors", {"format": "pt"})


def two_labels(model: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    found = AutoModelForSequenceClassification.from_pretrained(model)
    found.score = nn.Linear(found.score.in_features, 2, bias=False)
    found.config.num_labels = 2
    found.save_pretrained(model)


def an_adapter(model: Path) -> None:
    """An adapter of `policy` in its place."""
    from alignment.models import add_lora, load_policy, save_model

    policy, tokenizer = load_policy(str(model), "--policy")
    emptied(model)
    save_model(add_lora(policy, 2), tokenizer, model, str(model.parent / "policy"), model)


def an_adapter_without_base(model: Path) -> None:
    an_adapter(model)
    edit(model / "adapter_config.json", base_model_name_or_path="/gone/base")


def an_adapter_of_nothing(model: Path) -> None:
    an_adapter(model)
    edit(model / "adapter_config.json", base_model_name_or_path=None)


def a_damaged_adapter(model: Path) -> None:
    an_adapter(model)
    (model / "adapter_config.json").write_text("{")


def a_truncated_adapter(model: Path) -> None:
    an_adapter(model)
    truncated_file(model / "adapter_model.safetensors")


def a_pickled_adapter(model: Path) -> None:
    import torch

    an_adapter(model)
    torch.save(load_file(model / "adapter_model.safetensors"), model / "adapter_model.bin")
    (model / "adapter_model.safetensors").unlink()


def an_adapted_scorer(model: Path) -> None:
    """A reward model that was trained as an adapter of `policy`, in its place."""
    from reward_model.adapter import merged
    from reward_model.model import new_scorer, save

    emptied(model)
    save(merged(new_scorer(str(model.parent / "policy"), None, 2)), model)


def an_adapted_scorer_without_head(model: Path) -> None:
    from safetensors import safe_open

    an_adapted_scorer(model)
    path = model / "adapter" / "adapter_model.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({k: v for k, v in load_file(path).items() if "score" not in k}, path, metadata)


def an_adapted_scorer_torn(model: Path) -> None:
    an_adapted_scorer(model)
    truncated_file(model / "adapter" / "adapter_model.safetensors")


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
