"""What a page tells of calibration, groups, the ceiling, an ensemble and the scaling curve.

Mutations seen to fail (alignment/report/measures.py, training.py): the warning of leakage by the estimate instead of the
lower bound; reliability drawn on what the temperature was fitted on; before and after swapped; the sign of the gain.
"""

from __future__ import annotations

import json
import random

import pytest
from models import tiny_model

from alignment.report import measures, training
from alignment.report.builder import page
from alignment.report.runs import Run, find
from alignment.report.words import number
from alignment.report.write import render
from reward_model.config import RewardSettings
from reward_model.train import run as reward
from sft.config import SFTSettings
from sft.train import run as sft

WORDS = ["a boat", "the river", "a red kite", "the moon and the warm mat"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Reward models with a scaling curve and as an ensemble, and an SFT run with a curve."""
    folder, draw = tmp_path_factory.mktemp("measures"), random.Random(0)
    base = tiny_model("llama", folder / "base")
    lines = [
        {
            "prompt": f"Tom {number // 2}", "responses": [f" {word} {number // 2}" for word in WORDS],
            "ranks": draw.sample([1, 2, 3, 4], 4), "annotator": ("ann", "bob")[number % 2], "strength": number % 4,
        }
        for number in range(80)
    ]  # fmt: skip
    (folder / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    told = [{"prompt": f"Tom {number}", "response": f" has{WORDS[number % 4]}."} for number in range(60)]
    (folder / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in told))
    common = {"base": base, "rankings": str(folder / "r.jsonl"), "holdout_fraction": 0.3}
    reward(RewardSettings(**common, output=str(folder / "curve"), scaling=True))
    reward(RewardSettings(**common, output=str(folder / "alone")))
    reward(RewardSettings(**common, output=str(folder / "ensemble"), ensemble=2))
    sft(
        SFTSettings(
            base=base, data=str(folder / "d.jsonl"), output=str(folder / "sft"), holdout_fraction=0.3, scaling=True
        )
    )
    return folder


def section(folder, name):
    run = Run(folder / name, name)
    return (training.sft if name == "sft" else training.reward)(run, "x"), run.metrics


def test_the_curve_is_of_the_run_itself_and_leaves_it_as_it_is(folder):
    _, metrics = section(folder, "curve")
    points = metrics["scaling"]["points"]
    assert list(points) == ["1/8", "1/4", "1/2", "all"]
    counts = [one["n"] for one in points.values()]
    assert counts == sorted(counts)
    assert counts[-1] == metrics["n_rankings"]
    assert counts[2] == pytest.approx(metrics["n_rankings"] / 2, abs=2)
    assert points["all"]["error"] == pytest.approx(1 - metrics["pair_accuracy"])
    assert len({one["error"] for one in points.values()}) > 1
    alone, curve = ((folder / name / "model.safetensors").read_bytes() for name in ("alone", "curve"))
    assert alone == curve


def test_an_sft_curve_is_of_held_out_loss(folder):
    made, metrics = section(folder, "sft")
    points = metrics["scaling"]["points"]
    assert points["all"]["error"] == pytest.approx(metrics["sft/loss"], rel=1e-9)
    assert points["all"]["n"] == metrics["examples"]
    assert points["1/8"]["error"] > points["all"]["error"]
    assert metrics["scaling"]["doubling"]["gain"] > 0
    figure = next(one for one in made.figures if one.title == "What more labels are worth")
    assert "Twice as many demonstrations would be worth" in figure.caption
    assert "nats a token less: about" in figure.caption
    assert figure.caption.startswith(f"Now: {number(metrics['sft/loss'])}, held-out loss. ")


def test_a_reward_models_page_tells_all_of_it(folder):
    made, metrics = section(folder, "curve")
    captions = [table.caption for table in made.tables]
    wanted = ["source", "annotator", "strength of preference"]
    assert captions == [*(f"Held-out pairs by {name}" for name in wanted), "Calibration", "Length"]
    assert [row[0] for row in made.tables[2].rows] == list(measures.STRENGTHS.values())
    assert "one label is then right" in str(made.verdict) or metrics["human_ceiling"]["ceiling"] is None
    assert made.figures[-1].title == "What more labels are worth"
    ensemble, _ = section(folder, "ensemble")
    assert [row[0] for row in ensemble.tables[-1].rows] == [
        "member-0", "member-1", "rule mean", "rule worst", "rule mean-var"
    ]  # fmt: skip
    for name in ("curve", "ensemble", "sft"):
        assert "<svg" in render(page(find(folder / name)), "align report x")


def test_calibration_before_and_after(folder):
    _, metrics = section(folder, "alone")
    found = metrics["calibration"]
    rows = {row[0]: row[1:] for row in measures.calibration_table(metrics).rows}
    assert rows["log-loss (nats a pair)"] == [f"{found['log_loss_before']:.3f}", f"{found['log_loss']:.3f}"]
    lines = [json.loads(line) for line in (folder / "alone" / "held_out.jsonl").read_text().splitlines()]
    assert {line["fitted"] for line in lines} == {True, False}
    bins = training._bins(metrics, lines)
    assert sum(one.count for one in bins) == found["n_pairs"] == 6 * sum(not line["fitted"] for line in lines)
    assert sum(one.count * abs(one.share - one.stated) for one in bins) / found["n_pairs"] == pytest.approx(
        found["ece"]
    )


def test_more_agreement_than_people_have_is_a_warning():
    found = {"agreement": 0.7, "agreement_low": 0.65, "agreement_high": 0.75, "n_meetings": 300}
    found |= {"ceiling": 0.816, "ceiling_low": 0.77, "ceiling_high": 0.853}
    told = {"human_ceiling": found, "pair_accuracy": 0.9}
    assert len(measures.ceiling({**told, "pair_accuracy_low": 0.84})) == 1
    assert "leakage" in str(measures.ceiling({**told, "pair_accuracy_low": 0.86})[1])
    assert measures.ceiling({"human_ceiling": None}) == []


def test_the_caption_says_what_a_doubling_is_worth():
    doubling = {"gain": 0.011, "gain_low": -0.002, "gain_high": 0.024}
    found = {"points": {"all": {"n": 8, "error": 0.3}}, "doubling": doubling, "error_at_twice": 0.289}
    caption = measures._doubling(found, "rankings", "share of pairs wrong", "points")
    wanted = (
        "Now: 0.300, share of pairs wrong. Twice as many rankings would be worth 1.1 points less: about 0.289 (95 % "
    )
    assert caption.startswith(wanted + "interval −0.2 to 2.4). An interval that holds 0 shows no gain.")
    doubling["gain_low"] = 0.001
    assert "holds 0" not in measures._doubling(found, "rankings", "share of pairs wrong", "points")
    worse = found | {"doubling": {"gain": -0.02, "gain_low": -0.03, "gain_high": -0.01}}
    assert "worth 2 points more: about" in measures._doubling(worse, "rankings", "share of pairs wrong", "points")
