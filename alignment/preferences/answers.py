"""What an annotator answers, in slots (A, B, ...), ⇄ what is kept, by the responses' own numbers. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alignment.labeling import checked_flags, checked_seconds
from alignment.preferences.errors import Refused
from alignment.records import STRENGTHS, encoded

SLOTS = "ABCDEFGHI"
"""Names of the cards, in the order shown. More than nine nobody compares."""

LONGEST_TEXT = 1_000_000
"""Characters that an annotator may write into one answer."""

ANSWERS: dict[str, frozenset[str]] = {
    "rank": frozenset(
        ("tiers", "unranked", "none_acceptable", "flags", "strength", "ideal", "comment", "seconds"),
    ),
    "write": frozenset(("text", "comment", "seconds")),
    "edit": frozenset(("slot", "text", "comment", "seconds")),
    "judge": frozenset(("verdict", "flags", "comment", "seconds")),
}
"""Kind of task → the fields of its answer."""


def kept(kind: str, answer: Any, shown: Sequence[int], ids: Sequence[str]) -> dict[str, Any]:
    """The answer as the store keeps it. Refused where it says too little or too much.

    shown: positions of the cards in the order shown. ids: the response at each position; equal ones share a card.
    Example: shown [2, 0, 1], tiers [["B"], ["A", "C"]] → ranks [1, 2, 2]."""
    if not isinstance(answer, dict):
        raise Refused("invalid", "the answer must be an object with named fields")
    if unknown := sorted(answer.keys() - ANSWERS[kind]):
        fields = ", ".join(sorted(ANSWERS[kind]))
        raise Refused("invalid", f"the answer has the field {unknown[0]!r}; a {kind!r} task takes {fields}")
    cards = _cards(shown, ids)
    try:
        encoded(answer)  # refuses half characters
        body = {"rank": _ranking, "write": _written, "edit": _edited, "judge": _judged}[kind](answer, cards, len(ids))
        if answer.get("seconds") is not None:
            body["seconds"] = checked_seconds(answer["seconds"], "seconds")
    except ValueError as error:
        raise Refused("invalid", str(error)) from None
    if answer.get("comment"):
        body["comment"] = _text(answer["comment"], "comment")
    return {**body, "shown": list(shown)} if kind != "write" else body


def answered(kind: str, body: dict[str, Any], shown: Sequence[int], ids: Sequence[str]) -> dict[str, Any]:
    """The answer in slots again, for its author: what `kept` was made of, ties in the order of the slots."""
    cards = _cards(shown, ids)
    answer: dict[str, Any] = {
        name: body[name] for name in ("text", "verdict", "strength", "ideal", "comment", "seconds") if name in body
    }
    if kind == "rank":
        answer["tiers"], answer["unranked"] = tiers_of(body["ranks"], shown)
        answer["none_acceptable"] = body.get("none_acceptable", False)
    if kind == "edit":
        answer["slot"] = next(slot for slot, positions in cards.items() if body["position"] in positions)
    if "flags" in body:
        answer["flags"] = {slot: body["flags"][of[0]] for slot, of in cards.items() if body["flags"][of[0]]}
    return answer


def tiers_of(ranks: Sequence[int | None], shown: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    """(tiers of slots, best first; slots that were not compared)."""
    by_slot = {slot: ranks[position] for slot, position in zip(SLOTS, shown)}
    levels = sorted({rank for rank in by_slot.values() if rank is not None})
    tiers = [[slot for slot, rank in by_slot.items() if rank == level] for level in levels]
    return tiers, [slot for slot, rank in by_slot.items() if rank is None]


def distinct(ids: Sequence[str]) -> list[int]:
    """The first position of each response that is there: what gets a card."""
    return [position for position, one in enumerate(ids) if one not in ids[:position]]


def _cards(shown: Sequence[int], ids: Sequence[str]) -> dict[str, list[int]]:
    """slot → the positions that hold its text."""
    return {
        slot: [position for position, one in enumerate(ids) if one == ids[first]] for slot, first in zip(SLOTS, shown)
    }


def _ranking(answer: dict[str, Any], cards: dict[str, list[int]], count: int) -> dict[str, Any]:
    ranks = _ranks(answer, cards, count)
    body: dict[str, Any] = {"ranks": ranks}
    if (strength := answer.get("strength")) is not None:
        if type(strength) is not int or strength not in STRENGTHS:
            raise Refused("invalid", f"strength is {strength!r}; it must be one of {', '.join(map(str, STRENGTHS))}")
        body["strength"] = strength
    if (none := answer.get("none_acceptable", False)) is not False:
        if none is not True:
            raise Refused("invalid", f"none_acceptable is {none!r}; it must be true or false")
        body["none_acceptable"] = True
    if answer.get("ideal"):
        body["ideal"] = _text(answer["ideal"], "ideal")
    return {**body, **_flags(answer, cards, count)}


def _ranks(answer: dict[str, Any], cards: dict[str, list[int]], count: int) -> list[int | None]:
    tiers: Any = answer.get("tiers")
    lists: list[Any] = [*tiers, answer.get("unranked", [])] if isinstance(tiers, list) else [None]
    if not all(isinstance(tier, list) and all(isinstance(slot, str) for slot in tier) for tier in lists):
        raise Refused("invalid", 'tiers must be lists of slots, best first, such as [["B"], ["A", "C"]]')
    if not all(tiers):
        raise Refused("invalid", "a tier is empty; leave it out")
    named = [slot for tier in lists for slot in tier]
    if unknown := [slot for slot in named if slot not in cards]:
        raise Refused("invalid", f"slot {unknown[0]!r} is not on the page; it must be one of {', '.join(cards)}")
    if twice := [slot for slot in cards if named.count(slot) > 1]:
        raise Refused("invalid", f"slot {twice[0]} is named twice; name each slot once")
    if missing := [slot for slot in cards if slot not in named]:
        raise Refused("invalid", f"slot {missing[0]} is in no tier; rank it, or name it in `unranked`")
    rank_of = {slot: rank for rank, tier in enumerate(tiers, start=1) for slot in tier}
    ranks: list[int | None] = [None] * count
    for slot, positions in cards.items():
        for position in positions:
            ranks[position] = rank_of.get(slot)
    return ranks


def _flags(answer: dict[str, Any], cards: dict[str, list[int]], count: int) -> dict[str, Any]:
    given = answer.get("flags") or {}
    if not isinstance(given, dict) or given.keys() - cards.keys():
        raise Refused("invalid", f"flags must be an object from slots ({', '.join(cards)}) to lists of words")
    flags: list[list[str]] = [[] for _ in range(count)]
    for slot, words in given.items():
        for position in cards[slot]:
            flags[position] = list(checked_flags(words, f"flags of slot {slot}"))
    return {"flags": flags} if any(flags) else {}


def _written(answer: dict[str, Any], cards: dict[str, list[int]], count: int) -> dict[str, Any]:
    return {"text": _text(answer.get("text"), "text")}


def _edited(answer: dict[str, Any], cards: dict[str, list[int]], count: int) -> dict[str, Any]:
    if answer.get("slot") not in cards:
        raise Refused("invalid", f"slot is {answer.get('slot')!r}; it must be one of {', '.join(cards)}")
    return {"position": cards[answer["slot"]][0], "text": _text(answer.get("text"), "text")}


def _judged(answer: dict[str, Any], cards: dict[str, list[int]], count: int) -> dict[str, Any]:
    if answer.get("verdict") not in ("good", "bad"):
        raise Refused("invalid", f"verdict is {answer.get('verdict')!r}; it must be good or bad")
    return {"verdict": answer["verdict"], **_flags(answer, cards, count)}


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Refused("invalid", f"{name} is empty; write it")
    if len(value) > LONGEST_TEXT:
        raise Refused(
            "invalid", f"{name} has {len(value):,} characters; at most {LONGEST_TEXT:,} are taken: shorten it"
        )
    return value
