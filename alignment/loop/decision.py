"""What all gates say together: promoted, challenger, rejected, inconclusive, nothing to do, or not to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from alignment.exit_codes import DONE, INCONCLUSIVE, INTEGRITY, NOTHING_TO_DO, REJECTED
from alignment.loop.gates import GATES, GateResult
from alignment.loop.policy import Policy

Outcome = Literal["integrity", "nothing to do", "rejected", "inconclusive", "challenger", "promoted"]

EXIT_CODES: dict[Outcome, int] = {
    "integrity": INTEGRITY,
    "nothing to do": NOTHING_TO_DO,
    "rejected": REJECTED,
    "inconclusive": INCONCLUSIVE,
    "challenger": DONE,
    "promoted": DONE,
}
"""In order of precedence: what cannot be trusted is said before all else, a rejection before a wish for more votes."""


@dataclass(frozen=True)
class Decision:
    """reason: of the gate that decided. votes_needed: of the gate of people where it asks for some, else the most that an
    inconclusive gate asks for. gates: what was measured, in the order of the table."""

    outcome: Outcome
    reason: str
    votes_needed: int | None
    gates: tuple[GateResult, ...]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.outcome]


def decide(results: Sequence[GateResult], policy: Policy) -> Decision:
    """The decision over all results, in any order, at most one a gate. Raises ValueError where a gate is there twice.

    1. a failure with exit code 30, else 10, else 12 decides; 2. else an inconclusive gate makes it inconclusive;
    3. else a warning of a gate that caps, or a gate that was not measured, leaves a challenger; 4. else it is promoted.
    Waived gates are not read. A lenient policy turns 2 and a missing gate in 3 into warnings where the table allows."""
    names = [one.gate for one in results]
    if len(names) != len(set(names)):
        raise ValueError(f"a gate is there twice: {', '.join(names)}")
    waived = set(policy.waived or ())
    found = tuple(sorted((one for one in results if one.gate not in waived), key=lambda one: [*GATES].index(one.gate)))
    for outcome in ("integrity", "nothing to do", "rejected"):
        failed = [one for one in found if one.verdict == "fail" and one.exit_code == EXIT_CODES[outcome]]
        if failed:
            return _decided(outcome, failed, found)
    open_ = [one for one in found if one.verdict == "inconclusive" and not _let_pass(one.gate, policy)]
    if open_:
        return _decided("inconclusive", open_, found)
    capped = [one for one in found if one.verdict == "warn" and GATES[one.gate].caps]
    if capped:
        return _decided("challenger", capped, found)
    missing = [name for name in GATES if name not in {*names, *waived} and not _let_pass(name, policy)]
    if missing:
        return Decision("challenger", f"not measured: {', '.join(missing)}", None, found)
    return Decision("promoted", f"{len(found)} gates passed{_notes(found)}", None, found)


def _let_pass(gate: str, policy: Policy) -> bool:
    return policy.mode == "lenient" and GATES[gate].lenient


def _decided(outcome: Outcome, by: list[GateResult], found: tuple[GateResult, ...]) -> Decision:
    reason = "; ".join(f"{one.gate}: {one.reason}" for one in by)
    counts = {one.gate: one.votes_needed for one in by if one.votes_needed is not None}
    return Decision(outcome, reason, counts.get("human_win", max(counts.values(), default=None)), found)


def _notes(found: tuple[GateResult, ...]) -> str:
    noted = [one.gate for one in found if one.verdict != "pass"]
    return f", with a warning of {', '.join(noted)}" if noted else ""
