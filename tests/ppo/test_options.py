"""The options of `align ppo` that are off by default: each changes what it should, and nothing else.

Mutations seen to fail: the penalty on responses that ended, −1 instead of min(score, −1), the clip on one side, ended read
one token early (test_what_..., test_ended_...); --missing-eos or --score-clip not passed on (test_a_missing_..., test_scores_...);
the setting's kl_coef steered, used for the rewards or logged, or compared with the wrong sign (test_kl_coef_..., test_the_steered_...,
test_policies_...); NLL ÷ the micro-batch's tokens, without its weight, not added, or the same records again (test_ptx_...);
decay and 1 − decay exchanged, the average not kept, the policy not put back (test_ema_...); selection measured on the policy
instead of the average, outside `apart`, without its seed, or not heeded (test_the_policy_kept_..., test_selection_...)."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from models import TEXTS, tiny_model
from safetensors.torch import load_file

from alignment.chat import Tokens, collate
from alignment.models import load_policy
from ppo.config import PPOSettings
from ppo.kl_controller import adapted_kl_coef
from ppo.ptx import accumulate_ptx, read_ptx
from ppo.scores import ended, maximised
from ppo.selection import Selection, worth
from ppo.train import Trainer, run
from reward_model.model import new_scorer, save

PROMPTS = ["The cat", "Anna has a red kite. Tom keeps", "Where is the boat? The", "Tom", "The moon. The warm mat and"]
SMALL = {
    "batch_size": 8,
    "minibatch_size": 4,
    "max_new_tokens": 6,
    "ppo_epochs": 2,
    "steps": 3,
    "lr": 1e-3,
    "approx_kl_target": None,
}


def reward(prompt: str, responses: list[str]) -> list[float]:
    return [float(text.count("e") - text.count("t")) + 0.01 * len(text) for text in responses]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("options")
    prompts = folder / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in PROMPTS))
    policy = tiny_model("llama", folder / "policy")
    save(new_scorer(policy, None), folder / "scorer")
    return {"policy": policy, "prompts": str(prompts), "reward": f"{__file__}:reward"}


def settings(inputs: dict[str, str], output: Path | str = "unused", **changes) -> PPOSettings:
    return PPOSettings(**{**inputs, "output": str(output), "kl_max": 1e9, **SMALL, **changes})


def selecting(inputs: dict[str, str]) -> dict[str, str]:
    scorer = str(Path(inputs["policy"]).parent / "scorer")
    return {"selection_reward_model": scorer, "selection_prompts": inputs["prompts"]}


def history(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "history.jsonl").read_text().splitlines()]


def untimed(output: Path) -> list[dict]:
    return [{name: value for name, value in line.items() if not name.startswith("time/")} for line in history(output)]


def test_what_is_maximised_by_hand():
    scores, finished = torch.tensor([1.0, 3.0, 7.0, -5.0]), torch.tensor([True, False, False, False])
    assert maximised(scores, finished, 1.0, 2.0, "none", None).tolist() == [0.0, 1.0, 3.0, -3.0]
    assert maximised(scores, finished, 1.0, 2.0, "penalty", None).tolist() == [0.0, -1.0, -1.0, -3.0]
    assert maximised(scores, finished, 1.0, 2.0, "none", 1.5).tolist() == [0.0, 1.0, 1.5, -1.5]
    assert maximised(scores, finished, 1.0, 2.0, "penalty", 2.0).tolist() == [0.0, -1.0, -1.0, -2.0]


def test_ended_is_an_eos_at_the_end_also_at_the_limit():
    tokens = collate([[1], [1, 2], [2]], [[5, 6, 2], [2], [5, 6, 7]], pad_id=2)
    assert ended(tokens, [2, 3]).tolist() == [True, True, False]
    assert ended(tokens, [3]).tolist() == [False, False, False]


def test_a_missing_eos_costs_what_it_should(inputs, tmp_path):
    made = Trainer(settings(inputs, batch_size=64, minibatch_size=64, max_new_tokens=12))
    made.settings = replace(made.settings, missing_eos="penalty")
    with torch.no_grad():  # some responses end
        made.roles.policy.model.embed_tokens.weight[made.roles.tokenizer.eos_token_id] *= 4.0
    rollout = made.rollout()
    finished = ended(rollout.tokens, [made.roles.tokenizer.eos_token_id])
    plain = (rollout.scores - made.state.score_mean) / made.state.score_sd
    assert 5 < finished.sum() < 59
    assert torch.equal(rollout.normalized[finished], plain[finished])
    assert torch.equal(rollout.normalized[~finished], plain[~finished].clamp(max=-1.0))
    assert (plain[~finished] > -1.0).any()


def test_scores_are_clipped(inputs):
    rollout = Trainer(settings(inputs, score_clip=0.3)).rollout()
    assert rollout.normalized.abs().max() == pytest.approx(0.3)
    assert rollout.scores.abs().max() > 0.3


def test_kl_coef_is_steered_by_the_kl_of_each_rollout(inputs, tmp_path):
    given = settings(inputs, tmp_path / "out", kl_target=0.01, kl_horizon=40.0, lr=1e-2, kl_coef=0.2, steps=4)
    result = run(given)
    lines = history(tmp_path / "out")
    expected = 0.2
    for line in lines:
        assert line["objective/kl_coef"] == pytest.approx(expected, rel=1e-12)
        plain = (line["objective/score"] - result["score_mean_reference"]) / result["score_sd_reference"]
        assert line["objective/rlhf_reward"] == pytest.approx(plain - expected * line["objective/kl"], abs=1e-5)
        expected = adapted_kl_coef(expected, line["objective/kl"], 8, target=0.01, horizon=40.0)
    assert lines[1]["objective/kl_coef"] < 0.2 < lines[-1]["objective/kl_coef"]  # KL is 0 at first


def test_the_steered_kl_coef_is_what_rewards_are_shaped_with(inputs):
    made = Trainer(settings(inputs, kl_target=1.0, lr=1e-2, gamma=1.0, lam=1.0))
    rollout = made.rollout()
    made.state.step = 1
    made.update(rollout)
    made.state.kl_coef = 7.0
    rollout = made.rollout()
    total = rollout.returns[:, 0]  # lambda 1: the sum of the rewards
    assert rollout.kl.abs().max() > 1e-3
    torch.testing.assert_close(total, rollout.normalized - 7.0 * rollout.kl, rtol=0, atol=1e-4)


def test_policies_are_compared_at_the_coefficient_of_the_settings(inputs):
    metrics = {"objective/rlhf_reward": 1.0, "objective/kl_coef": 0.3, "objective/kl": 10.0}
    assert worth(metrics, settings(inputs, kl_coef=0.1, kl_target=6.0)) == pytest.approx(3.0)
    assert worth(metrics, settings(inputs, kl_coef=0.3)) == 1.0
    assert worth({**metrics, "objective/selection_score": -4.0}, settings(inputs)) == -4.0


@pytest.fixture
def texts(tmp_path) -> str:
    path = tmp_path / "texts.jsonl"
    rows = [{"text": text} for text in TEXTS] + [{"prompt": "The moon", "response": " is warm."}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize("microbatch_size", [1, 3])
def test_ptx_is_the_gradient_of_the_mean_negative_log_likelihood(inputs, texts, microbatch_size):
    given = settings(inputs, ptx_data=texts, ptx_coef=2.5, ptx_batch_size=4, microbatch_size=microbatch_size)
    policy, tokenizer = load_policy(inputs["policy"], "--policy")
    policy.double().requires_grad_(True)
    data = read_ptx(given, policy, tokenizer)
    total, count = torch.zeros((), dtype=torch.float64), 0
    for prompt, response in data.examples:
        logprobs = torch.log_softmax(policy(torch.tensor([prompt + response])).logits[0, :-1], -1)
        picked = logprobs[torch.arange(len(prompt) - 1, len(prompt) + len(response) - 1), torch.tensor(response)]
        total, count = total - picked.sum(), count + len(response)
    (2.5 * total / count).backward()
    expected = [parameter.grad.clone() for parameter in policy.parameters()]
    policy.zero_grad()
    assert accumulate_ptx(policy, data, 0, given) == pytest.approx((total / count).item(), rel=1e-12)
    for parameter, gradient in zip(policy.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=0, atol=1e-12)
    assert [len(prompt) for prompt, _ in data.examples] == [
        1,
        1,
        1,
        len(data.examples[3][0]),
    ]  # BOS alone, and a prompt


def test_ptx_keeps_what_the_policy_could_say(inputs, texts, tmp_path):
    common = {"steps": 6, "lr": 3e-3, "kl_coef": 0.0}
    run(settings(inputs, tmp_path / "with", ptx_data=texts, ptx_coef=5.0, **common))
    losses = [line["policy/ptx_loss"] for line in history(tmp_path / "with")[:-1]]
    assert losses[-1] < losses[0] - 0.5
    made = Trainer(settings(inputs, ptx_data=texts, ptx_coef=5.0, **common))
    made.state.step = 1
    made.update(made.rollout())
    assert made.state.ptx_taken == 4 * 4  # two epochs of two minibatches


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_ema_is_the_average_after_every_optimizer_step(inputs, lora_rank):
    made = Trainer(settings(inputs, ema=0.8, lora_rank=lora_rank, lr=1e-2))
    state, step = made.state, made.state.policy_optimizer.step
    flat = lambda tensors: torch.cat([tensor.detach().double().flatten() for tensor in tensors])  # noqa: E731
    learning = [parameter for parameter in made.roles.policy.parameters() if parameter.requires_grad]
    expected, steps = flat(learning), 0

    def counted():
        nonlocal expected, steps
        step()
        expected, steps = 0.8 * expected + 0.2 * flat(learning), steps + 1

    state.policy_optimizer.step = counted
    for number in (1, 2):
        state.step = number
        made.update(made.rollout())
    assert steps == 8
    torch.testing.assert_close(flat(state.average.values()), expected, rtol=0, atol=1e-6)
    own = flat(learning)
    assert (own - expected).abs().max() > 1e-3
    with state.as_kept():
        torch.testing.assert_close(flat(learning), expected, rtol=0, atol=1e-6)
    assert torch.equal(flat(learning), own)
    state.keep_best({})
    torch.testing.assert_close(flat(state.best_weights.values()), expected, rtol=0, atol=1e-6)


def test_ema_changes_what_is_kept_and_nothing_else(inputs, tmp_path):
    for name, changes in {"plain": {}, "ema": {"ema": 0.9}}.items():
        run(settings(inputs, tmp_path / name, reward=f"{__file__}:rising", lr=1e-2, save_state=True, **changes))
        CALLS.clear()
    assert untimed(tmp_path / "plain") == untimed(tmp_path / "ema")
    plain, ema = (load_file(tmp_path / name / "model.safetensors") for name in ("plain", "ema"))
    assert any(not torch.equal(plain[name], ema[name]) for name in plain)


CALLS: list[str] = []


def rising(prompt: str, responses: list[str]) -> list[float]:
    """Better at every call, so that the best step is the last one."""
    CALLS.append(prompt)
    return [len(CALLS) + score for score in reward(prompt, responses)]


def test_selection_is_measured_and_changes_no_update(inputs, tmp_path):
    run(settings(inputs, tmp_path / "plain", save_state=True))
    result = run(settings(inputs, tmp_path / "selecting", save_state=True, **selecting(inputs)))
    lines = untimed(tmp_path / "selecting")
    measured = [line.pop("objective/selection_score") for line in lines]
    assert lines == untimed(tmp_path / "plain")
    assert len(set(measured)) == 4
    assert result["best"]["objective/selection_score"] == max(measured)
    assert result["best"]["step"] == measured.index(max(measured))


@pytest.mark.parametrize("best", [0, 1, 3])
def test_the_policy_kept_is_the_one_that_the_held_out_reward_model_likes_best(inputs, tmp_path, monkeypatch, best):
    seen: list[dict[str, torch.Tensor]] = []

    def measure(self, policy, tokenizer, given):
        seen.append({name: value.detach().clone() for name, value in policy.named_parameters()})
        return float(len(seen) - 1 == best)

    monkeypatch.setattr(Selection, "measure", measure)
    result = run(settings(inputs, tmp_path / "out", lr=1e-2, ema=0.5, **selecting(inputs)))
    assert result["best"]["step"] == best
    kept, _ = load_policy(str(tmp_path / "out"), "--policy")
    for name, value in kept.named_parameters():  # the average was measured, the average is kept
        torch.testing.assert_close(value, seen[best][name], rtol=0, atol=0)


def test_selection_measures_every_policy_on_the_same_draws(inputs):
    made = Trainer(settings(inputs, **selecting(inputs)))
    first = made.selection_score()
    torch.rand(3)
    assert made.selection_score() == first
    assert isinstance(made.rollout().tokens, Tokens)
