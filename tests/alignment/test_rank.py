"""`align rank` and its noise. Each test was seen to fail under the mutation named beside it:

- √2 left out of the calibration (`erfc(gap / noise)`): test_one_gap_has_the_closed_form, test_realised_inversions
- pairs left out of the gaps: test_gaps_by_hand
- gold ties counted as pairs: test_inversions_by_hand
- one draw per response, whatever its text: test_equal_texts_tie_even_with_noise
- ranks in rising order of score: test_ranks_by_hand, test_a_negated_annotator_mirrors_the_ranks
- seed not used by the noise: test_the_seed_fixes_the_rankings
- noise added at P = 0: test_without_noise_the_gold_order_stays
- the annotator field without "simulated:": test_the_command_writes_rankings_that_can_be_read
"""

from __future__ import annotations

import json
from statistics import NormalDist

import numpy
import pytest
from refusals import listing, refused

from alignment.command import main
from alignment.label_noise import calibrated_noise, gold_gaps, inversions, noisy_scores, ranks
from alignment.rank import COMMAND
from alignment.records import read_rankings

ANNOTATORS = """
def length(prompt, responses):
    return [len(response) for response in responses]

def negated(prompt, responses):
    return [-len(response) for response in responses]

def same(prompt, responses):
    return [1.0] * len(responses)

def raises(prompt, responses):
    raise RuntimeError("no opinion")

def nan(prompt, responses):
    return [float("nan")] * len(responses)

def short(prompt, responses):
    return [1.0]

def words(prompt, responses):
    return ["good"] * len(responses)

def interrupted(prompt, responses):
    raise KeyboardInterrupt

number = 3
"""

DISTRIBUTIONS = {
    "normal": lambda g: g.normal(size=(4000, 4)),
    "skewed": lambda g: g.exponential(3.0, size=(4000, 4)),
    "discrete, many ties": lambda g: g.integers(0, 4, size=(4000, 4)).astype(float),
    "prompts differ more than responses": lambda g: g.normal(size=(4000, 1)) * 50 + g.uniform(size=(4000, 4)),
    "two clusters": lambda g: g.normal(size=(4000, 4)) * 0.01 + g.integers(0, 2, size=(4000, 4)),
}


@pytest.mark.parametrize("flip_probability", [0.05, 0.25, 0.45])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_realised_inversions(distribution, flip_probability):
    """The realised rate is P within 4 standard errors, clustered by prompt (one error is about .003)."""
    generator = numpy.random.default_rng(11)
    gold = DISTRIBUTIONS[distribution](generator).tolist()
    noise = calibrated_noise(gold_gaps(gold), flip_probability)
    counts = [inversions(scores, noisy_scores(scores, list("abcd"), noise, generator)) for scores in gold]
    pairs = numpy.array([count.pairs for count in counts])
    inverted = numpy.array([count.inverted for count in counts])
    rate = inverted.sum() / pairs.sum()
    error = numpy.sqrt(((inverted - rate * pairs) ** 2).sum()) / pairs.sum()
    assert error < 0.006
    assert abs(rate - flip_probability) < 4 * error


@pytest.mark.parametrize("flip_probability", [0.01, 0.25, 0.49])
def test_one_gap_has_the_closed_form(flip_probability):
    """Φ(−gap / (s√2)) = P  ⇔  s = gap / (√2 · Φ⁻¹(1 − P))."""
    expected = 3.0 / (2**0.5 * NormalDist().inv_cdf(1 - flip_probability))
    assert calibrated_noise(numpy.array([3.0]), flip_probability) == pytest.approx(expected, rel=1e-9)


def test_no_flip_probability_is_no_noise():
    assert calibrated_noise(numpy.array([1.0, 2.0]), 0.0) == 0.0


def test_gaps_by_hand():
    assert sorted(gold_gaps([[1.0, 3.0, 1.0], [0.5, 0.0]]).tolist()) == [0.5, 2.0, 2.0]


def test_inversions_by_hand():
    """Gold 3 > 2 = 2 > 1: five strict pairs. The noisy order turns (3, 2nd 2) and (1st 2, 1); a tie inverts nothing."""
    counts = inversions([3.0, 2.0, 2.0, 1.0], [3.0, 1.0, 4.0, 2.0])
    assert (counts.pairs, counts.inverted) == (5, 2)
    assert inversions([1.0, 2.0], [5.0, 5.0]).inverted == 0


def test_ranks_by_hand():
    assert ranks([0.5, 2.0, -1.0, 2.0]) == (3, 1, 4, 1)


def test_equal_texts_tie_even_with_noise():
    scores = noisy_scores([1.0, 1.0, 1.0], ["a", "b", "a"], 0.5, numpy.random.default_rng(0))
    assert scores[0] == scores[2] != scores[1]


def test_noise_breaks_gold_ties_either_way():
    generator = numpy.random.default_rng(0)
    first = sum(ranks(noisy_scores([1.0, 1.0], ["a", "b"], 0.1, generator)) == (1, 2) for _ in range(1000))
    assert 440 < first < 560  # 500 ± 4 sd


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "opinions.py").write_text(ANNOTATORS)
    generator = numpy.random.default_rng(4)
    lines = [
        {"prompt": f"p{i}", "group": f"g{i // 2}", "responses": [{"text": "x" * n, "model": "m"} for n in lengths]}
        for i, lengths in enumerate(generator.permuted(numpy.tile([1, 4, 9, 20], (200, 1)), axis=1).tolist())
    ]
    (tmp_path / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def command(folder, capsys, annotator="length", output="rankings.jsonl", **settings) -> dict:
    """Metrics of a run on the folder's responses."""
    arguments = ["--responses", str(folder / "responses.jsonl"), "--annotator", f"{folder}/opinions.py:{annotator}"]
    arguments += ["--output", str(folder / output), "--json"]
    for name, value in settings.items():
        arguments += [f"--{name.replace('_', '-')}", str(value)]
    code = main(COMMAND, arguments)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    return json.loads(printed.out.splitlines()[-1])


def test_the_command_writes_rankings_that_can_be_read(folder, capsys):
    metrics = command(folder, capsys)
    rankings = read_rankings(folder / "rankings.jsonl")
    assert len(rankings) == 200
    assert rankings[3].annotator == f"simulated:{folder}/opinions.py:length"
    assert rankings[3].group == "g1"
    assert rankings[3].responses[0].model == "m"
    assert json.loads((folder / "rankings.metrics.json").read_text()) == metrics
    assert "flip_probability: 0.25" in (folder / "rankings.config.yaml").read_text()
    assert metrics["annotator"].startswith("simulated annotator ")
    assert (metrics["prompts"], metrics["responses"], metrics["pairs"], metrics["ties"]) == (200, 800, 1200, 0)
    lengths = [[len(r.text) for r in ranking.responses] for ranking in rankings]
    wrong = sum(
        lengths[row][i] < lengths[row][j] for row, ranking in enumerate(rankings) for i, j in ranking.strict_pairs()
    )
    assert metrics["inverted_pairs"] == wrong
    assert metrics["inversion_rate"] == wrong / 1200
    assert 0.2 < metrics["inversion_rate"] < 0.3  # 4 sd are .05


def test_without_noise_the_gold_order_stays(folder, capsys):
    metrics = command(folder, capsys, flip_probability=0)
    assert (metrics["inverted_pairs"], metrics["inversion_rate"], metrics["noise_sd"]) == (0, 0.0, 0.0)
    expected = {20: 1, 9: 2, 4: 3, 1: 4}
    for ranking in read_rankings(folder / "rankings.jsonl"):
        assert ranking.ranks == tuple(expected[len(response.text)] for response in ranking.responses)


def test_without_noise_gold_ties_stay_ties(folder, capsys):
    row = {"prompt": "p", "responses": ["aa", "bb", "c"]}
    (folder / "responses.jsonl").write_text(json.dumps(row) + "\n")
    metrics = command(folder, capsys, flip_probability=0)
    assert read_rankings(folder / "rankings.jsonl")[0].ranks == (1, 1, 3)
    assert (metrics["pairs"], metrics["gold_ties"], metrics["ties"]) == (3, 1, 1)


def test_a_negated_annotator_mirrors_the_ranks(folder, capsys):
    command(folder, capsys, "length", "here.jsonl", flip_probability=0)
    command(folder, capsys, "negated", "there.jsonl", flip_probability=0)
    here, there = read_rankings(folder / "here.jsonl"), read_rankings(folder / "there.jsonl")
    assert [r.ranks for r in there] == [tuple(5 - rank for rank in r.ranks) for r in here]


def test_the_seed_fixes_the_rankings(folder, capsys):
    for output, seed in (("a.jsonl", 1), ("b.jsonl", 1), ("c.jsonl", 2)):
        command(folder, capsys, output=output, seed=seed)
    a, b, c = ((folder / f"{name}.jsonl").read_text() for name in "abc")
    assert a == b != c


def arguments(annotator="opinions.py:length", responses="responses.jsonl", *more: str) -> list[str]:
    return ["--responses", responses, "--annotator", annotator, "--output", "out.jsonl", *more]


@pytest.mark.parametrize(
    ("given", "phrases"),
    [
        (arguments("opinions.py:raises"), ("--annotator", "raised RuntimeError: no opinion")),
        (arguments("opinions.py:nan"), ("--annotator", "returned nan", "finite number")),
        (arguments("opinions.py:short"), ("--annotator", "returned 1 scores for 4 responses")),
        (arguments("opinions.py:words"), ("--annotator", "returned 'good'", "finite number")),
        (arguments("opinions.py:same"), ("--annotator", "same score", "nothing to rank")),
        (arguments("opinions.py:lenght"), ("--annotator", "no function 'lenght'")),
        (arguments("opinions.py:number"), ("--annotator", "no function 'number'")),
        (arguments("opinion.py:length"), ("--annotator", "cannot be imported")),
        (arguments("no_such_module:length"), ("--annotator", "cannot be imported")),
        (arguments("length"), ("--annotator is 'length'", "MODULE:FUNCTION")),
        (arguments(responses="none.jsonl"), ("--responses none.jsonl", "no such file")),
        (arguments(responses="."), ("--responses .", "cannot be read")),
        (arguments("opinions.py:length", "responses.jsonl", "--flip-probability", "0.5"), ("0.5", "below 0.5")),
        (arguments("opinions.py:length", "responses.jsonl", "--flip-probability", "-.1"), ("-0.1", "at least 0")),
        (arguments("opinions.py:length", "responses.jsonl", "--flip-probability", "nan"), ("nan",)),
        (arguments("opinions.py:length", "responses.jsonl", "--flip-prob", "1"), ("--flip-prob", "--flip-probability")),
    ],
)
def test_mistakes_are_one_sentence(folder, capsys, given, phrases):
    refused(capsys, COMMAND, given, folder, *phrases)


@pytest.mark.parametrize(
    ("line", "phrases"),
    [
        ('{"prompt": "p", "responses": [{"text": "one"}]}', ("responses holds 1", "at least 2")),
        ('{"prompt": "p", "responses": ["a", "b"]', ("is not JSON",)),
        ('{"responses": ["a", "b"]}', ("prompt is missing",)),
        ('["a"]', ("holds a list", "JSON object")),
    ],
)
def test_a_bad_line_is_named_by_its_number(folder, capsys, line, phrases):
    good = '{"prompt": "p", "responses": ["a", "b"]}'
    (folder / "responses.jsonl").write_text(f"{good}\n\n{line}\n{good}\n")
    refused(capsys, COMMAND, arguments(), folder, "responses.jsonl, line 3: ", *phrases)


def test_an_existing_output_is_kept(folder, capsys):
    (folder / "out.jsonl").write_text("mine")
    refused(capsys, COMMAND, arguments(), folder, "--output out.jsonl: exists already")
    assert (folder / "out.jsonl").read_text() == "mine"


def test_ctrl_c_leaves_nothing(folder, capsys):
    before = listing(folder)
    refused(capsys, COMMAND, arguments("opinions.py:interrupted"), folder, "interrupted", code=130)
    assert listing(folder) == before
