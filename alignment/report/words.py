"""Numbers in words and figures, written one way everywhere on a page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

CLEAR = 0.5
"""A win rate or an accuracy is told from a coin by whether its interval reaches this."""


def percent(share: float) -> str:
    """0.875 → "87.5 %"."""
    return f"{100 * share:.1f} %"


def number(value: float) -> str:
    """About three figures: 1234.5 → "1,234", 0.0123 → "0.0123", −0.00001 → "−1.00e-05"."""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if value == int(value) and size < 1e15:
        text = f"{int(size):,}"
    elif size >= 0.1:
        text = f"{size:,.{0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"
    else:
        text = f"{size:.3g}" if size >= 1e-3 else f"{size:.2e}"
    return f"−{text}" if value < 0 else text


def shown(value: Any) -> str:
    """Any metric in a table's cell; nothing measured is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(float(value)) if isinstance(value, int | float) else str(value)


def interval(low: float, high: float) -> str:
    """ "84.1 % to 90.8 %" """
    return f"{percent(low)} to {percent(high)}"


def plural(count: int, word: str) -> str:
    """3, "prompt" → "3 prompts"."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def short(path: Any) -> str:
    """The last part of a path, which is how people call a model."""
    return Path(str(path)).name or str(path)


def who(reference: str) -> str:
    """Who scores: a reward model, or a Python function, which is a simulated annotator and is called so."""
    kind, _, rest = reference.partition(":")
    if kind == "reward-model":
        return f"the reward model {short(rest)}"
    module, _, function = reference.rpartition(":")
    last = short(module) if module.endswith(".py") else module.rpartition(".")[2]
    return f"the simulated annotator ({last}:{function})"


def visible(text: str) -> str:
    """A setting's text with its line breaks as \\\\n, so that they can be seen."""
    return text.replace("\n", "\\n")


def annotators(names: set[str | None]) -> str:
    """Who ranked, from the rankings' `annotator` fields: `align rank` writes simulated:MODULE:FUNCTION there."""
    simulated = sorted(who(name.removeprefix("simulated:")) for name in names if name and name.startswith("simulated:"))
    people = {name for name in names if name and not name.startswith("simulated:")}
    parts = simulated + ([plural(len(people), "annotator")] if people else [])
    return " and ".join(parts) or "the annotators (the rankings name none)"


def against_coin(low: float, high: float) -> str:
    """What an interval says of a share that would be a half by chance."""
    if low > CLEAR:
        return "clearly more than half"
    return "clearly less than half" if high < CLEAR else "not told from a half"
