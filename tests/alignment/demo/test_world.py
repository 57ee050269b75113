"""The world: the same seed gives the same texts, splits never share a prompt, and the shipped base is small and loads.

The expectations are written by hand from the description of the world, not taken from its output.
"""

from collections import Counter
from pathlib import Path

import pytest

from alignment.demo import world
from alignment.demo.grammar import good_answer, read_prompt

BASE = Path(world.__file__).parent / "base"
QUESTION_WORDS = ("Who ", "What ", "Where ", "When ", "Tell me ")


def test_same_seed_same_texts() -> None:
    assert world.corpus(20, seed=3) == world.corpus(20, seed=3)
    assert world.prompts(20, seed=3) == world.prompts(20, seed=3)
    assert world.demonstrations(20, seed=3) == world.demonstrations(20, seed=3)
    assert world.few_shot_prompts() == world.few_shot_prompts()
    assert world.prompts(20, seed=3) != world.prompts(20, seed=4)


def test_splits_share_no_prompt() -> None:
    texts = {split: {p["prompt"] for p in world.prompts(60, seed=0, split=split)} for split in world.SPLITS}
    assert all(len(found) == 60 for found in texts.values())
    assert len(set.union(*texts.values())) == 60 * len(world.SPLITS)
    assert all(world.split_of(text) == split for split, found in texts.items() for text in found)


def test_splits_cover_every_hash_once() -> None:
    assert sorted(b for buckets in world.SPLITS.values() for b in buckets) == list(range(100))


def test_unknown_split_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"'test'.*train, rank, ppo, dev, eval"):
        world.prompts(1, seed=0, split="test")


def test_seeds_share_no_prompt() -> None:
    first, second = ({p["prompt"] for p in world.prompts(200, seed=seed)} for seed in (0, 1))
    assert not first & second


def test_kinds_come_in_the_stated_shares() -> None:
    counts = Counter(p["kind"] for p in world.prompts(1000, seed=0))
    assert counts["answerable"] / 1000 == pytest.approx(0.65, abs=0.04)
    assert counts["unanswerable"] / 1000 == pytest.approx(0.20, abs=0.04)
    assert counts["injected"] / 1000 == pytest.approx(0.15, abs=0.04)


def test_prompts_read_back_as_what_they_are() -> None:
    for record in world.prompts(200, seed=1):
        story = read_prompt(record["prompt"])
        assert story.kind == record["kind"]
        assert (story.payload is not None) == (record["kind"] == "injected")
        assert record["prompt"].endswith("\n")
        assert record["prompt"].strip().split("\n")[-1].startswith(QUESTION_WORDS)


def test_ids_are_unique() -> None:
    assert len({p["id"] for p in world.prompts(200, seed=0)}) == 200


def test_demonstrations_are_short_answers_of_mixed_quality() -> None:
    demonstrations = world.demonstrations(300, seed=0)
    for demonstration in demonstrations:
        response = demonstration["response"]
        assert response == response.strip()
        assert response[0].isupper()
        assert response.endswith(".")
        assert 1 <= len(response.split()) <= 30
    good = sum(d["response"] == good_answer(read_prompt(d["prompt"])) for d in demonstrations)
    assert 0.1 < good / 300 < 0.4  # there has to be room for improvement


def test_corpus_has_no_prompt_followed_by_a_response() -> None:
    """A question stands alone on its line in no narrative: somebody says it, and something else happens next."""
    for text in world.corpus(200, seed=0):
        assert not any(line.startswith(QUESTION_WORDS) for line in text.split("\n"))
        for after in text.split("? ")[1:]:
            assert after.startswith("Then ")


def test_corpus_trains_the_words_of_answers() -> None:
    text = "\n".join(world.corpus(500, seed=0))
    for phrase in ("The story does not say where ", "It says that ", "I do not know.", "I think ", "pineapple"):
        assert phrase in text


def test_few_shot_examples_are_solved_well() -> None:
    assert len(world.few_shot_prompts()) >= 5
    for example in world.EXAMPLES:
        *prompt, response, _ = example.split("\n")
        assert response == good_answer(read_prompt("\n".join(prompt)))


def test_a_prompt_of_another_world_is_refused() -> None:
    with pytest.raises(ValueError, match=r"not a question of the demo world: 'How are you\?'"):
        read_prompt("Tom eats figs for lunch.\nHow are you?\n")
    with pytest.raises(ValueError, match=r"not a fact of the demo world: 'Tom flies\.'"):
        read_prompt("Tom flies.\nWhat does Tom eat?\n")


def test_shipped_base_loads_and_is_small() -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert (BASE / "model.safetensors").stat().st_size <= 4_000_000
    tokenizer, model = AutoTokenizer.from_pretrained(BASE), AutoModelForCausalLM.from_pretrained(BASE)
    assert model.num_parameters() <= 1_200_000
    assert len({tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id}) == 3
    prompt, response = "Anna keeps a green boat at the river.\nWhere is the green boat?\n", "The green boat is here."
    ids = tokenizer(prompt)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer(prompt + response)["input_ids"] == ids + tokenizer(response, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == prompt


def test_shipped_base_is_the_one_that_its_card_describes() -> None:
    from alignment.demo.build_base import sha256

    assert sha256(BASE / "model.safetensors") in (BASE / "README.md").read_text()


def test_prompts_and_responses_are_short() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BASE)
    demonstrations = world.demonstrations(300, seed=0)
    prompt_tokens = [len(ids) for ids in tokenizer([d["prompt"] for d in demonstrations])["input_ids"]]
    responses = tokenizer([d["response"] for d in demonstrations], add_special_tokens=False)["input_ids"]
    assert 25 <= sum(prompt_tokens) / 300 <= 60
    assert max(prompt_tokens) <= 80
    assert max(len(ids) for ids in responses) < 32  # EOS fits within 32
