"""`align sample`. Each test was seen to fail under the mutation named beside it:

- responses dealt to prompts in turn (`responses[i::n]`): test_every_response_continues_its_own_prompt
- duplicates counted over the whole file: test_duplicates_are_counted_within_a_prompt
- seed not used: test_the_seed_fixes_the_responses
- lengths not checked: test_mistakes_are_one_sentence
- the stop text kept in the text, or all tokens kept: test_a_stop_text_ends_the_response
- files beside the output not looked for (`alignment/run.py`): test_files_beside_the_output_are_not_replaced
- the prefix not put before the prompt: test_a_prefix_goes_before_the_prompt
"""

from __future__ import annotations

import json

import pytest
import torch
from models import tiny_model
from refusals import listing, refused

from alignment.chat import decode_response, encode_prompt
from alignment.command import main
from alignment.config import GenerationSettings
from alignment.errors import UserError
from alignment.records import PromptRecord, Response, read_responses
from alignment.sample import COMMAND, _metrics, _sets

PROMPTS = ["The cat", "Anna has a red kite. Where is it?", "Tom", "The boat is at", "A"]


@pytest.fixture(scope="module")
def policy(tmp_path_factory) -> str:
    return tiny_model("llama", tmp_path_factory.mktemp("policy"), bos_is_eos=True)


@pytest.fixture
def folder(tmp_path):
    lines = [{"prompt": prompt, "id": f"id{i}", "group": f"g{i % 2}"} for i, prompt in enumerate(PROMPTS)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def sample(policy: str, folder, capsys, output="responses.jsonl", **settings) -> dict:
    arguments = ["--policy", policy, "--prompts", str(folder / "prompts.jsonl"), "--output", str(folder / output)]
    for name, value in {"max_new_tokens": 8, "threads": 1, **settings}.items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    code = main(COMMAND, [*arguments, "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out.splitlines()[-1])


def test_the_command_writes_response_sets_that_can_be_read(policy, folder, capsys):
    metrics = sample(policy, folder, capsys)
    sets = read_responses(folder / "responses.jsonl")
    assert [(s.id, s.prompt, s.group) for s in sets] == [(f"id{i}", p, f"g{i % 2}") for i, p in enumerate(PROMPTS)]
    assert {len(several.responses) for several in sets} == {4}
    flat = [response for several in sets for response in several.responses]
    assert {response.model for response in flat} == {policy}
    assert metrics["eos_fraction"] == sum(response.finished for response in flat) / 20
    assert 0 < metrics["mean_tokens"] <= 8
    assert json.loads((folder / "responses.metrics.json").read_text()) == metrics
    assert listing(folder) == {f"responses.{end}" for end in ("jsonl", "config.yaml", "metrics.json", "run.json")} | {
        "prompts.jsonl"
    }


def test_every_response_continues_its_own_prompt():
    """Prompts are sampled in batches of like length; afterwards each must have its own K responses again."""
    records = [PromptRecord("a", "A"), PromptRecord("b", "B", "g")]
    sets = _sets(records, [Response(text) for text in ("A0", "A1", "A2", "B0", "B1", "B2")], 3)
    assert [[response.text for response in several.responses] for several in sets] == [
        ["A0", "A1", "A2"],
        ["B0", "B1", "B2"],
    ]


def test_duplicates_are_counted_within_a_prompt():
    texts = [["x", "x", "x", "y"], ["x", " ", "z", "z"]]
    records = [PromptRecord("a", "A"), PromptRecord("b", "B")]
    metrics = _metrics(_sets(records, [Response(text) for several in texts for text in several], 4), 16)
    assert (metrics["responses"], metrics["duplicates"], metrics["duplicate_share"]) == (8, 3, 3 / 8)
    assert (metrics["empty"], metrics["mean_tokens"]) == (1, 2.0)


def test_the_seed_fixes_the_responses(policy, folder, capsys):
    for output, seed in (("a.jsonl", 1), ("b.jsonl", 1), ("c.jsonl", 2)):
        sample(policy, folder, capsys, output, seed=seed)
    a, b, c = ((folder / f"{name}.jsonl").read_text() for name in "abc")
    assert a == b != c


def test_max_prompts_and_k(policy, folder, capsys):
    metrics = sample(policy, folder, capsys, max_prompts=2, responses_per_prompt=3)
    assert (metrics["prompts"], metrics["responses"]) == (2, 6)


def test_a_prompt_of_messages_without_chat_template_is_refused(policy, folder, capsys):
    (folder / "prompts.jsonl").write_text('{"prompt": [{"role": "user", "content": "Hello"}]}\n')
    refused(capsys, COMMAND, arguments(policy), folder, "no chat template", "give prompts as text")


def test_a_stop_text_ends_the_response(policy):
    """The text ends before the stop; the tokens end with the one that completes it; it counts as finished."""
    from alignment.responder import load_responder

    responder = load_responder(policy, "--policy", stop="at th")
    tokenizer = responder.tokenizer
    prompt = encode_prompt(tokenizer, "Tom keeps")
    ids = list(tokenizer(" a boat at the river", add_special_tokens=False).input_ids)
    answer = responder._answer(prompt, ids, finished=False)
    assert answer.text == " a boat "
    assert answer.finished
    assert "at th" in decode_response(tokenizer, prompt, answer.ids)
    assert "at th" not in decode_response(tokenizer, prompt, answer.ids[:-1])
    assert answer.ids == ids[: len(answer.ids)] != ids
    untouched = responder._answer(prompt, ids[:2], finished=False)
    assert (untouched.ids, untouched.finished) == (ids[:2], False)


def test_a_prefix_goes_before_the_prompt(policy):
    from alignment.responder import load_responder

    responder = load_responder(policy, "--policy", prefix="Anna sat. ")
    settings = GenerationSettings(max_new_tokens=4)
    assert responder.encode_all(["Tom"], settings, "x") == [encode_prompt(responder.tokenizer, "Anna sat. Tom")]
    with pytest.raises(UserError, match="prefix goes before text"):
        responder.encode_all([[{"role": "user", "content": "Hello"}]], settings, "x")


def test_token_statistics_do_not_depend_on_the_batch(policy):
    from alignment.responder import load_responder

    responder = load_responder(policy, "--policy")
    prompts = [encode_prompt(responder.tokenizer, prompt) for prompt in PROMPTS]
    ids = [[5 + i for i in range(length)] for length in (3, 0, 7, 1, 4)]
    together, alone = (responder.token_statistics(prompts, ids, size) for size in (8, 1))
    assert [len(statistics.logprobs) for statistics in together] == [3, 0, 7, 1, 4]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(torch.tensor(one.logprobs), torch.tensor(other.logprobs), rtol=0, atol=1e-5)
        torch.testing.assert_close(torch.tensor(one.entropy), torch.tensor(other.entropy), rtol=0, atol=1e-5)


def arguments(policy: str, prompts="prompts.jsonl", *more: str) -> list[str]:
    return ["--policy", policy, "--prompts", prompts, "--output", "out.jsonl", *more]


@pytest.mark.parametrize(
    ("more", "phrases"),
    [
        (["--responses-per-prompt", "1"], ("--responses-per-prompt is 1", "at least 2")),
        (
            ["--max-new-tokens", "120"],
            ("--prompts prompts.jsonl, prompt 2", "context of 128", "lower --max-new-tokens"),
        ),
        (["--max-new-tokens", "0"], ("--max-new-tokens is 0", "at least 1")),
        (["--temperature", "0"], ("--temperature is 0", "above 0")),
        (["--temperatur", "1"], ("--temperatur", "'--temperature'")),
        (["--policy", "/no/such/model"], ("--policy /no/such/model", "no such directory")),
        (["--prompts", "none.jsonl"], ("--prompts none.jsonl", "no such file")),
        (["--prompts", "empty.jsonl"], ("--prompts empty.jsonl", "holds no record")),
        (["--prompts", "bad.jsonl"], ("--prompts bad.jsonl, line 2", "prompt is 7", "must be text or a list")),
        (["--output", "prompts.jsonl"], ("--output prompts.jsonl", "exists already")),
    ],
)
def test_mistakes_are_one_sentence(policy, folder, capsys, more, phrases):
    (folder / "empty.jsonl").write_text("\n")
    (folder / "bad.jsonl").write_text('{"prompt": "fine"}\n{"prompt": 7}\n')
    refused(capsys, COMMAND, arguments(policy, "prompts.jsonl", *more), folder, *phrases)


@pytest.mark.parametrize("name", ["out.config.yaml", "out.metrics.json", "out.run.json"])
def test_files_beside_the_output_are_not_replaced(policy, folder, capsys, name):
    (folder / name).write_text("mine")
    refused(capsys, COMMAND, arguments(policy), folder, name, "exists already")
    assert (folder / name).read_text() == "mine"


def test_an_empty_directory_is_no_policy(folder, capsys):
    (folder / "empty").mkdir()
    refused(capsys, COMMAND, arguments("empty"), folder, "--policy empty", "holds no config.json")


def test_ctrl_c_leaves_nothing(policy, folder, capsys, monkeypatch):

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("alignment.responder.generate_many", interrupted)
    refused(capsys, COMMAND, arguments(policy), folder, "interrupted", code=130)
