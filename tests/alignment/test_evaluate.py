"""`align eval`. Each test was seen to fail under the mutation named beside it:

- KL per token, or with the sign turned: test_kl_and_entropy_are_what_plain_transformers_say
- log-probs at the sampling temperature: test_kl_and_entropy_are_what_plain_transformers_say
- entropy as a mean over responses of means: test_kl_and_entropy_are_what_plain_transformers_say
- one random stream for both sides: test_the_opponent_answers_the_same_whoever_it_meets
- best-of-n draws not nested (the last n of them): test_the_choice_is_nested, test_best_of_n_is_chosen_by_the_reward_model
- best-of-n takes the lowest reward: test_the_choice_is_nested, test_best_of_n_is_chosen_by_the_reward_model
- best-of-n scores given to the wrong prompt (`row % most`): test_best_of_n_gives_every_prompt_its_own_draws
- the judge sees the prefix: test_the_judge_sees_the_plain_prompt
- lengths measured in tokens: test_metrics_follow_from_the_written_responses
- distinct_2 over characters; repeats counted as n − 1: test_text_statistics_by_hand
- vocabularies not compared: test_policies_with_other_tokens_have_no_kl
"""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy
import pytest
import torch
from models import tiny_model
from refusals import refused
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from alignment.best_of_n import best_of_n, kl_bound, nested_choice, parse_sizes
from alignment.chat import encode_prompt, encode_response
from alignment.command import main
from alignment.config import GenerationSettings
from alignment.errors import UserError
from alignment.evaluate import COMMAND
from alignment.responder import Answer
from alignment.text_statistics import distinct_2, exact_repeats
from alignment.winrates import length_controlled

PROMPTS = ["The cat", "Anna has a red kite. Where is it?", "Tom", "The boat is at", "A", "Where is the boat?"]

JUDGES = """
SEEN = []

def letters(prompt, responses):
    SEEN.append(prompt)
    return [sum(map(str.isalpha, response)) for response in responses]

def negated(prompt, responses):
    return [-sum(map(str.isalpha, response)) for response in responses]

def plain_prompts_only(prompt, responses):
    if prompt.startswith("Example"):
        raise ValueError("sees the prefix")
    return [1.0] * len(responses)

def raises(prompt, responses):
    raise RuntimeError("no opinion")

def nan(prompt, responses):
    return [float("nan")] * len(responses)

def short(prompt, responses):
    return [1.0]

def interrupted(prompt, responses):
    raise KeyboardInterrupt
"""


@pytest.fixture(scope="module")
def policies(tmp_path_factory) -> tuple[str, str]:
    """Two policies with one tokenizer and different weights."""
    root = tmp_path_factory.mktemp("policies")
    return tuple(tiny_model("llama", root / name, seed=seed) for name, seed in (("policy", 0), ("against", 1)))


@pytest.fixture(scope="module")
def reward_model(policies, tmp_path_factory) -> str:
    folder = tmp_path_factory.mktemp("reward")
    torch.manual_seed(5)
    model = AutoModelForSequenceClassification.from_pretrained(policies[0], num_labels=1)
    model.config.score_offset = 0.25
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(policies[0]).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "judges.py").write_text(JUDGES)
    write_prompts(tmp_path, PROMPTS)
    return tmp_path


def write_prompts(folder, prompts: list[str]) -> None:
    (folder / "prompts.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))


def evaluate(folder, capsys, policy: str, against: str, output="out", judge="letters", **settings) -> tuple[dict, list]:
    """(metrics, responses.jsonl) of a run."""
    if ":" not in judge:
        judge = f"{folder}/judges.py:{judge}"
    arguments = ["--policy", policy, "--against", against, "--prompts", str(folder / "prompts.jsonl")]
    arguments += ["--judge", judge, "--output", str(folder / output), "--json"]
    for name, value in {"max_new_tokens": 8, "threads": 1, **settings}.items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    code = main(COMMAND, arguments)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    rows = [json.loads(line) for line in (folder / output / "responses.jsonl").read_text().splitlines()]
    return json.loads(printed.out.splitlines()[-1]), rows


def plain_statistics(model: str, prompt: list[int], response: list[int]) -> tuple[list[float], list[float]]:
    """(log-probs, entropies) of the response's tokens, from the logits of plain transformers in float64, unbatched."""
    logits = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float64)(torch.tensor([prompt + response])).logits
    every = torch.log_softmax(logits[0, len(prompt) - 1 : -1], -1)
    chosen = every[torch.arange(len(response)), torch.tensor(response)]
    return chosen.tolist(), (-(every.exp() * every).sum(-1)).tolist()


@torch.no_grad()
def test_kl_and_entropy_are_what_plain_transformers_say(policies, folder, capsys):
    """Sampled at temperature .7, measured at temperature 1; the stop text makes lengths differ."""
    settings = {"temperature": 0.7, "max_new_tokens": 24, "policy_stop": "e", "against_stop": "t"}
    metrics, rows = evaluate(folder, capsys, *policies, **settings)
    gaps, entropies = [], []
    for row in rows:
        prompt, tokens = row["policy"]["prompt_token_ids"], row["policy"]["token_ids"]
        (own, spread), (other, _) = (plain_statistics(model, prompt, tokens) for model in policies)
        assert row["policy"]["logprobs"]["policy"] == pytest.approx(own, abs=1e-5)
        assert row["policy"]["logprobs"]["against"] == pytest.approx(other, abs=1e-5)
        gaps.append(sum(own) - sum(other))
        entropies += spread
        answer = row["against"]
        under = [plain_statistics(model, answer["prompt_token_ids"], answer["token_ids"])[0] for model in policies]
        assert answer["logprobs"]["policy"] == pytest.approx(under[0], abs=1e-5)
        assert answer["logprobs"]["against"] == pytest.approx(under[1], abs=1e-5)
    assert len({len(row["policy"]["token_ids"]) for row in rows}) > 1  # else two ways to average would agree
    assert metrics["kl"] == pytest.approx(numpy.mean(gaps), abs=1e-4)
    assert metrics["entropy"] == pytest.approx(numpy.mean(entropies), abs=1e-5)
    assert metrics["kl"] > 1


def test_a_policy_against_itself_has_no_kl(policies, folder, capsys):
    metrics, rows = evaluate(folder, capsys, policies[0], policies[0])
    assert metrics["kl"] == 0.0
    assert [row["policy"]["text"] for row in rows] != [row["against"]["text"] for row in rows]


def test_metrics_follow_from_the_written_responses(policies, folder, capsys):
    write_prompts(folder, [f"{prompt} {i}" for i in range(5) for prompt in PROMPTS])
    metrics, rows = evaluate(folder, capsys, *policies, max_new_tokens=16)
    scores = [[row[side]["score"] for row in rows] for side in ("policy", "against")]
    wins = numpy.array([(1.0, 0.5, 0.0)[(a <= b) + (a < b)] for a, b in zip(*scores, strict=True)])
    texts = [[row[side]["text"] for row in rows] for side in ("policy", "against")]
    assert scores == [[sum(map(str.isalpha, text)) for text in several] for several in texts]
    assert (metrics["win_rate"], metrics["n"], metrics["ties"]) == (wins.mean(), 30, (wins == 0.5).sum())
    assert metrics["win_rate_low"] < metrics["win_rate"] < metrics["win_rate_high"]
    characters = [[len(text) for text in several] for several in texts]
    assert metrics["length_controlled_win_rate"] == length_controlled(wins, *characters).rate
    for suffix, side, several in (("", "policy", texts[0]), ("_against", "against", texts[1])):
        assert metrics[f"mean_tokens{suffix}"] == numpy.mean([len(row[side]["token_ids"]) for row in rows])
        assert metrics[f"eos_fraction{suffix}"] == numpy.mean([row[side]["finished"] for row in rows])
        assert metrics[f"distinct_2{suffix}"] == distinct_2(several)
        assert metrics[f"judge_score{suffix}"] == numpy.mean([row[side]["score"] for row in rows])
    assert metrics["best_of_n"] is None
    assert json.loads((folder / "out" / "metrics.json").read_text()) == metrics
    assert f"policy: {policies[0]}" in (folder / "out" / "config.yaml").read_text()


def test_a_negated_judge_mirrors_the_win_rate(policies, folder, capsys):
    here, _ = evaluate(folder, capsys, *policies)
    there, _ = evaluate(folder, capsys, *policies, "mirrored", "negated")
    assert there["win_rate"] == pytest.approx(1 - here["win_rate"], abs=1e-12)
    assert there["win_rate_low"] == pytest.approx(1 - here["win_rate_high"], abs=1e-12)
    assert there["length_controlled_win_rate"] == pytest.approx(1 - here["length_controlled_win_rate"], abs=1e-9)


def test_the_seed_fixes_everything(policies, folder, capsys):
    runs = [evaluate(folder, capsys, *policies, name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert runs[0] == runs[1]
    assert runs[0][1] != runs[2][1]


def test_the_opponent_answers_the_same_whoever_it_meets(policies, reward_model, folder, tmp_path, capsys):
    """... even one that says one token a prompt and so uses up fewer random numbers, and with best-of-n or without."""
    _, first = evaluate(folder, capsys, *policies, "a")
    curt = tiny_model("llama", tmp_path / "curt")
    model = AutoModelForCausalLM.from_pretrained(curt)
    model.generation_config.eos_token_id = list(range(model.config.vocab_size))
    model.generation_config.save_pretrained(curt)
    _, second = evaluate(folder, capsys, curt, policies[1], "b")
    assert {len(row["policy"]["token_ids"]) for row in second} == {1}
    _, third = evaluate(folder, capsys, *policies, "c", reward_model=reward_model, best_of="2")
    texts = [[row["against"]["token_ids"] for row in rows] for rows in (first, second, third)]
    assert texts[0] == texts[1] == texts[2]
    assert first != second


def test_the_choice_is_nested():
    assert nested_choice([1.0, 3.0, 3.0, 0.0, 9.0], [1, 2, 4, 5]) == {1: 0, 2: 1, 4: 1, 5: 4}


class Echo:
    """A responder whose draws are numbered within their prompt."""

    def respond(self, prompts, settings, title):
        seen: dict[int, int] = {}
        answers = []
        for (prompt,) in prompts:
            seen[prompt] = seen.get(prompt, -1) + 1
            answers.append(Answer(f"{prompt}.{seen[prompt]}", [prompt, seen[prompt]], True))
        return answers


def test_best_of_n_gives_every_prompt_its_own_draws():
    """Stub reward: of prompt 0 the draws get 0 4 2 9, of prompt 1 they get 5 1 7 6; the prompt must fit the response."""
    table = {0: [0.0, 4.0, 2.0, 9.0], 1: [5.0, 1.0, 7.0, 6.0]}

    def rewards(items, batch_size):
        pairs = [(prompt, response.text.split(".")) for prompt, response in items]
        assert all(prompt == f"prompt {number}" for prompt, (number, _) in pairs)
        return [table[int(number)][int(draw)] for _, (number, draw) in pairs]

    settings = GenerationSettings(batch_size=1)
    best = best_of_n(Echo(), ["prompt 0", "prompt 1"], [[0], [1]], rewards, [1, 2, 4], settings)
    assert {n: [answer.text for answer in several.answers] for n, several in best.items()} == {
        1: ["0.0", "1.0"],
        2: ["0.1", "1.0"],
        4: ["0.3", "1.2"],
    }
    assert best[4].rewards == [9.0, 7.0]


def test_best_of_n_is_chosen_by_the_reward_model(policies, reward_model, folder, capsys):
    judge = f"reward-model:{reward_model}"
    metrics, rows = evaluate(folder, capsys, *policies, judge=judge, reward_model=reward_model, best_of="8,1,4")
    assert list(metrics["best_of_n"]) == ["1", "4", "8"]
    assert metrics["best_of_n_kl_bound"]["4"] == math.log(4) - 0.75
    for n, rate in metrics["best_of_n"].items():
        outcomes = [(1 + numpy.sign(row["best_of_n"][n]["score"] - row["against"]["score"])) / 2 for row in rows]
        assert rate == numpy.mean(outcomes)
    for row in rows:
        rewards = [row["best_of_n"][n]["reward"] for n in ("1", "4", "8")]
        assert rewards == sorted(rewards)  # nested: more draws never choose a lower reward
        for chosen in row["best_of_n"].values():  # the judge is the reward model here
            assert chosen["score"] == pytest.approx(chosen["reward"], abs=1e-5)
    assert metrics["best_of_n"]["8"] > metrics["best_of_n"]["1"]


def test_best_of_n_can_be_switched_off(policies, reward_model, folder, capsys):
    metrics, rows = evaluate(folder, capsys, *policies, reward_model=reward_model, best_of="none")
    assert metrics["best_of_n"] is None
    assert "best_of_n" not in rows[0]


def test_a_reward_model_judges_with_its_offset(policies, reward_model, folder, capsys):
    """The judge's score is plain transformers' score of the tokens of prompt, response and EOS, plus the offset. EOS closes
    every response, finished or not."""
    _, rows = evaluate(folder, capsys, *policies, judge=f"reward-model:{reward_model}")
    model = AutoModelForSequenceClassification.from_pretrained(reward_model)
    tokenizer = AutoTokenizer.from_pretrained(reward_model)
    for row in rows:
        ids = encode_prompt(tokenizer, row["prompt"])
        ids += encode_response(tokenizer, row["prompt"], row["policy"]["text"], finished=True)
        with torch.no_grad():
            plain = model(torch.tensor([ids])).logits.item()
        assert row["policy"]["score"] == pytest.approx(plain + 0.25, abs=1e-5)


def test_kl_bound_by_hand():
    assert kl_bound(1) == 0
    assert kl_bound(64) == pytest.approx(3.17451, abs=1e-5)


@pytest.mark.parametrize(("text", "sizes"), [("4,16,64", [4, 16, 64]), ("16", [16]), ("8, 2,8", [2, 8]), (None, [])])
def test_sizes_of_best_of_n(text, sizes):
    assert parse_sizes(text, "--best-of") == sizes


@pytest.mark.parametrize("text", ["", "4,x", "0", "4,,8", "-1", "1.5"])
def test_bad_sizes_are_refused(text):
    with pytest.raises(UserError, match=r"--best-of is .*; it must be whole numbers from 1"):
        parse_sizes(text, "--best-of")


def test_the_judge_sees_the_plain_prompt(policies, folder, capsys):
    (folder / "few.txt").write_text("Example: the cat sat.\n")
    settings = {"policy_prefix": folder / "few.txt", "against_stop": "\\n"}
    metrics, rows = evaluate(folder, capsys, *policies, judge="plain_prompts_only", **settings)
    assert metrics["ties"] == len(PROMPTS)
    assert all("\n" not in row["against"]["text"] for row in rows)
    tokenizer = AutoTokenizer.from_pretrained(policies[0])
    for row in rows:
        expected = tokenizer("Example: the cat sat.\n" + row["prompt"]).input_ids
        assert row["policy"]["prompt_token_ids"] == expected
        assert row["against"]["prompt_token_ids"] == tokenizer(row["prompt"]).input_ids


def test_policies_with_other_tokens_have_no_kl(policies, tmp_path, folder, capsys):
    stranger = tiny_model("gpt2", tmp_path / "stranger", pad="none", bos_is_eos=True)
    metrics, rows = evaluate(folder, capsys, policies[0], stranger)
    assert metrics["kl"] is None
    assert "vocabulary" in metrics["kl_reason"]
    assert rows[0]["policy"]["logprobs"]["against"] is None
    assert metrics["entropy"] > 0


def test_text_statistics_by_hand():
    texts = ["the cat sat", "the cat sat down", "no", "no"]  # the cat, cat sat, the cat, cat sat, sat down
    assert distinct_2(texts) == 3 / 5
    assert distinct_2(["one", ""]) == 0
    assert exact_repeats(texts) == 0.25
    assert exact_repeats(["a", "b"]) == 0


def test_help_needs_no_torch():
    modules = "alignment.evaluate, alignment.sample, alignment.rank"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def arguments(policies, *more: str) -> list[str]:
    given = ["--policy", policies[0], "--against", policies[1], "--prompts", "prompts.jsonl"]
    return [*given, "--judge", "judges.py:letters", "--output", "out", "--max-new-tokens", "8", *more]


@pytest.mark.parametrize(
    ("more", "phrases"),
    [
        (["--judge", "judges.py:raises"], ("--judge judges.py:raises raised RuntimeError: no opinion",)),
        (["--judge", "judges.py:nan"], ("--judge", "returned nan", "finite number")),
        (["--judge", "judges.py:short"], ("--judge", "returned 1 scores for 2 responses")),
        (["--judge", "judges.py:none"], ("--judge", "no function 'none'")),
        (["--judge", "nowhere"], ("--judge is 'nowhere'", "MODULE:FUNCTION")),
        (["--judge", "reward-model:nowhere"], ("--judge nowhere", "no such directory")),
        (["--reward-model", "nowhere"], ("--reward-model nowhere", "no such directory")),
        (["--best-of", "4,many"], ("--best-of is '4,many'", "whole numbers")),
        (["--against", "/no/such/model"], ("--against /no/such/model", "no such directory")),
        (["--max-new-tokens", "120"], ("--policy", "--prompts prompts.jsonl, prompt 2", "context of 128")),
        (["--against-prefix", "long.txt"], ("--against", "prompt 1", "context of 128")),
        (["--policy-prefix", "none.txt"], ("--policy-prefix none.txt", "no such file")),
        (["--prompts", "bad.jsonl"], ("--prompts bad.jsonl, line 2", "is not JSON")),
        (["--prompts", "none.jsonl"], ("--prompts none.jsonl", "no such file")),
        (["--output", "taken"], ("--output taken", "exists already")),
        (["--jugde", "judges.py:letters"], ("--jugde", "did you mean '--judge'")),
    ],
)
def test_mistakes_are_one_sentence(policies, folder, capsys, more, phrases):
    (folder / "taken").mkdir()
    (folder / "bad.jsonl").write_text('{"prompt": "fine"}\n{"prompt": \n')
    (folder / "long.txt").write_text("The cat sat on the warm mat. " * 40)
    refused(capsys, COMMAND, arguments(policies, *more), folder, *phrases)


def test_a_policy_is_no_reward_model(policies, folder, capsys):
    judge = f"reward-model:{policies[0]}"
    refused(capsys, COMMAND, arguments(policies, "--judge", judge), folder, "score head is missing")


def test_a_broken_reward_model_is_named(policies, reward_model, folder, tmp_path_factory, capsys):
    broken = tmp_path_factory.mktemp("broken")
    model = AutoModelForSequenceClassification.from_pretrained(reward_model)
    model.score.weight.data.fill_(3e38)  # finite, but its scores are not
    model.save_pretrained(broken)
    AutoTokenizer.from_pretrained(reward_model).save_pretrained(broken)
    given = arguments(policies, "--judge", f"reward-model:{broken}")
    refused(capsys, COMMAND, given, folder, f"--judge reward-model:{broken}: gives the score", "finite")


def test_ctrl_c_leaves_nothing(policies, folder, capsys):
    given = arguments(policies, "--judge", "judges.py:interrupted")
    refused(capsys, COMMAND, given, folder, "interrupted", code=130)
