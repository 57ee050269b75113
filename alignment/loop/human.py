"""The gate of people's votes: blind, candidate against champion."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy

from alignment.intervals import clopper_pearson
from alignment.loop.gates import GateResult, gate_result
from alignment.loop.policy import Policy
from alignment.loop.votes import boundary, fixed_wins, futile, log_evidence, outlook


def human_win(votes: Sequence[float], policy: Policy) -> GateResult:
    """Whether people prefer the candidate.

    votes: one a prompt, in the order that was fixed beforehand: 1 the candidate wins, 0 it loses, ½ a tie. Ties leave the
    test and are told. None at all: what the policy says of candidates without people. Votes beyond the budget are not read.
    The interval is Clopper–Pearson's of a fixed number of votes, to read beside E: E alone decides."""
    decisive = [int(vote) for vote in votes if vote != 0.5]
    ties = len(votes) - len(decisive)
    if not len(votes):
        return _without_people(policy)
    return (_fixed if policy.human_test == "fixed" else _e_process)(decisive, ties, policy)


def _without_people(policy: Policy) -> GateResult:
    if policy.without_humans == "promote":
        return gate_result("human_win", "pass", "no human votes; the policy file promotes without them", threshold=0.5)
    needed = policy.fixed_votes if policy.human_test == "fixed" else expected_votes(0, 0, policy)
    reason = "no human votes: challenger only"
    return gate_result("human_win", "warn", reason, threshold=0.5, votes_needed=needed)


def expected_votes(wins: int, count: int, policy: Policy) -> int:
    """Expected number of further votes until E is there or the budget is used up, if each is a win with the probability
    seen so far (½ before the first vote). The budget caps it."""
    bound = boundary(policy.human_votes, policy.human_evidence, policy.human_prior)
    rate = wins / count if count else 0.5
    return math.ceil(float(outlook(rate, bound).votes[count, wins]))


def _e_process(decisive: list[int], ties: int, policy: Policy) -> GateResult:
    """Passes at the first vote at which E is there, whatever comes after: this is what makes looking at any time valid."""
    budget, evidence, prior = policy.human_votes, policy.human_evidence, policy.human_prior
    wins = numpy.concatenate([[0], numpy.cumsum(decisive[:budget], dtype=int)])
    there = numpy.flatnonzero(wins >= boundary(budget, evidence, prior)[: len(wins)])
    count = int(there[0]) if len(there) else len(wins) - 1
    won = int(wins[count])
    e = math.exp(min(float(log_evidence(count, prior)[won]), 700.0))
    if len(there):
        return _told("pass", won, count, ties, f"E = {e:.3g} ≥ {evidence:g} after {count} of at most {budget}")
    if count == budget:
        return _told("fail", won, count, ties, f"E = {e:.3g} < {evidence:g}, and all {budget} are used")
    if won <= futile(budget, evidence, prior, policy.futility_rate, policy.futility_chance)[count]:
        chance = f"E ≥ {evidence:g} within {budget} has a chance below {policy.futility_chance:g}"
        return _told("fail", won, count, ties, f"E = {e:.3g}; futile: {chance} even at {policy.futility_rate:.0%} wins")
    more = expected_votes(won, count, policy)
    return _told("inconclusive", won, count, ties, f"E = {e:.3g} < {evidence:g}; about {more} more votes needed", more)


def _fixed(decisive: list[int], ties: int, policy: Policy) -> GateResult:
    """Counted once, when all votes are in; lost earlier where the wins can no longer be reached."""
    total = policy.fixed_votes
    least = fixed_wins(total, policy.fixed_error)
    count = min(len(decisive), total)
    won = sum(decisive[:total])
    if count - won > total - least:
        return _told("fail", won, count, ties, f"{least} wins of {total} can no longer be reached")
    if count < total:
        more = total - count
        return _told("inconclusive", won, count, ties, f"counted at {total}; {more} more votes needed", more)
    return _told("pass", won, count, ties, f"at least {least} of {total}")


def _told(verdict: str, won: int, count: int, ties: int, words: str, more: int | None = None) -> GateResult:
    low, high = clopper_pearson(won, count) if count else (0.0, 1.0)
    rate = won / count if count else None
    shown = f"{won} wins of {count} decisive votes" + (f" ({rate:.1%} [{low:.1%}, {high:.1%}])" if count else "")
    return gate_result(
        "human_win",
        verdict,  # type: ignore[arg-type]
        f"{shown}, {ties} ties: {words}",
        estimate=rate,
        low=low,
        high=high,
        n=count,
        threshold=0.5,
        votes_needed=more,
    )
