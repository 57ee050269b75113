"""Splits, encoding, batches.

Mutations seen to fail (reward_model/data.py, split.py):
- units by group only (prompt key dropped) -> test_near_duplicate_prompts_share_a_unit
- the union of one step only (no find) -> test_units_join_through_a_third
- held-out chosen by the ranking's own hash, not its unit's -> test_no_group_or_prompt_is_on_both_sides
- hash of the position instead of the name -> test_what_is_held_out_stays_held_out_when_records_arrive
- rankings shared with --eval-rankings kept in training -> test_given_eval_rankings_are_never_trained_on
- batches that drop the last, smaller one -> test_an_epoch_holds_every_ranking_once
- micro-batches that cut the batch by its order, the rest dropped -> test_micro_batches_hold_whole_rankings_and_all_of_them
"""

from __future__ import annotations

import json
import random

import pytest
import torch

from alignment.errors import UserError
from alignment.records import Ranking, Response
from reward_model import data
from reward_model.config import RewardSettings
from reward_model.data import Example, batches, micro_batches
from reward_model.split import held_out_units, read, split, units

PAIR = (Response("good"), Response("bad"))


def ranking(prompt: str, group: str | None = None, ranks: tuple = (1, 2)) -> Ranking:
    return Ranking(prompt, prompt, PAIR, ranks, group=group)


def write(path, records: list[dict]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def record(prompt: str, ranks: list | None = None, **more) -> dict:
    return {"prompt": prompt, "responses": [{"text": "good"}, {"text": "bad"}], "ranks": ranks or [1, 2], **more}


def settings(**values) -> RewardSettings:
    return RewardSettings(**{"base": "none", "output": "none", **values})


def example(length: int, responses: int = 2) -> Example:
    return Example(ranking(str(length)), [[1] * length] * responses, False, 0)


def test_near_duplicate_prompts_share_a_unit():
    of = units([ranking("What is  this?"), ranking("what is THIS"), ranking("What is that?")])
    assert of[0] == of[1] != of[2]
    assert len(set(units([ranking("!"), ranking("?")]))) == 2  # nothing but signs: compared as they stand


def test_units_join_through_a_third():
    rankings = [ranking("a", "1"), ranking("b", "2"), ranking("B!", "3"), ranking("c", "3"), ranking("d", "1")]
    of = units(rankings)
    assert of[1] == of[2] == of[3]
    assert of[0] == of[4] != of[1]


def test_no_group_or_prompt_is_on_both_sides(tmp_path):
    draw = random.Random(0)
    records = [record(f"Prompt {draw.randrange(300)}", group=f"g{draw.randrange(400)}") for _ in range(500)]
    made = split(settings(rankings=write(tmp_path / "r.jsonl", records), holdout_fraction=0.2))
    assert len(made.train) + len(made.held_out) == 500
    assert made.train
    for name in (lambda r: r.group, lambda r: r.prompt):
        assert not {name(r) for r in made.train} & {name(r) for r in made.held_out}


def test_the_share_held_out_is_the_fraction():
    rankings = [ranking(f"prompt {number}") for number in range(4000)]
    assert len(held_out_units(rankings, units(rankings), 0.1)) / 4000 == pytest.approx(0.1, abs=0.015)


def test_what_is_held_out_stays_held_out_when_records_arrive():
    old = [ranking(f"prompt {number}", group=f"g{number % 150}") for number in range(200)]
    more = [ranking(f"new {number}") for number in range(200)]

    def held(rankings: list[Ranking]) -> set[str]:
        of = units(rankings)
        out = held_out_units(rankings, of, 0.2)
        return {r.prompt for r, unit in zip(rankings, of) if unit in out}

    assert held(old) == held(more + old) & {r.prompt for r in old}
    first, second = sorted(held(old))[0], sorted({r.prompt for r in old} - held(old))[0]
    for pair in ([first, second], [second, first]):  # a record that ties a held-out prompt to another takes it along
        joined = [ranking(prompt, group="joins") for prompt in pair]
        assert held(old) | {second} <= held(old + joined)
        assert held(old) | {second} <= held(joined + old)


def test_a_few_rankings_hold_out_one():
    rankings = [ranking("a"), ranking("b"), ranking("c")]
    assert len(held_out_units(rankings, units(rankings), 1e-9)) == 1


def test_group_field_takes_the_first_that_a_record_has(tmp_path):
    records = [
        record("a", tree="t"),
        record("b", tree="t", question="q"),
        record("c", question="q"),
        record("d", group=7),
    ]
    path = write(tmp_path / "r.jsonl", records)
    assert [r.group for r in read(path, "--rankings", "tree,question")] == ["t", "t", "q", None]
    assert [r.group for r in read(path, "--rankings", "group,tree,question")] == ["t", "t", "q", "7"]


def test_several_files_and_their_sources(tmp_path):
    one, two = write(tmp_path / "one.jsonl", [record("a")]), write(tmp_path / "two.jsonl", [record("b", source="s")])
    assert [(r.prompt, r.source) for r in read(f"{one}, {two}", "--rankings", "group")] == [
        ("a", "one"),
        ("b", "s"),
    ]


def test_given_eval_rankings_are_never_trained_on(tmp_path):
    rankings = write(tmp_path / "r.jsonl", [record("a"), record("b", group="g"), record("c"), record("d", [1, 1])])
    held_out = write(tmp_path / "e.jsonl", [record("A!"), record("x", group="g"), record("y", [None, 1])])
    made = split(settings(rankings=rankings, eval_rankings=held_out))
    assert [r.prompt for r in made.train] == ["c"]
    assert [r.prompt for r in made.held_out] == ["A!", "x"]
    assert (made.shared, made.without_pairs) == (2, 2)


def test_an_epoch_holds_every_ranking_once_and_in_a_fresh_order():
    examples = [example(length) for length in range(1, 54)]
    generator = torch.Generator().manual_seed(0)
    first, second = (list(batches(examples, 8, generator)) for _ in range(2))
    for epoch in (first, second):
        assert sorted(one.tokens for batch in epoch for one in batch) == list(range(1, 54))
        assert sorted(map(len, epoch)) == [5, 8, 8, 8, 8, 8, 8]
    assert [one.tokens for batch in first for one in batch] != [one.tokens for batch in second for one in batch]


def test_batches_are_of_like_length():
    examples = [example(length) for length in random.Random(0).sample(range(1, 200), 64)]
    for batch in batches(examples, 8, torch.Generator().manual_seed(0)):
        lengths = [one.tokens for one in batch]
        assert max(lengths) - min(lengths) < 50


def test_micro_batches_hold_whole_rankings_and_all_of_them(monkeypatch):
    batch = [example(length, responses=4) for length in (5, 100, 3, 40, 7)]
    assert [len(micro) for micro in micro_batches(batch, 2)] == [2, 2, 1]
    monkeypatch.setattr(data, "AUTO_TOKENS", 4 * 3 * 7)
    found = [[one.tokens for one in micro] for micro in micro_batches(batch, None)]
    assert found == [[3, 5, 7], [40], [100]]


def test_real_human_rankings_are_read_and_split_by_tree_and_question(real_data):
    """All of both files, by default settings: 4 questions have nothing but ties; `group` comes from tree or prompt."""
    files = [str(real_data / name / "rankings.jsonl") for name in ("oasst", "finegrained_qa")]
    made = split(settings(rankings=",".join(files)))
    assert len(made.train) + len(made.held_out) == 114 + 300 - 4
    assert made.without_pairs == 4
    sides = [{r.group for r in side} for side in (made.train, made.held_out)]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 56 + 300 - 4
    assert {r.source for r in made.held_out} == {"oasst_en100", "finegrained_qa_feedback"}


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([record("a"), record("b", [1, 1])], "no ranking with a strict pair to"),
        ([record("same"), record("Same.")], "no ranking with a strict pair to train on"),
        ([record("a", [1])], "line 1: ranks holds 1 for 2 responses"),
        ([record("a"), {"prompt": "p", "responses": [{"text": "x"}], "ranks": [1]}], "line 2: responses holds 1"),
    ],
)
def test_what_cannot_be_split_is_one_sentence(tmp_path, records, message):
    with pytest.raises(UserError, match=message):
        split(settings(rankings=write(tmp_path / "r.jsonl", records)))


def test_eval_rankings_are_named_in_their_errors(tmp_path):
    rankings = write(tmp_path / "r.jsonl", [record("a")])
    with pytest.raises(UserError, match=r"--eval-rankings .*: no such file"):
        split(settings(rankings=rankings, eval_rankings=str(tmp_path / "absent.jsonl")))
    with pytest.raises(UserError, match=r"--eval-rankings .*strict pair to measure on"):
        split(settings(rankings=rankings, eval_rankings=write(tmp_path / "e.jsonl", [record("b", [1, 1])])))
