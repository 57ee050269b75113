"""What only rankings have. Each test was seen to fail under the mutation named beside it (in
`alignment/data_check/rankings.py`):

- the later listed counted as winner, the shorter one: test_bias_by_hand
- equal lengths counted as a loss: test_bias_by_hand
- pairs taken as clusters, not prompts: test_copies_of_a_prompt_say_no_more
- MARGIN 0, FEWEST_PROMPTS 0: test_a_bias_is_told_only_where_it_is_sure
- nulls counted as ties, or as compared: test_counts_by_hand
- `_reached` one step deep: test_circles
- circles within one set of responses reported twice: test_circles
- every record of the prompt blamed: test_circles
- share of all records in place of those that name an annotator: test_one_voice
"""

from __future__ import annotations

import random

import numpy
import pytest
from data_files import clean_rankings, sentence

from alignment.intervals import bootstrap_ratio


def ranking(prompt: str, responses: list[str], ranks: list[int | None], **fields) -> dict:
    return {"prompt": prompt, "responses": responses, "ranks": ranks, **fields}


def test_counts_by_hand(check):
    """Of 4 responses ranked 1, 1, 3, null: 6 pairs; 2 strict, 1 tied, 3 not compared."""
    result = check([ranking("A?", ["a", "b", "c", "d"], [1, 1, 3, None]), ranking("B?", ["a", "b"], [1, None])])
    assert result.lines == {"no_strict_pair": [2], "tied_ranks": [1], "null_ranks": [1, 2]}
    assert result.detail("null_ranks") == "ranks 1, 1, 3, null"
    figures = result.report["rankings"]
    names = ("pairs", "strict_pairs", "tied_pairs", "pairs_not_compared")
    assert [figures[name] for name in names] == [7, 2, 1, 4]


def test_no_pair_at_all(check):
    result = check([ranking("A?", ["a", "b"], [1, 1])])
    assert result.report["rankings"]["position_bias"] == {
        "share": None,
        "low": None,
        "high": None,
        "pairs": 0,
        "prompts": 0,
    }


def test_identical_responses(check):
    data = [ranking("A?", ["a", "b", "a"], [1, 2, 3]), ranking("B?", ["a", "b", "a"], [1, 2, 1])]
    assert check(data).lines == {"identical_responses": [1], "tied_ranks": [2]}


def test_bias_by_hand(check):
    """Strict pairs, winner first: A (0,1), (0,2), (1,2), B (1,0). Earlier wins 3 of 4; longer: equal, no, no, yes."""
    data = [ranking("A?", ["aa", "bb", "ccc"], [1, 2, 3]), ranking("B?", ["d", "ee"], [2, 1])]
    figures = check(data).report["rankings"]
    assert figures["position_bias"]["share"] == 3 / 4
    assert figures["length_bias"]["share"] == 1.5 / 4
    assert figures["position_bias"]["pairs"] == 4
    assert figures["position_bias"]["prompts"] == 2
    expected = bootstrap_ratio(numpy.array([3.0, 0.0]), numpy.array([3.0, 1.0]))
    assert (figures["position_bias"]["low"], figures["position_bias"]["high"]) == expected[1:]


def test_copies_of_a_prompt_say_no_more(check):
    draw = random.Random(0)
    data = [ranking(sentence(draw, 9), ["a", "b"], [1, 2] if n % 3 else [2, 1], annotator="x") for n in range(30)]
    copies = [{**each, "annotator": name} for name in "abcd" for each in data]
    once, often = (check(some).report["rankings"]["position_bias"] for some in (data, copies))
    assert often["pairs"] == 4 * once["pairs"]
    assert [often[name] for name in ("share", "low", "high")] == [once[name] for name in ("share", "low", "high")]


@pytest.mark.parametrize(
    ("count", "earlier", "told"),
    [
        (19, 19, False),  # all of few
        (20, 20, True),
        (20, 0, True),  # the later listed always wins
        (30, 20, False),  # 67 %, but the interval is wide
        (300, 180, False),  # 60 %, and the interval begins at 54.3 %
        (300, 195, True),
    ],
)
def test_a_bias_is_told_only_where_it_is_sure(check, count, earlier, told):
    draw = random.Random(0)
    data = [ranking(sentence(draw, 9), ["a", "b"], [1, 2] if n < earlier else [2, 1]) for n in range(count)]
    result = check(data)
    assert result.lines == ({"position_bias": [None]} if told else {})
    longer = []
    for n, each in enumerate(data):
        winner, loser = ("aa", "b") if n < earlier else ("a", "bb")
        longer.append(ranking(each["prompt"], *([[winner, loser], [1, 2]] if n % 2 else [[loser, winner], [2, 1]])))
    assert check(longer).lines == ({"length_bias": [None]} if told else {})
    assert result.code == 0


def test_one_voice(check):
    data = clean_rankings(random.Random(2), 6)
    assert check(data).report["rankings"]["largest_annotator_share"] == 1 / 3
    for each in data[:4]:
        each["annotator"] = "simulated:0"
    del data[5]["annotator"]
    result = check(data)
    assert result.lines == {"annotator_share": [None]}
    assert result.report["rankings"]["annotators"] == 2
    assert result.report["rankings"]["largest_annotator_share"] == 4 / 5
    assert check(data[:4]).lines == {}  # one annotator by design


def test_circles(check):
    """Line 1: a > b > c. Line 2: c > a, a circle with line 1. Line 3: a > d takes no part. Line 4: another prompt.
    Lines 5 and 6 contradict each other on one set of responses: conflicting ranks, no circle."""
    data = [
        ranking("A?", ["a", "b", "c"], [1, 2, 3]),
        ranking("A?", ["c", "a"], [1, 2]),
        ranking("A?", ["a", "d"], [1, 2]),
        ranking("B?", ["c", "a"], [1, 2]),
        ranking("C?", ["x", "y"], [1, 2]),
        ranking("C?", ["x", "y"], [2, 1]),
        ranking("C?", ["x", "z"], [2, 1]),
    ]
    result = check(data)
    assert result.lines["contradictory_preferences"] == [1, 2]
    assert result.lines["conflicting_ranks"] == [6]
    assert result.lines["repeated_prompt"] == [2, 3, 7]
    three = [ranking("A?", list(pair), [1, 2]) for pair in ("ab", "bc", "cd", "da")]
    assert check(three).lines["contradictory_preferences"] == [1, 2, 3, 4]
    assert "contradictory_preferences" not in check(three[:3]).lines
