"""`align report` and `align compare` as a user runs them.

Mutations seen to fail:
- (write.py) what `draw` raises not caught -> test_a_report_that_cannot_be_drawn_costs_nothing
- (write.py) any file overwritten -> test_a_page_of_another_is_left_alone
- (runs.py) runs ordered by name -> test_a_whole_run_is_told_in_its_order
- (whole.py) answers joined by place instead of by id, or the later of two taken -> test_answers_are_joined_by_prompt
- (policy.py) samples swapped -> test_what_ppo_tells; the peak not compared with what was kept -> test_gold_that_peaked_...
- (training.py) verdict by the estimate instead of its lower bound, or a baseline counted in one direction -> test_a_reward_model_is_judged_by_its_lower_bound
- (several.py) all settings told, or bounds as metrics of their own -> test_compare_tells_what_differs
- (several.py) the mean over seeds taken at steps that one of them lacks -> test_curves_of_several_seeds
- (facts.py) one run's versions shown for all -> test_versions_that_differ_are_named
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from refusals import refused

from alignment.command import main
from alignment.metrics import METRICS
from alignment.pipeline import DemoSettings
from alignment.report import policy, several, training, write
from alignment.report import whole as whole_run
from alignment.report.builder import page
from alignment.report.config import COMPARE, REPORT
from alignment.report.facts import glossary, versions
from alignment.report.runs import Run, find
from alignment.run_record import write_result

pytestmark = pytest.mark.xdist_group("report")  # one worker: the small pipeline runs once


def text_of(run_page) -> str:
    return write.render(run_page, "align report x")


def test_report_prints_its_path_and_overwrites_its_own(copied, capsys):
    target = copied / "sft" / "report.html"
    first = target.read_text()
    target.write_text(first.replace("<h1>", "<h1>old "))
    assert main(REPORT, [str(copied / "sft"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(target)}
    assert "<h1>old " not in target.read_text()
    assert [path.name for path in copied.rglob("*.partial")] == []


def test_a_page_of_another_is_left_alone(copied, capsys):
    (copied / "sft" / "report.html").write_text("<html>mine</html>")
    refused(capsys, REPORT, ["sft"], copied, "is not a report that align wrote, so it is not overwritten; move it away")
    assert (copied / "sft" / "report.html").read_text() == "<html>mine</html>"


def test_what_holds_no_run_is_refused(copied, tmp_path, capsys):
    refused(capsys, REPORT, ["absent"], tmp_path, "absent: no such directory; give a directory that a stage wrote")
    (tmp_path / "empty").mkdir()
    refused(capsys, REPORT, ["empty"], tmp_path, "empty: holds no run (no run.json in it or in a folder below)")
    (copied / "sft" / "metrics.json").write_text("{")
    refused(capsys, REPORT, ["sft"], copied, "metrics.json: cannot be read", "run the command again")


def test_a_report_that_cannot_be_drawn_costs_nothing(tmp_path, monkeypatch, capsys):
    def broken(*_):
        raise RuntimeError("no font")

    monkeypatch.setattr(write, "write_report", broken)
    write_result(tmp_path, "demo", DemoSettings(workspace="runs/sft"), {"n": 1}, 0.0)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"n": 1}
    printed = capsys.readouterr()
    assert printed.err == (
        "the report could not be drawn (RuntimeError: no font); the result is complete without it: "
        "`align report runs/sft` draws it\n"
    )
    assert printed.out == ""


def test_a_whole_run_is_told_in_its_order(whole, whole_page):
    found = find(whole)
    flow = whole_run.flow(found, whole_run.Models(found))
    titles = ["SFT · sft", "Answers drawn", "Answers ranked", "Reward model", "PPO"]
    titles += ["SFT · sft over base, few-shot", "PPO over SFT · sft", "SFT · seeds"]
    assert [step.title for step in flow] == titles
    anchors = {section.anchor for section in whole_page.sections}
    assert {step.href.removeprefix("#") for step in flow if step.href} <= anchors
    assert [bool(step.href) for step in flow][:5] == [True, False, False, True, True]
    assert "simulated annotator" in flow[2].detail


def test_answers_are_joined_by_prompt(copied):
    """Reordered files, and an id that one evaluation lacks, change nothing but that the prompt is left out."""
    second = copied / "eval-second" / "responses.jsonl"
    records = [json.loads(line) for line in second.read_text().splitlines()]
    second.write_text("".join(json.dumps(record) + "\n" for record in reversed(records[1:])))
    found = find(copied)
    models = whole_run.Models(found)
    evals = [run for run in found.stages if run.command == "eval"]
    joined = whole_run.joined(evals, models, count=99)
    assert joined is not None
    assert len(joined.exchanges) == len(records) - 1
    first = {record["prompt"]: record for record in Run(copied / "eval-first", "e").lines("responses.jsonl")}
    later = {record["prompt"]: record for record in records}
    for exchange in joined.exchanges:
        said = ["".join(text for _, text in answer.pieces) for answer in exchange.answers]
        assert said == [
            first[exchange.prompt]["against"]["text"].strip(),
            first[exchange.prompt]["policy"]["text"].strip(),
            later[exchange.prompt]["policy"]["text"].strip(),
        ]
    assert records[0]["prompt"] not in {exchange.prompt for exchange in joined.exchanges}


def test_the_whole_says_what_the_parts_say(whole, whole_page):
    found = find(whole)
    html = text_of(whole_page)
    for run in found.stages:
        if run.command == "eval":
            assert f"{100 * run.metrics['win_rate']:.1f}\u00a0%" in html
    assert "from 75.0\u00a0% to <strong>25.0\u00a0%</strong>" in html
    assert "from 50.0\u00a0% to <strong>0.0\u00a0%</strong>" in html
    assert html.count("simulated annotator") > 5
    assert html.count('role="img"') == html.count("<figure>")


def test_what_ppo_tells(whole):
    run = Run(whole / "ppo", "ppo")
    section = policy.ppo(run, "PPO")
    titles = {figure.title for figure in section.figures}
    wanted = ("objective/score", "objective/gold", "objective/kl", "objective/entropy", "rollout/response_tokens")
    wanted += ("policy/clip_fraction", "value/explained_variance", "policy/approx_kl", "optim/lr")
    assert {training.capital(METRICS[name].label) for name in wanted} <= titles
    assert {"Time a step", "Speed", "What the distance buys"} <= titles
    (shares,) = [table for table in section.tables if table.caption == "Where a step's time goes"]
    assert sum(float(share.split()[0]) for _, share in shares.rows) == pytest.approx(100, abs=0.05 * len(shares.rows))
    samples = run.lines("samples.jsonl")
    (answers,) = section.answers
    for sample, exchange in zip(samples, answers.exchanges, strict=True):
        start, kept = exchange.answers
        assert "".join(text for _, text in start.pieces) == sample["start"]["text"].strip()
        assert "".join(text for _, text in kept.pieces) == sample["final"]["text"].strip()
        assert "gold" in kept.note
    assert "measured and never optimised" in " ".join(section.verdict)


def test_gold_that_peaked_early_is_told(copied):
    path = copied / "ppo" / "history.jsonl"
    history = [json.loads(line) for line in path.read_text().splitlines()]
    for line, gold in zip(history, [0.0, 3.0, 1.0, 2.0], strict=True):
        line["objective/gold"] = gold
    path.write_text("".join(json.dumps(line) + "\n" for line in history))
    run = Run(copied / "ppo", "ppo")
    run.metrics["best"]["step"] = 3
    assert "It was highest at rollout 1, with 3:" in " ".join(policy.verdict(run))
    run.metrics["best"]["step"] = 1
    assert "It was highest" not in " ".join(policy.verdict(run))


@pytest.mark.parametrize(
    ("low", "accuracy", "outcome"),
    [
        (0.61, 0.7, "it reads more than length and place"),
        (0.55, 0.7, "that it reads more than length and place is not certain"),
        (0.4, 0.58, "it does no better than a rule that reads no word"),
    ],
)
def test_a_reward_model_is_judged_by_its_lower_bound(copied, low, accuracy, outcome):
    """Preferring the shorter response would be right in 60 %: a baseline counts in whichever direction it is better."""
    run = Run(copied / "reward-model", "reward-model")
    run.metrics.update(pair_accuracy=accuracy, pair_accuracy_low=low, length_baseline_accuracy=0.4)
    run.metrics.update(position_baseline_accuracy=0.5)
    assert f"<strong>{outcome}</strong>" in training.reward(run, "x").verdict[1]


def test_sft_without_held_out_demonstrations(copied):
    run = Run(copied / "sft", "sft")
    run.metrics.update({"sft/loss": None, "sft/token_accuracy": None, "sft/loss_before": None})
    run.metrics["sft/token_accuracy_before"] = None
    section = training.sft(run, "SFT")
    assert "No demonstration was held out" in section.verdict[1]
    assert section.tables[0].rows[0][1:] == ["–", "–"]


def test_a_command_without_a_part_of_its_own_has_its_settings(copied):
    record = json.loads((copied / "sft" / "run.json").read_text())
    (copied / "sft" / "run.json").write_text(json.dumps(record | {"command": "train-otherwise"}))
    html = text_of(page(find(copied / "sft")))
    assert "align train-otherwise" in html
    assert "Settings that differ from the defaults" in html


def test_seeds_show_mean_and_spread(whole):
    run = Run(whole / "seeds", "seeds")
    one = run.metrics["spread"]["sft/loss"]
    html = text_of(page(find(whole / "seeds")))
    assert f"{one['mean']:.2f}\u00a0±\u00a0{one['sd']:.2g}" in html
    assert "seed-0" in html
    assert "seed-1" in html


def test_curves_of_several_seeds(copied):
    paths = [copied / "seeds" / f"seed-{seed}" / "history.jsonl" for seed in (0, 1)]
    paths[0].write_text('{"step": 0, "sft/loss": 1.0}\n{"step": 1, "sft/loss": 3.0}\n')
    paths[1].write_text('{"step": 0, "sft/loss": 2.0}\n')
    assert several.curve(Run(copied / "seeds", "seeds"), "sft/loss") == ([0.0], [1.5])


def test_compare_tells_what_differs(copied, capsys, monkeypatch):
    monkeypatch.chdir(copied)
    assert main(COMPARE, ["eval-first", "eval-second", "--output", "c.html", "--json"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    assert set(result["settings"]) == {"policy", "against", "against_prefix", "reward_model", "best_of"}
    assert result["settings"]["reward_model"]["eval-first"] == "none"
    metrics = json.loads((copied / "eval-second" / "metrics.json").read_text())
    assert result["metrics"]["win_rate"]["eval-second"] == {
        "value": metrics["win_rate"], "low": metrics["win_rate_low"], "high": metrics["win_rate_high"],
    }  # fmt: skip
    assert "win_rate_low" not in result["metrics"]
    assert result["metrics"]["best_of_n.2"]["eval-first"] == {}
    lines = printed.err.splitlines()
    assert lines[0].split() == ["setting", "that", "differs", "eval-first", "eval-second"]
    assert any(line.startswith("win_rate ") and "[" in line for line in lines)
    assert 'content="instruct-loop report"' in (copied / "c.html").read_text()


def test_compare_takes_a_run_of_several_seeds(copied, capsys, monkeypatch):
    monkeypatch.chdir(copied)
    assert main(COMPARE, ["sft", "seeds", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result["metrics"]["sft/loss"]["seeds"]) == {"mean", "sd"}
    assert set(result["metrics"]["sft/loss"]["sft"]) == {"value"}
    assert result["settings"] == {}
    assert "of the same settings" in Path("compare.html").read_text()


def test_compare_refuses(copied, capsys):
    one = "sft is of `align sft`, ppo is of `align ppo`; only runs of one command can be compared"
    refused(capsys, COMPARE, ["sft", "ppo"], copied, one)
    refused(capsys, COMPARE, ["sft"], copied, "RUNS holds 1 directory; a comparison needs two or more")
    refused(capsys, COMPARE, ["sft", "sft"], copied, "RUNS names sft twice; give each run once")
    (copied / "mine.html").write_text("mine")
    refused(capsys, COMPARE, ["sft", "seeds", "--output", "mine.html"], copied, "is not a report that align wrote")
    (copied / "run.json").unlink()
    refused(capsys, COMPARE, ["sft", "."], copied, "is no run of its own but a folder of several")


def test_versions_that_differ_are_named(copied):
    first, second = Run(copied / "sft", "sft"), Run(copied / "ppo", "ppo")
    second.record["versions"]["torch"] = "9.9"
    rows = dict(versions([first, second]).rows)
    assert rows["torch"] == f"{first.record['versions']['torch']} (sft); 9.9 (ppo)"
    assert rows["python"] == first.record["versions"]["python"]


def test_the_glossary_is_made_from_the_metrics():
    names = {row[0] for row in glossary({"ppo", "eval"}).tables[0].rows}
    families = {"objective", "policy", "value", "rollout", "optim", "time", "eval"}
    assert names == {name for name in METRICS if name.split("/")[0] in families}
    assert "sft/loss" not in names


def test_changed_settings_are_those_of_the_run(whole):
    html = text_of(page(find(whole / "eval-first")))
    assert "max_new_tokens" in html
    assert '<th scope="row">max_new_tokens</th><td>6</td><td>48</td>' in html
