"""`align demo --dry-run`, on a demo made small. Mutations seen to fail: a stage left out of the sum
(test_every_stage_is_in_the_plan), a stand-in of another count (test_every_stage_is_in_the_plan), the workspace made
(planned)."""

from __future__ import annotations

import pytest
from plans import planned, refused_alike

from alignment import pipeline, pipeline_plan
from alignment.pipeline import COMMAND, DemoSettings, stages, write_data

SMALL = {"DEMONSTRATIONS": 40, "RANKED": 24, "PPO_PROMPTS": 16, "DEV_PROMPTS": 3, "EVAL_PROMPTS": 5, "PPO_STEPS": 2}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    for name, value in {**SMALL, "MAX_NEW_TOKENS": 4}.items():
        monkeypatch.setattr(pipeline, name, value)


def test_every_stage_is_in_the_plan(tmp_path, capsys, monkeypatch):
    plans = {}
    kept = pipeline_plan._sum
    monkeypatch.setattr(pipeline_plan, "_sum", lambda whole, several: kept(whole, plans.update(several) or several))
    plan = planned(capsys, monkeypatch, COMMAND, ["--workspace", str(tmp_path / "new" / "demo")], tmp_path)
    written = stages(tmp_path, write_data(tmp_path / "data", 0), DemoSettings())
    names = [stage.name for stage in written]
    assert [part["name"] for part in plan["parts"]] == ["reading and loading", "few-shot prompts of the base", *names]
    assert [part["seconds"] for part in plan["parts"][2:]] == [plans[name].seconds for name in names]
    assert set(plan["writes"]) >= {str(tmp_path / "new" / "demo" / name) for name in names}
    assert plan["process_peak_memory_bytes"] == max(one.process_peak_memory_bytes for one in plans.values())
    counts = {"demonstrations": 40, "rank prompts": 24, "ppo prompts": 16, "dev prompts": 3, "eval prompts": 5}
    assert plan["reads"][0]["holds"] == counts
    assert sum(plans["sft"].reads[0].holds.values()) == 40
    assert plans["rankings.jsonl"].reads[0].holds == {"prompts": 24, "responses": 24 * 4}
    ranked = plans["reward-model"].reads[0].holds
    assert ranked["to learn from"] + ranked["held out"] + ranked["without pairs"] == 24
    assert plans["ppo"].parts[-1].count == 2
    assert plans["eval-ppo-over-sft"].reads[0].holds == {"prompts": 5}


def test_bad_inputs(tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    refused_alike(capsys, COMMAND, ["--workspace", str(tmp_path / "taken")], "--workspace", "exists already")
