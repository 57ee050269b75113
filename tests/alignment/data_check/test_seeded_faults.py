"""Faults planted at random lines of clean data: each is found at exactly its line, and nothing else is.

Generated data is clean by construction. Real data has a few findings of its own: they are written out below, each with
its reason, and every other line is clean. Mutations seen to fail: any check left out of check.py; line numbers shifted
by one; a finding reported at the earlier of two lines."""

from __future__ import annotations

import copy
import json
import random
from collections import defaultdict
from typing import Any

import pytest
from data_files import clean_rankings, encoded, sentence, write

Record = dict[str, Any]
Lines = dict[str, set[int | None]]

OASST: Lines = {
    "near_duplicate": {95},  # the same conversation as line 94, but for the last question
    "truncated": {8, 33, 65, 71, 106},  # a last sentence without a full stop; seen by eye
    "not_nfc": {107},  # one letter with a combining accent
    "length_bias": {None},  # the longer answer wins 69 %: people's taste, and known of this data
}
STORIES: Lines = {
    "truncated": {99, 108, 194, 292, 402, 1222, 1701, 1712, 1812},  # the story stops in mid-sentence; seen by eye
}


def texts(record: Record) -> list[Record]:
    """Its responses as objects that can be changed."""
    record["responses"] = [{"text": one} if isinstance(one, str) else one for one in record["responses"]]
    return record["responses"]


def said(addition: str):
    """The record with something more in its prompt."""

    def plant(record: Record, other: Record, draw: random.Random) -> Record:
        return {**record, "prompt": f"{record['prompt']} {addition} {sentence(draw, 3)}"}

    return plant


def answered(addition: str):
    """The record with something more in front of one of its responses."""

    def plant(record: Record, other: Record, draw: random.Random) -> Record:
        one = draw.choice(texts(record))
        one["text"] = addition + one["text"]
        return record

    return plant


def without_pair(record: Record, other: Record, draw: random.Random) -> Record:
    return {**record, "ranks": [2] * len(record["responses"])}


def identical(record: Record, other: Record, draw: random.Random) -> Record:
    first, second, *_ = texts(record)
    second["text"] = first["text"]
    return record


def emptied(record: Record, other: Record, draw: random.Random) -> Record:
    texts(record)[0]["text"] = " \n"
    return record


def unfinished(record: Record, other: Record, draw: random.Random) -> Record:
    texts(record)[0]["finished"] = False
    return record


def one_null(record: Record, other: Record, draw: random.Random) -> Record:
    return {**record, "ranks": [None, *record["ranks"][1:-1], 99] if len(record["ranks"]) > 2 else [1, None]}


def turned(record: Record, other: Record, draw: random.Random) -> Record:
    """The other line's responses, ranked the other way round."""
    return {**other, "id": "turned", "ranks": [20 - rank for rank in other["ranks"]]}


def nearly(record: Record, other: Record, draw: random.Random) -> Record:
    """The other line's prompt and one word more: one triple more than it had, of 28 or more."""
    return {**record, "prompt": other["prompt"] + " please"}


def foreign(record: Record, other: Record, draw: random.Random) -> Record:
    for number, one in enumerate(texts(record)):
        one["text"] = f"Это ответ на вопрос, номер {number}. " * 300
    return record


def cut(record: Record, other: Record, draw: random.Random) -> str:
    return encoded(record).decode()[:-20]


def in_latin_1(record: Record, other: Record, draw: random.Random) -> bytes:
    return json.dumps({**record, "prompt": "Un café ?"}, ensure_ascii=False).encode("latin-1", "replace")


def replaced(name: str, value: Any):
    return lambda record, other, draw: {**record, name: value}


def same_id(record: Record, other: Record, draw: random.Random) -> Record:
    return {**record, "id": other["id"]}


PLANTS: dict[str, tuple[Any, set[str]]] = {
    "cut line": (cut, {"not_json"}),
    "latin-1": (in_latin_1, {"not_utf8"}),
    "one response": (replaced("responses", ["a"]), {"invalid_record"}),
    "ranks too short": (replaced("ranks", [1]), {"invalid_record"}),
    "rank NaN": (replaced("ranks", [float("nan"), 1]), {"invalid_record"}),
    "half a surrogate": (lambda record, *_: json.dumps({**record, "prompt": "\ud83d"}), {"invalid_record"}),
    "blank": (lambda *_: "  ", {"blank_line"}),
    "Windows line end": (lambda record, *_: encoded(record) + b"\r", {"crlf_line"}),
    "misspelled field": (replaced("anotator", "jo"), {"unknown_field"}),
    "copy": (lambda record, other, draw: {**other, "id": "copy"}, {"exact_duplicate"}),
    "same id": (same_id, {"duplicate_id"}),
    "near copy": (nearly, {"near_duplicate"}),
    "other ranks": (turned, {"conflicting_ranks"}),
    "no pair": (without_pair, {"no_strict_pair", "tied_ranks"}),
    "same text, two ranks": (identical, {"identical_responses"}),
    "null": (one_null, {"null_ranks"}),
    "empty response": (emptied, {"empty_response"}),
    "empty prompt": (replaced("prompt", "\t"), {"empty_prompt"}),
    "unfinished": (unfinished, {"unfinished"}),
    "open code": (answered("```\n"), {"truncated"}),
    "loop": (answered("so so so so so so so so "), {"repetition"}),
    "very long": (said("x9 " * 9000), {"very_long"}),
    "Russian": (foreign, {"script_outlier"}),
    "control character": (answered("\x07"), {"control_character"}),
    "CR LF in the text": (answered("Yes.\r\n"), {"control_character"}),
    "mojibake": (said("cafÃ© FranÃ§oise"), {"mojibake"}),
    "lost character": (said("caf\ufffd"), {"replacement_character"}),
    "zero width": (answered("a\u200bb "), {"invisible_character"}),
    "direction": (said("\u202egnirts"), {"invisible_character"}),
    "mark in the text": (said("\ufeff"), {"bom_in_text"}),
    "letter and accent": (answered("cafe\u0301 "), {"not_nfc"}),
    "e-mail": (said("jane.roe@acme.io"), {"email"}),
    "phone": (answered("Call 415-867-5309. "), {"phone"}),
    "address": (said("81.2.69.142"), {"ip_address"}),
    "card": (said("4111 1111 1111 1111"), {"credit_card"}),
    "account": (said("DE89 3704 0044 0532 0130 00"), {"iban"}),
    "social security": (said("219-09-9999"), {"us_ssn"}),
    "key": (answered("sk-proj-abcdefghijklmnopqrstuvwx "), {"api_key"}),
    "password": (said("https://jane:s3cr3t@acme.io/"), {"url_credentials"}),
}
NOT_JUDGED = {"position_bias", "length_bias", "annotator_share"}
"""Of the file as a whole: planting changes the ranks, so they are judged on the clean file only."""


def planted(clean: list[Record], kept: set[int], draw: random.Random) -> tuple[list[Any], Lines]:
    """The lines with every fault at a random line of its own, and where each must be found.

    kept: lines that stay as they are. A fault that repeats another record takes one of an earlier line that stays."""
    free = [number for number in range(len(clean) // 2, len(clean) + 1) if number not in kept]
    targets = dict(zip(PLANTS, draw.sample(free, len(PLANTS)), strict=True))
    sources = [n for n in range(1, len(clean) // 2) if n not in kept and _can_be_copied(clean[n - 1])]
    originals = dict(zip(PLANTS, draw.sample(sources, len(PLANTS)), strict=True))
    lines, expected = list(clean), defaultdict(set)
    for name, (plant, findings) in PLANTS.items():
        record, other = copy.deepcopy(clean[targets[name] - 1]), clean[originals[name] - 1]
        lines[targets[name] - 1] = plant(record, other, random.Random(f"{name}{targets[name]}"))
        for finding in findings:
            expected[finding].add(targets[name])
    return lines, dict(expected)


def _can_be_copied(record: Record) -> bool:
    return len(record["prompt"].split()) >= 12


def judged(lines: dict[str, list[int | None]]) -> Lines:
    return {finding: set(where) for finding, where in lines.items() if finding not in NOT_JUDGED}


def both(some: Lines, other: Lines) -> Lines:
    merged = {finding: some.get(finding, set()) | other.get(finding, set()) for finding in some | other}
    return {finding: where for finding, where in merged.items() if finding not in NOT_JUDGED}


@pytest.mark.parametrize("seed", range(3))
def test_planted_in_generated_data(check, seed):
    draw = random.Random(seed)
    clean = clean_rankings(draw, 200)
    assert check(clean).lines == {}
    lines, expected = planted(clean, set(), draw)
    assert len(expected) >= 30
    assert judged(check(lines).lines) == expected


@pytest.mark.parametrize("seed", range(3))
def test_planted_in_real_rankings(check, real_data, seed):
    path = real_data / "oasst" / "rankings.jsonl"
    clean = [json.loads(line) for line in path.read_text().splitlines()]
    assert {finding: set(where) for finding, where in check(path).lines.items()} == OASST
    kept = {94, *(line for where in OASST.values() for line in where if line is not None)}
    lines, expected = planted(clean, kept, random.Random(seed))
    assert judged(check(lines).lines) == both(OASST, expected)


def test_planted_in_real_stories(check, real_data):
    """Demonstrations have their own faults: no response, a story told twice or nearly, another answer to a prompt."""
    path = real_data / "tinystories" / "stories.jsonl"
    stories = [json.loads(line) for line in path.read_text().splitlines()]
    assert {finding: set(where) for finding, where in check(path).lines.items()} == STORIES
    draw = random.Random(0)
    free = [n for n in range(2, len(stories) + 1) if n not in STORIES["truncated"]]
    at = draw.sample(free, 9)
    first = next(story for n, story in enumerate(stories, 1) if n < min(at) and n not in STORIES["truncated"])["text"]
    prompt = first[:40]
    plants: list[tuple[Any, str]] = [
        ({"text": first}, "exact_duplicate"),
        ({"text": first.upper()}, "near_duplicate"),
        ({"text": first + " The end."}, "near_duplicate"),
        ({"text": ""}, "invalid_record"),
        ({"prompt": "Go on: "}, "invalid_record"),
        ({"prompt": " ", "response": "Yes, it is."}, "empty_prompt"),
        ({"text": first[:200] + "\x00"}, "control_character"),
        ({"text": first[len(first) // 2 :].rsplit(" ", 3)[0].rstrip(".!?,\"'")}, "truncated"),
        ({"text": "Write to jo@acme.io. " + first[:100] + "."}, "email"),
    ]
    expected: Lines = defaultdict(set)
    for number, (record, finding) in zip(at, plants, strict=True):
        stories[number - 1] = record
        expected[finding].add(number)
    stories += [{"prompt": prompt, "response": "Yes."}, {"prompt": prompt, "response": "No."}]
    expected["conflicting_response"] = {len(stories)}
    assert judged(check(stories).lines) == both(STORIES, expected)


def test_planted_leaks(check, tmp_path):
    draw = random.Random(9)
    clean = clean_rankings(draw, 100)
    held_out = clean_rankings(draw, 30)
    for number, each in enumerate(held_out):
        each["group"] = f"h{number}"
    path = write(tmp_path / "held-out.jsonl", held_out)
    assert check(clean, "--against", str(path)).lines == {}
    a, b, c, d = draw.sample(range(100), 4)
    clean[a]["prompt"] = held_out[3]["prompt"]
    clean[b]["prompt"] = held_out[4]["prompt"].upper().replace(" ", "\n")
    clean[c]["prompt"] = held_out[5]["prompt"] + " please"
    clean[d]["group"] = "h6"
    assert judged(check(clean, "--against", str(path)).lines) == {
        "leaked_prompt": {a + 1, b + 1},
        "leaked_near_duplicate": {c + 1},
        "leaked_group": {d + 1},
    }
