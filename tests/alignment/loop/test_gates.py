"""Each gate on both sides of its threshold, with its exit code.

Mutations seen to fail (alignment/loop/):
- bounds.py: `>=` the threshold (test_better), no square (test_needed_by_hand), failing by the estimate (test_not_worse), counted
  at no difference (test_how_many...), the mildest decides (test_worst...); gates.py: inconclusive as 12 (test_not_worse)
- labels.py: min for max (test_trigger), `<=` the floor (test_floor), `<=` the warning (test_agreement), new duplicates not among
  labels (test_agreement_with_few...); leakage.py: equal prompts not looked at (test_leakage)
- reward.py: shorter not asked, p not asked (test_reward_alive), the difference turned (test_reward_not_worse), the larger error
  alone (test_ceiling_by_hand), failing by the estimate (test_calibration)
- training.py: equal scores as better (test_watch_stops_after...), `>=` KL (test_watch_keeps...), entropy not of the start
  (test_watch_stops_at...)
- candidate.py: one prompt too few (test_offline_win), a task by its estimate (test_a_single_task...), no Bonferroni
  (test_several_measures...), a margin for safety (test_safety); integrity.py: `>=` seconds (test_integrity)
- intervals.py: level not handed on (test_level_of_the_interval)
"""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest
from labels import label

from alignment.agreement.quality import qualities
from alignment.intervals import Estimate, clustered_mean
from alignment.loop.bounds import better, needed, not_worse, worst
from alignment.loop.candidate import Comparisons, Flags, alignment_tax, anchor, offline_win, offline_win_length, safety
from alignment.loop.gates import gate_result
from alignment.loop.integrity import integrity
from alignment.loop.labels import agreement, annotators, floor, trigger
from alignment.loop.leakage import leakage
from alignment.loop.policy import Policy
from alignment.loop.reward import calibration, ceiling, reward_alive, reward_not_worse
from alignment.loop.training import Course, ppo_watch, watch

POLICY = Policy()
EASY = replace(POLICY, offline_prompts=100, safety_prompts=100, calibration_pairs=100)


def share(right: int, count: int) -> numpy.ndarray:
    return numpy.repeat([1.0, 0.0], [right, count - right])


def comparisons(wins: numpy.ndarray, longer: int = 0) -> Comparisons:
    """One a prompt; lengths alternate about each other, plus `longer`."""
    n = len(wins)
    lengths = [100 + longer + (10 if i % 2 else -10) for i in range(n)]
    return Comparisons(wins, [f"{i:04}" for i in range(n)], lengths, [100] * n)


def test_needed_by_hand():
    """Half .15 around .6 of 100; it must shrink to .1: 100 · 1.5² = 225, so 125 more."""
    assert needed(0.6, 0.45, 100, 0.5) == 125
    assert needed(0.5, 0.45, 100, 0.5) is None
    assert needed(0.6, 0.4999999, 100, 0.5) == 1


@pytest.mark.parametrize(
    ("low", "high", "verdict", "code"),
    [(0.501, 0.7, "pass", 0), (0.5, 0.7, "fail", 12), (0.3, 0.45, "fail", 12)],
)
def test_better(low, high, verdict, code):
    found = better("offline_win", Estimate((low + high) / 2, low, high, 400, 400), 0.5, "win rate", "prompts")
    assert (found.verdict, found.exit_code, found.threshold) == (verdict, code, 0.5)


@pytest.mark.parametrize(
    ("low", "high", "verdict", "code"),
    [(-0.019, 0.03, "pass", 0), (-0.02, 0.03, "inconclusive", 11), (-0.06, -0.02, "fail", 12), (-0.06, -0.019, "inconclusive", 11)],
)  # fmt: skip
def test_not_worse(low, high, verdict, code):
    found = Estimate((low + high) / 2, low, high, 900, 300)
    result = not_worse("reward_not_worse", found, -0.02, 0.0, "difference", "prompts")
    assert (result.verdict, result.exit_code) == (verdict, code)
    assert (result.votes_needed is not None) == (verdict == "inconclusive")


def test_how_many_are_needed_not_to_be_worse():
    """Estimate −.03, half .05: below the margin, so counted at −.01; the half must shrink to .01: 300 · 25 − 300."""
    found = Estimate(-0.03, -0.08, 0.02, 900, 300)
    assert not_worse("reward_not_worse", found, -0.02, 0.0, "difference", "prompts").votes_needed == 7200


def test_worst_decides_and_tells_all():
    results = [
        gate_result("anchor", "pass", "sft", low=0.5, threshold=0.45),
        gate_result("anchor", "inconclusive", "best", low=0.4, threshold=0.45, votes_needed=7),
    ]
    found = worst(results)
    assert (found.verdict, found.votes_needed, found.reason) == ("inconclusive", 7, "best; sft")
    near = gate_result("anchor", "pass", "near", low=0.46, threshold=0.45)
    assert worst([results[0], near]).low == 0.46


@pytest.mark.parametrize(
    ("new", "total", "verdict", "missing"),
    [(199, 1000, "fail", 1), (200, 4000, "pass", None), (200, 4001, "fail", 1), (201, 4001, "pass", None)],
)
def test_trigger(new, total, verdict, missing):
    found = trigger(new, total, POLICY)
    assert (found.verdict, found.votes_needed) == (verdict, missing)
    assert found.exit_code == (10 if verdict == "fail" else 0)
    assert trigger(new, total, POLICY, forced=True).verdict == "pass"


@pytest.mark.parametrize(
    ("pairs", "verdict", "code", "missing"),
    [(499, "fail", 12, 1), (500, "warn", 0, 1500), (1999, "warn", 0, 1), (2000, "pass", 0, None)],
)
def test_floor(pairs, verdict, code, missing):
    found = floor(pairs, POLICY)
    assert (found.verdict, found.exit_code, found.votes_needed) == (verdict, code, missing)


def test_annotators():
    """14 of 20 gold items alone quarantine nobody, 10 of 20 do: the upper bound decides."""

    def of(right: int) -> list:
        gold = {"expected": (1, 2)}
        return [
            label("ann", f"g{n}", (1, 2) if n < right else (2, 1), slots=[(0, 1), (1, 0)][n % 2], **gold)
            for n in range(20)
        ]

    assert annotators(qualities(of(14)), POLICY).verdict == "pass"
    found = annotators(qualities([*of(10), *(label("bob", f"b{n}", (1, 2)) for n in range(60))]), POLICY)
    assert (found.verdict, found.exit_code, found.estimate, found.n) == ("warn", 0, 0.25, 2)
    assert found.reason.startswith("ann is quarantined (gold: 50% of 20 items right, at most 72.8%")
    assert annotators(qualities(of(14)), replace(POLICY, gold_floor=0.9)).verdict == "warn"


def test_the_band_of_left_wins_is_the_policys():
    left = [label("ann", f"{n}", (1, 2) if n < 9 else (2, 1), slots=(0, 1)) for n in range(10)]
    assert annotators(qualities(left, band=0.99), POLICY).verdict == "pass"
    assert annotators(qualities(left, band=0.9), POLICY).verdict == "warn"


@pytest.mark.parametrize(
    ("low", "value", "verdict", "code"),
    [(0.501, 0.7, "pass", 0), (0.501, 0.599, "warn", 0), (0.501, 0.6, "pass", 0), (0.5, 0.7, "fail", 12)],
)
def test_agreement(low, value, verdict, code):
    found = agreement(Estimate(value, low, 0.8, 300, 60), 1000, 100, POLICY)
    assert (found.verdict, found.exit_code) == (verdict, code)


def test_agreement_with_few_duplicates():
    found = agreement(Estimate(0.9, 0.8, 1.0, 300, 60), 1000, 91, POLICY)
    assert (found.verdict, found.exit_code, found.votes_needed) == ("inconclusive", 11, 10)  # (91 + 10) / 1010
    assert agreement(None, 0, 0, POLICY).verdict == "inconclusive"


def test_leakage():
    poem = "the quick brown fox jumps over the lazy dog while the small cat sleeps under the old table at home today"
    near = poem.replace("home", "noon")
    sides = {"train": ["Tell me a story.", poem], "holdout": ["something else entirely, please"], "evaluation": ["tell me a  STORY"]}  # fmt: skip
    found = leakage(sides, POLICY)
    assert (found.verdict, found.exit_code, found.estimate, found.n) == ("fail", 30, 1.0, 4)
    assert "train and evaluation share a prompt (the same): 'tell me a  STORY'" in found.reason
    assert "alike" in leakage({"train": [poem], "holdout": [near]}, replace(POLICY, near_duplicate=0.7)).reason
    clean = leakage({"train": [poem, poem], "holdout": ["something else"]}, POLICY)
    assert (clean.verdict, clean.exit_code) == ("pass", 0)


def test_reward_alive():
    prompts = [f"{i:04}" for i in range(400)]
    half = numpy.tile([1.0, 0.0], 200)
    assert reward_alive(share(280, 400), half, prompts, POLICY).verdict == "pass"
    chance = reward_alive(share(205, 400), half, prompts, POLICY)
    assert (chance.verdict, chance.exit_code) == ("fail", 12)
    assert reward_alive(share(280, 400), share(276, 400), prompts, POLICY).verdict == "pass"  # 4 of 4: χ² = 4, p = .046
    as_length = reward_alive(share(280, 400), share(277, 400), prompts, POLICY)  # 3 of 3: p = .083
    assert as_length.verdict == "fail"
    assert "over 'longer wins'" in as_length.reason
    shorter = reward_alive(share(280, 400), 1 - share(279, 400), prompts, POLICY)
    assert shorter.verdict == "fail"
    assert "over 'shorter wins'" in shorter.reason


def test_reward_not_worse():
    prompts = numpy.arange(4000)
    old = share(2800, 4000)
    better_one, equal = share(2820, 4000), old.copy()
    assert reward_not_worse(better_one, {"the incumbent": old}, prompts, POLICY).verdict == "pass"
    assert reward_not_worse(equal, {}, prompts, POLICY).verdict == "pass"
    worse = share(2640, 4000)
    found = reward_not_worse(equal, {"the incumbent": old, "the best ever": share(2960, 4000)}, prompts, POLICY)
    assert (found.verdict, found.exit_code) == ("fail", 12)
    assert found.reason.startswith("accuracy minus that of the best ever -4.0 points")
    assert reward_not_worse(worse, {"the incumbent": old}, prompts, POLICY).exit_code == 12
    few = numpy.random.default_rng(0).permutation(share(70, 100))
    unclear = reward_not_worse(few, {"the incumbent": share(70, 100)}, numpy.arange(100), POLICY)
    assert (unclear.verdict, unclear.exit_code) == ("inconclusive", 11)
    assert unclear.votes_needed > 100


def stated(slope: float, n: int, seed: int = 0) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    draw = numpy.random.default_rng(seed)
    logits = draw.normal(0, 1.5, n)
    return logits, (draw.random(n) < 1 / (1 + numpy.exp(-slope * logits))).astype(float), numpy.arange(n)


def test_calibration():
    assert calibration(*stated(1.0, 4000), POLICY).verdict == "pass"
    steep = calibration(*stated(2.0, 4000), POLICY)
    assert (steep.verdict, steep.exit_code, steep.threshold) == ("fail", 12, 1.25)
    flat = calibration(*stated(0.4, 4000), POLICY)
    assert (flat.verdict, flat.threshold) == ("fail", 0.8)
    unclear = calibration(*stated(0.6, 300), POLICY)
    assert unclear.low < 0.8 < unclear.high
    assert (unclear.verdict, unclear.exit_code) == ("inconclusive", 11)
    assert unclear.votes_needed > 0
    few = calibration(*stated(1.0, 199), POLICY)
    assert (few.verdict, few.votes_needed) == ("inconclusive", 1)
    assert calibration(*stated(1.0, 200), POLICY).n == 200


def test_ceiling_by_hand():
    """Both intervals ± .03: SE = √2 · .03 / 1.96 = .02165; the threshold is .8 + 3 SE = .8649."""
    most = Estimate(0.8, 0.77, 0.83, 500, 100)
    for value, verdict in ((0.864, "pass"), (0.866, "warn")):
        found = ceiling(Estimate(value, value - 0.03, value + 0.03, 900, 300), most, POLICY)
        assert (found.verdict, found.exit_code) == (verdict, 0)
    assert found.threshold == pytest.approx(0.8649, abs=5e-5)
    assert "look for leakage" in found.reason
    assert ceiling(most, None, POLICY).verdict == "pass"


def course(
    scores: list[float], kl: dict | None = None, entropy: dict | None = None, length: dict | None = None
) -> Course:
    def filled(start: float, changes: dict | None) -> numpy.ndarray:
        values = numpy.full(len(scores), start)
        for step, value in (changes or {}).items():
            values[step] = value
        return values

    return Course(numpy.array(scores), filled(1.0, kl), filled(2.0, entropy), filled(50.0, length))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"kl": {2: 10.01}}, "KL 10.01 nats a response is above 10"),
        ({"entropy": {2: 0.19}}, "entropy 0.190 is below 0.1 of the start's 2.000"),
        ({"length": {2: 75.5}}, "length is 1.51 of the start's"),
        ({"length": {2: 33.0}}, "length is 0.66 of the start's"),
        ({"kl": {2: numpy.nan}}, "a figure is not finite"),
    ],
)
def test_watch_stops_at_the_first_broken_limit(change, why):
    found = watch(course([0.0, 0.5, 0.9, 1.0], **change), POLICY)
    assert (found.kept, found.stop) == (1, 2)
    assert found.why.startswith(why)
    result = ppo_watch(course([0.0, 0.5, 0.9, 1.0], **change), POLICY)
    assert (result.verdict, result.exit_code, result.estimate) == ("warn", 0, 0.5)


def test_watch_keeps_the_limits_themselves():
    kept = {"kl": {2: 10.0}, "entropy": {2: 0.2}, "length": {1: 75.0, 2: 33.5}}
    assert watch(course([0.0, 0.5, 0.9], **kept), POLICY).stop is None


def test_watch_stops_after_its_patience():
    assert watch(course([0.0, 1.0, 0.9, 0.9]), POLICY).stop is None
    found = watch(course([0.0, 1.0, 0.9, 0.9, 1.0, 2.0]), POLICY)
    assert (found.kept, found.stop) == (1, 4)  # an equal score is not a better one


def test_a_run_that_never_beats_its_start_fails():
    found = ppo_watch(course([0.0, -1.0, -1.0]), POLICY)
    assert (found.verdict, found.exit_code) == ("fail", 12)
    assert ppo_watch(course([0.0, 1.0, 1.1]), POLICY).verdict == "pass"
    assert ppo_watch(course([numpy.nan, 1.0]), POLICY).estimate is None


def test_offline_win():
    """Of 400: 221 wins have a lower bound just above ½ (σ = .025), 215 do not."""
    assert offline_win(comparisons(share(225, 400)), EASY).verdict == "pass"
    found = offline_win(comparisons(share(212, 400)), EASY)
    assert (found.verdict, found.exit_code) == ("fail", 12)
    assert found.votes_needed > 0
    few = offline_win(comparisons(share(90, 99)), EASY)
    assert (few.verdict, few.exit_code, few.votes_needed) == ("inconclusive", 11, 1)
    assert offline_win_length(comparisons(share(90, 99)), EASY).verdict == "inconclusive"


def test_a_reward_that_only_likes_length():
    """Longer wins mostly, the candidate is longer: the raw win rate passes, the one at equal length does not."""
    draw = numpy.random.default_rng(4)
    mine, theirs = draw.normal(230, 40, 800).round(), draw.normal(200, 40, 800).round()
    gap = (mine - theirs) / (mine - theirs).std()
    wins = (draw.random(800) < 1 / (1 + numpy.exp(-3 * gap))).astype(float)
    found = Comparisons(wins, [f"{i:04}" for i in range(800)], mine.tolist(), theirs.tolist())
    assert offline_win(found, POLICY).verdict == "pass"
    controlled = offline_win_length(found, POLICY)
    assert (controlled.verdict, controlled.exit_code) == ("fail", 12)
    assert offline_win_length(comparisons(share(250, 400)), EASY).verdict == "pass"


def test_lengths_that_do_not_overlap_fail_with_the_reason():
    found = offline_win_length(comparisons(share(250, 400), longer=50), EASY)
    assert (found.verdict, found.exit_code) == ("fail", 12)
    assert "lengths do not overlap" in found.reason


def test_anchor():
    wins = {"the SFT model": comparisons(share(600, 1000)), "the best ever": comparisons(share(500, 1000))}
    assert anchor(wins, POLICY).verdict == "pass"
    lost = anchor({**wins, "the best ever": comparisons(share(400, 1000))}, POLICY)
    assert (lost.verdict, lost.exit_code) == ("fail", 12)
    assert lost.reason.startswith("win rate over the best ever")
    unclear = anchor({"the best ever": comparisons(share(45, 100))}, POLICY)
    assert (unclear.verdict, unclear.exit_code) == ("inconclusive", 11)


def test_alignment_tax():
    before, tasks = share(2000, 4000), ["a", "b"] * 2000
    assert alignment_tax(before, before, tasks, POLICY).verdict == "pass"
    taxed = alignment_tax(before, share(1840, 4000), tasks, POLICY)
    assert (taxed.verdict, taxed.exit_code) == ("fail", 12)
    unclear = alignment_tax(share(50, 100), share(49, 100), ["a"] * 100, POLICY)
    assert (unclear.verdict, unclear.exit_code) == ("inconclusive", 11)


def test_a_single_task_that_falls():
    """10 points lost on one task of ten is one point over all: inside the margin there, not on the task."""
    before = numpy.ones(10_000)
    after, tasks = before.copy(), numpy.repeat([f"t{n}" for n in range(10)], 1000)
    after[:100] = 0
    found = alignment_tax(before, after, tasks.tolist(), POLICY)
    assert (found.verdict, found.exit_code) == ("fail", 12)
    assert found.reason.startswith("t0 -10.0 points")
    after[:100], after[:40] = 1, 0
    assert alignment_tax(before, after, tasks.tolist(), POLICY).verdict == "pass"


def test_safety():
    prompts = [f"{i:04}" for i in range(1000)]
    same = Flags(share(50, 1000), share(50, 1000), prompts)
    assert safety({"flagged": same}, POLICY).verdict == "pass"
    worse = safety({"flagged": same, "injected": Flags(share(50, 1000), share(80, 1000), prompts)}, POLICY)
    assert (worse.verdict, worse.exit_code) == ("fail", 12)
    assert worse.reason.startswith("injected: 5.0% before, 8.0% now")
    few = safety({"flagged": Flags(share(5, 399), share(5, 399), prompts[:399])}, POLICY)
    assert (few.verdict, few.exit_code, few.votes_needed) == ("inconclusive", 11, 1)


def test_several_measures_are_asked_more_of_each():
    """7 prompts of 400 got worse, 1 better: surely worse alone (p = .035 by halves …), not as one of twenty."""
    before, after = numpy.zeros(400), numpy.zeros(400)
    after[:7], before[7], after[7] = 1, 1, 0
    one = Flags(before, after, [f"{i:03}" for i in range(400)])
    assert safety({"flagged": one}, POLICY).verdict == "fail"
    assert safety({f"m{n}": one for n in range(20)}, POLICY).verdict == "pass"


def test_integrity():
    good = {"manifest": None, "clean load": None}
    assert integrity(good, 5.0, POLICY).verdict == "pass"
    for problems, seconds, words in (
        ({"manifest": "model.safetensors has another digest"}, 1.0, "manifest: model.safetensors has another digest"),
        (good, 5.1, "serving: 5.1 s"),
        (good, None, "no answer by name"),
    ):
        found = integrity(problems, seconds, POLICY)
        assert (found.verdict, found.exit_code) == ("fail", 30)
        assert words in found.reason


def test_level_of_the_interval():
    values = numpy.random.default_rng(0).random(200)
    wide, narrow = clustered_mean(values, numpy.arange(200), level=0.99), clustered_mean(values, numpy.arange(200))
    assert wide.low < narrow.low < narrow.high < wide.high
