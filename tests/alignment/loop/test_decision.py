"""The policy file, the table of gates, and what all gates say together.

Mutations seen to fail (alignment/loop/policy.py, gates.py, decision.py):
- decision.py: rejected before integrity (test_precedence), waived gates read (test_what_was_not_measured...), lenient with every
  gate (test_lenient), any warning caps (test_all_gates_pass)
- policy.py: order not checked, any gate waived (test_a_wrong_file...), none written otherwise (test_the_file_gives...)
"""

from __future__ import annotations

import dataclasses
import string
from dataclasses import replace

import pytest
import yaml

from alignment.errors import UserError
from alignment.loop.decision import decide
from alignment.loop.gates import GATES, gate_result
from alignment.loop.policy import DECISION, Policy, policy_text, read_policy, rule

POLICY = Policy()
GOOD = {name: gate_result(name, "pass", "fine") for name in GATES}


def decided(policy: Policy = POLICY, drop: str = "", **changed):
    results = {**GOOD, **{name: gate_result(name, *how) for name, how in changed.items()}}
    results.pop(drop, None)
    return decide(list(results.values()), policy)


def test_all_gates_pass():
    found = decided()
    assert (found.outcome, found.exit_code, found.votes_needed) == ("promoted", 0, None)
    assert [one.gate for one in found.gates] == [*GATES]
    assert decided(ceiling=("warn", "high")).reason == "17 gates passed, with a warning of ceiling"


@pytest.mark.parametrize(
    ("changed", "outcome", "code"),
    [
        ({"leakage": "fail"}, "integrity", 30),
        ({"integrity": "fail"}, "integrity", 30),
        ({"trigger": "fail"}, "nothing to do", 10),
        ({"offline_win_length": "fail"}, "rejected", 12),
        ({"reward_not_worse": "inconclusive"}, "inconclusive", 11),
        ({"human_win": "inconclusive"}, "inconclusive", 11),
        ({"human_win": "warn"}, "challenger", 0),
        ({"floor": "warn"}, "challenger", 0),
        ({"annotators": "warn"}, "promoted", 0),
    ],
)
def test_each_outcome(changed, outcome, code):
    found = decided(**{name: (verdict, "because") for name, verdict in changed.items()})
    assert (found.outcome, found.exit_code) == (outcome, code)
    if outcome != "promoted":
        assert found.reason == f"{next(iter(changed))}: because"


def test_precedence():
    """Integrity, nothing to do, rejected, inconclusive, challenger: whoever comes first decides, in any order of results."""
    steps = [
        ("integrity", "fail"),
        ("trigger", "fail"),
        ("anchor", "fail"),
        ("safety", "inconclusive"),
        ("floor", "warn"),
    ]
    outcomes = []
    while steps:
        results = {**GOOD, **{name: gate_result(name, verdict, "x") for name, verdict in steps}}
        outcomes.append(decide([*results.values()][::-1], POLICY).outcome)
        steps.pop(0)
    assert outcomes == ["integrity", "nothing to do", "rejected", "inconclusive", "challenger"]


def test_votes_of_people_are_told_before_others():
    results = {
        **GOOD,
        "human_win": gate_result("human_win", "inconclusive", "x", votes_needed=80),
        "agreement": gate_result("agreement", "inconclusive", "y", votes_needed=300),
    }
    assert decide(list(results.values()), POLICY).votes_needed == 80
    results["human_win"] = GOOD["human_win"]
    assert decide(list(results.values()), POLICY).votes_needed == 300


def test_what_was_not_measured_is_not_assumed():
    found = decided(drop="alignment_tax")
    assert (found.outcome, found.reason) == ("challenger", "not measured: alignment_tax")
    waiving = replace(POLICY, waived=("alignment_tax", "safety"))
    assert decided(waiving, drop="alignment_tax").outcome == "promoted"
    assert decided(waiving, safety=("fail", "x")).outcome == "promoted"
    assert "safety" not in [one.gate for one in decided(waiving).gates]


def test_lenient():
    lenient = replace(POLICY, mode="lenient")
    assert decided(lenient, reward_not_worse=("inconclusive", "x")).outcome == "promoted"
    assert decided(lenient, drop="safety").outcome == "promoted"
    assert decided(lenient, safety=("fail", "x")).outcome == "rejected"
    for never in ("human_win", "offline_win", "floor", "leakage", "integrity"):
        assert decided(lenient, drop=never).outcome == "challenger"
    assert decided(lenient, human_win=("inconclusive", "x")).outcome == "inconclusive"


def test_a_gate_that_is_there_twice():
    with pytest.raises(ValueError, match="twice"):
        decide([GOOD["floor"], GOOD["floor"]], POLICY)


def test_the_file_gives_the_same_policy_back(tmp_path):
    for policy in (
        POLICY,
        replace(POLICY, mode="lenient", waived=("safety", "anchor"), human_votes=500, slope_low=0.7),
    ):
        (tmp_path / "gates.yaml").write_text(policy_text(policy), encoding="utf-8")
        assert read_policy(tmp_path / "gates.yaml") == policy
    text = policy_text(POLICY)
    assert [*yaml.safe_load(text)] == [field.name for field in dataclasses.fields(Policy)]
    assert max(map(len, text.splitlines())) <= 116
    (tmp_path / "empty.yaml").write_text("", encoding="utf-8")
    assert read_policy(tmp_path / "empty.yaml") == POLICY


def test_every_threshold_has_a_gate_and_every_gate_tells_its_thresholds():
    for field in dataclasses.fields(Policy):
        assert field.metadata["source"]
        if field.metadata["group"] != DECISION:
            names = {part[1] for part in string.Formatter().parse(GATES[field.metadata["group"]].rule)}
            assert field.name in names, f"{field.name} is not in the rule of {field.metadata['group']}"
    assert "max(200, 5% of all)" in rule("trigger", POLICY)
    assert "max(9, 5% of all)" in rule("trigger", replace(POLICY, new_prompts=9))


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("human_vote: 1", "unknown setting 'human_vote' (did you mean 'human_votes'?); docs/loop.md lists all"),
        ("human_votes: many", "human_votes is 'many'; it must be a whole number"),
        ("human_votes: 5", "human_votes is 5; it must be a whole number at least 10 and at most 2000"),
        ("futility_rate: 0.4", "futility_rate is 0.4; it must be a number at least 0.5 and at most 1.0"),
        ("mode: loose", "mode is 'loose'; it must be one of strict, lenient"),
        ("pairs_to_try: 3000", "pairs_to_try is 3000; it must be at most pairs_to_promote (2000)"),
        ("slope_low: 2", "slope_low is 2.0; it must be at most slope_high (1.25)"),
        ("waived: [tax]", "waived names 'tax', which is no gate; the gates are trigger, floor"),
        ("waived: [leakage]", "waived names 'leakage', which cannot be waived"),
        ("waived: safety", "waived is 'safety'; it must be one or more texts"),
        ("- 1", "holds a list; it must hold `name: value` lines"),
        ("mode: [", "is not YAML"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, text, phrase):
    path = tmp_path / "gates.yaml"
    path.write_text(text + "\n", encoding="utf-8")
    with pytest.raises(UserError) as refused:
        read_policy(path)
    assert str(refused.value).startswith(f"--policy-file {path}: ")
    assert phrase in str(refused.value)
    assert "\n" not in str(refused.value)
