"""Labels, their verdicts and places.

Mutations seen to fail (alignment/agreement/label.py):
- 1 and −1 swapped, ties left out -> test_verdicts_by_hand
- the last label of an annotator counts, unnamed annotators count -> test_opinions_are_the_first_of_named_annotators
- no midrank for ties, no division by k, nulls counted in k -> test_places_by_hand
- the later of equal texts kept -> test_from_ranking
- repeated ids and slots accepted -> test_what_a_label_must_be
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labels import label

from alignment.agreement.label import Label, Pair, by_task, from_ranking, opinions, places, verdicts
from alignment.records import Ranking, Response

RANKS = st.lists(st.one_of(st.none(), st.integers(1, 5)), min_size=2, max_size=7).map(tuple)


def test_verdicts_by_hand():
    found = verdicts(label("ann", "t", [2, 1, 2, None]))
    assert found == {Pair("t", "t", "a", "b"): -1, Pair("t", "t", "b", "c"): 1, Pair("t", "t", "a", "c"): 0}
    listed_otherwise = Label("ann", "t", ("c", "a", "b"), (2, 2, 1))
    assert verdicts(listed_otherwise) == found


def test_opinions_are_the_first_of_named_annotators():
    labels = [label("ann", "t", [1, 2]), label("ann", "t", [2, 1]), label("", "t", [1, 2]), label("bob", "t", [1, 1])]
    assert opinions(labels) == {Pair("t", "t", "a", "b"): {"ann": 1, "bob": 0}}
    skipped = label("cat", "t", [None, None], skipped=True)
    assert {task: list(several) for task, several in by_task([skipped, *labels]).items()} == {"t": ["ann", "bob"]}
    assert by_task(labels)["t"]["ann"] is labels[0]


def test_places_by_hand():
    assert places((2, 1, 2)) == pytest.approx([2 / 3, 1 / 6, 2 / 3])
    assert places((4, None, 1, 9)) == [0.5, None, 0.5 / 3, 2.5 / 3]
    assert places((None, None)) == [None, None]


@given(RANKS)
def test_places_depend_on_the_order_alone(ranks):
    """However tied ranks are written; they sum to k / 2, as ½ … k − ½ over k do."""
    known = sorted({rank for rank in ranks if rank is not None})
    dense = tuple(None if rank is None else known.index(rank) + 1 for rank in ranks)
    assert places(dense) == places(ranks)
    found = [place for place in places(ranks) if place is not None]
    assert sum(found) == pytest.approx(len(found) / 2)
    assert all(0 < place < 1 for place in found)


def test_from_ranking():
    responses = (Response("long text", "m1"), Response("b"), Response("long text", "m2"), Response("c"))
    made = from_ranking(
        Ranking("7", "p", responses, (2, 1, 3, None), "ann", group="g"), seconds=3.5, slots=(3, 2, 1, 0)
    )
    assert (made.ranks, made.slots, made.lengths, made.sources) == (
        (2, 1, None),
        (3, 2, 0),
        (9, 1, 1),
        ("m1", None, None),
    )
    assert (made.annotator, made.cluster, made.seconds, len(set(made.responses))) == ("ann", "g", 3.5, 3)
    other = from_ranking(Ranking("8", "p", responses[1::-1], (1, 2)))
    assert (other.task, other.responses[::-1], other.slots) == (made.task, made.responses[:2], (0, 1))
    assert other.annotator == ""


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"slots": (0,)}, "slots has 1 entries for 2"),
        ({"slots": (1, 1)}, "names one twice"),
        ({"lengths": (1, 2, 3)}, "lengths has 3"),
        ({"expected": (1,)}, "expected has 1"),
        ({"skipped": True}, "must all be None"),
    ],
)
def test_what_a_label_must_be(more, said):
    with pytest.raises(ValueError, match=said):
        label("ann", "t", [1, 2], **more)
    with pytest.raises(ValueError, match="names one twice"):
        Label("ann", "t", ("a", "a"), (1, 2))
