"""Duplicates and leaks. Each test was seen to fail under the mutation named beside it (in `alignment/data_check/`):

- the annotator left out of a ranking's identity: test_two_annotators_are_no_duplicate
- ids compared without the prompt: test_ids
- raw rank numbers compared: test_ranks_conflict_only_where_an_order_differs
- `_order` without the sorting by text: test_ranks_conflict_only_where_an_order_differs
- Jaccard = |A ∩ B| / min(|A|, |B|): test_jaccard_by_hand
- BANDS 3 (recall lost): test_all_near_duplicates_are_found
- candidates taken without the exact comparison: test_all_near_duplicates_are_found
- a text joins the index only where it is like none: test_a_chain_of_near_duplicates
- the crowd's limit left out: test_a_crowd_costs_no_square
- CJK characters taken as one word: test_languages_without_spaces
- leaks compared before normalising, or before cleaning: test_leaked_prompts
- the start compared by characters, or for {prompt, response} too: test_texts_that_begin_with_a_held_out_prompt
- SHORTEST_START 1: test_texts_that_begin_with_a_held_out_prompt
- groups of the file itself taken for the other's: test_leaked_groups
"""

from __future__ import annotations

import itertools
import random

import pytest
from data_files import sentence, write

from alignment.data_check.near import CROWD, NearIndex, jaccard, triples

WORDS = [f"{a}{b}{c}" for a in "bdfgklmn" for b in "aeiou" for c in "bdfgklmn"]


def ranking(prompt="Tea or coffee?", ranks=(1, 2), responses=("Tea.", "Coffee."), **fields) -> dict:
    return {"prompt": prompt, "responses": list(responses), "ranks": list(ranks), **fields}


def test_exact_duplicates(check):
    data = [{"prompt": "A", "response": "B"}, {"prompt": "C", "response": "B"}, {"response": "B", "prompt": "A"}]
    result = check(data)
    assert result.lines == {"exact_duplicate": [3]}
    assert result.detail("exact_duplicate") == "same as line 1"
    assert check([{"prompt": "A", "id": "1"}, {"prompt": "A", "id": "2"}]).lines == {"exact_duplicate": [2]}
    assert check([{"text": "A b."}, {"text": "A b."}, {"text": "C d."}]).lines == {"exact_duplicate": [2]}


def test_two_annotators_are_no_duplicate(check):
    data = [ranking(annotator="a"), ranking(annotator="b"), ranking(annotator="a")]
    assert check(data).lines == {"exact_duplicate": [3], "annotator_share": [None]}


def test_ids(check):
    data = [ranking(id="1"), ranking("B?", id="1"), ranking("C?", id="2"), ranking("C?", id="2", annotator="z")]
    assert check(data).lines == {"duplicate_id": [2]}


def test_one_prompt_with_other_answers(check):
    data = [{"prompt": "A", "response": text} for text in ("B", "C", "D")]
    assert check(data).lines == {"conflicting_response": [2, 3]}
    data = [{"prompt": "A", "responses": ["B", "C"]}, {"prompt": "A", "responses": ["C", "B"]}]
    assert check(data).lines == {}
    assert check([*data, {"prompt": "A", "responses": ["C", "D"]}]).lines == {"repeated_prompt": [3]}


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (ranking(ranks=(1, 5)), {}),  # the same order with other numbers
        (ranking(ranks=(2, 1), responses=("Coffee.", "Tea.")), {}),  # the same order, listed otherwise
        (ranking(ranks=(2, 1)), {"conflicting_ranks": [2]}),
        (ranking(ranks=(1, 1)), {"conflicting_ranks": [2], "no_strict_pair": [2], "tied_ranks": [2]}),
        (ranking(ranks=(2, 1), annotator="b"), {"conflicting_ranks": [2]}),  # the other one names nobody
    ],
)
def test_ranks_conflict_only_where_an_order_differs(check, other, expected):
    result = check([ranking(source="x"), other])
    assert result.lines == expected


def test_other_annotators_disagree(check):
    data = [ranking(annotator="a"), ranking(ranks=(2, 1), annotator="b"), ranking(ranks=(3, 2), annotator="a")]
    result = check(data)
    assert result.lines["annotator_disagreement"] == [2]
    assert result.lines["conflicting_ranks"] == [3]
    assert "line 1" in result.detail("conflicting_ranks")


def test_jaccard_by_hand():
    """Word triples of 'a b c d e' and 'a b c d x': abc, bcd shared; cde, cdx not: 2 of 4."""
    assert jaccard(triples("a b c d e"), triples("A b, c d X!")) == 2 / 4
    assert triples("Hello, World") == {"hello world"}
    assert triples("...") == {"..."}


def test_languages_without_spaces():
    assert triples("猫が好き") == {"猫 が 好", "が 好 き"}
    assert triples("naïve GPT2 猫") == {"naïve gpt2 猫"}


def test_all_near_duplicates_are_found():
    """300 texts of 60 words and edited copies of them: found exactly where the similarity, counted pair by pair without
    MinHash, reaches the threshold. (One miss has probability .0005 at .8 and far less above.)"""
    draw = random.Random(5)
    texts = [" ".join(draw.choices(WORDS, k=60)) for _ in range(300)]
    for text in texts[:200]:
        words = text.split()
        for place in draw.sample(range(60), draw.randint(1, 8)):
            words[place] = draw.choice(WORDS)
        texts.append(" ".join(words))
    draw.shuffle(texts)
    index = NearIndex(0.8)
    found = {number for number, text in enumerate(texts) if index.find(text, add=True)}
    sets = [{tuple(words[i : i + 3]) for i in range(58)} for words in map(str.split, texts)]
    close = {
        later
        for later, earlier in itertools.product(range(500), range(500))
        if earlier < later and len(sets[later] & sets[earlier]) >= 0.8 * len(sets[later] | sets[earlier])
    }
    assert found == close
    assert 40 < len(close) < 160  # some edits are small enough, some are not


def test_a_chain_of_near_duplicates():
    """Each text is like the one before it; the last is unlike the first, and is found all the same."""
    words = [f"w{i}" for i in range(100)]
    index = NearIndex(0.8)
    assert index.find(" ".join(words), add=True) is None
    for step in range(1, 8):
        words[step * 12 : step * 12 + 3] = ["x", "y", f"z{step}"]
        hit = index.find(" ".join(words), add=True)
        assert hit is not None
        assert hit[0] == step - 1
        assert hit[1] == pytest.approx(93 / 103)  # 5 of 98 triples replaced on each side


def test_a_crowd_costs_no_square():
    """Texts that share 60 % of their triples: the index stays small, and says how many it left out."""
    draw = random.Random(1)
    template = " ".join(WORDS[:60])
    index = NearIndex(0.8)
    for _ in range(3 * CROWD):
        assert index.find(f"{template} {' '.join(draw.choices(WORDS[60:], k=14))}", add=True) is None
    assert CROWD < 3 * CROWD - index.crowded < 2 * CROWD


def test_near_duplicates_in_a_file(check):
    story = sentence(random.Random(3), 40)
    data = [
        {"prompt": story},
        {"prompt": sentence(random.Random(4), 40)},
        {"prompt": story.upper().replace(" ", "  ")},
        {"prompt": story + " Please"},
    ]
    result = check(data)
    assert result.lines == {"near_duplicate": [3, 4]}
    assert result.detail("near_duplicate").startswith("100% like line 1: ")
    assert result.detail("near_duplicate", 1).startswith("97% like line 1: ")  # 38 of 39 triples
    assert check(data, "--near-duplicate", "0.99").lines == {"near_duplicate": [3]}


@pytest.fixture
def held_out(tmp_path):
    story = sentence(random.Random(3), 40)
    lines = [{"prompt": story, "group": "g7"}, "not json", {"prompt": "Hello, World!"}]
    return write(tmp_path / "held-out.jsonl", lines)


def test_leaked_prompts(check, held_out):
    story = sentence(random.Random(3), 40)
    data = [
        {"prompt": "hello world", "response": "Hi."},
        {"prompt": "Goodbye, World!", "response": "Bye."},
        {"prompt": story, "response": "Yes."},
        {"prompt": story + " Please", "response": "No."},
        {"text": story},
        {"prompt": "hel\x07lo world", "response": "No."},  # the same once --fix has cleaned it
    ]
    result = check(data, "--against", str(held_out))
    assert result.code == 1
    assert result.lines["leaked_prompt"] == [1, 3, 5, 6]
    assert result.lines["leaked_near_duplicate"] == [4]
    assert result.detail("leaked_prompt") == "held-out.jsonl line 3: hello world"
    assert result.report["against"] == {str(held_out): {"kind": "prompts", "records": 2, "skipped": 1}}
    assert check(data).code == 0


def test_texts_that_begin_with_a_held_out_prompt(check, tmp_path):
    prompts = ["One day a red kite flew over the hill.", "One day a red kite", "Tom went to the river to look at it"]
    held_out = write(tmp_path / "held-out.jsonl", [{"prompt": prompt} for prompt in prompts])
    texts = [
        "One day, a red kite flew over the hill! It did not come back, and nobody knew why.",
        "One day a red kite fell on the hill. It did not come back, and nobody knew why.",  # five words: too few to tell
        "Tom went to the river to look at its fish, and he did not come back either.",
    ]
    data = [
        *({"text": text} for text in texts),
        {"prompt": prompts[0] + " What did Anna say of it?", "response": "Yes."},
    ]
    result = check(data, "--against", str(held_out))
    assert result.lines == {"leaked_near_duplicate": [1]}
    assert result.detail("leaked_near_duplicate").startswith("begins with held-out.jsonl line 1: One day")


def test_leaked_groups(check, held_out):
    data = [ranking("A?", group="g7"), ranking("B?", tree="g7"), ranking("C?", group="g1", tree="g7"), ranking("D?")]
    result = check(data, "--against", str(held_out))
    assert result.lines["leaked_group"] == [1, 2]
    assert result.detail("leaked_group") == "'g7', held-out.jsonl line 1"
    assert result.code == 0
    assert check(data, "--against", str(held_out), "--group-field", "group").lines["leaked_group"] == [1]


def test_several_files(check, held_out, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"prompt": "Goodbye!"}\n')
    result = check([{"prompt": "goodbye"}, {"prompt": "HELLO WORLD"}], "--against", f"{held_out}, {other}")
    assert result.lines["leaked_prompt"] == [1, 2]
    assert result.detail("leaked_prompt") == "other.jsonl line 1: goodbye"
