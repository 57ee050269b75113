"""Slots ⇄ positions, as properties.

Mutations seen to fail:

- slots counted in the order of the positions, not in the order shown, in `_cards`; the shown order kept sorted; only the
  first of identical responses ranked: test_the_permutation_undoes_the_shuffle
- the same in `tiers_of`: test_an_answer_comes_back_in_slots
- the same in `view`: test_the_stored_permutation_undoes_the_shuffle
- cards turned round by a random number instead of shuffled: test_every_order_is_drawn_alike_often
- the shuffle left out: test_each_annotator_sees_an_order_of_their_own
- a response named twice in `labeling.shown` let through: test_a_labeling_that_is_none
"""

from __future__ import annotations

import random

import pytest
from answering import key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from alignment.labeling import Labeling, parse_labeling, plain_labeling
from alignment.preferences import annotators, leases
from alignment.preferences.adding import Queue
from alignment.preferences.answers import SLOTS, answered, distinct, kept
from alignment.preferences.leases import Terms
from alignment.preferences.store import Store
from alignment.records import Response, ResponseSet


@st.composite
def rankings(draw):
    """(ids by position, the true rank of each id or None)."""
    ids = draw(st.lists(st.sampled_from("abcdefghi"), min_size=2, max_size=9))
    ranks = draw(st.fixed_dictionaries({one: st.none() | st.integers(1, 4) for one in sorted(set(ids))}))
    return ids, ranks


def answer_of(ids, ranks, shown):
    """What somebody types who sees the cards in this order and thinks so of the texts."""
    by_slot = {slot: ranks[ids[position]] for slot, position in zip(SLOTS, shown)}
    levels = sorted({rank for rank in by_slot.values() if rank is not None})
    return {
        "tiers": [[slot for slot, rank in by_slot.items() if rank == level] for level in levels],
        "unranked": [slot for slot, rank in by_slot.items() if rank is None],
    }


@given(ranking=rankings(), seed=st.integers(0, 2**32))
def test_the_permutation_undoes_the_shuffle(ranking, seed):
    ids, ranks = ranking
    shown = distinct(ids)
    random.Random(seed).shuffle(shown)
    body = kept("rank", answer_of(ids, ranks, shown), shown, ids)
    levels = sorted({rank for rank in ranks.values() if rank is not None})
    assert body["ranks"] == [None if ranks[one] is None else levels.index(ranks[one]) + 1 for one in ids]
    assert [ids[position] for position in body["shown"]] == [ids[position] for position in shown]


@given(ranking=rankings(), seed=st.integers(0, 2**32), flagged=st.sets(st.sampled_from("abcdefghi")))
def test_an_answer_comes_back_in_slots(ranking, seed, flagged):
    ids, ranks = ranking
    shown = distinct(ids)
    random.Random(seed).shuffle(shown)
    flags = {slot: ["false"] for slot, position in zip(SLOTS, shown) if ids[position] in flagged}
    answer = {**answer_of(ids, ranks, shown), "strength": 1, "comment": "c", "seconds": 2.0, "none_acceptable": True}
    answer |= {"flags": flags} if flags else {}
    assert answered("rank", kept("rank", answer, shown, ids), shown, ids) == answer


@given(data=st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_stored_permutation_undoes_the_shuffle(store, data):
    """The same through the store: whoever always thinks the same of a text says the same, however it was shown."""
    ids, ranks = data.draw(rankings().filter(lambda one: len(set(one[0])) > 1))
    name = key()
    store.add_tasks([ResponseSet(name, name, tuple(Response(one) for one in ids))])
    task = store.next_task("ann")
    texts = [card.text for card in task.cards]
    store.submit("ann", task.lease, answer_of(texts, ranks, range(len(texts))), name)
    made = store.records().rankings[-1]
    levels = sorted({ranks[one] for one in ids if ranks[one] is not None})
    assert made.ranks == tuple(None if ranks[one] is None else levels.index(ranks[one]) + 1 for one in ids)
    assert [ids[position] for position in made.labeling.shown] == texts


def test_every_order_is_drawn_alike_often(tmp_path):
    """χ² over the 6 orders of 3 cards, one for each of 600 annotators; 20.5 is passed by chance once in a thousand (5 degrees
    of freedom)."""
    people, terms = 600, Terms(lease_ms=1, gold_share=0.0, draw=random.Random(1))
    counts: dict[tuple[str, ...], int] = {}

    def ask(connection: Connection) -> None:
        for number in range(people):
            annotators.add(connection, 0, f"a{number}", "annotator", "")
            task = leases.next_task(connection, 0, f"a{number}", terms, practice=False)
            order = tuple(card.text for card in task.cards)
            counts[order] = counts.get(order, 0) + 1

    with Store(str(tmp_path / "labels.db")) as store:
        store.add_tasks([ResponseSet("x", "p", tuple(Response(one) for one in "abc"))], Queue(overlap=people))
        store.write(ask)
    assert len(counts) == 6
    assert sum((count - people / 6) ** 2 / (people / 6) for count in counts.values()) < 20.5


def test_each_annotator_sees_an_order_of_their_own(tmp_path):
    with Store(str(tmp_path / "labels.db"), draw=random.Random(5)) as store:
        store.add_tasks([ResponseSet("x", "p", tuple(Response(one) for one in "abcdefghi"))], Queue(overlap=8))
        orders = set()
        for number in range(8):
            store.add_annotator(f"a{number}")
            orders.add(tuple(card.text for card in store.next_task(f"a{number}").cards))
        assert len(orders) == 8


LABELINGS = st.builds(
    Labeling,
    at=st.none() | st.sampled_from(["2026-11-25T10:00:00.000Z", "2026-11-25T10:00:00+01:00"]),
    seconds=st.none() | st.floats(0, 1e6),
    shown=st.none() | st.permutations(range(3)).map(tuple),
    flags=st.none() | st.tuples(*[st.sampled_from([(), ("false",), ("false", "harmful")])] * 3),
    none_acceptable=st.none() | st.booleans(),
)


@given(labeling=LABELINGS)
def test_a_labeling_comes_back_from_its_line(labeling):
    assert parse_labeling(plain_labeling(labeling), 3) == (None if labeling == Labeling() else labeling)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("yesterday", "labeling must be an object"),
        ({"when": 1}, "labeling must be an object with some of at, seconds, shown, flags, none_acceptable"),
        ({"at": "yesterday"}, "labeling.at is 'yesterday'; it must be an ISO 8601 time with its zone"),
        ({"at": "2026-11-25T10:00:00"}, "with its zone"),
        ({"seconds": float("inf")}, "labeling.seconds is inf"),
        ({"shown": [0, 3]}, r"labeling.shown is \[0, 3\]; it must be a list of numbers from 0 to 2"),
        ({"shown": [0, 0]}, "must name each response once"),
        ({"shown": []}, "must be a list of numbers"),
        ({"flags": [["false"]]}, "one list of words for each of the 3 responses"),
        ({"flags": [[], [], "false"]}, "must be a list of words"),
        ({"none_acceptable": 2}, "must be true or false"),
    ],
)
def test_a_labeling_that_is_none(value, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_labeling(value, 3)
