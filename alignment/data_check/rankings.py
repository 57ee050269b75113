"""What only rankings can have: ties, missing ranks, one voice, bias by place and by length, circles."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable
from typing import Any

from alignment.data_check.excerpt import excerpt
from alignment.data_check.findings import Findings
from alignment.data_check.lines import Entry
from alignment.intervals import clustered_mean
from alignment.winrates import outcome

MARGIN = 0.05
"""A bias is a finding when its whole 95 % interval lies further than this from one half."""
FEWEST_PROMPTS = 20
"""With fewer prompts the bootstrap's interval is too short to be believed. Source: Cameron et al. 2008, table 2."""
MOST_OF_ONE = 0.5

Edge = tuple[str, str]


def check(entries: list[Entry], findings: Findings) -> dict[str, Any]:
    """Adds the findings; returns the counts of pairs, the bias figures and the largest annotator's share."""
    for entry in entries:
        _ranks(entry, findings)
    _circles(entries, findings)
    figures = {name: _bias(name, entries, findings) for name in ("position_bias", "length_bias")}
    return {**_counts(entries), **figures, **_annotators(entries, findings)}


def _ranks(entry: Entry, findings: Findings) -> None:
    ranks = [rank for rank in entry.record.ranks if rank is not None]
    if len(set(ranks)) < len(ranks):
        findings.add("tied_ranks", entry.line, f"ranks {_listed(entry.record.ranks)}")
    if len(ranks) < len(entry.record.ranks):
        findings.add("null_ranks", entry.line, f"ranks {_listed(entry.record.ranks)}")
    if not entry.record.strict_pairs():
        findings.add("no_strict_pair", entry.line, f"ranks {_listed(entry.record.ranks)}")
    for i, j in entry.record.strict_pairs():
        if entry.responses[i] == entry.responses[j]:
            findings.add("identical_responses", entry.line, f"responses[{i}] and [{j}]: {excerpt(entry.responses[i])}")


def _listed(ranks: tuple[int | None, ...]) -> str:
    return ", ".join("null" if rank is None else str(rank) for rank in ranks)


def _counts(entries: list[Entry]) -> dict[str, int]:
    """pairs: all that can be formed of the responses shown together; each is strict, tied, or not compared (a null)."""
    counts: Counter[str] = Counter()
    for entry in entries:
        ranked = [rank for rank in entry.record.ranks if rank is not None]
        counts["pairs"] += len(entry.record.ranks) * (len(entry.record.ranks) - 1) // 2
        counts["strict"] += len(entry.record.strict_pairs())
        counts["compared"] += len(ranked) * (len(ranked) - 1) // 2
    return {
        "pairs": counts["pairs"],
        "strict_pairs": counts["strict"],
        "tied_pairs": counts["compared"] - counts["strict"],
        "pairs_not_compared": counts["pairs"] - counts["compared"],
    }


def _bias(name: str, entries: list[Entry], findings: Findings) -> dict[str, Any]:
    """Share of strict pairs that the earlier listed (the longer) response wins, equal lengths a half, with its 95 %
    interval by prompts."""
    won = [
        (entry.prompt, _won(name, entry.responses, winner, loser))
        for entry in entries
        for winner, loser in entry.record.strict_pairs()
    ]
    found = clustered_mean([each for _, each in won], [prompt for prompt, _ in won])
    if found is None:
        return {"share": None, "low": None, "high": None, "pairs": 0, "prompts": 0}
    share, low, high = found.value, found.low, found.high
    if found.clusters >= FEWEST_PROMPTS and (low > 0.5 + MARGIN or high < 0.5 - MARGIN):
        who = "earlier listed" if name == "position_bias" else "longer"
        findings.add(name, None, f"the {who} response wins {share:.1%} of {found.n} pairs [{low:.1%}, {high:.1%}]")
    return {"share": share, "low": low, "high": high, "pairs": found.n, "prompts": found.clusters}


def _won(name: str, responses: list[str], winner: int, loser: int) -> float:
    if name == "position_bias":
        return outcome(loser - winner)
    return outcome(len(responses[winner]) - len(responses[loser]))


def _annotators(entries: list[Entry], findings: Findings) -> dict[str, Any]:
    counts = Counter(entry.record.annotator for entry in entries if entry.record.annotator is not None)
    if not counts:
        return {"annotators": 0, "largest_annotator_share": None}
    name, count = counts.most_common(1)[0]
    share = count / sum(counts.values())
    if len(counts) > 1 and share > MOST_OF_ONE:
        findings.add(
            "annotator_share", None, f"{excerpt(name)!r} ranked {count} of {sum(counts.values())} ({share:.1%})"
        )
    return {"annotators": len(counts), "largest_annotator_share": share}


def _circles(entries: list[Entry], findings: Findings) -> None:
    """A preference a → b is in a circle when a can be reached from b. Circles within one set of responses are
    conflicting ranks already (see duplicates.py)."""
    by_prompt: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_prompt[entry.prompt].append(entry)
    for several in by_prompt.values():
        if len({_set(entry) for entry in several}) > 1:
            _circles_of_prompt(several, findings)


def _set(entry: Entry) -> Hashable:
    return tuple(sorted(entry.responses))


def _circles_of_prompt(entries: list[Entry], findings: Findings) -> None:
    edges: dict[Edge, list[Entry]] = defaultdict(list)
    beaten: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        for i, j in entry.record.strict_pairs():
            if entry.responses[i] != entry.responses[j]:
                edges[entry.responses[i], entry.responses[j]].append(entry)
                beaten[entry.responses[i]].add(entry.responses[j])
    circular = [edge for edge in edges if edge[0] in _reached(edge[1], beaten)]
    if len({_set(entry) for edge in circular for entry in edges[edge]}) < 2:
        return
    for better, worse in circular:
        for entry in edges[better, worse]:
            findings.add(
                "contradictory_preferences", entry.line, f"{excerpt(better, 25)!r} over {excerpt(worse, 25)!r}"
            )


def _reached(start: str, beaten: dict[str, set[str]]) -> set[str]:
    """Every response below `start`, directly or through others."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for below in beaten.get(waiting.pop(), set()) - seen:
            seen.add(below)
            waiting.append(below)
    return seen
