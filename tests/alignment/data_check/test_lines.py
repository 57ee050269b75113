"""Reading and the kinds of records. Each test was seen to fail under the mutation named beside it (in
`alignment/data_check/lines.py`, or `records.py` where it says so):

- reading stops at the first fault: test_every_faulty_line_is_named
- lines numbered from 0, or among those that hold text: test_every_faulty_line_is_named
- the mark at the start not removed: test_windows_files
- majority replaced by the first line's kind: test_the_kind_is_what_most_lines_are
- FOREIGN_FIELDS empty: test_other_formats_are_named_and_not_checked
- `known` without the group fields: test_fields_that_nobody_reads
- RecursionError not caught (records.py): test_every_faulty_line_is_named
- the file's start not checked: test_unusable_files
"""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from refusals import refused

from alignment.data_check import lines
from alignment.data_check.check import checked
from alignment.data_check.command import COMMAND, CheckSettings
from alignment.errors import UserError

RANKING = {"prompt": "Which is better, tea or coffee?", "responses": ["Tea, I think.", "Coffee."], "ranks": [1, 2]}
FAULTS = [
    ('{"prompt": "p", "responses": ["a"], "ranks": [1]}', "invalid_record", "at least 2 responses"),
    ('{"prompt": "p", "responses": ["a", "b"], "ranks": [1]}', "invalid_record", "ranks holds 1 for 2"),
    ('{"prompt": "p", "responses": ["a", "b"], "ranks": [NaN, 1]}', "invalid_record", "holds NaN"),
    ('{"prompt": "p", "responses": ["a", "b"], "ranks": [1.5, 1]}', "invalid_record", "whole number"),
    ('{"prompt": "\\ud83d", "responses": ["a", "b"], "ranks": [2, 1]}', "invalid_record", "surrogate"),
    ('{"prompt": 7, "responses": ["a", "b"], "ranks": [2, 1]}', "invalid_record", "prompt is 7"),
    ('{"responses": ["a", "b"], "ranks": [2, 1]}', "invalid_record", "prompt is missing"),
    ('{"prompt": "p", "responses": ["a", "b"], "ranks": [2, 1]', "not_json", "is not JSON"),
    ("[1, 2]", "invalid_record", "holds a list"),
    ("[" * 100_000, "invalid_record", "nested too deeply"),
    (b'{"prompt": "caf\xe9", "responses": ["a", "b"], "ranks": [2, 1]}', "not_utf8", "byte 0xe9 at column 16"),
]


def test_every_faulty_line_is_named(check):
    data = [RANKING, ""]
    for fault, _, _ in FAULTS:
        data += [fault, RANKING | {"prompt": f"And is number {len(data)} a good one?"}]
    result = check(data)
    assert result.code == 1
    assert result.report["records"] == 1 + len(FAULTS)
    assert result.lines["blank_line"] == [2]
    found = {
        case["line"]: (each["finding"], case["detail"])
        for each in result.report["findings"]
        if each["severity"] == "error"
        for case in each["cases"]
    }
    assert sorted(found) == [3 + 2 * index for index in range(len(FAULTS))]
    for index, (_, finding, phrase) in enumerate(FAULTS):
        assert found[3 + 2 * index][0] == finding
        assert phrase in found[3 + 2 * index][1]


def test_windows_files(check):
    one, other = json.dumps(RANKING).encode(), json.dumps(RANKING | {"prompt": "Or water?"}).encode()
    result = check([b"\xef\xbb\xbf" + one + b"\r", other, b"\r"])
    assert result.code == 0
    assert result.lines == {"blank_line": [3], "byte_order_mark": [1], "crlf_line": [1, 3]}
    assert result.report["records"] == 2


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("demonstrations", {"text": "All of it."}),
        ("demonstrations", {"prompt": "A", "response": "B"}),
        ("demonstrations", {"messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}]}),
        ("prompts", {"prompt": "A"}),
        ("prompts", {"prompt": [{"role": "user", "content": "A"}]}),
        ("responses", {"prompt": "A", "responses": ["B", {"text": "C"}]}),
        ("rankings", {"prompt": "A", "responses": ["B", {"text": "C"}], "ranks": [1, None]}),
    ],
)
def test_the_four_kinds(check, kind, record):
    assert check([record]).report["kind"] == kind


def test_the_kind_is_what_most_lines_are(check):
    data = [{"prompt": "A", "responses": ["B", "C"]}, RANKING, RANKING | {"prompt": "B"}]
    result = check(data)
    assert result.report["kind"] == "rankings"
    assert result.lines["invalid_record"] == [1]
    assert "ranks is missing" in result.detail("invalid_record")
    assert check(data, "--kind", "responses").report["records"] == 3


@pytest.mark.parametrize(
    "record",
    [
        {"question": "1 + 1?", "answer": "2"},
        {"instruction": "Add.", "input": "1, 1", "output": "2"},
        {"prompt": "A", "chosen": "B", "rejected": "C"},
        {"prompt": "A", "completion": "B"},
        {"conversations": [{"from": "human", "value": "A"}]},
        {"messages": [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}], "label": True},
    ],
)
def test_other_formats_are_named_and_not_checked(tmp_path, capsys, record):
    (tmp_path / "one.jsonl").write_text(json.dumps(record) + "\n")
    fields = ", ".join(record)
    refused(
        capsys, COMMAND, ["one.jsonl"], tmp_path, "one.jsonl: is not one of our records", fields, "`align import` turns"
    )
    (tmp_path / "all.json").write_text(json.dumps([record, record], indent=2))
    refused(capsys, COMMAND, ["all.json"], tmp_path, "is one JSON list of 2 items", fields, "`align import` turns")


@pytest.mark.parametrize(
    ("content", "phrases"),
    [
        (None, ("no such file",)),
        (b"", ("holds no record",)),
        (b" \n\n", ("holds no record",)),
        (b'{"prompt": "a\0b"}\n', ("is a binary file",)),
        ('{"prompt": "a"}\n'.encode("utf-16"), ("is UTF-16 text", "save it as UTF-8")),
        (b"\x1f\x8b\x08 packed", ("is compressed by gzip",)),
        (b"just words\nand more\n", ("no line of it is a JSON object", "`align import`")),
    ],
)
def test_unusable_files(tmp_path, capsys, content, phrases):
    if content is not None:
        (tmp_path / "data.jsonl").write_bytes(content)
    refused(capsys, COMMAND, ["data.jsonl"], tmp_path, "FILE data.jsonl", *phrases)
    (tmp_path / "good.jsonl").write_text('{"prompt": "Hello there."}\n')
    refused(capsys, COMMAND, ["good.jsonl", "--against", "data.jsonl"], tmp_path, "--against data.jsonl", *phrases)


@pytest.mark.parametrize(
    ("flags", "phrases"),
    [
        ((), ("FILE is missing", "command line")),
        (
            ("good.jsonl", "--kind", "rankings"),
            ("none of its lines is one of rankings", "line 1", "responses is missing"),
        ),
        (("good.jsonl", "--kind", "pairs"), ("--kind is 'pairs'", "demonstrations")),
        (("good.jsonl", "--mask-pii"), ("--mask-pii", "--fix")),
        (("good.jsonl", "--max-length", "9"), ("--max-length 9", "--model")),
        (("good.jsonl", "--model", "./none"), ("--model ./none", "no such directory")),
        (("good.jsonl", "--near-duplicate", "0.2"), ("0.2", "at least 0.5")),
        (("good.jsonl", "--against", "./good.jsonl"), ("--against ./good.jsonl", "is the file that is checked")),
        (("good.jsonl", "--output", "good.jsonl"), ("--output good.jsonl", "exists already")),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, capsys, flags, phrases):
    (tmp_path / "good.jsonl").write_text('{"prompt": "Hello there."}\n')
    refused(capsys, COMMAND, list(flags), tmp_path, *phrases)


def test_ctrl_c_leaves_nothing(tmp_path, capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("alignment.data_check.duplicates.check", interrupted)
    (tmp_path / "good.jsonl").write_text('{"prompt": "Hello there."}\n')
    given = ["good.jsonl", "--fix", "--output", "report.json"]
    refused(capsys, COMMAND, given, tmp_path, "interrupted", code=130)


def test_fields_that_nobody_reads(check):
    data = [RANKING | {"prompt": f"p{i}", "tree": f"t{i}", "origin": "here", "sourcee": "there"} for i in range(3)]
    data += [data[0] | {"prompt": "p9", "comment": "?"}]
    result = check(data)
    assert result.lines["unknown_field"] == [1, 2, 3, 4]
    assert result.detail("unknown_field", 0) == "'sourcee' (did you mean 'source'?)"
    assert result.detail("unknown_field", 3) == "'sourcee' (did you mean 'source'?) (and 1 more on this line)"
    assert result.report["other_fields"] == {"origin": 4}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["prompt", "response", "text", "messages", "responses", "ranks", "id", "group", "annotator"])
LINES = st.dictionaries(NAMES, VALUES, max_size=5).map(json.dumps).map(str.encode) | st.binary(max_size=30)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(LINES, max_size=5))
def test_no_line_stops_the_check(tmp_path, some):
    """Whatever the lines hold: findings, or the one sentence; each line that is not blank is a record or a fault."""
    good = json.dumps(RANKING).encode()
    path = tmp_path / "fuzz.jsonl"
    path.write_bytes(b"\n".join([good, *some, good]).replace(b"\0", b""))
    options = CheckSettings(file=str(path), kind="rankings")
    try:
        source = lines.read(str(path), "FILE", options.kind, ("group",))
    except UserError:
        return
    checked(options, source, [])
    faulty = [source.findings.lines(kind) for kind in ("not_utf8", "not_json", "invalid_record", "blank_line")]
    assert sum(map(len, faulty)) + len(source.entries) == source.lines
