"""Files, directories and Hub ids → rows. Each test was seen to fail under the mutation named beside it:

- `dtype=str` left out; `keep_default_na=False` left out: test_cells_are_the_text_that_they_are
- ParserWarning not an error; `index_col=False` left out: test_trouble_with_a_file_is_one_sentence
- empty group cells kept: test_an_empty_group_cell_is_no_group
- an object's only list taken for the records whatever its name: test_shapes_of_json
- NaN refused: test_missing_values_are_left_out
- splits read together; a split's word found inside another word: test_splits_of_a_directory_are_not_mixed
"""

from __future__ import annotations

import gzip
import json

import datasets
import pandas
import pytest
from refusals import refused

from alignment.command import main
from alignment.errors import UserError
from alignment.formats.files import read_rows
from alignment.formats.importing import COMMAND
from alignment.formats.parsing import Source
from alignment.records import Demonstration, PromptRecord, read_demonstrations, read_prompts

QA = [{"question": "q", "answer": "a"}, {"question": "r", "answer": "b"}]


def rows(path, **more):
    return [row for _, row in read_rows(Source(str(path), **more))]


def test_cells_are_the_text_that_they_are(tmp_path):
    (tmp_path / "in.csv").write_text(
        'id,question,answer\n007,NA,None\n1e3,"two\r\nlines, quoted ""so""",nan\n', newline=""
    )
    assert rows(tmp_path / "in.csv") == [
        {"id": "007", "question": "NA", "answer": "None"},
        {"id": "1e3", "question": 'two\r\nlines, quoted "so"', "answer": "nan"},
    ]


def test_an_empty_group_cell_is_no_group(tmp_path):
    (tmp_path / "in.csv").write_text("id,group,question\n1,,q\n,g,r\n")
    assert rows(tmp_path / "in.csv") == [{"id": "1", "question": "q"}, {"group": "g", "question": "r"}]
    assert main(COMMAND, [str(tmp_path / "in.csv"), "--output", str(tmp_path / "out.jsonl")]) == 0
    assert [(one.prompt, one.group) for one in read_prompts(tmp_path / "out.jsonl")] == [("q", None), ("r", "g")]


@pytest.mark.parametrize(
    ("name", "content", "more"),
    [
        ("in.csv", "\ufeffquestion,answer\r\nq,a\r\nr,b\r\n".encode(), {}),
        ("in.tsv", b"question\tanswer\nq\ta\nr\tb\n", {}),
        ("in.csv", b"question;answer\nq;a\nr;b\n", {"delimiter": ";"}),
        ("in.csv", "question,answer\nq,a\nr,b\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("in.csv.gz", gzip.compress(b"question,answer\nq,a\nr,b\n", mtime=0), {}),
        ("in.json", json.dumps(QA, indent=2).encode(), {}),
        ("in.json", json.dumps({"version": "1", "data": QA}, indent=2).encode(), {}),
        ("in.json", b'{"question": "q", "answer": "a"}\n{"question": "r", "answer": "b"}\n', {}),
        ("in.jsonl", json.dumps(QA).encode(), {}),
        (
            "in.jsonl.gz",
            gzip.compress(b'{"question": "q", "answer": "a"}\n\n{"question": "r", "answer": "b"}', mtime=0),
            {},
        ),
        ("records", json.dumps(QA).encode("utf-8-sig"), {}),
    ],
)
def test_every_way_to_write_the_same_two_rows(tmp_path, name, content, more):
    (tmp_path / name).write_bytes(content)
    assert rows(tmp_path / name, **more) == QA


def test_shapes_of_json(tmp_path):
    single = {"conversations": [{"from": "human", "value": "x"}]}
    (tmp_path / "in.json").write_text(json.dumps(single, indent=1))
    assert rows(tmp_path / "in.json") == [single]
    (tmp_path / "in.jsonl").write_text(json.dumps(single))
    assert rows(tmp_path / "in.jsonl") == [single]


def test_missing_values_are_left_out(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"a": NaN, "b": null, "c": {"d": null, "e": [null, 1]}}')
    assert rows(tmp_path / "in.jsonl") == [{"c": {"e": [None, 1]}}]
    frame = pandas.DataFrame({"question": ["q", None], "number": [1.0, float("nan")]})
    frame.to_parquet(tmp_path / "in.parquet")
    assert rows(tmp_path / "in.parquet") == [{"question": "q", "number": 1.0}, {}]


def test_parquet_of_datasets(tmp_path):
    messages = [[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]]
    datasets.Dataset.from_dict({"messages": messages}).to_parquet(tmp_path / "in.parquet")
    assert main(COMMAND, [str(tmp_path / "in.parquet"), "--output", str(tmp_path / "out.jsonl")]) == 0
    assert read_demonstrations(tmp_path / "out.jsonl") == [Demonstration([{"role": "user", "content": "x"}], "y")]


@pytest.mark.parametrize(
    ("name", "content", "phrases"),
    [
        ("in.csv", b"question,answer\nq,a,more\n", ("more cells than its first line has names", "quote texts")),
        ("in.csv", b"question,answer\nq,a\nq,a,more\n", ("Expected 2 fields in line 3, saw 3", "quote texts")),
        ("in.csv", b'question,answer\n"q,a\n', ("EOF inside string",)),
        ("in.csv", b"question;answer\nq;a\n", ("cells seem to stand between ';'", "--delimiter ';'")),
        ("in.csv", b"question\tanswer\nq\ta\n", ("--delimiter tab",)),
        ("in.csv", b"", ("No columns",)),
        ("in.csv", b"question,answer\n", ("holds no record",)),
        ("in.csv", "question,answer\nü,a\n".encode("latin-1"), ("is not utf-8 text", "--encoding latin-1")),
        ("in.csv", "question,answer\nq,a\n".encode("utf-16"), ("is not utf-8 text", "--encoding utf-16 if")),
        ("in.csv", "question,answer\nq,a\n".encode("utf-16-le"), ("NUL characters", "--encoding utf-16-le")),
        ("in.jsonl", b"", ("holds no record",)),
        ("in.jsonl", b"[]", ("holds no record",)),
        ("in.jsonl", b'"text"', ("line 1: holds text", "must be an object")),
        ("in.jsonl", b'{"question": "q"', ("line 1: is not JSON",)),
        ("in.json", b'[{"question": "q"},', ("is not JSON", "array")),
        ("in.json", b'{"a":' * 100_000, ("nested too deeply",)),
        ("in.jsonl", b'{"question": ' + b"1" * 5000 + b"}", ("line 1: is not JSON",)),
        ("in.jsonl.gz", gzip.compress(b"{}", mtime=0)[:-9], ("cannot be read",)),
        ("in.parquet", b"PAR1 not", ("is not Parquet",)),
        ("in.parquet", b"", ("is not Parquet",)),
    ],
)
def test_trouble_with_a_file_is_one_sentence(capsys, tmp_path, name, content, phrases):
    (tmp_path / name).write_bytes(content)
    refused(capsys, COMMAND, [name, "--output", "out.jsonl"], tmp_path, f"SOURCE {name}", *phrases)


def test_a_line_of_many_megabytes(capsys, tmp_path):
    """What is written can be read by the stages, whose lines have a limit."""
    text = "x" * 30_000_000
    (tmp_path / "in.jsonl").write_text(json.dumps({"question": text, "answer": "a"}))
    assert rows(tmp_path / "in.jsonl") == [{"question": text, "answer": "a"}]
    assert main(COMMAND, [str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl")]) == 0
    assert read_demonstrations(tmp_path / "out.jsonl") == [Demonstration(text, "a")]
    capsys.readouterr()
    (tmp_path / "in.jsonl").write_text(json.dumps({"question": text, "answer": text}))
    refused(capsys, COMMAND, ["in.jsonl", "--output", "o.jsonl"], tmp_path, "line 1: is longer than the 32 MiB")
    (tmp_path / "in.jsonl").write_text(text)
    sentence = refused(capsys, COMMAND, ["in.jsonl", "--output", "o.jsonl"], tmp_path, "line 1: is not JSON")
    assert len(sentence) < 300


def test_no_such_file(capsys, tmp_path):
    for name in ("nothing.jsonl", "a/b/c", "nothing.csv.gz"):
        refused(capsys, COMMAND, [name, "--output", "out.jsonl"], tmp_path, f"SOURCE {name}: no such file")


def test_a_directory_is_read_file_by_file(capsys, tmp_path):
    data = tmp_path / "data"
    (data / "more").mkdir(parents=True)
    (data / "README.md").write_text("not data")
    (data / "a.csv").write_text("question,answer\nq,a\n")
    (data / "more" / "b.jsonl").write_text(json.dumps(QA[1]))
    assert rows(data) == QA
    (data / "more" / "b.jsonl").write_text('{"instruction": "i", "instances": []}')
    phrases = ("more/b.jsonl, line 1: looks like self-instruct (demonstrations), not like columns",)
    (data / "c.csv").write_text("question,answer\nr,b\n")
    refused(capsys, COMMAND, ["data", "--output", "out.jsonl"], tmp_path, *phrases)


def test_a_directory_without_data(capsys, tmp_path):
    (tmp_path / "data").mkdir()
    refused(capsys, COMMAND, ["data", "--output", "out.jsonl"], tmp_path, "SOURCE data: holds no data file", ".parquet")


def test_splits_of_a_directory_are_not_mixed(capsys, tmp_path):
    for name, row in (
        ("train-00000.jsonl", QA[0]),
        ("test.jsonl", QA[1]),
        ("trainers.jsonl", {"question": "x", "answer": "y"}),
    ):
        (tmp_path / name).write_text(json.dumps(row))
    with pytest.raises(UserError, match=r"holds the splits test, train; say which with --split"):
        read_rows(Source(str(tmp_path)))
    assert rows(tmp_path, split="train") == [QA[0]]
    with pytest.raises(UserError, match="no data file of the split dev"):
        read_rows(Source(str(tmp_path), split="dev"))


def test_what_datasets_saved(tmp_path):
    splits = {"train": datasets.Dataset.from_list(QA), "test": datasets.Dataset.from_list(QA[:1])}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "both")
    splits["train"].save_to_disk(tmp_path / "one")
    assert rows(tmp_path / "one") == QA
    assert rows(tmp_path / "both", split="test") == QA[:1]
    with pytest.raises(UserError, match="holds the splits train, test; say which"):
        read_rows(Source(str(tmp_path / "both")))
    with pytest.raises(UserError, match="--split is 'dev'"):
        read_rows(Source(str(tmp_path / "both"), split="dev"))


def test_a_hub_dataset(monkeypatch, tmp_path):
    """The name, the subset and the splits as `datasets` gives them; no network in tests."""
    asked = []

    def load_dataset(path, **more):
        asked.append((path, more))
        return datasets.DatasetDict(
            {"train": datasets.Dataset.from_list(QA), "test": datasets.Dataset.from_list(QA[:1])}
        )

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    out = str(tmp_path / "out.jsonl")
    assert main(COMMAND, ["owner/name", "--subset", "main", "--split", "test", "--output", out]) == 0
    assert asked == [("owner/name", {"name": "main"})]
    assert read_demonstrations(out) == [Demonstration("q", "a")]


def test_no_hub_is_one_sentence(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    phrases = ("SOURCE nobody/nothing: is no file here, and no dataset", "check the name, the network")
    refused(capsys, COMMAND, ["nobody/nothing", "--output", "out.jsonl"], tmp_path, *phrases)


def test_interrupted_or_refused_leaves_nothing(capsys, tmp_path, monkeypatch):
    def interrupted(source):
        raise KeyboardInterrupt

    (tmp_path / "in.jsonl").write_text(json.dumps(QA[0]))
    (tmp_path / "taken.jsonl").write_text("")
    refused(capsys, COMMAND, ["in.jsonl", "--output", "taken.jsonl"], tmp_path, "exists already")
    monkeypatch.setattr("alignment.formats.importing.read_rows", interrupted)
    assert main(COMMAND, [str(tmp_path / "in.jsonl"), "--output", str(tmp_path / "out.jsonl")]) == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "taken.jsonl"]


def test_ids_of_tables_are_kept(tmp_path):
    (tmp_path / "in.csv").write_text("id,question\n007,q\n")
    assert main(COMMAND, [str(tmp_path / "in.csv"), "--output", str(tmp_path / "out.jsonl")]) == 0
    assert read_prompts(tmp_path / "out.jsonl") == [PromptRecord("007", "q")]
