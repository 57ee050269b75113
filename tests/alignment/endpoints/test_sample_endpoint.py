"""`align sample --endpoint` against a server that behaves as `transformers serve`, vLLM and hosted services do, or does not.
Each test was seen to fail under the mutation named beside it:

- responses dealt to other prompts; a request's seed without its row: test_every_prompt_gets_its_own_responses
- a request's seed without --seed: test_the_seed_fixes_what_is_asked_for
- that `n` is not honoured forgotten at once: test_a_server_without_n_is_asked_k_times
- the limit's newer name not tried: test_text_as_a_message_and_the_newer_name_of_the_limit
- 429 not repeated; that the server has answered before not remembered: test_trouble_that_passes_is_waited_out
- no bound on the time of a whole answer: test_an_answer_that_takes_too_long_is_asked_for_again
- Retry-After not read: test_retry_after_is_kept_to
- a thread for each prompt: test_no_more_requests_at_once_than_asked_for
- a withheld response taken for a finished one; `ended` not written: test_empty_refused_withheld_and_cut_responses_are_marked
- half characters kept: test_half_of_a_surrogate_pair_does_not_end_in_the_file
- kept answers not used: test_a_stopped_run_goes_on_where_it_was
- a torn line that the next one is written on to: test_an_answer_after_a_torn_one_is_found_again
- answers found without temperature and seed: test_answers_to_something_else_are_not_taken
- a key that the server repeats shown: test_the_key_comes_from_the_environment_and_is_written_nowhere
- OPENAI_API_KEY sent unasked: test_without_a_variable_no_key_is_sent
- threads that Ctrl-C waits for: test_ctrl_c_does_not_wait_for_the_server_and_keeps_the_answers
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from openai_stand_in import MODEL, serving, text_of
from refusals import listing, refused

from alignment.command import main
from alignment.endpoints import server as server_module
from alignment.endpoints.answers import Given, Reply
from alignment.endpoints.drawing import seed_of
from alignment.endpoints.journal import Journal
from alignment.records import read_responses
from alignment.sample import COMMAND

ROOT = Path(__file__).resolve().parents[3]
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why is\n\nثمانية 8? `x<y`"}]
PROMPTS = ["The cat", "Tom", CHAT, "The boat is at", "The cat"]
KEY = "sk-very-secret-key"


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(server_module, "FIRST_WAIT", 0.001)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    lines = [{"prompt": prompt, "id": f"id{number}", "group": "g"} for number, prompt in enumerate(PROMPTS)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def words(url: str, *more: str) -> list[str]:
    given = ["--endpoint", url, "--policy", MODEL, "--prompts", "prompts.jsonl", "--output", "out.jsonl"]
    return [*given, "--responses-per-prompt", "3", "--endpoint-concurrency", "2", *more]


def sample(capsys, url: str, *more: str) -> dict:
    code = main(COMMAND, [*words(url, *more), "--json"])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out.splitlines()[-1])


def texts() -> list[list[str]]:
    return [[response.text for response in one.responses] for one in read_responses("out.jsonl")]


def test_every_prompt_gets_its_own_responses(folder, capsys):
    """Text goes to /completions, messages to /chat/completions, both to the letter; equal prompts get other responses."""
    with serving() as server:
        metrics = sample(capsys, server.url, "--temperature", "0.7", "--top-p", "0.9", "--max-new-tokens", "11")
    sets = read_responses("out.jsonl")
    assert [(one.id, one.prompt, one.group) for one in sets] == [(f"id{n}", p, "g") for n, p in enumerate(PROMPTS)]
    for row, one in enumerate(sets):
        asked = {"prompt": one.prompt} if isinstance(one.prompt, str) else {"messages": one.prompt}
        asked["seed"] = seed_of(0, row, 0)
        assert [response.text for response in one.responses] == [text_of(asked, number) for number in range(3)]
        assert {response.model for response in one.responses} == {MODEL}
    assert texts()[0] != texts()[4]
    assert sorted("messages" in body for body in server.asked) == [False] * 4 + [True]
    assert [body["messages"] for body in server.asked if "messages" in body] == [CHAT]
    rest = {(body["temperature"], body["top_p"], body["max_tokens"], body["n"]) for body in server.asked}
    assert rest == {(0.7, 0.9, 11, 3)}
    assert (metrics["calls"], metrics["response_tokens"], metrics["mean_tokens"]) == (5, 60, 4.0)
    assert (metrics["served_model"], metrics["repeated_calls"], metrics["note"]) == ([f"{MODEL}-2026"], 0, [])
    assert listing(folder) == {
        "prompts.jsonl",
        *(f"out.{end}" for end in ("jsonl", "config.yaml", "metrics.json", "run.json")),
    }


def test_the_seed_fixes_what_is_asked_for(folder, capsys):
    made = []
    with serving() as server:
        for name, seed in (("a", 1), ("b", 1), ("c", 2)):
            sample(capsys, server.url, "--seed", str(seed), "--output", f"{name}.jsonl")
            made.append(Path(f"{name}.jsonl").read_text())
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize("how", [{"honours_n": False}, {"refuses_n": True}])
def test_a_server_without_n_is_asked_k_times(folder, capsys, how):
    with serving(**how) as server:
        sample(capsys, server.url, "--endpoint-concurrency", "1")
    assert all(len(set(several)) == 3 for several in texts())
    for row in range(5):
        mine = [body["seed"] for body in server.asked if body["seed"] in {seed_of(0, row, j) for j in range(3)}]
        assert list(dict.fromkeys(mine)) == [seed_of(0, row, j) for j in range(3)]
    assert sum("n" in body for body in server.asked) == 1  # it is believed the first time
    assert len(server.asked) == 15 + ("refuses_n" in how)


def test_text_as_a_message_and_the_newer_name_of_the_limit(folder, capsys):
    with serving(limit_name="max_completion_tokens") as server:
        sample(capsys, server.url, "--endpoint-api", "chat", "--endpoint-concurrency", "1")
    assert server.asked[-1]["messages"] == [{"role": "user", "content": "The cat"}]
    assert [("max_tokens" in body, "max_completion_tokens" in body) for body in server.asked] == [(True, False)] + [
        (False, True)
    ] * 5


@pytest.mark.parametrize("trouble", [429, 500, 503, 408, "cut", "html", "list"])
def test_trouble_that_passes_is_waited_out(folder, capsys, trouble):
    """Also what is no answer at all, once the server has shown that it can."""
    with serving(trouble=["-", trouble, "-", trouble, trouble]) as server:
        metrics = sample(capsys, server.url, "--endpoint-concurrency", "1")
    assert (metrics["calls"], metrics["repeated_calls"]) == (8, 3)
    assert [len(set(several)) for several in texts()] == [3] * 5
    assert len(server.asked) == 8


@pytest.mark.parametrize("trouble", ["slow", "trickle"])
def test_an_answer_that_takes_too_long_is_asked_for_again(folder, capsys, trouble):
    with serving(trouble=[trouble]) as server:
        metrics = sample(capsys, server.url, "--endpoint-timeout", "0.5")
    assert metrics["repeated_calls"] == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_kept_to(folder, capsys, form):
    value = "1" if form == "seconds" else format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)
    with serving(trouble=[(429, {"Retry-After": value})]) as server:
        began = time.monotonic()
        sample(capsys, server.url, "--max-prompts", "1")
    assert time.monotonic() - began > 0.9
    assert len(server.asked) == 2


def test_no_more_requests_at_once_than_asked_for(folder, capsys):
    with serving(honours_n=False, seconds=0.05) as server:
        sample(capsys, server.url, "--endpoint-concurrency", "3")
    assert server.most_at_once == 3


def test_empty_refused_withheld_and_cut_responses_are_marked(folder, capsys):
    def spoil(choice, body):
        if choice["index"] == 0:
            choice["message"] = {"content": None, "refusal": "I will not."}
        elif choice["index"] == 1:
            choice |= {"finish_reason": "length"}
        else:
            choice |= {"finish_reason": "content_filter", "message": {"content": None}}

    with serving(spoil=spoil) as server:
        metrics = sample(capsys, server.url, "--endpoint-api", "chat", "--max-prompts", "2")
    first = json.loads(Path("out.jsonl").read_text().splitlines()[0])["responses"]
    assert [(one["text"], one["finished"], one.get("ended")) for one in first] == [
        ("I will not.", True, "refusal"), (first[1]["text"], False, None), ("", False, "content_filter"),
    ]  # fmt: skip
    assert [metrics[name] for name in ("refused", "cut", "withheld", "empty")] == [2, 2, 2, 2]
    assert metrics["eos_fraction"] == 1 / 3


def test_a_server_that_does_not_sample_is_told_of(folder, capsys):
    with serving(spoil=lambda choice, body: choice.update(text="same"), usage=False) as server:
        (folder / "prompts.jsonl").write_text('{"prompt": "p"}\n{"prompt": "q"}\n')
        metrics = sample(capsys, server.url)
    assert "does not sample" in metrics["note"][0]
    assert (metrics["mean_tokens"], metrics["response_tokens"]) == (None, None)


def test_half_of_a_surrogate_pair_does_not_end_in_the_file(folder, capsys):
    with serving(spoil=lambda choice, body: choice.update(text=f"\ud83d {choice['index']} \U0001f600")) as server:
        (folder / "prompts.jsonl").write_text('{"prompt": "p"}\n')
        sample(capsys, server.url)
    assert texts() == [["� 0 😀", "� 1 😀", "� 2 😀"]]


def test_a_stopped_run_goes_on_where_it_was(folder, capsys):
    """What was answered is not asked for again; the result is that of a run that was never stopped."""
    with serving() as server:
        sample(capsys, server.url, "--output", "whole.jsonl")
        server.trouble, server.asked = ["-", "-", "-", 400, 400, 400], []
        code = main(COMMAND, words(server.url, "--endpoint-concurrency", "1"))
        said = capsys.readouterr().err.splitlines()[-1]
        assert code == 2
        assert "its answers stay in" in said
        assert "out.jsonl.answers: the same command line goes on from them" in said
        assert not Path("out.jsonl").exists()
        kept = Path("out.jsonl.answers")
        kept.write_bytes(kept.read_bytes() + b'{"asked": "torn')
        server.trouble, server.asked = [], []
        metrics = sample(capsys, server.url)
        assert (len(server.asked), metrics["calls"], metrics["kept"]) == (2, 2, 9)
        assert Path("out.jsonl").read_text() == Path("whole.jsonl").read_text()
        assert metrics["response_tokens"] == 60
        assert not kept.exists()


def test_an_answer_after_a_torn_one_is_found_again(folder):
    first, second = Reply((Given("a\u2028b", "stop"),)), Reply((Given("c", "length"),), "m", 1, 2)
    Journal("out.jsonl", resume=True).add("x", first)
    with Path("out.jsonl.answers").open("a") as file:
        file.write('{"asked": "x", "giv')
    Journal("out.jsonl", resume=True).add("y", second)
    assert dict(Journal("out.jsonl", resume=True).kept) == {"x": [first], "y": [second]}


@pytest.mark.parametrize(
    "more", [("--temperature", "0.5"), ("--seed", "9"), ("--no-endpoint-resume",), ("--endpoint-api", "chat")]
)
def test_answers_to_something_else_are_not_taken(folder, capsys, more):
    (folder / "prompts.jsonl").write_text('{"prompt": "p"}\n{"prompt": "q"}\n')
    with serving(trouble=["-", 400, 400]) as server:
        assert main(COMMAND, words(server.url, "--endpoint-concurrency", "1")) == 2
        server.asked = []
        assert sample(capsys, server.url, *more)["kept"] == 0
        assert len(server.asked) == 2


def test_more_responses_a_prompt_ask_for_the_others_alone(folder, capsys):
    (folder / "prompts.jsonl").write_text('{"prompt": "p"}\n{"prompt": "q"}\n')
    with serving(trouble=["-", 400, 400]) as server:
        assert main(COMMAND, words(server.url, "--endpoint-concurrency", "1")) == 2
        server.asked = []
        sample(capsys, server.url, "--responses-per-prompt", "5")
        assert sorted(body["n"] for body in server.asked) == [2, 5]
    assert [len(set(several)) for several in texts()] == [5, 5]


def test_the_key_comes_from_the_environment_and_is_written_nowhere(folder, capsys, monkeypatch):
    monkeypatch.setenv("TEST_KEY", KEY)
    with serving(key=KEY) as server:
        sample(capsys, server.url, "--endpoint-key-variable", "TEST_KEY")
        assert {headers["Authorization"] for headers in server.headers} == {f"Bearer {KEY}"}
        sample(capsys, server.url.replace("/v1", "/v1/"), "--endpoint-key-variable", "TEST_KEY", "--output", "b.jsonl")
        monkeypatch.setenv("TEST_KEY", KEY + "-old")
        Path("out.jsonl").rename("a.jsonl")
        for path in folder.glob("out.*"):
            path.unlink()
        said = refused(capsys, COMMAND, words(server.url, "--endpoint-key-variable", "TEST_KEY"), folder,
                       "wants another API key (answer 401", "check the key in TEST_KEY")  # fmt: skip
        assert "provided: ***" in said
        refused(capsys, COMMAND, words(server.url), folder, "wants an API key", "--endpoint-key-variable")
    assert KEY not in "".join(path.read_text() for path in folder.iterdir())


def test_without_a_variable_no_key_is_sent(folder, capsys, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving() as server:
        sample(capsys, server.url, "--max-prompts", "1")
    assert "Authorization" not in server.headers[0]


@pytest.mark.parametrize(
    ("how", "more", "phrases"),
    [
        ({}, ["--policy", "other"], ("has no model 'other'", "The model `other` does not exist", "check --policy")),
        ({"trouble": [500] * 9}, ["--endpoint-tries", "3"], ("answers 500: not now, 3 times in a row",)),
        ({"trouble": [(429, {"Retry-After": "3600"})]}, [], ("answers 429", "come back in 3600 s")),
        ({"trouble": ["html"] * 2}, [], ("is not JSON ('<html>Welcome</html>')", "often ends with /v1")),
        ({"trouble": ["list"] * 2}, [], ("has no list `choices`", "OpenAI-compatible")),
        ({"trouble": [302]}, [], ("points elsewhere (answer 302)",)),
        ({"trouble": [422] * 4}, [], ("does not take the request (answer 422: not now)",)),
        ({"trouble": ["slow"] * 2}, ["--endpoint-timeout", "0.3", "--endpoint-tries", "1"], ("no whole answer within 0.3 s", "raise --endpoint-timeout")),
        ({"trouble": ["cut"]}, ["--endpoint-tries", "1"], ("breaks off its answer",)),
    ],
)  # fmt: skip
def test_what_does_not_pass_is_one_sentence(folder, capsys, how, more, phrases):
    with serving(**how) as server:
        given = words(server.url, "--max-prompts", "1", "--endpoint-concurrency", "1", *more)
        refused(capsys, COMMAND, given, folder, f"--endpoint {server.url}: ", *phrases)


def test_a_dry_run_asks_for_nothing_that_costs(folder, capsys):
    with serving() as server:
        code = main(COMMAND, [*words(server.url, "--max-new-tokens", "7"), "--dry-run", "--json"])
        printed = capsys.readouterr()
        assert code == 0, printed.err
        assert server.asked == []
    plan = json.loads(printed.out.splitlines()[-1])
    assert plan["tokens"]["of responses, at most"] == 5 * 3 * 7
    assert "5 requests where the server gives K responses a request, 15 where it gives one" in plan["notes"]
    assert "time    not known" in printed.err
    bound = plan["tokens"]["of prompts, at most, where it gives one"]
    assert bound > 3 * sum(len(str(prompt).encode()) for prompt in PROMPTS if isinstance(prompt, str))


def test_ctrl_c_does_not_wait_for_the_server_and_keeps_the_answers(folder):
    with serving(trouble=["-", "slow", "slow", "slow"]) as server:
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'kernels'}"}
        command = [sys.executable, "-m", "alignment", "sample", *words(server.url, "--endpoint-concurrency", "1")]
        child = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        while len(server.asked) < 2:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, error = child.communicate(timeout=20)
        assert time.monotonic() - began < 5
    assert child.returncode == 130
    assert "no output was written; its answers stay in" in error.splitlines()[-1]
    assert listing(folder) == {"prompts.jsonl", "out.jsonl.answers"}
