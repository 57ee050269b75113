"""Which words differ between two texts, by difflib."""

from __future__ import annotations

import difflib
import re
from typing import Literal

from alignment.report.document import Piece

ALIKE = 0.25
"""Texts that share less than this of their words are left unmarked: with everything marked, nothing is."""


def compared(old: str, new: str) -> tuple[list[Piece], list[Piece]]:
    """(pieces of old, pieces of new): "gone" what only old has, "new" what only new has, "same" the rest.

    Joined again, the pieces are the texts to the letter. Words carry the white space that follows them, unmarked."""
    a, b = _words(old), _words(new)
    matcher = difflib.SequenceMatcher(None, [word.strip() for word in a], [word.strip() for word in b], autojunk=False)
    shared = sum(word[:1].isalnum() for i, _, n in matcher.get_matching_blocks() for word in a[i : i + n])
    if shared < ALIKE * max(sum(word[:1].isalnum() for word in a), sum(word[:1].isalnum() for word in b), 1):
        return plain(old), plain(new)
    before: list[Piece] = []
    after: list[Piece] = []
    for kind, i, j, k, m in matcher.get_opcodes():
        before += _pieces("same" if kind == "equal" else "gone", "".join(a[i:j]))
        after += _pieces("same" if kind == "equal" else "new", "".join(b[k:m]))
    return before, after


def plain(text: str) -> list[Piece]:
    """The text as one piece, unmarked."""
    return [("same", text)] if text else []


def _pieces(kind: Literal["same", "gone", "new"], text: str) -> list[Piece]:
    bare = text.rstrip()
    return [piece for piece in [(kind, bare), ("same", text[len(bare) :])] if piece[1]]


def _words(text: str) -> list[str]:
    """Words and signs, each with the white space after it; white space before the first is one of its own."""
    return re.findall(r"^\s+|\w+\s*|[^\w\s]\s*", text)
