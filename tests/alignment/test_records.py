"""Records and their files. Each test was seen to fail under the mutation named beside it (in `alignment/records.py`):

- lines numbered among the non-empty ones, or from 0: test_the_first_bad_line_is_named
- `splitlines()` for `split("\\n")`: test_a_line_separator_inside_a_text_is_no_new_line
- NaN accepted (`parse_constant` left out): test_the_first_bad_line_is_named
- True accepted as rank 1: test_ranks_must_fit
- `better <= worse` in strict_pairs, null taken as worst: test_strict_pairs_by_hand
- null fields written: test_what_is_written_reads_back_and_holds_no_null
- the check for half characters left out: test_half_characters_are_refused_where_they_are_read
- `utf-8` for `utf-8-sig`: test_a_byte_order_mark_is_no_fault
- an id of 0 replaced by the content's hash: test_ids_and_groups
- null fields of a verdict's response written; a verdict of any word accepted: test_verdicts
"""

from __future__ import annotations

import json

import pytest

from alignment.errors import UserError
from alignment.records import (
    Demonstration,
    PromptRecord,
    Ranking,
    Response,
    ResponseSet,
    Verdict,
    content_id,
    prompt_text,
    read_demonstrations,
    read_prompts,
    read_rankings,
    read_responses,
    read_verdicts,
    write_jsonl,
)

CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


def file(tmp_path, *lines) -> str:
    path = tmp_path / "records.jsonl"
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return str(path)


def test_the_three_forms_of_a_demonstration(tmp_path):
    answer = {"role": "assistant", "content": "Hi."}
    path = file(tmp_path, {"prompt": "a", "response": "b"}, {"messages": [*CHAT, answer]}, {"text": "all of it"})
    assert read_demonstrations(path) == [
        Demonstration("a", "b"),
        Demonstration(CHAT, "Hi."),
        Demonstration("", "all of it"),
    ]


def test_ids_and_groups(tmp_path):
    path = file(tmp_path, {"prompt": "a"}, {"prompt": "b", "id": 0, "group": 7}, {"prompt": CHAT, "id": "x"})
    assert read_prompts(path) == [
        PromptRecord("ca978112ca1bbdca", "a"),  # the first 16 digits of SHA-256 of "a"
        PromptRecord("0", "b", "7"),
        PromptRecord("x", CHAT),
    ]
    assert content_id(CHAT) == content_id(prompt_text(CHAT)) == content_id("system: Be brief.\nuser: Hello")


def test_strict_pairs_by_hand():
    ranking = Ranking("i", "p", tuple(map(Response, "abcd")), (2, 1, 2, None))
    assert sorted(ranking.strict_pairs()) == [(1, 0), (1, 2)]


def test_tied_pairs_by_hand():
    ranking = Ranking("i", "p", tuple(map(Response, "abcdef")), (2, 1, 2, None, 2, None))
    assert sorted(ranking.tied_pairs()) == [(0, 2), (0, 4), (2, 4)]


@pytest.mark.parametrize("wrong", [4, -1, 1.0, True, "3", [1]])
def test_a_strength_is_one_of_four(tmp_path, wrong):
    pair = {"prompt": "p", "responses": [{"text": "a"}, {"text": "b"}], "ranks": [1, 2]}
    with pytest.raises(UserError, match=r"line 1: strength is .*; it must be 0 \(negligibly\), 1"):
        read_rankings(file(tmp_path, {**pair, "strength": wrong}))


def test_what_is_written_reads_back_and_holds_no_null(tmp_path):
    path = tmp_path / "out.jsonl"
    responses = (Response("eins", "m", False), Response("zwei ü\u2028"))
    rankings = [Ranking("1", CHAT, responses, (None, 1), "ann", "src", "g", 3), Ranking("2", "p", responses, (1, 1))]
    write_jsonl(path, rankings)
    assert read_rankings(path) == rankings
    second = json.loads(path.read_text().split("\n")[1])
    assert set(second) == {"id", "prompt", "responses", "ranks"}
    assert set(second["responses"][1]) == {"text", "finished"}
    assert "ü" in path.read_text(encoding="utf-8")
    sets = [ResponseSet("1", "p", responses, "g")]
    path.unlink()
    write_jsonl(path, sets)
    assert read_responses(path) == sets


def test_verdicts(tmp_path):
    path = tmp_path / "out.jsonl"
    verdicts = [
        Verdict("1", CHAT, Response("a", "m", False), "good", "ann", "src", "g"),
        Verdict("2", "p", Response("b"), "bad"),
    ]
    write_jsonl(path, verdicts)
    assert read_verdicts(path) == verdicts
    line = json.loads(path.read_text().split("\n")[1])
    assert line == {"id": "2", "prompt": "p", "response": {"text": "b", "finished": True}, "verdict": "bad"}
    plain = file(tmp_path, {"prompt": "p", "response": "b", "verdict": "good"})
    assert read_verdicts(plain) == [Verdict(content_id("p"), "p", Response("b"), "good")]
    for wrong in ("fine", None, True, ["good"]):
        with pytest.raises(UserError, match=r"--verdicts .*line 1: verdict is .*; it must be good or bad"):
            read_verdicts(file(tmp_path, {"prompt": "p", "response": "b", "verdict": wrong}))


def test_a_null_rank_survives_writing(tmp_path):
    write_jsonl(tmp_path / "out.jsonl", [Ranking("1", "p", tuple(map(Response, "ab")), (None, 1))])
    assert json.loads((tmp_path / "out.jsonl").read_text())["ranks"] == [None, 1]


def test_infinity_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_jsonl(tmp_path / "out.jsonl", [{"score": float("inf")}])


def test_a_line_separator_inside_a_text_is_no_new_line(tmp_path):
    """JSON may hold U+2028, U+0085 and form feeds as they are; `splitlines` would cut there."""
    path = tmp_path / "records.jsonl"
    path.write_text('{"prompt": "a\u2028b\u0085c"}\r\n\n{"prompt": "d"}', encoding="utf-8")
    assert [record.prompt for record in read_prompts(path)] == ["a\u2028b\u0085c", "d"]


def test_a_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a"}\n')
    assert read_prompts(path)[0].prompt == "a"


@pytest.mark.parametrize(
    ("line", "phrase"),
    [
        ('{"prompt": "p"', "is not JSON"),
        ('{"prompt": NaN}', "holds NaN, which is not JSON"),
        ('{"prompt": "p", "x": -Infinity}', "holds -Infinity"),
        ("[1, 2]", "holds a list"),
        ('"text"', "holds text"),
        ("null", "holds null"),
        ("{}", "prompt is missing"),
        ('{"prompt": null}', "prompt is null"),
        ('{"prompt": 3}', "prompt is 3"),
        ('{"prompt": []}', "prompt is a list"),
        ('{"prompt": [{"role": "user"}]}', "a message must have role and content"),
        ('{"prompt": [{"role": "user", "content": ["x"]}]}', "a message must have role and content"),
    ],
)
def test_the_first_bad_line_is_named(tmp_path, line, phrase):
    path = file(tmp_path, {"prompt": "fine"}, "", "   ", line, "worse")
    with pytest.raises(UserError) as caught:
        read_prompts(path)
    assert str(caught.value).startswith(f"--prompts {path}, line 4: ")
    assert phrase in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "phrase"),
    [
        ({"prompt": "p"}, "it must have prompt and response, or messages, or text"),
        ({"prompt": "p", "response": " "}, "response is empty"),
        ({"prompt": "p", "response": None}, "response is null"),
        ({"text": ""}, "text is empty"),
        ({"messages": CHAT}, "ends with an assistant message"),
        ({"messages": "hello"}, "ends with an assistant message"),
        ({"messages": []}, "messages is a list"),
    ],
)
def test_bad_demonstrations(tmp_path, line, phrase):
    with pytest.raises(UserError, match=r"--data .*line 1: ") as caught:
        read_demonstrations(file(tmp_path, line))
    assert phrase in str(caught.value)


@pytest.mark.parametrize(
    ("ranks", "phrase"),
    [
        ([1], "ranks holds 1 for 2 responses"),
        ([1, 2, 3], "ranks holds 3 for 2 responses"),
        ({"a": 1}, "ranks holds an object for 2 responses"),
        ([0, 1], "rank 0 must be a whole number from 1"),
        ([1.5, 2], "rank 1.5"),
        ([True, 2], "rank true"),
        (["1", 2], 'rank "1"'),
    ],
)
def test_ranks_must_fit(tmp_path, ranks, phrase):
    with pytest.raises(UserError, match=r"--rankings .*line 1: ") as caught:
        read_rankings(file(tmp_path, {"prompt": "p", "responses": ["a", "b"], "ranks": ranks}))
    assert phrase in str(caught.value)


@pytest.mark.parametrize(
    ("responses", "phrase"),
    [
        (["a"], "responses holds 1"),
        ([], "responses holds 0"),
        ("ab", "responses holds text"),
        (["a", 3], "a response is 3"),
        (["a", {"model": "m"}], "text is missing"),
        (["a", {"text": None}], "text is null"),
        (["a", {"text": "b", "finished": "no"}], "finished is 'no'"),
    ],
)
def test_bad_responses(tmp_path, responses, phrase):
    with pytest.raises(UserError, match=r"--responses .*line 1: ") as caught:
        read_responses(file(tmp_path, {"prompt": "p", "responses": responses}))
    assert phrase in str(caught.value)


def test_unreadable_files_are_one_sentence(tmp_path):
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes('{"prompt": "ü"}'.encode("latin-1"))
    for path, phrase in ((tmp_path / "none", "no such file"), (tmp_path, "cannot be read"), (latin, "UTF-8")):
        with pytest.raises(UserError, match=phrase):
            read_prompts(path)
    with pytest.raises(UserError, match="holds no record"):
        read_prompts(file(tmp_path, "", " "))


def test_half_characters_are_refused_where_they_are_read(tmp_path):
    """JSON can spell half of a surrogate pair; no tokenizer and no UTF-8 file can hold it. Whole pairs are fine."""
    whole = r'{"id": "1", "prompt": "\ud83d\ude00"}'
    assert read_prompts(file(tmp_path, whole))[0].prompt == "\U0001f600"
    with pytest.raises(UserError, match="line 2: holds half of a surrogate pair"):
        read_prompts(file(tmp_path, whole, r'{"id": "2", "prompt": "\uD83D"}'))
