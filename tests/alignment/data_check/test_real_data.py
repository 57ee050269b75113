"""Real files: every count is checked against a few lines of plain Python, or against what a person read.

Mutations seen to fail: each figure below shifted by one in the code that makes it; near-duplicates compared by prompt
and response; the kind not detected."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from refusals import refused

from alignment.data_check.command import COMMAND


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def near(texts: list[str], threshold: float = 0.8) -> list[int]:
    """Lines whose word triples overlap an earlier line's: every pair that shares a triple is compared, no MinHash."""
    found, holders, sizes = [], defaultdict(list), []
    for line, text in enumerate(texts, start=1):
        words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower())
        triples = set(zip(words, words[1:], words[2:], strict=False))
        shared = Counter(earlier for triple in triples for earlier in holders[triple])
        if any(count >= threshold * (len(triples) + sizes[earlier] - count) for earlier, count in shared.items()):
            found.append(line)
        for triple in triples:
            holders[triple].append(len(sizes))
        sizes.append(len(triples))
    return found


def nearest_rank(values: list[int], percent: int) -> int:
    """The smallest value with at least `percent` of the values at or below it."""
    return next(value for value in sorted(values) if 100 * sum(v <= value for v in values) >= percent * len(values))


def letters(texts: list[str]) -> Counter:
    return Counter(unicodedata.name(c).split()[0] for text in texts for c in text if c.isalpha())


@pytest.mark.parametrize("folder", ["oasst", "finegrained_qa"])
def test_rankings(check, real_data, folder):
    path = real_data / folder / "rankings.jsonl"
    data = rows(path)
    result = check(path)
    report, found = result.report, result.lines
    assert (report["kind"], report["records"], report["lines"]) == ("rankings", len(data), len(data))
    assert (result.code, report["errors"]) == (0, 0)
    numbered = list(enumerate(data, start=1))
    assert found.get("tied_ranks", []) == [n for n, r in numbered if len(set(r["ranks"])) < len(r["ranks"])]
    assert found.get("no_strict_pair", []) == [n for n, r in numbered if len(set(r["ranks"])) == 1]
    assert found.get("near_duplicate", []) == near([r["prompt"] for r in data])
    every = {n: [r["prompt"], *(one["text"] for one in r["responses"])] for n, r in numbered}
    joined = {n: "\n".join(texts) for n, texts in every.items()}
    assert found.get("not_nfc", []) == [
        n for n, t in joined.items() if any(x != unicodedata.normalize("NFC", x) for x in every[n])
    ]
    assert found.get("invisible_character", []) == [n for n, t in joined.items() if "\u200d" in t]
    for absent in ("exact_duplicate", "duplicate_id", "conflicting_ranks", "repeated_prompt", "email", "phone"):
        assert absent not in found
    assert len({r["prompt"] for r in data}) == len(data) == len({r["id"] for r in data})
    known = {"id", "prompt", "responses", "ranks", "annotator", "source", "group", "tree", "question"}
    assert report["other_fields"] == dict(Counter(f for r in data for f in r if f not in known))
    pairs = [
        (r, i, j)
        for r in data
        for i, j in itertools.permutations(range(len(r["ranks"])), 2)
        if r["ranks"][i] < r["ranks"][j]
    ]
    figures = report["rankings"]
    assert figures["strict_pairs"] == len(pairs)
    assert figures["position_bias"]["share"] == sum(i < j for _, i, j in pairs) / len(pairs)
    lengths = [(len(r["responses"][i]["text"]), len(r["responses"][j]["text"])) for r, i, j in pairs]
    assert figures["length_bias"]["share"] == sum((a > b) + (a == b) / 2 for a, b in lengths) / len(pairs)
    prompts = [len(r["prompt"]) for r in data]
    assert report["characters"]["prompt"] == {f"p{p}": nearest_rank(prompts, p) for p in (50, 90, 99)} | {
        "max": max(prompts)
    }
    counts = letters([text for texts in every.values() for text in texts])
    assert report["scripts"]["Latin"] == counts["LATIN"] / sum(counts.values())


def test_what_is_told_of_the_rankings(check, real_data):
    """Known of these files: people ranked longer answers higher in one, and the earlier listed in the other."""
    assert [kind for kind in check(real_data / "oasst" / "rankings.jsonl").lines if "bias" in kind] == ["length_bias"]
    found = check(real_data / "finegrained_qa" / "rankings.jsonl").lines
    assert [kind for kind in found if "bias" in kind] == ["position_bias"]


def test_endings_read_by_a_person(check, real_data):
    """Every line named was read: each has an answer that breaks off in mid-sentence, or that loops to its end."""
    found = check(real_data / "finegrained_qa" / "rankings.jsonl").lines
    assert found["truncated"] == [7, 80, 95, 100, 102, 108, 126, 135, 162, 177, 190, 227, 235, 245, 254, 279]
    assert found["repetition"] == [245, 279]


def test_stories(check, real_data):
    path = real_data / "tinystories" / "stories.jsonl"
    texts = [row["text"] for row in rows(path)]
    result = check(path)
    assert (result.report["kind"], result.report["records"]) == ("demonstrations", len(texts))
    assert near(texts) == []
    assert len(set(texts)) == len(texts)
    assert set(result.lines) == {"truncated"}  # the nine lines that test_seeded_faults.py names
    assert result.report["scripts"] == {"Latin": 1.0}
    assert set(letters(texts)) == {"LATIN"}
    lengths = [len(text) for text in texts]
    assert result.report["characters"] == {
        "response": {f"p{p}": nearest_rank(lengths, p) for p in (50, 90, 99)} | {"max": max(lengths)}
    }


def test_stories_in_tokens(check, real_data):
    from transformers import AutoTokenizer

    model = str(real_data / "stories260k")
    path = real_data / "tinystories" / "stories.jsonl"
    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = tokenizer([row["text"] for row in rows(path)], add_special_tokens=False).input_ids
    totals = [len(each) + 2 for each in ids]  # BOS and EOS
    result = check(path, "--model", model)
    assert result.report["tokens"]["limit"] == 512
    assert result.lines["very_long"] == [n for n, total in enumerate(totals, start=1) if total > 512]
    assert result.report["tokens"]["above_limit"] == sum(total > 512 for total in totals)
    assert result.report["tokens"]["total"]["max"] == max(totals)


def test_split_by_line_leaks_trees(check, real_data, tmp_path):
    """OpenAssistant's conversations cut in two by line: prompts of one tree lie on both sides."""
    lines = (real_data / "oasst" / "rankings.jsonl").read_text().splitlines()
    halves = [lines[::2], lines[1::2]]
    for name, half in zip(("train", "test"), halves, strict=True):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(half) + "\n")
    train, test = ([json.loads(line) for line in half] for half in halves)
    result = check(tmp_path / "train.jsonl", "--against", str(tmp_path / "test.jsonl"))
    trees = {row["tree"] for row in test}
    assert result.lines["leaked_group"] == [n for n, row in enumerate(train, start=1) if row["tree"] in trees]
    assert "leaked_prompt" not in result.lines
    expected = [n for n in near([r["prompt"] for r in [*test, *train]]) if n > len(test)]
    assert result.lines.get("leaked_near_duplicate", []) == [n - len(test) for n in expected]


@pytest.mark.parametrize(
    ("file", "phrases"),
    [
        ("gsm8k/train.jsonl", ("is not one of our records", "question, answer")),
        ("self_instruct/seed_tasks.jsonl", ("is not one of our records", "instruction, instances")),
        ("import_formats/alpaca_en_demo.json", ("is one JSON list of", "instruction, input, output")),
        ("import_formats/dpo_en_demo.json", ("is one JSON list of", "conversations, chosen, rejected")),
        ("import_formats/kto_en_demo.json", ("is one JSON list of", "messages, label")),
    ],
)
def test_other_formats_are_for_import(tmp_path, capsys, real_data, file, phrases):
    refused(capsys, COMMAND, [str(real_data / file)], tmp_path, *phrases, "`align import` turns")


def test_personal_data_of_the_other_texts(real_data):
    """The rules on all 31,000 texts of the folder. Each hit was read: made-up addresses in forms, one sender's address;
    no phone, card, key or account number is claimed where there is arithmetic, a date or an identifier."""
    from alignment.data_check.pii import matches

    def strings(value):
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict | list):
            for inner in value.values() if isinstance(value, dict) else value:
                yield from strings(inner)

    hits = Counter()
    for path in sorted(real_data.glob("*/*.json*")):
        if path.parent.name in ("gpt2_bpe", "stories260k"):
            continue
        data = json.loads(path.read_text()) if path.suffix == ".json" else rows(path)
        for text in strings(data):
            hits.update((rule, text[start:end]) for rule, start, end in matches(text))
    assert hits == {
        ("email", "emoore@email.com"): 2,
        ("email", "alerts@info6.citi.com"): 1,
        ("email", "alice@email.com"): 2,
        ("email", "john@email.com"): 2,
        ("email", "John.Doe-123%+@example-domain.com"): 1,
    }
