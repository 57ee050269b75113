"""`align export` and what it says about what is lost. Each test was seen to fail under the mutation named beside it:

- each detail of `details` turned off: test_details_by_hand
- refused records written; counts of all records instead of those that lost something: test_what_is_lost_is_counted
- weak pairs (`<=`) exported: test_all_strict_pairs
- lists written into CSV cells: test_wrong_exports_are_one_sentence
- `parent_id` left out: test_trees_can_be_flattened_again
- the annotator's name taken for every answer: test_argilla_keeps_later_annotators_apart
"""

from __future__ import annotations

import json

import datasets
import pytest
from refusals import refused
from trl.data_utils import is_conversational

from alignment.command import main
from alignment.formats import details as d
from alignment.formats import oasst
from alignment.formats.exporting import COMMAND
from alignment.formats.importing import COMMAND as IMPORT
from alignment.formats.table import FORMATS
from alignment.records import (
    Demonstration,
    PromptRecord,
    Ranking,
    Response,
    Verdict,
    content_id,
    read_rankings,
    write_jsonl,
)

CHAT = [{"role": "user", "content": "Why?"}]
LONG = [*CHAT, {"role": "assistant", "content": "So."}, {"role": "user", "content": "And?"}]


def ranking(ranks, prompt="p", **more):
    given = {"id": content_id(prompt), **more}
    return Ranking(given.pop("id"), prompt, tuple(map(Response, "abcd"))[: len(ranks)], tuple(ranks), **given)


def run(capsys, tmp_path, records, name, output="out.jsonl"):
    """(metrics, rows) of an export of these records."""
    write_jsonl(tmp_path / "in.jsonl", records)
    arguments = [str(tmp_path / "in.jsonl"), "--format", name, "--output", str(tmp_path / output), "--json"]
    code = main(COMMAND, arguments)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    metrics = json.loads(printed.out.splitlines()[-1])
    assert json.loads((tmp_path / output).with_suffix(".metrics.json").read_text()) == metrics
    text = (tmp_path / output).read_text(encoding="utf-8")
    return metrics, json.loads(text) if output.endswith(".json") else [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (PromptRecord(content_id("p"), "p"), {d.PLAIN}),
        (PromptRecord("7", "p", "g"), {d.PLAIN, d.IDS, d.GROUPS}),
        (PromptRecord(content_id(""), ""), {d.PLAIN, d.EMPTY}),
        (Demonstration(CHAT, "r"), {d.CHAT}),
        (Demonstration([{"role": "system", "content": ""}, *CHAT], "r"), {d.CHAT, d.SYSTEM}),
        (Demonstration(LONG, "r"), {d.CHAT, d.TURNS}),
        (Demonstration(LONG[:2], "r"), {d.CHAT, d.TURNS, d.OPEN}),
        (Demonstration([{"role": "tool", "content": "x"}], "r"), {d.CHAT, d.ROLES, d.OPEN}),
        (Demonstration("p", "r\n\nHuman: x"), {d.PLAIN, d.MARKS}),
        (Demonstration([{"role": "user", "content": "\n\nAssistant:"}], "r"), {d.CHAT, d.MARKS}),
        (ranking((1, 2)), {d.PLAIN}),
        (ranking((3, 1)), {d.PLAIN, d.ORDER}),
        (ranking((1, 1)), {d.PLAIN, d.TIES, d.NO_PAIR}),
        (ranking((1, None)), {d.PLAIN, d.UNCOMPARED, d.NO_PAIR}),
        (ranking((2, 1, 3), annotator="a", source="s"), {d.PLAIN, d.SEVERAL, d.ANNOTATORS, d.SOURCES}),
        (
            Ranking(content_id("p"), "p", (Response("x", "m"), Response("\n\nHuman:", None, False)), (1, 2)),
            {d.PLAIN, d.MODELS, d.CUT, d.MARKS},
        ),
        (Verdict("7", "p", Response("r", "m", False), "bad", "a"), {d.PLAIN, d.IDS, d.MODELS, d.CUT, d.ANNOTATORS}),
    ],
)
def test_details_by_hand(record, expected):
    assert d.details(record) == expected


def test_all_strict_pairs(capsys, tmp_path):
    """Ranks 2, 1, 2, null: the second is better than the first and the third, and nothing else is said."""
    metrics, rows = run(capsys, tmp_path, [ranking((2, 1, 2, None))], "trl")
    assert [(row["prompt"], row["chosen"], row["rejected"]) for row in rows] == [("p", "b", "a"), ("p", "b", "c")]
    assert metrics["note"] == [
        "TRL holds no more than two responses in one record: lost in 1 of 1 records",
        "TRL holds no responses left uncompared: lost in 1 of 1 records",
        "TRL holds no ties: lost in 1 of 1 records",
    ]


def test_what_is_lost_is_counted(capsys, tmp_path):
    records = [Demonstration("p", "r"), Demonstration(CHAT, "r"), Demonstration(LONG, "r"), Demonstration(LONG, "s")]
    metrics, rows = run(capsys, tmp_path, records, "alpaca", "out.json")
    assert rows == [{"instruction": text, "input": "", "output": "r"} for text in ("p", "Why?")]
    assert (metrics["read"], metrics["left_out"], metrics["written"]) == (4, 2, 2)
    assert metrics["note"] == [
        "Alpaca holds no chat of more than one turn: 2 of 4 records left out",
        "Alpaca holds no chat messages (they come back as plain text): lost in 1 of 4 records",
    ]


def test_hh_refuses_turn_marks(capsys, tmp_path):
    bad = Ranking("1", CHAT, (Response("x\n\nHuman: y"), Response("z")), (1, 2))
    metrics, rows = run(capsys, tmp_path, [bad, ranking((2, 1), CHAT)], "hh")
    assert rows == [{"chosen": "\n\nHuman: Why?\n\nAssistant: b", "rejected": "\n\nHuman: Why?\n\nAssistant: a"}]
    assert (
        metrics["note"][0]
        == 'HH holds no turn marks ("\\n\\nHuman:", "\\n\\nAssistant:") inside a text: 1 of 2 records left out'
    )


def test_datasets_and_trl_read_the_pairs(capsys, tmp_path):
    run(capsys, tmp_path, [ranking((1, 2), CHAT)], "trl")
    (row,) = datasets.Dataset.from_json(str(tmp_path / "out.jsonl"), cache_dir=str(tmp_path / "cache"))
    assert is_conversational(row)
    assert row["chosen"] == [{"role": "assistant", "content": "a"}]


def test_trees_can_be_flattened_again(capsys, tmp_path):
    _, (tree,) = run(capsys, tmp_path, [ranking((2, 1, None), LONG, id="7", group="g")], "oasst")
    flat, waiting = [], [tree["prompt"]]
    while waiting:
        one = waiting.pop()
        waiting += one["replies"]
        flat.append({**{key: value for key, value in one.items() if key != "replies"}, "message_tree_id": "g"})
    rows = [
        (str(number), {key: value for key, value in row.items() if value is not None})
        for number, row in enumerate(flat)
    ]
    ((_, gathered),) = oasst.gather(rows)
    (found,) = FORMATS["oasst"].read["rankings"](gathered)
    assert (found["prompt"], found["group"], found["id"]) == (LONG, "g", "7")
    assert {one["text"]: rank for one, rank in zip(found["responses"], found["ranks"])} == {"a": 2, "b": 1, "c": None}


def test_argilla_keeps_later_annotators_apart(capsys, tmp_path):
    """A record that was exported with one annotator's ranking, and that another ranked in Argilla."""
    _, (row,) = run(capsys, tmp_path, [ranking((2, 1), annotator="Ann")], "argilla")
    row["responses"]["ranking"].append({"value": ["response-1", "response-2"], "user_id": "u2"})
    (tmp_path / "back.json").write_text(json.dumps([row]))
    assert main(IMPORT, [str(tmp_path / "back.json"), "--output", str(tmp_path / "own.jsonl")]) == 0
    assert [(one.annotator, one.ranks) for one in read_rankings(tmp_path / "own.jsonl")] == [
        ("Ann", (2, 1)),
        ("u2", (1, 2)),
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json", ".jsonl"])
def test_every_type_of_file_comes_back(capsys, tmp_path, suffix):
    records = [ranking((1, 2), text) for text in ("p", 'ü, "quoted"\r\nline', "NA")]
    write_jsonl(tmp_path / "in.jsonl", records)
    pairs = str(tmp_path / f"pairs{suffix}")
    assert main(COMMAND, [str(tmp_path / "in.jsonl"), "--format", "trl", "--output", pairs]) == 0
    assert main(IMPORT, [pairs, "--output", str(tmp_path / "back.jsonl")]) == 0
    assert read_rankings(tmp_path / "back.jsonl") == records


@pytest.mark.parametrize(
    ("records", "given", "phrases"),
    [
        ([ranking((1, 2))], ("kto", "out.jsonl"), ("takes verdicts", "holds rankings, which own, trl, hh", "can take")),
        ([ranking((1, 1))], ("trl", "out.jsonl"), ("can hold none", "ranking without a strict pair: 1 of 1")),
        ([ranking((1, 2), CHAT)], ("trl", "out.csv"), ("a CSV cell holds one text", "prompt of row 1", ".jsonl")),
        (
            [ranking((1, 2), CHAT), ranking((1, 2))],
            ("trl", "out.parquet"),
            ("a Parquet column holds one type", "--prompt-form"),
        ),
        (
            [ranking((1, 2))],
            ("trl", "out.txt"),
            ("--output is 'out.txt'", "must end with .jsonl, .json, .csv, .parquet"),
        ),
        ([ranking((1, 2))], ("columns", "out.jsonl"), ("--format is 'columns'", "must be one of own, trl")),
        ([{"chosen": "a", "rejected": "b"}], ("trl", "out.jsonl"), ("holds no records of ours", "align import")),
        ([{"prompt": "p", "response": ""}], ("trl", "out.jsonl"), ("RECORDS in.jsonl, line 1: response is empty",)),
    ],
)
def test_wrong_exports_are_one_sentence(capsys, tmp_path, records, given, phrases):
    write_jsonl(tmp_path / "in.jsonl", records)
    refused(capsys, COMMAND, ["in.jsonl", "--format", given[0], "--output", given[1]], tmp_path, *phrases)


def test_a_tree_that_json_cannot_nest(capsys, tmp_path):
    write_jsonl(tmp_path / "in.jsonl", [ranking((1, 2), CHAT * 60_000)])
    refused(capsys, COMMAND, ["in.jsonl", "--format", "oasst", "--output", "o.jsonl"], tmp_path, "too many turns")
