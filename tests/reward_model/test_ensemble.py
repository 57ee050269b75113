"""Ensembles: trained, written, loaded, used by PPO and by `align eval`.

Mutations seen to fail: the sample variance for that of the population, max for min, λ left out (test_rules_by_hand); every
member trained from the same seed, or the third member going on from the first (test_a_member_is_what_its_seed_gives); the rule not
given to the ensemble by ppo or eval (test_ppo_and_eval...); the first member's score alone (test_an_ensemble_scores...).
"""

from __future__ import annotations

import json

import pytest
import torch
from models import tiny_model
from refusals import refused
from safetensors.torch import load_file

from alignment import evaluate
from alignment.ensembles import combined, member_paths
from alignment.errors import UserError
from alignment.records import Response, content_id
from alignment.scorer import load_judge, load_scorer
from ppo.config import COMMAND as PPO
from ppo.config import PPOSettings
from ppo.train import Trainer
from reward_model.config import RewardSettings
from reward_model.train import run

WORDS = ["a boat", "the river", "a red kite", "the moon and the warm mat"]
ITEMS = [("Tom 1", Response(f" {word}")) for word in WORDS]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder with rm of three members and alone-2, its base, its metrics)."""
    folder = tmp_path_factory.mktemp("ensemble")
    base = tiny_model("llama", folder / "base")
    lines = [
        {"prompt": f"Tom {number}", "responses": [f" {word} {number}" for word in WORDS], "ranks": ranks}
        for number, ranks in enumerate([[1, 2, 3, 4], [2, 1, 1, None], [4, 3, 2, 1]] * 8)
    ]
    (folder / "r.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "p.jsonl").write_text("".join(json.dumps({"prompt": f"Tom {n}"}) + "\n" for n in range(8)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("alignment.report.write.draw", lambda folder, final: None)
        common = {"base": base, "rankings": str(folder / "r.jsonl"), "holdout_fraction": 0.3, "lr": 3e-3}
        metrics = run(RewardSettings(**common, output=str(folder / "rm"), ensemble=3, seed=5))
        run(RewardSettings(**common, output=str(folder / "alone-2"), seed=7))
        run(RewardSettings(**common, output=str(folder / "alone-0"), seed=5))
    return folder, base, metrics


def test_rules_by_hand():
    scores = torch.tensor([[1.0, 2.0], [3.0, 2.0], [5.0, -1.0]], dtype=torch.float64)
    assert combined(scores, "mean", 9.0).tolist() == [3.0, 1.0]
    assert combined(scores, "worst", 9.0).tolist() == [1.0, -1.0]
    assert combined(scores, "mean-var", 0.5).tolist() == [3.0 - 0.5 * 8 / 3, 1.0 - 0.5 * 2.0]


def test_a_member_is_what_its_seed_gives(made):
    folder, _, metrics = made
    for number in (0, 2):
        member, alone = (
            load_file(folder / place / "model.safetensors") for place in (f"rm/member-{number}", f"alone-{number}")
        )
        assert member.keys() == alone.keys()
        assert all(torch.equal(member[name], alone[name]) for name in member)
        told = json.loads((folder / f"alone-{number}" / "metrics.json").read_text())
        assert metrics["members"][f"member-{number}"]["pair_accuracy"] == told["pair_accuracy"]
        assert metrics["members"][f"member-{number}"]["log_loss"] == told["log_loss"]


def test_an_ensemble_scores_by_the_rule(made):
    folder, _, metrics = made
    apart = torch.tensor([load_scorer(path, "x").score_responses(ITEMS) for path in member_paths(str(folder / "rm"))])
    assert len(apart) == 3
    assert not torch.allclose(apart[0], apart[1], atol=1e-2)
    wanted = {
        "mean": apart.mean(0),
        "worst": apart.min(0).values,
        "mean-var": apart.mean(0) - 2 * apart.var(0, correction=0),
    }
    for rule, expected in wanted.items():
        scorer = load_scorer(str(folder / "rm"), "--reward-model", rule=rule, penalty=2.0)
        assert scorer.score_responses(ITEMS) == pytest.approx(expected.tolist(), abs=1e-5)
        judge = load_judge(f"reward-model:{folder / 'rm'}", "--judge", rule=rule, penalty=2.0)
        assert judge([("Tom 1", [response for _, response in ITEMS])])[0] == pytest.approx(expected.tolist(), abs=1e-5)
    temperature = metrics["calibration"]["temperature"] / metrics["score_sd_before"]
    assert load_scorer(str(folder / "rm"), "x").temperature == pytest.approx(temperature)
    assert set(metrics["rules"]) == {"mean", "worst", "mean-var"}
    assert metrics["rules"]["mean"] == pytest.approx(metrics["pair_accuracy"], abs=1e-6)


def test_held_out_scores_are_those_of_the_saved_ensemble(made):
    folder, _, _ = made
    scorer = load_scorer(str(folder / "rm"), "--reward-model")
    records = [json.loads(line) for line in (folder / "r.jsonl").read_text().splitlines()]
    by_id = {content_id(record["prompt"]): record for record in records}
    lines = [json.loads(line) for line in (folder / "rm" / "held_out.jsonl").read_text().splitlines()]
    assert lines
    for line in lines:
        record = by_id[line["id"]]
        found = scorer.score_responses([(record["prompt"], Response(text)) for text in record["responses"]])
        assert line["scores"] == pytest.approx(found, abs=1e-4)


def test_ppo_and_eval_use_the_rule_and_the_first_member_is_the_value_model(made, tmp_path):
    folder, base, _ = made
    rm = str(folder / "rm")
    common = {
        "policy": base,
        "reward_model": rm,
        "prompts": str(folder / "p.jsonl"),
        "batch_size": 4,
        "minibatch_size": 4,
    }
    trainers = {
        rule: Trainer(
            PPOSettings(**common, output="unused", max_new_tokens=4, steps=1, ensemble_rule=rule, ensemble_lambda=3.0)
        )
        for rule in ("mean", "worst", "mean-var")
    }
    for rule, trainer in trainers.items():
        assert (trainer.inputs.scorer.rule, trainer.inputs.scorer.penalty) == (rule, 3.0)
    first = load_scorer(f"{rm}/member-0", "x")
    head, trainer = first.head.weight, trainers["mean"]
    scaled = trainer.roles.value_model.head.weight * trainer.state.score_sd
    assert torch.allclose(scaled, head, atol=1e-6)
    means = {trainer.state.score_mean for trainer in trainers.values()}
    assert len(means) == 3
    for rule in ("mean", "worst"):
        evaluate.run(
            evaluate.EvaluateSettings(
                policy=base, against=base, prompts=str(folder / "p.jsonl"), judge=f"reward-model:{rm}",
                output=str(tmp_path / rule), max_new_tokens=4, ensemble_rule=rule,
            )
        )  # fmt: skip
    mean, worst = ((tmp_path / rule / "responses.jsonl").read_text().splitlines() for rule in ("mean", "worst"))
    lower = [
        (json.loads(w)["policy"]["score"], json.loads(m)["policy"]["score"]) for w, m in zip(worst, mean, strict=True)
    ]
    assert all(one < other for one, other in lower)


def test_a_damaged_ensemble_is_one_sentence(made, tmp_path, capsys):
    folder, base, _ = made
    broken = tmp_path / "rm"
    broken.mkdir()
    (broken / "ensemble.json").write_text('{"members": []}')
    with pytest.raises(UserError, match=r"--reward-model .*: its ensemble.json is damaged"):
        load_scorer(str(broken), "--reward-model")
    (broken / "ensemble.json").write_text('{"members": ["member-0"], "score_temperature": 1.0}')
    arguments = ["--policy", base, "--reward-model", "rm", "--prompts", str(folder / "p.jsonl"), "--output", "out"]
    refused(capsys, PPO, arguments, tmp_path, "--reward-model rm/member-0: no such directory")
