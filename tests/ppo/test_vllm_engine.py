"""Rollouts by vLLM, on a stand-in server that speaks its protocol; TRL's own client talks to it, and
a socket in place of NCCL carries the weights.

Mutations seen to fail: one seed for all, or seeds that do not come from the run's generator (test_draws_...); ignore_eos left
out (test_the_server_is_asked_...); stop tokens or temperature left out (test_tokens_...); no sync before a rollout, no reset of
the prefix cache, a group joined at every sync, TRL's merging into the policy and out again (test_every_rollout_...); adapters
left out (test_an_adapter_...); the group not left (test_two_runs_...); the loss not weighted, or by the weights of other rows,
a difference without its sign taken off, the mean for the largest, a mean over pads (test_the_policy_loss_...); a threshold of 5
(test_a_server_that_ignores_...); a lost server not explained, --vllm-url compared when a run goes on (test_a_server_that_dies_...);
weights sent in a dry run (test_a_dry_run_...); each check of the server's settings and of a response left out (..._is_refused);
the launcher not looked for (test_several_...). Without the check of /health's status, test_another_web_server_... hangs."""

import copy
import json
import math
from dataclasses import replace

import pytest
import torch
from models import tiny_model
from vllm_stand_in.runs import REWARD, free_port, history, line, stand_in_package, write_prompts
from vllm_stand_in.server import StandIn, serving

from alignment.checkpoint import folder_of
from alignment.command import main
from alignment.errors import UserError
from alignment.logprobs import response_logprobs
from alignment.metrics import METRICS
from ppo.config import COMMAND, PPOSettings
from ppo.doctor import COMMAND as DOCTOR
from ppo.loss import importance_weights
from ppo.measure import measure
from ppo.train import Trainer, check_shares
from ppo.vllm_engine import merged_weights


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> str:
    return tiny_model("llama", tmp_path_factory.mktemp("vllm") / "policy")


@pytest.fixture(autouse=True)
def _package(monkeypatch):
    with stand_in_package(monkeypatch):
        yield


@pytest.fixture
def prompts(tmp_path) -> str:
    return write_prompts(tmp_path)


def settings(policy: str, prompts: str, url: str, **changes) -> PPOSettings:
    small = {"batch_size": 8, "minibatch_size": 4, "max_new_tokens": 6, "ppo_epochs": 1, "steps": 2, "lr": 1e-2}
    engine = {"rollout_engine": "vllm", "vllm_url": url, "vllm_group_port": free_port()}
    files = {"policy": policy, "prompts": prompts, "reward": REWARD, "output": "out"}
    return PPOSettings(**{**files, **small, **engine, "normalize_scores": False, **changes})


def moved(trainer: Trainer) -> None:
    """What an update does to the policy, only more."""
    torch.manual_seed(7)
    with torch.no_grad():
        for weight in trainer.roles.policy.parameters():
            if weight.requires_grad:
                weight.add_(0.02 * torch.randn_like(weight))


def likelier_eos(trainer: Trainer) -> None:
    """Some responses end by EOS."""
    with torch.no_grad():
        trainer.roles.policy.model.embed_tokens.weight[trainer.roles.tokenizer.eos_token_id] *= 4.0


def test_tokens_and_logprobs_are_those_of_the_policy(policy, prompts):
    with serving(StandIn(policy)) as url:
        trainer = Trainer(settings(policy, prompts, url, temperature=0.7, max_new_tokens=24, batch_size=16))
        likelier_eos(trainer)
        trainer.engine.sync()
        encoded = trainer.inputs.encoded * 3
        drawn = trainer.engine.generate(encoded)
    rows, stops = drawn.tokens.rows(), trainer.inputs.stops
    assert [prompt for prompt, _ in rows] == encoded
    ended = [response[-1] in stops for _, response in rows]
    assert 0 < sum(ended) < len(rows)
    assert all(done or len(response) == 24 for (_, response), done in zip(rows, ended, strict=True))
    assert not any(token in stops for _, response in rows for token in response[:-1])
    assert drawn.tokens.response_mask.shape[1] == max(len(response) for _, response in rows)
    ours, _ = response_logprobs(trainer.roles.policy, drawn.tokens, 0.7)
    torch.testing.assert_close(drawn.logprobs, ours, rtol=0, atol=1e-4)


def test_the_server_is_asked_for_exactly_the_house_s_sampling(policy, prompts):
    server = StandIn(policy)
    with serving(server) as url:
        trainer = Trainer(settings(policy, prompts, url, temperature=0.7))
        trainer.engine.generate(trainer.inputs.encoded)
    asked = [body for path, body in server.asked if path == "/v1/completions"]
    assert sorted(body["prompt"][0] for body in asked) == sorted(trainer.inputs.encoded)
    assert len({body["seed"] for body in asked}) == len(asked)
    expected = {
        "temperature": 0.7, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0, "presence_penalty": 0.0,
        "frequency_penalty": 0.0, "max_tokens": 6, "n": 1, "logprobs": 0, "ignore_eos": True,
        "stop_token_ids": [*trainer.inputs.stops],
    }  # fmt: skip
    assert all(expected.items() <= body.items() for body in asked)


def test_draws_come_from_the_run_s_generator(policy, prompts):
    with serving(StandIn(policy)) as url:
        trainer = Trainer(settings(policy, prompts, url, max_new_tokens=12))
        same = [trainer.inputs.encoded[0]] * 8

        def draw(seed: int) -> list[list[int]]:
            torch.manual_seed(seed)
            return [response for _, response in trainer.engine.generate(same).tokens.rows()]

        first, again, other = draw(1), draw(1), draw(2)
    assert first == again != other
    assert len({tuple(response) for response in first}) == 8  # equal prompts, each with draws of its own


@pytest.mark.parametrize("lora_rank", [0, 4])
@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_every_rollout_is_drawn_with_the_newest_weights(prompts, tmp_path, kind, lora_rank):
    path = tiny_model(kind, tmp_path / kind)
    server = StandIn(path)
    with serving(server) as url:
        trainer = Trainer(settings(path, prompts, url, lora_rank=lora_rank))
        with torch.no_grad():
            for weight in server.model.parameters():  # left over from another run
                weight.zero_()
        for _ in range(2):
            before = [weight.clone() for weight in trainer.roles.policy.parameters()]
            rollout = trainer.rollout()
            assert all(map(torch.equal, before, trainer.roles.policy.parameters()))  # also the reference below adapters
            merged = trainer.roles.policy
            if lora_rank:
                merged = copy.deepcopy(merged).merge_and_unload()
            for name, weight in merged.named_parameters():
                torch.testing.assert_close(server.model.get_parameter(name), weight, rtol=0, atol=0)
            assert float((rollout.logprobs - rollout.sampler_logprobs).abs().max()) < 1e-4
            moved(trainer)
    assert server.count("/init_weight_transfer_engine") == 1
    assert server.count("/update_weights") == server.count("/reset_prefix_cache") == 2


def test_an_adapter_in_the_policy_is_merged_with_a_random_b(policy, prompts):
    """PEFT starts B at 0, where every way to merge is right."""
    with serving(StandIn(policy)) as url:
        trainer = Trainer(settings(policy, prompts, url, lora_rank=4))
        moved(trainer)
        sent = dict(merged_weights(trainer.roles.policy))
        expected = dict(copy.deepcopy(trainer.roles.policy).merge_and_unload().named_parameters())
        base = dict(trainer.inputs.policy.named_parameters())
    assert sent.keys() == expected.keys()
    changed = "model.layers.0.self_attn.q_proj.weight"
    assert all(torch.equal(sent[name], expected[name]) for name in sent)
    assert not torch.equal(sent[changed], base[changed.replace(".weight", ".base_layer.weight")])


@pytest.mark.parametrize("microbatch", [None, 1])
def test_the_policy_loss_is_weighted_and_nothing_else(policy, prompts, microbatch):
    """All ratios of the only minibatch are 1: the loss is −Σ w A ÷ N, whatever order its rows are computed in."""
    with serving(StandIn(policy)) as url:
        one = {"minibatch_size": 8, "microbatch_size": microbatch, "importance_cap": 1.5, "max_new_tokens": 12}
        trainer = Trainer(settings(policy, prompts, url, **one))
        likelier_eos(trainer)
        rollout = trainer.rollout()
    torch.manual_seed(3)
    mask = rollout.tokens.response_mask
    assert not bool(mask.all())
    sampler = (rollout.logprobs + torch.randn_like(rollout.logprobs)).masked_fill(~mask, 0.0)
    weights = importance_weights(rollout.logprobs, sampler, trainer.settings.importance_cap)
    assert 0 < int((weights == 1.5)[mask].sum()) < int(mask.sum())
    measured = measure(replace(rollout, sampler_logprobs=sampler, weights=weights), trainer.state, trainer.settings)
    plain, trainer.state.step = measure(rollout, trainer.state, trainer.settings), 1
    metrics = trainer.update(replace(rollout, weights=weights))
    expected = -float((weights * rollout.advantages)[mask].double().sum() / mask.sum())
    assert metrics["policy/loss"] == pytest.approx(expected, abs=1e-5)
    assert metrics["policy/first_ratio_error"] == 0.0
    differences = (rollout.logprobs - sampler)[mask].abs().tolist()
    assert measured["sampler/mismatch"] == pytest.approx(sum(differences) / len(differences), rel=1e-5)
    assert measured["sampler/mismatch_max"] == max(differences)
    ratios = [min(math.exp(value), 1.5) for value in (rollout.logprobs - sampler)[mask].tolist()]
    assert measured["sampler/importance_weight"] == pytest.approx(sum(ratios) / len(ratios), rel=1e-5)
    of_the_sampler = {"sampler/mismatch", "sampler/mismatch_max", "sampler/importance_weight"}
    assert {name for name in plain if plain[name] != measured[name]} == of_the_sampler


@pytest.mark.parametrize("more", [[], ["--lora-rank", "4"], ["--temperature", "0.7"]])
def test_a_run_measures_the_sampler_and_stays_on_policy(policy, prompts, tmp_path, capsys, more):
    with serving(StandIn(policy)) as url:
        assert main(COMMAND, line(policy, prompts, url, tmp_path / "out", *more)) == 0
    assert "warning" not in capsys.readouterr().err
    rows = history(tmp_path / "out")
    assert len(rows) == 3
    assert {name for name in rows[0] if name.startswith("sampler/")} == {
        name for name in METRICS if name.startswith("sampler/")
    }
    for row in rows:
        assert 0.0 <= row["sampler/mismatch"] <= row["sampler/mismatch_max"] < 1e-4
        assert abs(row["sampler/importance_weight"] - 1.0) < 1e-4
    assert [row["policy/first_ratio_error"] for row in rows[:-1]] == [0.0, 0.0]
    assert main(DOCTOR, [str(tmp_path / "out")]) == 0


def test_a_server_that_ignores_the_weights_is_named(policy, prompts, tmp_path, capsys):
    with serving(StandIn(policy, ignores_updates=True)) as url:
        arguments = line(policy, prompts, url, tmp_path / "out", "--lr", "1e-2", "--steps", "3")
        assert main(COMMAND, arguments) == 0
    warned = capsys.readouterr().err
    assert warned.count("warning: sampler is not the policy: the sampler's log-probs differ") == 1
    rows = history(tmp_path / "out")
    assert rows[0]["sampler/mismatch"] < 1e-4 < 0.05 < rows[1]["sampler/mismatch"]
    assert main(DOCTOR, [str(tmp_path / "out")]) == 1
    assert "sampler is not the policy\n  evidence  " in capsys.readouterr().out


@pytest.mark.parametrize(("temperature", "named"), [("1", False), ("0.7", True)])
def test_raw_logprobs_are_wrong_unless_the_temperature_is_1(policy, prompts, tmp_path, capsys, temperature, named):
    server = StandIn(policy, logprobs_mode="raw_logprobs")  # and says that they are processed
    with serving(server) as url:
        assert main(COMMAND, line(policy, prompts, url, tmp_path / "out", "--temperature", temperature)) == 0
    assert ("warning: sampler is not the policy" in capsys.readouterr().err) == named


def test_a_server_that_dies_ends_the_run_and_another_one_goes_on(policy, prompts, tmp_path, capsys):
    with serving(StandIn(policy)) as url:
        assert main(COMMAND, line(policy, prompts, url, tmp_path / "whole", "--steps", "3")) == 0
    capsys.readouterr()
    output = tmp_path / "killed"
    with serving(StandIn(policy, dies_after=8 * 2 + 3)) as url:
        assert main(COMMAND, line(policy, prompts, url, output, "--steps", "3", "--save-every", "1")) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    lost = f"align ppo: --vllm-url {url}: the server was lost when it was asked for responses"
    assert error.startswith(f"{lost} (")  # closed, or reset: as the request happened to stand
    assert "HTTPConnectionPool" not in error
    assert "repeat the command line" in error
    assert not output.exists()
    assert sorted(path.name for path in folder_of(output).iterdir()) == ["step-00000001", "step-00000002"]
    with serving(StandIn(policy)) as url:  # elsewhere, with the first weights
        assert main(COMMAND, line(policy, prompts, url, output, "--steps", "3", "--save-every", "1")) == 0
    assert "going on from" in capsys.readouterr().err
    assert (output / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
    untimed = [
        [{name: value for name, value in row.items() if not name.startswith("time/")} for row in history(folder)]
        for folder in (output, tmp_path / "whole")
    ]
    assert untimed[0] == untimed[1]


def test_two_runs_of_one_process_take_the_same_port_in_turn(policy, prompts, tmp_path):
    server = StandIn(policy)
    with serving(server) as url:
        assert main(COMMAND, line(policy, prompts, url, tmp_path / "out", "--steps", "1", "--seeds", "2")) == 0
    assert server.count("/init_weight_transfer_engine") == 2


def test_a_dry_run_draws_but_leaves_the_server_as_it_is(policy, prompts, tmp_path, capsys):
    server = StandIn(policy)
    with serving(server) as url:
        assert main(COMMAND, line(policy, prompts, url, tmp_path / "out", "--dry-run", "--json")) == 0
    printed = capsys.readouterr()
    plan = json.loads(printed.out.splitlines()[-1])
    assert any(
        f"rollouts were drawn by the server at {url} with the weights that it has" in note for note in plan["notes"]
    )
    assert server.count("/v1/completions") > 0
    assert {path for path, _ in server.asked} <= {"/health", "/v1/models", "/server_info", "/v1/completions"}


FAULTY = {
    "another vocabulary": ({"folder": "gpt2"}, "the server's model has model_type gpt2, --policy has llama"),
    "raw log-probs": ({"said": "raw_logprobs"}, "--logprobs-mode raw_logprobs; it must be processed_logprobs"),
    "no weight transfer": ({"weight_transfer": False}, "the server takes no weights"),
    "no development mode": ({"dev_mode": False}, "VLLM_SERVER_DEV_MODE=1"),
    "a short context": ({"max_model_len": 8}, "--max-model-len is 8; it must be at least"),
}


@pytest.mark.parametrize("name", FAULTY)
def test_a_server_that_cannot_serve_this_policy_is_refused(policy, prompts, tmp_path, capsys, name):
    changes, phrase = FAULTY[name]
    folder = tiny_model("gpt2", tmp_path / "gpt2") if "folder" in changes else policy
    with serving(StandIn(**{**changes, "folder": folder})) as url:
        for more in ([], ["--dry-run"]):
            assert main(COMMAND, line(policy, prompts, url, tmp_path / "out", *more)) == 2
            error = capsys.readouterr().err
            assert error.startswith(f"align ppo: --vllm-url {url}: ")
            assert phrase in error
            assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def cut(choice: dict) -> dict:
    return {**choice, "token_ids": choice["token_ids"][:2], "logprobs": parts(choice, slice(2))}


def empty(choice: dict) -> dict:
    return {**choice, "token_ids": [], "logprobs": parts(choice, slice(0))}


def parts(choice: dict, some: slice) -> dict:
    return {name: values[some] for name, values in choice["logprobs"].items()}


def unsure(choice: dict) -> dict:
    top = [{name: float("nan")} for name in choice["logprobs"]["tokens"]]
    return {**choice, "logprobs": {**choice["logprobs"], "top_logprobs": top}}


SPOILT = {
    "other prompt": (lambda choice: {**choice, "prompt_token_ids": [3]}, "read other tokens than the prompt's"),
    "cut": (cut, "ends after 2 tokens without a stop token"),
    "empty": (empty, "has 0 tokens, not 1 to 6"),
    "too long": (lambda choice: {**choice, "token_ids": choice["token_ids"] * 9}, "tokens, not 1 to 6"),
    "stop inside": (
        lambda choice: {**choice, "token_ids": [2, *choice["token_ids"][1:]]},
        "goes on after its stop token",
    ),
    "unknown token": (lambda choice: {**choice, "token_ids": [*choice["token_ids"][:-1], 9999]}, "has token 9999"),
    "no log-probs": (unsure, "lacks log-probs of its tokens"),
    "logprobs of fewer": (
        lambda choice: {**choice, "logprobs": parts(choice, slice(1))},
        "lacks log-probs of its tokens",
    ),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_response_that_is_not_what_was_asked_for_is_refused(policy, prompts, name):
    spoil, phrase = SPOILT[name]
    with serving(StandIn(policy, spoil=spoil)) as url:
        trainer = Trainer(settings(policy, prompts, url))
        assert trainer.inputs.stops == (2,)
        with pytest.raises(UserError, match=phrase):
            trainer.engine.generate(trainer.inputs.encoded)


def test_nobody_at_the_address_is_one_sentence(policy, prompts, tmp_path, capsys):
    url = f"http://127.0.0.1:{free_port()}"
    assert main(COMMAND, line(policy, prompts, url, tmp_path / "out")) == 2
    assert f"--vllm-url {url}: no server answers there (Connection refused); start it" in capsys.readouterr().err


def test_another_web_server_is_one_sentence(policy, prompts, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(StandIn, "answer", lambda self, path, body: None)
    with serving(StandIn(policy)) as url:
        assert main(COMMAND, line(policy, prompts, url, tmp_path / "out")) == 2
    assert f"--vllm-url {url}: answers /health with 404, so it is no vLLM server" in capsys.readouterr().err


def test_several_processes_are_refused(policy, prompts, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="--rollout-engine is vllm; in 2 processes it must be transformers"):
        check_shares(settings(policy, prompts, "http://127.0.0.1:1"))


def test_prompts_are_padded_on_the_left_and_responses_on_the_right(policy, prompts):
    with serving(StandIn(policy)) as url:
        trainer = Trainer(settings(policy, prompts, url))
        tokens = trainer.engine.generate(trainer.inputs.encoded).tokens
    assert tokens.prompt_length == max(map(len, trainer.inputs.encoded))
    lengths = tokens.response_mask.sum(1, keepdim=True)
    assert torch.equal(tokens.response_mask, torch.arange(tokens.response_mask.shape[1]) < lengths)
