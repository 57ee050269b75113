"""How a piece of somebody's data is shown: short, on one line, nothing invisible, personal data masked."""

from __future__ import annotations

import unicodedata

from alignment.data_check.pii import masked

LOOKED_AT = 2_000
"""Characters that are masked before the cut, so that no value is cut in half and then shown."""


def excerpt(text: str, width: int = 60) -> str:
    """The beginning of the text, at most `width` characters and "…"."""
    visible = "".join(_visible(character) for character in masked(text[:LOOKED_AT]))
    return visible if len(visible) <= width else visible[:width] + "…"


def _visible(character: str) -> str:
    """Control, format, private and line-separating characters as their code: a terminal would act on them."""
    if character == " " or unicodedata.category(character)[0] in "LMNPS":
        return character
    if character in "\n\t\r":
        return {"\n": "⏎", "\t": " ", "\r": ""}[character]
    return f"<U+{ord(character):04X}>"
