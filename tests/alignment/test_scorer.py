"""A reward model in use.

Mutations seen to fail (alignment/scorer.py):
- read one place before the last token; or the EOS not added to what was cut -> test_reads_the_head_at_the_eos_...
- no cut after adding the EOS -> test_a_full_context_loses_its_first_token_for_the_eos[gpt2]
- offset not added -> test_offset_is_added
- the order of the batches of like length not undone -> test_order_and_padding_change_nothing
- prompts cut from the right -> test_what_does_not_fit_is_cut_from_the_prompts_left
- `_require_head` left out -> test_a_missing_head_is_refused
- EOS after finished responses only (`finished=response.finished`) -> test_every_response_is_closed_by_one_eos
- another stop token left before the EOS -> test_another_stop_token_counts_as_the_eos
"""

from __future__ import annotations

import pytest
import torch
from models import KINDS, tiny_model
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForSequenceClassification

from alignment.chat import collate
from alignment.errors import UserError
from alignment.models import load_policy, load_tokenizer
from alignment.records import Response
from alignment.scorer import Scorer, load_judge, load_scorer


def reward_model(kind: str, folder, offset: float = 0.25, **tokenizer) -> str:
    """A reward model directory with random weights, made with transformers alone."""
    base = tiny_model(kind, folder / "base", **tokenizer)
    config = AutoConfig.from_pretrained(base)
    config.num_labels, config.score_offset = 1, offset
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_config(config)
    torch.nn.init.normal_(model.score.weight, std=1.0)
    model.save_pretrained(folder / "rm")
    load_tokenizer(base, "--base").save_pretrained(folder / "rm")
    return str(folder / "rm")


@pytest.fixture(scope="module", params=KINDS)
def scorer(request, tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    return load_scorer(reward_model(request.param, tmp_path_factory.mktemp(request.param)), "--reward-model")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    """EOS, BOS and PAD are one token."""
    folder = tmp_path_factory.mktemp("same")
    return load_scorer(reward_model("llama", folder, pad="eos", bos_is_eos=True), "--reward-model")


ITEMS = [
    ("Where is the boat?", Response(" It is at the river.")),
    ("Tom", Response(" cat", finished=False)),
    ("The cat sat on the warm mat and", Response("")),
    ("Anna has", Response(" a red kite and a green boat and the moon")),
]


@torch.no_grad()
def one_by_one(scorer: Scorer, items) -> list[float]:
    """w · h + offset of each item alone, without any padding or mask."""
    result = []
    for prompt, response in items:
        encoded = scorer.encode(prompt, response)
        ids = torch.tensor([[*encoded.prompt_ids, *encoded.response_ids]])
        hidden = scorer.model.base_model(input_ids=ids).last_hidden_state
        result.append(float(hidden[0, -1] @ scorer.model.score.weight[0]) + scorer.offset)
    return result


def test_reads_the_head_at_the_eos_that_closes_the_response(scorer):
    """Left- and right-padded in one batch, with EOS, without it, with nothing: always the same as alone."""
    encoded = [scorer.encode(*item) for item in ITEMS]
    responses = [each.response_ids[:-1] if row % 2 else each.response_ids for row, each in enumerate(encoded)]
    tokens = collate([each.prompt_ids for each in encoded], responses, 0)
    with torch.no_grad():
        found = scorer.score(tokens)
    assert responses[1][-1] != scorer.tokenizer.eos_token_id
    assert found.tolist() == pytest.approx(one_by_one(scorer, ITEMS), abs=1e-5)


def test_a_full_context_loses_its_first_token_for_the_eos(scorer):
    """128 places: a policy's sequence that fills them is scored without its first token."""
    prompt, response = [9] * 100, [*range(30, 58)]
    with torch.no_grad():
        found = scorer.score(collate([prompt, [5]], [response, [6]], 0))
    expected = scorer.score_many([[*prompt[1:], *response, scorer.tokenizer.eos_token_id]])
    assert found[0].item() == pytest.approx(expected[0], abs=1e-5)


def test_order_and_padding_change_nothing(scorer):
    expected = one_by_one(scorer, ITEMS)
    assert len(set(expected)) == 4
    for batch_size in (1, 3, 128):
        assert scorer.score_responses(ITEMS, batch_size) == pytest.approx(expected, abs=1e-5)


def test_one_token_for_eos_bos_and_pad_changes_nothing(llama):
    assert llama.tokenizer.eos_token_id == llama.tokenizer.bos_token_id == llama.pad_id
    assert llama.score_responses(ITEMS) == pytest.approx(one_by_one(llama, ITEMS), abs=1e-5)


def test_offset_is_added(llama):
    assert llama.offset == 0.25
    moved = Scorer(llama.model, llama.tokenizer, 1.25)
    assert moved.score_responses(ITEMS) == pytest.approx([s + 1 for s in llama.score_responses(ITEMS)], abs=1e-5)


def test_every_response_is_closed_by_one_eos(llama):
    finished, cut = (llama.encode("Tom", Response(" cat", finished=end)).response_ids for end in (True, False))
    assert finished == cut
    assert finished.count(llama.tokenizer.eos_token_id) == 1
    assert finished[-1] == llama.tokenizer.eos_token_id


def test_another_stop_token_counts_as_the_eos(scorer):
    """Chat models end a turn with a token of their own; the reward model reads the same as from the text."""
    encoded = scorer.encode("Tom", Response(" cat"))
    other = next(i for i in scorer.tokenizer.all_special_ids if i != scorer.tokenizer.eos_token_id)
    with torch.no_grad():
        found = scorer.score(
            collate([encoded.prompt_ids] * 2, [encoded.response_ids, [*encoded.response_ids[:-1], other]], 0)
        )
    assert found[0].item() == pytest.approx(found[1].item(), abs=1e-6)


def test_the_gradient_flows(llama):
    llama.score_ids([[3, 4, 5], [6, 7]]).sum().backward()
    assert llama.model.get_input_embeddings().weight.grad[[3, 4, 5, 6, 7]].abs().sum(1).min() > 0
    llama.model.zero_grad()


def test_what_does_not_fit_is_cut_from_the_prompts_left(llama):
    short, long = Response(" moon"), Response(" moon" * 300)
    whole = llama.encode("cat " * 100 + "mat", short)
    free = Scorer(llama.model, load_tokenizer(llama.tokenizer.name_or_path, "--base"), 0.0)
    free.tokenizer.model_max_length = 64
    some = free.encode("cat " * 100 + "mat", short)
    assert len(some.prompt_ids) + len(some.response_ids) == 64
    assert some.prompt_ids == whole.prompt_ids[-len(some.prompt_ids) :]
    assert some.response_ids == llama.encode("mat", short).response_ids
    assert (some.prompt_cut, some.response_cut) == (True, False)
    full = llama.encode("cat", long)
    assert (len(full.prompt_ids), len(full.response_ids), full.response_cut) == (1, 127, True)
    assert full.response_ids[-1] == llama.tokenizer.eos_token_id
    assert llama.encode("cat", short)[2:] == (False, False)


def test_a_judge_scores_every_prompts_responses(llama):
    judge = load_judge(f"reward-model:{llama.model.name_or_path}", "--judge")
    items = [
        ("Tom", [Response(" cat"), Response(" mat")]),
        ("Anna", [Response(" kite"), Response(" boat"), Response("")]),
    ]
    flat = [(prompt, response) for prompt, several in items for response in several]
    expected = llama.score_responses(flat)
    (first, second) = judge(items)
    assert [*first, *second] == pytest.approx(expected, abs=1e-6)
    assert len(first) == 2


def test_a_missing_head_is_refused(tmp_path):
    path = reward_model("gpt2", tmp_path)
    weights = load_file(f"{path}/model.safetensors")
    assert weights.pop("score.weight").shape == (1, 32)
    save_file(weights, f"{path}/model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="its score head is missing, so its scores would be random"):
        load_scorer(path, "--reward-model")
    policy, tokenizer = load_policy(f"{tmp_path}/base", "--base")
    policy.save_pretrained(tmp_path / "policy")
    tokenizer.save_pretrained(tmp_path / "policy")
    with pytest.raises(UserError, match="its score head is missing"):
        load_scorer(str(tmp_path / "policy"), "--reward-model")


def test_other_mistakes_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match="no such directory"):
        load_scorer(str(tmp_path / "absent"), "--reward-model")
    with pytest.raises(UserError, match="holds no safetensors"):
        load_scorer(str(tmp_path), "--reward-model")
    path = reward_model("llama", tmp_path)
    (tmp_path / "rm" / "model.safetensors").write_bytes(b"half")
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        load_scorer(path, "--reward-model")


def test_a_head_of_two_labels_is_refused(tmp_path):
    base = tiny_model("llama", tmp_path / "base")
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
    model.save_pretrained(tmp_path / "two")
    load_tokenizer(base, "--base").save_pretrained(tmp_path / "two")
    with pytest.raises(UserError, match="its head gives 2 numbers"):
        load_scorer(str(tmp_path / "two"), "--reward-model")
