"""The whole of stage 2 on tiny models.

Mutations seen to fail:
- (making.py) the temperature times sd instead of divided by it -> test_held_out_file_...
- (train.py) `/ len(batch)` → `/ len(micro)` -> test_micro_batching_changes_neither_loss_nor_gradient
- (train.py) every sequence computed twice -> test_each_response_goes_through_the_model_once
- (model.py) w not divided by σ, or offset = offset − μ without ÷ σ -> test_training_scores_have_mean_0_and_sd_1
- (model.py) PAD kept although it is EOS -> test_plain_transformers_agrees, test_pad_is_no_token_that_texts_produce
- (model.py) backbone weights not loaded -> test_starts_from_the_weights_of_the_base
- (adapter.py) adapter not merged when saving -> test_plain_transformers_agrees[*-lora]
- (adapter.py) adapter dropped instead of merged -> test_lora_trains_the_adapter_and_the_head_alone
- (model.py) head std 1 -> test_head_starts_at_one_over_root_d_plus_one
- (train.py) scheduled rate not given to the optimizer -> test_learning_rate_follows_its_schedule
- (train.py) held-out rankings trained on too -> test_what_the_run_leaves
- (train.py) scores before normalising written to held_out.jsonl, or ranks of another ranking -> test_held_out_file_...
- (train.py) autocast never enabled -> test_bfloat16_computes_so_and_saves_float32
"""

from __future__ import annotations

import json
import math

import pytest
import torch
from datasets import load_dataset
from models import KINDS, tiny_model
from peft import AutoPeftModelForSequenceClassification
from refusals import refused
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from alignment.config import parse
from alignment.metrics import METRICS
from alignment.models import add_lora, backbone, load_policy, load_tokenizer, save_model, trainable
from alignment.records import Response
from alignment.scorer import load_scorer
from reward_model.adapter import merged
from reward_model.config import COMMAND, RewardSettings
from reward_model.data import encode
from reward_model.fit import _scores, batch_loss, fit, lr_factor
from reward_model.making import prepare
from reward_model.model import new_scorer, normalise, save
from reward_model.split import split
from reward_model.train import run

WORDS = ["cat", "sat", "warm", "Anna", "looked", "keeps", "river", "Tom", "red", "green"]
NAMES = ["Where is the", "Look at the", "The warm", "Anna keeps the"]


def records(count: int, longest: int = 6) -> list[dict]:
    """Rankings in which the last word decides: K 2 to 4, lengths that differ, some cut at the limit."""
    made = []
    for number in range(count):
        k = 2 + number % 3
        filler = [f" {WORDS[(number + place) % 10]}" * (1 + (number + place) % longest) for place in range(k)]
        texts = [f"{words} {best_first}" for words, best_first in zip(filler, ["moon", "kite", "boat", "mat"])]
        responses = [{"text": text, "finished": place != 1} for place, text in enumerate(texts)]
        order = [(place + number) % k for place in range(k)]
        prompt = f"{NAMES[number % 4]} {WORDS[number // 4 % 10]} {number}"
        made.append({
            "prompt": prompt, "responses": [responses[place] for place in order], "ranks": [place + 1 for place in order]
        })  # fmt: skip
    return made


def write(path, made: list[dict]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in made))
    return str(path)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One model a kind, with the tokenizers that mislead: no PAD, EOS = PAD, EOS = BOS = PAD."""
    folder = tmp_path_factory.mktemp("bases")
    return {
        "llama": tiny_model("llama", folder / "llama", pad="eos", bos_is_eos=True),
        "qwen3": tiny_model("qwen3", folder / "qwen3", pad="own"),
        "gpt2": tiny_model("gpt2", folder / "gpt2", pad="none", bos_is_eos=True),
        "gemma": tiny_model("gemma", folder / "gemma", pad="eos"),
    }


@pytest.fixture(scope="module")
def rankings(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("rankings") / "rankings.jsonl", records(40))


def settings(base: str, rankings: str, output="unused", **values) -> RewardSettings:
    return RewardSettings(base=base, rankings=rankings, output=str(output), **values)


def scorer_and_examples(base: str, rankings: str, **values):
    torch.manual_seed(0)
    chosen = settings(base, rankings, **values)
    scorer = new_scorer(base, None, chosen.lora_rank)
    return scorer, encode(scorer, split(chosen).train, "test"), chosen


def gradients(scorer) -> torch.Tensor:
    found = torch.cat([p.grad.flatten() for p in trainable(scorer.model) if p.grad is not None])
    scorer.model.zero_grad()
    return found


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_micro_batching_changes_neither_loss_nor_gradient(bases, rankings, kind):
    scorer, examples, chosen = scorer_and_examples(bases[kind], rankings, batch_size=100, microbatch_size=100)
    scorer.model.double()
    whole, whole_gradient = batch_loss(scorer, examples[:9], chosen), gradients(scorer)
    for size in (1, 4):
        chosen = settings(bases[kind], rankings, microbatch_size=size)
        assert batch_loss(scorer, examples[:9], chosen) == pytest.approx(whole, abs=1e-12)
        assert torch.allclose(gradients(scorer), whole_gradient, atol=1e-12 * float(whole_gradient.abs().max()))


def test_each_response_goes_through_the_model_once(bases, rankings):
    scorer, examples, chosen = scorer_and_examples(bases["llama"], rankings)
    rows = []
    scorer.model.model.register_forward_hook(lambda module, inputs, output: rows.append(len(output.last_hidden_state)))
    batch_loss(scorer, examples[:8], chosen)
    assert sum(rows) == sum(len(example.ranking.responses) for example in examples[:8])


def test_nine_responses_are_nine_sequences_where_their_pairs_would_be_72(bases, tmp_path):
    """One batch element, and the loss of its 36 pairs taken one by one, in float64."""
    record = {"prompt": "Tom", "responses": [f"a boat {n * n}" for n in range(9)], "ranks": [4, 2, 9, 1, 7, 3, 8, 6, 5]}
    path = write(tmp_path / "nine.jsonl", [record, {**record, "prompt": "the end"}])
    scorer, examples, chosen = scorer_and_examples(bases["llama"], path)
    scorer.model.double()
    nine = examples[0]
    rows = []
    scorer.model.model.register_forward_hook(lambda module, inputs, output: rows.append(len(output.last_hidden_state)))
    loss = batch_loss(scorer, [nine], chosen)
    assert sum(rows) == 9
    rows.clear()
    losses = []
    for better, worse in nine.ranking.strict_pairs():
        with torch.no_grad():
            first, second = (scorer.score_ids([nine.sequences[at]]).item() for at in (better, worse))
        losses.append(math.log1p(math.exp(second - first)))
    assert sum(rows) == 72
    assert loss == pytest.approx(sum(losses) / 36, abs=1e-12)


def test_starts_from_the_weights_of_the_base(bases):
    for kind, base in bases.items():
        policy, _ = load_policy(base, "--base")
        scorer = new_scorer(base, None)
        ids = torch.tensor([[5, 9, 30, 31]])
        mine, theirs = (m.base_model(input_ids=ids).last_hidden_state for m in (scorer.model, policy))
        assert torch.equal(mine, theirs), kind


def test_a_lora_base_is_merged_first(bases, tmp_path):
    policy, tokenizer = load_policy(bases["llama"], "--base")
    adapted = add_lora(policy, 4)
    with torch.no_grad():
        for parameter in trainable(adapted):
            parameter.normal_(std=0.3)
    save_model(adapted, tokenizer, tmp_path, bases["llama"], tmp_path)
    ids = torch.tensor([[5, 9, 30, 31]])
    expected = adapted(input_ids=ids, output_hidden_states=True).hidden_states[-1]
    found = new_scorer(str(tmp_path), None).model.base_model(input_ids=ids).last_hidden_state
    assert torch.allclose(found, expected, atol=1e-5)
    bare = new_scorer(bases["llama"], None).model.base_model(input_ids=ids).last_hidden_state
    assert not torch.allclose(found, bare, atol=1e-2)


def test_head_starts_at_one_over_root_d_plus_one(bases):
    torch.manual_seed(0)
    weights = torch.cat([new_scorer(bases["llama"], None).head.weight.flatten() for _ in range(60)])
    assert weights.std().item() == pytest.approx(1 / math.sqrt(33), rel=0.05)
    assert new_scorer(bases["llama"], None).head.bias is None


def test_pad_is_no_token_that_texts_produce(bases):
    for kind, base in bases.items():
        tokenizer = new_scorer(base, None).tokenizer
        special = {tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.unk_token_id}
        assert tokenizer.pad_token_id not in special
        assert (len(tokenizer) > len(load_tokenizer(base, "--base"))) == (kind != "qwen3")


def test_a_pad_that_is_unk_is_replaced(bases, tmp_path):
    """UNK is what unknown text turns into, so as PAD it could hide a response's last token."""
    policy, tokenizer = load_policy(bases["qwen3"], "--base")
    tokenizer.unk_token = tokenizer.pad_token
    policy.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    scorer = new_scorer(str(tmp_path), None)
    assert scorer.tokenizer.pad_token_id == len(tokenizer)
    assert scorer.model.get_input_embeddings().num_embeddings == len(tokenizer) + 1
    assert scorer.model.config.pad_token_id == len(tokenizer)


def test_training_scores_have_mean_0_and_sd_1(bases, rankings):
    scorer, examples, chosen = scorer_and_examples(bases["qwen3"], rankings, epochs=1, lr=1e-3)
    fit(scorer, examples, chosen, lambda values, step: None)
    sequences = [sequence for example in examples for sequence in example.sequences]
    before = torch.tensor(scorer.score_many(sequences), dtype=torch.float64)
    mean, sd = normalise(scorer, before)
    after = torch.tensor(scorer.score_many(sequences))
    assert after.mean().item() == pytest.approx(0, abs=1e-5)
    assert after.std(correction=0).item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(after.double() * sd + mean, before, atol=1e-5 * sd)  # the order and the gaps are kept


@pytest.mark.parametrize("rank", [0, 4], ids=["full", "lora"])
@pytest.mark.parametrize("kind", KINDS)
def test_plain_transformers_agrees(bases, rankings, tmp_path, kind, rank):
    """A batch of unlike lengths, right-padded with the saved tokenizer: plain logits + score_offset = our score."""
    metrics = run(settings(bases[kind], rankings, tmp_path / "rm", lora_rank=rank, lr=1e-2, seed=3, batch_size=8))
    assert metrics["score_sd_before"] > 0
    ours = load_scorer(str(tmp_path / "rm"), "--reward-model")
    items = [("Where is the boat", Response(text, finished=end)) for text, end in
             [(" at the river", True), (" moon moon moon moon cat", False), ("", True), (" a", True)]]  # fmt: skip
    sequences = [[*each.prompt_ids, *each.response_ids] for each in (ours.encode(*item) for item in items)]
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "rm")
    assert tokenizer.eos_token_id == sequences[0][-1]
    with torch.no_grad():
        logits = plain(**tokenizer.pad({"input_ids": sequences}, return_tensors="pt")).logits.squeeze(1)
    expected = torch.tensor(ours.score_responses(items))
    assert torch.allclose(logits + plain.config.score_offset, expected, atol=1e-5)
    assert expected.unique().numel() == 4
    assert not (tmp_path / "rm" / "adapter_config.json").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_plain_peft_agrees(bases, rankings, tmp_path, kind):
    """The adapter alone on its base, as PEFT loads both from `adapter/`: the scores of the merged model beside it."""
    run(settings(bases[kind], rankings, tmp_path / "rm", lora_rank=4, lr=1e-2, seed=3, batch_size=8))
    ours, folder = load_scorer(str(tmp_path / "rm"), "--reward-model"), tmp_path / "rm" / "adapter"
    items = [("Where is the boat", Response(text, finished=True)) for text in (" at the river", " moon moon", "", " a")]
    sequences = [[*each.prompt_ids, *each.response_ids] for each in (ours.encode(*item) for item in items)]
    plain, tokenizer = (
        AutoPeftModelForSequenceClassification.from_pretrained(folder, num_labels=1),
        AutoTokenizer.from_pretrained(folder),
    )
    plain.config.pad_token_id = tokenizer.pad_token_id
    with torch.no_grad():
        logits = plain.eval()(**tokenizer.pad({"input_ids": sequences}, return_tensors="pt")).logits.squeeze(1)
    expected = torch.tensor(ours.score_responses(items))
    assert torch.allclose(logits + ours.offset, expected, atol=1e-5)
    assert expected.unique().numel() == 4


def test_lora_trains_the_adapter_and_the_head_alone(bases, rankings):
    scorer, examples, chosen = scorer_and_examples(bases["llama"], rankings, lora_rank=2, lr=1e-2)
    before = {name: parameter.clone() for name, parameter in scorer.model.named_parameters()}
    fit(scorer, examples, chosen, lambda values, step: None)
    changed = {name for name, p in scorer.model.named_parameters() if not torch.equal(p, before[name])}
    assert changed
    assert all("lora_" in name or "modules_to_save" in name for name in changed)
    assert any("modules_to_save" in name for name in changed)
    sequences = [sequence for example in examples for sequence in example.sequences]
    expected = scorer.score_many(sequences)
    assert merged(scorer).score_many(sequences) == pytest.approx(expected, abs=1e-5)


def test_what_the_run_leaves(bases, rankings, tmp_path):
    made = [*records(120), {**records(1)[0], "prompt": "tie", "ranks": [1, 1]}]
    for number, record in enumerate(made):
        record["source"] = "one" if number % 2 else "two"
    path = write(tmp_path / "rankings.jsonl", made)
    output = tmp_path / "rm"
    chosen = settings(bases["llama"], path, output, epochs=6, batch_size=4, lr=3e-3, holdout_fraction=0.3)
    metrics = run(chosen)
    assert metrics["pair_accuracy_low"] <= metrics["pair_accuracy"] <= metrics["pair_accuracy_high"]
    assert metrics["pair_accuracy"] > 0.85  # the last word is easily learned; a fresh head is near one half
    assert metrics["n_pairs"] == sum(source["n_pairs"] for source in metrics["by_source"].values())
    assert set(metrics["by_source"]) == {"one", "two"}
    assert metrics["without_pairs"] == 1
    assert metrics["n_rankings"] + metrics["n_held_out_rankings"] == 120
    assert metrics["steps"] == 6 * math.ceil(metrics["n_rankings"] / 4)
    assert json.loads((output / "metrics.json").read_text()) == metrics
    again, _ = parse(RewardSettings, ["--config", str(output / "config.yaml")], "align reward", "")
    assert again == chosen
    assert (output / "model.safetensors").exists()
    assert len(load_dataset("json", data_files=path, split="train", cache_dir=str(tmp_path / "cache"))) == 121


def test_same_seed_same_numbers(bases, rankings, tmp_path):
    results = [run(settings(bases["gpt2"], rankings, tmp_path / str(n), seed=[1, 1, 2][n])) for n in range(3)]
    first, second, third = ({k: v for k, v in result.items() if k != "seconds"} for result in results)
    assert first == second
    assert first["log_loss"] != third["log_loss"]


def test_bfloat16_computes_so_and_saves_float32(bases, rankings, tmp_path):
    exact, rounded = (run(settings(bases["llama"], rankings, tmp_path / d, dtype=d)) for d in ("float32", "bfloat16"))
    assert exact["train_loss"] != rounded["train_loss"]
    assert rounded["train_loss"] == pytest.approx(exact["train_loss"], rel=0.05)
    weights = load_file(tmp_path / "bfloat16" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float32}


def test_a_score_in_bfloat16_is_not_rounded_to_8_bits(bases, rankings, tmp_path):
    """The products of the transformer are; the head's are not, in training and in a model that is loaded in bfloat16."""
    scorer, examples, chosen = scorer_and_examples(bases["llama"], rankings, dtype="bfloat16")
    sequences = [sequence for example in examples for sequence in example.sequences]
    save(scorer, tmp_path / "rm")
    half = load_scorer(str(tmp_path / "rm"), "--reward-model", "bfloat16")
    exact = scorer.score_ids(sequences)
    for found in (_scores(scorer, sequences, chosen), half.score_ids(sequences)):
        assert not torch.equal(found, exact)
        assert torch.allclose(found, exact, atol=0.05)
        assert (found == found.bfloat16().float()).float().mean() < 0.1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("rank", [0, 4], ids=["full", "lora"])
def test_recomputing_changes_no_gradient(bases, rankings, rank, dtype):
    results = []
    for recomputing in (False, True):
        more = {"lora_rank": rank, "dtype": dtype, "gradient_checkpointing": recomputing}
        chosen = settings(bases["gpt2"], rankings, **more)
        torch.manual_seed(0)
        ready = prepare(chosen)
        layers = backbone(ready.scorer.model).h
        assert [layer.gradient_checkpointing for layer in layers] == [recomputing] * len(layers)
        loss = batch_loss(ready.scorer, ready.train[:4], chosen)
        results.append((loss, gradients(ready.scorer)))
        assert not ready.scorer.model.training
    (loss, expected), (other, found) = results
    assert loss == other
    assert (found - expected).abs().max() <= 1e-6 * expected.abs().max()


def test_given_held_out_rankings_are_measured_on(bases, rankings, tmp_path):
    made = records(60)[50:]
    path = write(tmp_path / "e.jsonl", made)
    metrics = run(settings(bases["llama"], rankings, tmp_path / "rm", eval_rankings=path))
    assert metrics["n_held_out_rankings"] == 10
    assert metrics["n_rankings"] == 40
    assert metrics["n_pairs"] == sum(len(r["ranks"]) * (len(r["ranks"]) - 1) // 2 for r in made)


def test_long_prompts_are_cut_from_the_left_and_counted(bases, tmp_path):
    made = records(12)
    made[0]["prompt"] = "cat " * 60 + "END"
    made[1]["responses"][0]["text"] = " moon" * 200
    path = write(tmp_path / "r.jsonl", made)
    metrics = run(settings(bases["llama"], path, tmp_path / "rm", max_length=64))
    assert metrics["cut_prompts"] == 2  # the long response leaves room for one token of its prompt and EOS
    assert metrics["cut_responses"] == 1
    scorer = load_scorer(str(tmp_path / "rm"), "--reward-model")
    assert scorer.max_length == 64
    encoded = scorer.encode(made[0]["prompt"], Response(" moon"))
    assert len(encoded.prompt_ids) + len(encoded.response_ids) == 64
    assert scorer.tokenizer.decode(encoded.prompt_ids).endswith("cat END")


def test_learning_rate_follows_its_schedule(bases, rankings):
    factors = [lr_factor(step, 100, settings("b", "r", warmup_fraction=0.1)) for step in range(100)]
    assert factors[:3] == pytest.approx([1 / 11, 2 / 11, 3 / 11])
    assert factors[10] == 1
    assert factors[55] == pytest.approx(0.55)
    assert 0.1 < factors[99] < 0.102
    assert lr_factor(55, 100, settings("b", "r", warmup_fraction=0.1, lr_schedule="linear")) == 0.5
    assert lr_factor(55, 100, settings("b", "r", lr_schedule="constant")) == 1
    scorer, examples, _ = scorer_and_examples(bases["llama"], rankings)
    before = scorer.head.weight.detach().clone()
    logged = []
    chosen = settings(bases["llama"], rankings, lr=1e-3, batch_size=len(examples), warmup_fraction=0)
    result = fit(scorer, examples, chosen, lambda values, step: logged.append(values))
    assert result["lr"] == logged[0]["optim/lr"] == 1e-3
    moved = (scorer.head.weight.detach() - before).abs()
    assert moved.max().item() == pytest.approx(1e-3, rel=1e-3)  # Adam's first step is lr in every entry


def test_user_mistakes(bases, rankings, tmp_path, capsys):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "bad.jsonl").write_text(
        '{"prompt": "p", "responses": [{"text": "a"}, {"text": "b"}], "ranks": [1, NaN]}\n'
    )
    (folder / "there").mkdir()
    good = ["--base", bases["llama"], "--rankings", rankings, "--output", "out"]

    def refuse(arguments: list[str], *phrases: str) -> None:
        refused(capsys, COMMAND, arguments, folder, *phrases)

    refuse(good[:4], "--output is missing")
    refuse([*good[:2], "--rankings", "absent.jsonl", *good[4:]], "--rankings absent.jsonl: no such file")
    refuse([*good[:2], "--rankings", "bad.jsonl", *good[4:]], "bad.jsonl, line 1: holds NaN")
    refuse([*good[:4], "--output", "there"], "--output there: exists already")
    refuse([*good, "--batch-sizes", "3"], "unknown setting '--batch-sizes' (did you mean '--batch-size'?)")
    refuse(["--base", "./absent", *good[2:]], "--base ./absent: no such directory")
    refuse([*good, "--max-length", "4000"], "--max-length is 4000", "reads at most 128 tokens")
    refuse([*good, "--lr", "1e30"], "training diverged; lower --lr")


def test_interrupted_writes_nothing(bases, rankings, tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("reward_model.train.save", interrupt)
    arguments = ["--base", bases["llama"], "--rankings", rankings, "--output", "out"]
    refused(capsys, COMMAND, arguments, tmp_path, "interrupted; nothing was written", code=130)


def test_a_base_without_a_classifier_is_refused(bases, tmp_path, capsys, rankings):
    """An architecture that transformers has no scoring head for."""
    from transformers import AutoModelForCausalLM, MambaConfig

    tokenizer = load_tokenizer(bases["qwen3"], "--base")
    config = MambaConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, state_size=4)
    base = tmp_path / "mamba"
    AutoModelForCausalLM.from_config(config).save_pretrained(base)
    tokenizer.save_pretrained(base)
    arguments = ["--base", "mamba", "--rankings", rankings, "--output", "out"]
    refused(capsys, COMMAND, arguments, tmp_path, "no sequence classifier", "(mamba)")


def test_held_out_file_gives_the_metrics_again(bases, rankings, tmp_path):
    metrics = run(settings(bases["gpt2"], rankings, tmp_path / "out"))
    lines = [json.loads(line) for line in (tmp_path / "out" / "held_out.jsonl").read_text().splitlines()]
    assert len(lines) == metrics["n_held_out_rankings"]
    gaps = [
        metrics["score_sd_before"] * (line["scores"][i] - line["scores"][j])
        for line in lines
        for i, better in enumerate(line["ranks"])
        for j, worse in enumerate(line["ranks"])
        if better < worse
    ]
    assert len(gaps) == metrics["n_pairs"]
    assert sum(gap > 0 for gap in gaps) / len(gaps) == pytest.approx(metrics["pair_accuracy"])
    assert sum(math.log1p(math.exp(-gap)) for gap in gaps) / len(gaps) == pytest.approx(metrics["log_loss"])
    assert {line["source"] for line in lines} == {"rankings"}
    scorer, found = load_scorer(str(tmp_path / "out"), "--reward-model"), metrics["calibration"]
    assert scorer.temperature == pytest.approx(found["temperature"] / metrics["score_sd_before"])
    assert scorer.model.config.score_temperature == scorer.temperature
    apart = [
        (line["scores"][i] - line["scores"][j]) / scorer.temperature
        for line in lines
        if not (line["fitted"] and found["n_pairs_fitted"])
        for i, better in enumerate(line["ranks"])
        for j, worse in enumerate(line["ranks"])
        if better < worse
    ]
    assert len(apart) == found["n_pairs"]
    assert sum(math.log1p(math.exp(-gap)) for gap in apart) / len(apart) == pytest.approx(found["log_loss"], rel=1e-6)


def test_history_has_a_line_a_step_and_the_accuracy(bases, rankings, tmp_path):
    metrics = run(settings(bases["gpt2"], rankings, tmp_path / "out"))
    lines = [json.loads(line) for line in (tmp_path / "out" / "history.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if "reward_model/loss" in line]
    assert steps == list(range(1, metrics["steps"] + 1))
    assert lines[-1]["reward_model/pair_accuracy"] == metrics["pair_accuracy"]
    assert all(name in METRICS for line in lines for name in line if name != "step")
