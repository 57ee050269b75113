"""What the pages are made of, by hand-worked examples.

Mutations seen to fail:
- (worddiff.py) "gone" and "new" swapped, or the white space left out -> test_word_diff
- (worddiff.py) the share of common words not looked at -> test_texts_with_little_in_common_are_left_unmarked
- (reliability.py) the sign of z² / 4n², or no division by 1 + z²/n -> test_wilson_solves_its_equation
- (reliability.py) scores not multiplied by sd, |Δ| left out, a tie counted as right -> test_reliability_by_hand
- (reliability.py) ECE not weighted by count -> test_expected_error
- (charts.py) blocks of unequal means dropped, the running mean over one value too many -> test_thinned, test_running_mean
- (evaluation.py) the hash taken of the id, losses not reversed -> test_prompts_are_chosen_by_rule
- (evaluation.py) best-of-n scores compared with the policy's -> test_best_of_n_meets_the_opponents_answers
- (words.py) reward models called simulated annotators -> test_who
- (document.py) values not escaped -> test_say
"""

from __future__ import annotations

import hashlib
import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alignment.calibration import Bin, expected_error
from alignment.report import charts, words
from alignment.report.charts import Curve, Estimate
from alignment.report.document import say
from alignment.report.evaluation import estimates, examples, extremes
from alignment.report.plots import inline, plot
from alignment.report.reliability import Z, pairs, reliability, wilson
from alignment.report.runs import Run
from alignment.report.worddiff import compared


def test_word_diff():
    before, after = compared("The red kite flies high.", "The blue kite flies.")
    assert before == [
        ("same", "The"), ("same", " "), ("gone", "red"), ("same", " "), ("same", "kite flies"), ("same", " "), ("gone", "high"),
        ("same", "."),
    ]  # fmt: skip
    assert [piece for piece in after if piece[1].strip()] == [
        ("same", "The"), ("new", "blue"), ("same", "kite flies"), ("same", "."),
    ]  # fmt: skip


def test_texts_with_little_in_common_are_left_unmarked():
    assert compared("One two three four five.", "Six seven eight nine.") == (
        [("same", "One two three four five.")],
        [("same", "Six seven eight nine.")],
    )
    assert compared("", "") == ([], [])
    assert compared("", "new") == ([], [("same", "new")])


@given(st.text(alphabet="ab .,\n\té", max_size=40), st.text(alphabet="ab .,\n\tc", max_size=40))
def test_the_pieces_are_the_texts(old, new):
    before, after = compared(old, new)
    assert "".join(text for _, text in before) == old
    assert "".join(text for _, text in after) == new
    assert {kind for kind, _ in before} <= {"same", "gone"}
    assert {kind for kind, _ in after} <= {"same", "new"}


@pytest.mark.parametrize(("right", "count"), [(3, 10), (0, 5), (5, 5), (70.5, 100)])
def test_wilson_solves_its_equation(right, count):
    """The bounds are the p at which |share − p| is z standard errors of p itself."""
    for bound in wilson(right, count):
        assert (right / count - bound) ** 2 == pytest.approx(Z * Z * bound * (1 - bound) / count, abs=1e-12)
    low, high = wilson(right, count)
    assert 0 <= low <= right / count <= high <= 1


def test_reliability_by_hand():
    records = [
        {"ranks": [1, 2], "scores": [1.0, 0.0]},  # Δ = 1: right
        {"ranks": [2, 1], "scores": [1.0, 0.0]},  # Δ = −1: wrong, just as sure
        {"ranks": [1, 2, None], "scores": [0.5, 0.5, 9.0]},  # equal scores: half, at ½; null is compared with nothing
        {"ranks": [1, 1], "scores": [3.0, 0.0]},  # a tie is no pair
    ]
    stated, right = pairs(records, sd=2.0)
    sure = 1 / (1 + math.exp(-2.0))
    assert stated == pytest.approx([sure, sure, 0.5])
    assert right.tolist() == [1.0, 0.0, 0.5]
    first, second = reliability(records, sd=2.0, bins=4)
    assert (first.count, first.share, first.stated) == (1, 0.5, 0.5)
    assert (second.count, second.share, second.stated) == (2, 0.5, pytest.approx(sure))
    assert reliability([], sd=2.0) == []


def test_a_sure_pair_lies_in_the_last_bin():
    assert [one.count for one in reliability([{"ranks": [1, 2], "scores": [99.0, 0.0]}], sd=9.0, bins=3)] == [1]


def test_expected_error():
    assert expected_error([Bin(0.6, 6, 8), Bin(0.9, 1, 2)]) == pytest.approx((8 * 0.15 + 2 * 0.4) / 10)


def test_thinned():
    xs, ys = charts.thinned([0, 1, 2, 3], [1, 3, 5, 9], points=2)
    assert xs.tolist() == [0.5, 2.5]
    assert ys.tolist() == [2.0, 7.0]
    assert charts.thinned([0, 1], [4, 5], points=2)[1].tolist() == [4, 5]


def test_running_mean():
    assert charts.running_mean([1, 3, 5, 7], 2).tolist() == [1, 2, 4, 6]


def test_figures_say_what_they_show():
    figure = charts.curves("Loss", "loss (nats)", [Curve("training", [1, 2, 3], [4.0, 1.5, 2.0])])
    assert figure is not None
    assert figure.alt == ("loss (nats) over step: training from 4 at step 1 to 2 at step 3, lowest 1.50, highest 4.")
    assert charts.curves("Loss", "loss", [Curve("training", [], [])]) is None
    shares = charts.estimates("Wins", "win rate (share)", [Estimate("a", 0.7, 0.6, 0.8, (("longer", 0.55),))])
    assert shares is not None
    assert shares.alt == "win rate (share): a 0.700 (95 % interval 0.600 to 0.800), longer 0.550."


def test_a_plot_is_text_and_takes_its_colours_from_the_page():
    with plot("step", "cost ($x^2$) <b>") as drawn:
        drawn.axes.plot([0, 1], [0, 1], label="a & b")
    assert "cost ($x^2$) &lt;b&gt;</text>" in drawn.svg
    assert "var(--series-1)" not in drawn.svg  # matplotlib's own colour was asked for
    assert "var(--muted)" in drawn.svg
    assert "#1f77b4" in drawn.svg
    with plot("x", "y") as other:
        other.axes.plot([0, 1], [0, 1])
    ids = [{part.split('"')[0] for part in svg.split(' id="')[1:]} for svg in (drawn.svg, other.svg)]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert "<?xml" not in inline('<?xml version="1.0"?><!DOCTYPE svg><svg width="3pt" height="2pt"></svg>', 1)


def record(name: str, ours: float, theirs: float) -> dict:
    return {
        "id": name,
        "prompt": f"prompt {name}",
        "policy": {"text": f"new {name}", "score": ours},
        "against": {"text": f"old {name}", "score": theirs},
    }


def test_prompts_are_chosen_by_rule():
    records = [record(str(number), float(number), 5.0) for number in range(11)]
    chosen = examples(records, ("new", "old"), count=4)
    by_hash = sorted(records, key=lambda one: hashlib.sha256(one["prompt"].encode()).hexdigest()[:16])
    assert [one.prompt for one in chosen.exchanges] == [one["prompt"] for one in by_hash[:4]]
    assert "4 of 11 prompts whose SHA-256 is smallest" in chosen.rule
    ends = extremes(records, ("new", "old"), count=2)
    assert [one.prompt for one in ends.exchanges] == ["prompt 10", "prompt 9", "prompt 0", "prompt 1"]
    only_wins = extremes(records[6:], ("new", "old"), count=2)
    assert [one.prompt for one in only_wins.exchanges] == ["prompt 10", "prompt 9"]


def test_best_of_n_meets_the_opponents_answers(tmp_path):
    run = Run(tmp_path, "eval")
    run.__dict__["metrics"] = {"win_rate": 0.5, "win_rate_low": 0.4, "win_rate_high": 0.6, "best_of_n": {"4": 0.75}}
    run.__dict__["config"] = {"seed": 0}
    best = [2.0, 2.0, 2.0, 0.0]
    records = [record(str(i), 9.0, 1.0) | {"best_of_n": {"4": {"score": score}}} for i, score in enumerate(best)]
    won, of_four = estimates(run, "all", records)
    assert (won.label, won.low) == ("all", 0.4)
    assert of_four.value == 0.75
    assert of_four.low is not None
    assert of_four.low < 0.75 < of_four.high


def test_who():
    assert words.who("my_package.judges:kind") == "the simulated annotator (judges:kind)"
    assert words.who("tests/annotators.py:positive") == "the simulated annotator (annotators.py:positive)"
    assert words.who("reward-model:runs/reward-main") == "the reward model reward-main"
    assert (
        words.annotators({"simulated:a.b:c", "anna", "tom", None}) == "the simulated annotator (b:c) and 2 annotators"
    )
    assert words.annotators({None}) == "the annotators (the rankings name none)"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (1234.0, "1,234"), (12.345, "12.3"), (1.5, "1.50"), (-0.25, "−0.250"), (0.0494, "0.0494"), (2e-5, "2.00e-05")],
)  # fmt: skip
def test_numbers(value, text):
    assert words.number(value) == text


def test_say():
    assert say("It won **{}** of {}.", "87 %", "<b>") == "It won <strong>87 %</strong> of &lt;b&gt;."


def test_a_win_is_told_from_a_coin_by_its_interval():
    assert words.against_coin(0.51, 0.9) == "clearly more than half"
    assert words.against_coin(0.1, 0.49) == "clearly less than half"
    assert words.against_coin(0.49, 0.51) == "not told from a half"


def test_edges_hold_every_value():
    for values in ([1.0, 2.0, 3.0], [0.5], [0.1, 0.2], list(range(100))):
        edges = charts._edges(numpy.array(values, dtype=float))
        assert numpy.histogram(values, edges)[0].sum() == len(values)
