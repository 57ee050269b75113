"""Files as people publish them → ours, with exact counts; and the stages read what was imported, unchanged.

Counts were taken from the files themselves (`wc -l`, or the length of the JSON array), contents with json alone. Seen to
fail: the KTO label turned, the input of Alpaca forgotten, the system message of a pair dropped, `tree` not read as group."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from models import tiny_model

from alignment.command import main
from alignment.formats.exporting import COMMAND as EXPORT
from alignment.formats.importing import COMMAND
from alignment.records import (
    prompt_text,
    read_demonstrations,
    read_rankings,
    read_verdicts,
)
from reward_model.config import COMMAND as REWARD
from sft.config import COMMAND as SFT

FILES = [
    ("gsm8k/train.jsonl", "columns", "demonstrations", 7473),
    ("self_instruct/seed_tasks.jsonl", "self-instruct", "demonstrations", 175),
    ("tinystories/stories.jsonl", "own", "demonstrations", 1852),
    ("oasst/rankings.jsonl", "own", "rankings", 114),
    ("finegrained_qa/rankings.jsonl", "own", "rankings", 300),
    ("import_formats/alpaca_en_demo.json", "alpaca", "demonstrations", 999),
    ("import_formats/dpo_en_demo.json", "sharegpt", "rankings", 300),
    ("import_formats/kto_en_demo.json", "kto", "verdicts", 300),
]


def imported(folder, source, *arguments):
    out = folder / "out.jsonl"
    assert main(COMMAND, [str(source), "--output", str(out), *arguments]) == 0
    return json.loads((folder / "out.metrics.json").read_text()), out


@pytest.mark.parametrize(("file", "name", "kind", "count"), FILES)
def test_counts(real_data, tmp_path, file, name, kind, count):
    metrics, out = imported(tmp_path, real_data / file)
    assert metrics["format"].startswith(f"{name} (")
    expected = {"kind": kind, "read": count, "written": count, "faulty": 0}
    assert {key: metrics[key] for key in expected} == expected
    assert sum(1 for line in out.read_text(encoding="utf-8").split("\n") if line) == count


def test_alpaca(real_data, tmp_path):
    rows = json.loads((real_data / "import_formats/alpaca_en_demo.json").read_text(encoding="utf-8"))
    records = read_demonstrations(imported(tmp_path, real_data / "import_formats/alpaca_en_demo.json")[1])
    for row, one in zip(rows, records, strict=True):
        assert one.response == row["output"]
        assert one.prompt == (f"{row['instruction']}\n\n{row['input']}" if row["input"] else row["instruction"])


def test_share_gpt_pairs(real_data, tmp_path):
    rows = json.loads((real_data / "import_formats/dpo_en_demo.json").read_text(encoding="utf-8"))
    records = read_rankings(imported(tmp_path, real_data / "import_formats/dpo_en_demo.json")[1])
    assert sum(one.prompt[0]["role"] == "system" for one in records) == 80  # as counted in the file
    for row, one in zip(rows, records, strict=True):
        assert [message["content"] for message in one.prompt] == [turn["value"] for turn in row["conversations"]]
        assert [one.responses[i].text for i in (0, 1)] == [row["chosen"]["value"], row["rejected"]["value"]]
        assert one.ranks == (1, 2)


def test_kto(real_data, tmp_path):
    rows = json.loads((real_data / "import_formats/kto_en_demo.json").read_text(encoding="utf-8"))
    metrics, out = imported(tmp_path, real_data / "import_formats/kto_en_demo.json")
    assert any("`align reward --verdicts` trains on verdicts" in note for note in metrics["note"])
    records = read_verdicts(out)
    assert Counter(one.verdict for one in records) == {"good": 150, "bad": 150}
    for row, one in zip(rows, records, strict=True):
        assert (one.verdict == "good") is row["label"]
        assert [*one.prompt, {"role": "assistant", "content": one.response.text}] == row["messages"]


def test_the_group_is_the_one_that_the_reward_model_would_read(real_data, tmp_path):
    source = real_data / "oasst/rankings.jsonl"
    fields = tuple(REWARD.settings.__dataclass_fields__["group_field"].default.split(","))
    assert [one.group for one in read_rankings(imported(tmp_path, source)[1])] == [
        one.group for one in read_rankings(source, group_fields=fields)
    ]


def test_open_assistant_to_pairs_and_back(real_data, tmp_path):
    """Every strict pair of the rankings, and no other, comes back from TRL's pairs."""
    _, own = imported(tmp_path, real_data / "oasst/rankings.jsonl")
    (tmp_path / "back").mkdir()
    assert main(EXPORT, [str(own), "--format", "trl", "--output", str(tmp_path / "pairs.parquet")]) == 0
    _, back = imported(tmp_path / "back", tmp_path / "pairs.parquet")
    assert pairs(read_rankings(back)) == pairs(read_rankings(own))


def pairs(rankings):
    return Counter(
        (prompt_text(one.prompt), one.responses[i].text, one.responses[j].text)
        for one in rankings
        for i, j in one.strict_pairs()
    )


def test_the_stages_read_what_was_imported(tmp_path):
    """A CSV of questions and answers trains `align sft`; a file of TRL pairs trains `align reward`."""
    base = tiny_model("llama", tmp_path / "base")
    (tmp_path / "qa.csv").write_text("question,answer\n" + "".join(f"Is it {n}?,It is {n}.\n" for n in range(8)))
    assert main(COMMAND, [str(tmp_path / "qa.csv"), "--output", str(tmp_path / "sft.jsonl")]) == 0
    sft = ["--base", base, "--data", str(tmp_path / "sft.jsonl"), "--output", str(tmp_path / "sft"), "--epochs", "1"]
    assert main(SFT, sft) == 0
    rows = [{"prompt": f"Is it {n}?", "chosen": f"It is {n}.", "rejected": "No."} for n in range(8)]
    (tmp_path / "pairs.json").write_text(json.dumps(rows))
    assert main(COMMAND, [str(tmp_path / "pairs.json"), "--output", str(tmp_path / "rm.jsonl")]) == 0
    reward = [
        "--base",
        str(tmp_path / "sft"),
        "--rankings",
        str(tmp_path / "rm.jsonl"),
        "--output",
        str(tmp_path / "rm"),
    ]
    assert main(REWARD, reward) == 0
    assert json.loads((tmp_path / "rm" / "metrics.json").read_text())
