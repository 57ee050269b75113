"""What is learned from a demonstration, and how demonstrations become rows.

Mutations seen to fail: labels hidden where the id is PAD's (learned_tokens); `start + prompt_length + 1` (learned_tokens,
positions_restart); positions that do not restart (positions_restart); cut from the left, and `>` for `>=` where the prompt
fills the length (cut_from_the_right); {text} hashed by its empty prompt (text_is_split_by_its_text); a threshold that
depends on the other demonstrations (split_never_redrawn); fewer than 5 held out (below_a_handful); a packed row longer than
the longest demonstration (pack); the same permutation every epoch (sampler)."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
import torch
from models import tiny_model

from alignment.models import load_tokenizer
from alignment.records import Demonstration
from sft.data import Example, StepSampler, collate_rows, encode, pack, part_of, split_by_prompt

MANY = [Demonstration(f"Question {number}?", f" Answer {number}.") for number in range(400)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return load_tokenizer(tiny_model("llama", tmp_path_factory.mktemp("model")), "--base")


@pytest.mark.parametrize(("pad", "bos_is_eos"), list(product(["own", "none", "eos"], [False, True])))
def test_learned_tokens_are_the_response_and_eos(tmp_path: Path, pad, bos_is_eos):
    tokenizer = load_tokenizer(tiny_model("llama", tmp_path, pad=pad, bos_is_eos=bos_is_eos), "--base")
    (example,) = encode(tokenizer, [Demonstration("The cat", " sat on the mat.")], 100).examples
    eos = tokenizer.eos_token_id
    plain = tokenizer(" sat on the mat.", add_special_tokens=False).input_ids
    assert example.ids[0] == tokenizer.bos_token_id
    assert example.ids[example.prompt_length :] == [*plain, eos]
    labels = collate_rows([[example], [Example([eos, eos, eos], 1)]], eos)["labels"]
    assert labels[0].tolist() == [-100] * example.prompt_length + [*plain, eos]
    assert labels[1].tolist() == [-100, eos, eos] + [-100] * (len(example.ids) - 3)


def test_text_learns_all_after_the_first_token(tokenizer):
    (example,) = encode(tokenizer, [Demonstration("", "The cat sat.")], 100).examples
    plain = tokenizer("The cat sat.", add_special_tokens=False).input_ids
    assert example == Example([tokenizer.bos_token_id, *plain, tokenizer.eos_token_id], 1)


def test_messages_go_through_the_chat_template(tokenizer):
    tokenizer.chat_template = (
        "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}[assistant] {% endif %}"
    )
    messages = [{"role": "user", "content": "Where is Tom?"}]
    (example,) = encode(tokenizer, [Demonstration(messages, "At the river.")], 100).examples
    assert tokenizer.decode(example.ids[: example.prompt_length]) == "[user] Where is Tom?\n[assistant] "
    assert tokenizer.decode(example.ids[example.prompt_length : -1]) == "At the river."
    tokenizer.chat_template = None


def test_cut_from_the_right_and_dropped(tokenizer):
    demonstration = Demonstration("The cat", " sat on the warm mat and looked at the moon.")
    (whole,) = encode(tokenizer, [demonstration], 100).examples
    exact = encode(tokenizer, [demonstration], len(whole.ids))
    assert (exact.examples, exact.cut, exact.dropped) == ([whole], 0, 0)
    cut = encode(tokenizer, [demonstration], len(whole.ids) - 1)
    assert (cut.examples, cut.cut) == ([Example(whole.ids[:-1], whole.prompt_length)], 1)
    least = encode(tokenizer, [demonstration], whole.prompt_length + 1)
    assert [one.learned for one in least.examples] == [1]
    dropped = encode(tokenizer, [demonstration], whole.prompt_length)
    assert (dropped.examples, dropped.cut, dropped.dropped) == ([], 0, 1)


def test_split_never_redrawn():
    learn, held_out = split_by_prompt(MANY, 0.1)
    assert 20 < len(held_out) < 65
    assert len(learn) + len(held_out) == len(MANY)
    _, fewer = split_by_prompt(MANY[::-1][:250], 0.1)
    assert {one.prompt for one in fewer} == {one.prompt for one in held_out} & {one.prompt for one in MANY[150:]}
    _, more = split_by_prompt(MANY, 0.2)
    assert {one.prompt for one in held_out} < {one.prompt for one in more}


def test_same_prompt_same_side():
    twice = [*MANY, *(Demonstration(one.prompt, " Another answer.") for one in MANY)]
    learn, held_out = split_by_prompt(twice, 0.1)
    assert not {one.prompt for one in learn} & {one.prompt for one in held_out}


def test_text_is_split_by_its_text():
    learn, held_out = split_by_prompt([Demonstration("", one.response) for one in MANY], 0.1)
    assert 20 < len(held_out) < 65
    assert len(learn) + len(held_out) == len(MANY)


def test_none_held_out_below_a_handful():
    for count in range(1, len(MANY)):
        _, held_out = split_by_prompt(MANY[:count], 0.02)
        assert not 0 < len(held_out) < 5
    assert split_by_prompt(MANY, 0.0) == (MANY, [])


def test_pack_keeps_every_demonstration_and_lengthens_no_row():
    examples = [Example(list(range(length)), 1) for length in (9, 2, 4, 5, 3, 6, 2, 9)]
    rows = pack(examples)
    assert sorted(len(one.ids) for row in rows for one in row) == [2, 2, 3, 4, 5, 6, 9, 9]
    assert [sum(len(one.ids) for one in row) for row in rows] == [9, 9, 9, 9, 4]


def test_positions_restart_and_labels():
    batch = collate_rows([[Example([7, 8, 9], 2), Example([5, 6], 1)], [Example([4, 3], 1)]], 0)
    assert batch["input_ids"].tolist() == [[7, 8, 9, 5, 6], [4, 3, 0, 0, 0]]
    assert batch["labels"].tolist() == [[-100, -100, 9, -100, 6], [-100, 3, -100, -100, -100]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1], [0, 1, 2, 3, 4]]


def test_sampler_permutes_afresh_and_orders_only_inside_a_step():
    lengths = torch.randint(1, 50, (50,), generator=torch.Generator().manual_seed(1)).tolist()
    sampler = StepSampler(lengths, 8, seed=3)
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(50))
    assert {*first[:8]} != {*second[:8]}
    for start in range(0, 50, 8):
        step = [lengths[index] for index in first[start : start + 8]]
        assert step == sorted(step, reverse=True)
    assert min(lengths[index] for index in first[:8]) < max(lengths[index] for index in first[8:16])
    assert first == list(StepSampler(lengths, 8, seed=3))
    assert first != list(StepSampler(lengths, 8, seed=4))


def test_parts_are_of_prompts_lie_within_each_other_and_stay_in_order():
    """Seen to fail: parts of demonstrations instead of prompts; the order that of the hashes."""
    made = [Demonstration(f"prompt {number // 2}", f" {number}") for number in range(160)]
    eighth, half = part_of(made, 1 / 8), part_of(made, 1 / 2)
    assert (len(eighth), len(half)) == (20, 80)
    assert part_of(made, 1.0) == made
    assert [one for one in half if one in eighth] == eighth
    assert [one for one in made if one in half] == half
    assert len({one.prompt for one in half}) == 40
    assert half != made[:80]
