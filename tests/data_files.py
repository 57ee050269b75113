"""Files of records for the tests of `align data check`: written as given, or generated without a fault."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

CONSONANTS, VOWELS = "bdfgklmnprstvz", "aeiou"


def write(path: Path, lines: list[Any]) -> Path:
    """dicts as JSON, text and bytes as they are, one a line."""
    path.write_bytes(b"".join(encoded(line) + b"\n" for line in lines))
    return path


def encoded(line: Any) -> bytes:
    if isinstance(line, bytes):
        return line
    return (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)).encode()


def sentence(draw: random.Random, words: int) -> str:
    """Made-up words, so that no two sentences are alike by chance."""
    made = [
        "".join(draw.choice(CONSONANTS) + draw.choice(VOWELS) for _ in range(draw.randint(1, 4))) for _ in range(words)
    ]
    return " ".join(made).capitalize() + "."


def clean_rankings(draw: random.Random, count: int) -> list[dict[str, Any]]:
    """Rankings with nothing to find: every prompt its own, fair listing, fair lengths, three annotators in turn."""
    return [
        {
            "id": f"r{number}",
            "prompt": sentence(draw, 30),
            "group": f"g{number}",
            "responses": [{"text": sentence(draw, 20), "model": "m"} for _ in range(4)],
            "ranks": draw.sample(range(1, 5), 4),
            "annotator": f"simulated:{number % 3}",
        }
        for number in range(count)
    ]
