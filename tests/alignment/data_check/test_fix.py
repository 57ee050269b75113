"""The cleaned copy and the report. Each test was seen to fail under the mutation named beside it (in
`alignment/data_check/`):

- kept lines written anew by json.dumps: test_what_has_no_fault_is_kept_byte_for_byte
- a CR kept at the line's end by lines.py: test_the_copy_is_clean
- a kind left out of DROPPED or CHANGED: test_the_copy_is_clean
- identities compared before cleaning: test_cleaning_can_make_duplicates
- leaked lines kept: test_leaks_are_dropped
- personal data masked unasked: test_personal_data_is_masked_only_when_asked
- the copy written over an existing file: test_refusals
- a finding without a row in the table: test_the_table_has_every_finding
- code 1 for warnings: test_exit_codes
- only the first cases in the JSON: test_the_json_holds_every_case
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

from data_files import clean_rankings, encoded, write
from refusals import refused

from alignment.command import main
from alignment.data_check.command import COMMAND
from alignment.data_check.findings import FINDINGS, findings_table
from alignment.data_check.fix import CHANGED, DROPPED
from alignment.data_check.pii import RULES
from alignment.records import read_demonstrations, read_rankings, read_responses

GOOD = '{ "prompt":"Caf\\u00e9?",  "response" : "Yes.", "note": 1.50 }'
FAULTY = [
    b"\xef\xbb\xbf" + GOOD.encode() + b"\r",
    "",
    "{",
    {"prompt": "A"},
    b'{"prompt": "\xe9", "response": "A"}',
    {"prompt": " ", "response": "A"},
    {"prompt": "One", "response": "B\x07\r\nC"},
    {"prompt": "Two", "response": "cafe\u0301 \ufeff!"},
    {"prompt": "Two", "response": "cafe\u0301 \ufeff!"},
    {"prompt": "Three", "response": "\x07"},
]


def fixed(tmp_path: Path) -> bytes:
    return (tmp_path / "data.fixed.jsonl").read_bytes()


def test_what_has_no_fault_is_kept_byte_for_byte(check, tmp_path):
    lines = [GOOD, '{"text":"a\\u0062c"}', '{"text":"\\u00e9",   "x":1e3}']
    result = check(lines, "--fix")
    assert fixed(tmp_path) == "".join(line + "\n" for line in lines).encode()
    assert result.report["fixed"] == {
        "file": str(tmp_path / "data.fixed.jsonl"),
        "lines": 3,
        "dropped": {},
        "mended": {},
    }


def test_the_copy_is_clean(check, tmp_path):
    original = b"".join(encoded(line) + b"\n" for line in FAULTY)
    result = check(FAULTY, "--fix")
    assert (tmp_path / "data.jsonl").read_bytes() == original
    assert fixed(tmp_path).decode().split("\n") == [
        GOOD,
        '{"prompt": "One", "response": "B\\nC"}',
        '{"prompt": "Two", "response": "café !"}',
        "",
    ]
    assert result.report["fixed"]["dropped"] == {
        "blank_line": 1,
        "not_json": 1,
        "invalid_record": 2,  # a prompt alone, and the response that was a control character alone
        "not_utf8": 1,
        "empty_prompt": 1,
        "exact_duplicate": 1,
    }
    assert result.report["fixed"]["mended"] == {
        "byte_order_mark": 1,
        "crlf_line": 1,
        "control_character": 1,
        "bom_in_text": 1,
        "not_nfc": 1,
    }
    assert "wrote" in result.text
    assert "3 of 10 lines; 7 dropped" in result.text
    again = check(tmp_path / "data.fixed.jsonl")
    assert again.code == 0
    assert not set(again.lines) & {*DROPPED, *CHANGED}
    assert len(read_demonstrations(tmp_path / "data.fixed.jsonl")) == 3


def test_cleaning_can_make_duplicates(check, tmp_path):
    lines = [{"text": "caf\u00e9"}, {"text": "cafe\u0301"}, {"text": "caf\u00e9\x07"}, {"text": "tea"}]
    result = check(lines, "--fix")
    assert result.report["fixed"]["dropped"] == {"exact_duplicate": 2}
    assert result.report["fixed"]["mended"] == {}
    assert fixed(tmp_path).decode() == '{"text": "caf\u00e9"}\n{"text": "tea"}\n'


def test_leaks_are_dropped(check, tmp_path):
    held_out = write(tmp_path / "held-out.jsonl", [{"prompt": "Hello, World!", "group": "g1"}])
    lines = clean_rankings(random.Random(1), 4)
    lines[1]["group"] = "g1"
    lines[2]["prompt"] = "hello\x07 world"
    result = check(lines, "--fix", "--against", str(held_out))
    assert result.report["fixed"]["dropped"] == {"leaked_prompt": 1, "leaked_group": 1}
    assert [ranking.id for ranking in read_rankings(tmp_path / "data.fixed.jsonl")] == ["r0", "r3"]
    again = check(tmp_path / "data.fixed.jsonl", "--against", str(held_out))
    assert again.code == 0
    assert again.lines == {}


def test_empty_responses_are_kept_beside_others(check, tmp_path):
    lines = [{"prompt": "A", "responses": ["", "a"]}, {"prompt": "B", "responses": ["", " \x07"]}]
    result = check(lines, "--fix")
    assert result.report["fixed"]["dropped"] == {"empty_response": 1}
    assert [each.prompt for each in read_responses(tmp_path / "data.fixed.jsonl")] == ["A"]


def test_personal_data_is_masked_only_when_asked(check, tmp_path):
    messages = [
        {"role": "user", "content": "I am jane@acme.io."},
        {"role": "assistant", "content": "Call 415-867-5309"},
    ]
    lines = [{"messages": messages}, {"prompt": "A", "response": "B", "id": "jane@acme.io"}]
    check(lines, "--fix")
    assert fixed(tmp_path) == b"".join(encoded(line) + b"\n" for line in lines)
    (tmp_path / "data.fixed.jsonl").unlink()
    result = check(lines, "--fix", "--mask-pii")
    assert result.report["fixed"]["mended"] == {"email": 1, "phone": 1}
    kept = [json.loads(line) for line in fixed(tmp_path).splitlines()]
    assert [message["content"] for message in kept[0]["messages"]] == ["I am [EMAIL].", "Call [PHONE]"]
    assert kept[1]["id"] == "jane@acme.io"  # an id is no text


def test_refusals(tmp_path, capsys):
    write(tmp_path / "data.jsonl", [{"prompt": "A"}])
    write(tmp_path / "bad.jsonl", [{"prompt": " "}])
    (tmp_path / "data.fixed.jsonl").write_text("mine")
    refused(capsys, COMMAND, ["data.jsonl", "--fix"], tmp_path, "--fix data.fixed.jsonl: exists already")
    assert (tmp_path / "data.fixed.jsonl").read_text() == "mine"
    given = ["bad.jsonl", "--fix", "--output", "deep/report.json"]
    refused(capsys, COMMAND, given, tmp_path, "--fix would drop every line of bad.jsonl")


def test_exit_codes(tmp_path, capsys):
    write(tmp_path / "good.jsonl", [{"prompt": "A"}])
    write(tmp_path / "warned.jsonl", [{"prompt": "A"}, {"prompt": "A"}])
    write(tmp_path / "faulty.jsonl", [{"prompt": "A"}, "{"])
    codes = [main(COMMAND, [str(tmp_path / f"{name}.jsonl")]) for name in ("good", "warned", "faulty", "missing")]
    assert codes == [0, 0, 1, 2]
    printed = capsys.readouterr().out
    assert "nothing found" in printed
    assert "0 errors, 1 warning, 0 notes" in printed


def test_the_json_holds_every_case(check, tmp_path):
    result = check([*({"prompt": f"Question {n}\x07"} for n in range(500)), "{"], "--output", str(tmp_path / "r.json"))
    assert result.lines["control_character"] == list(range(1, 501))
    assert json.loads((tmp_path / "r.json").read_text()) == result.report
    assert result.report["errors"] == 1
    assert result.report["warnings"] == 500
    assert "1, 2, 3" in result.text
    assert "(492 more)" in result.text
    assert len(result.text.splitlines()) < 60


def test_the_text_shows_what_matters(check):
    data = clean_rankings(random.Random(1), 30)
    data[3]["ranks"] = [1, 2]
    data[4]["responses"][0]["text"] += "\x1b[2J"
    result = check(data)
    text = re.sub(r"\s+", " ", result.text)
    for phrase in (
        "29 rankings on 30 lines",
        "1 error, 1 warning, 0 notes",
        "error invalid_record × 1: the line is no valid record of this kind line 4: ranks holds 2 for 4 responses",
        "longer wins",
        "earlier wins",
        "annotators 3; the busiest ranked",
        "--fix writes a copy",
    ):
        assert phrase in text, phrase
    assert "\x1b" not in result.text


def test_the_table_has_every_finding():
    """One row each; and what the code names is registered, what is registered is named by the code."""
    rows = findings_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(FINDINGS)
    assert all(row.count("|") == 6 and "\n" not in row for row in rows)
    package = Path(__file__).parents[3] / "alignment" / "data_check"
    others = "".join(path.read_text() for path in package.glob("*.py") if path.name != "findings.py")
    assert {name for name in FINDINGS if f'"{name}"' not in others} == set()
    assert {*DROPPED, *CHANGED, *RULES} <= set(FINDINGS)
    dropped = {name for name, about in FINDINGS.items() if about.mended == "line dropped"}
    assert dropped == set(DROPPED)
    assert {name for name, about in FINDINGS.items() if about.mended == "only with --mask-pii"} == set(RULES)
