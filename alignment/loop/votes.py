"""Tests of people's votes, new against champion: an e-process that may be looked at after every vote, and a fixed one."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy

from alignment.tails import binomial_at_most, log_binomial_tails, log_choose


class Outlook(NamedTuple):
    """What is ahead after n decisive votes of which s were wins; both (budget + 1, budget + 1), [n, s], s ≤ n.

    chance: P(E reaches the evidence within the budget). votes: expected number of further votes until then, or until the
    budget ends."""

    chance: numpy.ndarray
    votes: numpy.ndarray


def log_evidence(votes: int, prior: int) -> numpy.ndarray:
    """(votes + 1,) log E_n for n = votes and s = 0 … n wins:

        E_n = 2ⁿ ∫ p^s (1 − p)^{n−s} dBeta⁺(a, a)(p),   Beta⁺: the density of Beta(a, a) on p > ½, times 2 so that it is 1
            = 2ⁿ · B(a + s, a + n − s) / B(a, a) · P(Beta(a + s, a + n − s) > ½) / ½

    a = prior, a whole number ≥ 1, so that the incomplete beta function is a sum: P(Beta(α, β) > ½) = P(X ≤ α − 1) with X
    binomial, α + β − 1 trials of ½. In logs: neither factor fits a float for many votes.
    Where each vote is a win with probability at most ½, whatever came before, E is a supermartingale that starts at 1: P(it
    ever reaches 1/α) ≤ α (Ville 1939), however often it is looked at and whyever one stops.
    Source: Robbins 1970 (mixtures); Shafer 2021, "Testing by betting"; the mixture over p > ½ alone is ours, since only a
    better model is to be found."""
    trials = 2 * prior + votes - 1
    above = numpy.arange(votes + 1) + prior - 1  # α − 1
    log_beta = -math.log(trials) - log_choose(trials - 1)[above]
    log_beta_prior = -math.log(2 * prior - 1) - float(log_choose(2 * prior - 2)[prior - 1])
    tails = log_binomial_tails(trials, 0.5)[above]
    return (votes + 1) * math.log(2) + log_beta - log_beta_prior + tails


@lru_cache(maxsize=8)
def boundary(budget: int, evidence: float, prior: int) -> numpy.ndarray:
    """(budget + 1,) the fewest wins among n = 0 … budget votes at which E_n ≥ evidence; n + 1 where no number is enough.

    E grows with wins, so this is all that a look at the votes needs."""
    enough = [int(numpy.searchsorted(log_evidence(n, prior), math.log(evidence))) for n in range(budget + 1)]
    found = numpy.array(enough)
    found.setflags(write=False)  # the cache hands out this very array
    return found


def outlook(rate: float, bound: numpy.ndarray) -> Outlook:
    """Backwards from the last vote: f(n, s) = rate · f(n + 1, s + 1) + (1 − rate) · f(n + 1, s), where nothing is decided.

    rate: P(win) of every further vote. bound: `boundary(…)`. Exact, no simulation."""
    budget = len(bound) - 1
    wins = numpy.arange(budget + 1)
    chance, votes = numpy.zeros((2, budget + 1, budget + 1))
    chance[budget] = wins >= bound[budget]
    for n in range(budget - 1, -1, -1):
        done = wins[:-1] >= bound[n]
        ahead = rate * chance[n + 1, 1:] + (1 - rate) * chance[n + 1, :-1]
        longer = 1 + rate * votes[n + 1, 1:] + (1 - rate) * votes[n + 1, :-1]
        chance[n, :-1], votes[n, :-1] = numpy.where(done, 1.0, ahead), numpy.where(done, 0.0, longer)
    return Outlook(chance, votes)


@lru_cache(maxsize=8)
def futile(budget: int, evidence: float, prior: int, rate: float, chance: float) -> numpy.ndarray:
    """(budget + 1,) the most wins among n votes at which P(E reaches the evidence within the budget) < chance even if every
    further vote is a win with probability `rate`; −1 where no number is that few.

    Source: stochastic curtailment, Lan, Simon & Halperin 1982. Stopping early never adds a wrong win."""
    hopeless = outlook(rate, boundary(budget, evidence, prior)).chance < chance
    within = numpy.tril(numpy.ones_like(hopeless))  # s ≤ n
    found = (hopeless & within).sum(axis=1) - 1  # the chance grows with wins, so these are the lowest numbers of wins
    found.setflags(write=False)
    return found


def fixed_wins(votes: int, error: float) -> int:
    """The fewest wins k of a fixed number of votes with P(X ≥ k) ≤ error, X binomial with ½; votes + 1 where there is none.

    Looked at once, when all votes are in. Example: 400 votes, .05 → 217. Source: the one-sided sign test."""
    losses = -1  # P(X ≥ k) = P(X ≤ votes − k)
    while losses < votes and binomial_at_most(losses + 1, votes, 0.5) <= error:
        losses += 1
    return votes - losses
