"""The e-process of votes and the gate of people.

Mutations seen to fail (alignment/loop/votes.py, human.py):
- E's number of trials one too many -> test_evidence_of_one_vote_by_hand; ½ left out -> test_evidence_has_mean_1...; the prior not
  cut at ½ -> test_evidence_is_its_integral
- `>` the boundary, a vote not counted -> test_outlook_is_what_all_sequences_give; tails summed as floats (alignment/tails.py)
  -> test_tails_where_floats_end
- futile one win too early -> test_futility...; the fixed test at twice the error -> test_the_fixed_test
- ties as losses -> test_ties_leave...; the last look in place of the first win -> test_what_comes_after...; ½ as the rate of
  further votes -> test_expected_votes...; `>=` losses in the fixed test -> test_the_fixed_test_waits...
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy
import pytest
from scipy.integrate import quad
from scipy.stats import beta, binom

from alignment.loop.human import expected_votes, human_win
from alignment.loop.policy import Policy
from alignment.loop.votes import boundary, fixed_wins, futile, log_evidence, outlook
from alignment.tails import log_binomial_tails

POLICY = Policy()
SMALL = replace(POLICY, human_votes=60, human_evidence=5.0, human_prior=4)


@pytest.mark.parametrize(
    ("wins", "votes", "prior"), [(0, 0, 10), (1, 1, 1), (3, 4, 10), (40, 60, 10), (12, 60, 3), (250, 400, 30)]
)
def test_evidence_is_its_integral(wins, votes, prior):
    """2ⁿ ∫ p^s (1 − p)^{n−s} dBeta⁺, by scipy's quadrature of the integral itself."""

    def integrand(p):
        return (
            2
            * beta.pdf(p, prior, prior)
            * math.exp(votes * math.log(2) + wins * math.log(p) + (votes - wins) * math.log1p(-p))
        )

    peak = min(max((wins + prior) / (votes + 2 * prior), 0.5), 0.999)
    value = quad(integrand, 0.5, 1, points=[peak], epsabs=0, epsrel=1e-11, limit=200)[0]
    assert log_evidence(votes, prior)[wins] == pytest.approx(math.log(value), abs=1e-9)


def test_evidence_of_one_vote_by_hand():
    """a = 1: density 2 on p > ½, so a win gives 2 · 2 ∫ p dp = 3/2, a loss ½: a fair bet."""
    assert numpy.exp(log_evidence(1, 1)) == pytest.approx([0.5, 1.5], abs=1e-12)
    assert numpy.exp(log_evidence(0, 10)) == pytest.approx([1.0], abs=1e-12)


@pytest.mark.parametrize("votes", [1, 7, 100])
def test_evidence_has_mean_1_at_one_half(votes):
    """A supermartingale that starts at 1; at ½ exactly a martingale, below ½ its mean is below 1."""
    values = numpy.exp(log_evidence(votes, 10))
    assert values @ binom.pmf(numpy.arange(votes + 1), votes, 0.5) == pytest.approx(1, abs=1e-10)
    assert values @ binom.pmf(numpy.arange(votes + 1), votes, 0.48) < 1


def test_tails_where_floats_end():
    logs = log_binomial_tails(5000, 0.5)
    assert logs[0] == pytest.approx(-5000 * math.log(2))
    for right in (1, 40, 700):  # in whole numbers
        exact = math.log(sum(math.comb(5000, i) for i in range(right + 1))) - 5000 * math.log(2)
        assert logs[right] == pytest.approx(exact, abs=1e-8)


def test_outlook_is_what_all_sequences_give():
    """Every one of the 2¹² ways twelve votes can fall, each with its probability."""
    bound = boundary(12, 3.0, 2)
    chance, votes = 0.0, 0.0
    for way in itertools.product((0, 1), repeat=12):
        wins = numpy.concatenate([[0], numpy.cumsum(way)])
        there = numpy.flatnonzero(wins >= bound)
        p = 0.6 ** sum(way) * 0.4 ** (12 - sum(way))
        chance += p * bool(len(there))
        votes += p * (there[0] if len(there) else 12)
    found = outlook(0.6, bound)
    assert (found.chance[0, 0], found.votes[0, 0]) == pytest.approx((chance, votes), abs=1e-12)


def test_peeking_after_every_vote_errs_less_than_promised():
    """Exactly, and by simulation (seeded; 3 standard errors)."""
    bound = boundary(POLICY.human_votes, POLICY.human_evidence, POLICY.human_prior)
    error = outlook(0.5, bound).chance[0, 0]
    assert 0.02 < error <= 1 / POLICY.human_evidence
    wins = (numpy.random.default_rng(0).random((4000, POLICY.human_votes), dtype=numpy.float32) < 0.5).cumsum(axis=1)
    seen = float((wins >= bound[1:]).any(axis=1).mean())
    assert seen == pytest.approx(error, abs=3 * (error / 4000) ** 0.5)


def test_power_within_the_budget():
    bound = boundary(POLICY.human_votes, POLICY.human_evidence, POLICY.human_prior)
    assert outlook(0.6, bound).chance[0, 0] > 0.99
    assert outlook(0.55, bound).chance[0, 0] > 0.6
    assert outlook(0.55, boundary(400, 20.0, 10)).chance[0, 0] < 0.4  # why the budget is not 400


def test_the_fixed_test():
    assert fixed_wins(400, 0.05) == 217
    assert binom.sf(216, 400, 0.5) <= 0.05 < binom.sf(215, 400, 0.5)
    assert (fixed_wins(4, 0.05), fixed_wins(5, 0.05)) == (5, 5)  # four of four happen by chance one time in 16


def test_both_sides_of_the_boundary():
    """The fewest wins that pass at 60 votes pass; one fewer is inconclusive, with a number."""
    least = int(boundary(POLICY.human_votes, 20.0, 10)[60])
    for wins, verdict, code in ((least, "pass", 0), (least - 1, "inconclusive", 11)):
        found = human_win([0.0] * (60 - wins) + [1.0] * wins, POLICY)
        assert (found.verdict, found.exit_code, found.n) == (verdict, code, 60)
    assert math.exp(log_evidence(60, 10)[least]) >= 20 > math.exp(log_evidence(60, 10)[least - 1])
    assert 0 < found.votes_needed <= POLICY.human_votes - 60
    assert f"about {found.votes_needed} more votes needed" in found.reason


def test_what_comes_after_the_win_changes_nothing():
    votes = [1.0] * 30
    first = human_win(votes, POLICY)
    assert (first.verdict, first.n) == ("pass", human_win([*votes, *[0.0] * 300], POLICY).n)
    assert first.n < 30


def test_ties_leave_the_test_and_are_told():
    votes = [1.0, 0.0, 1.0, 1.0]
    with_ties = human_win([0.5, *votes, 0.5, 0.5], POLICY)
    assert (with_ties.n, with_ties.estimate) == (4, 0.75)
    assert ", 3 ties:" in with_ties.reason
    assert with_ties.votes_needed == human_win(votes, POLICY).votes_needed
    assert human_win([0.5, 0.5], POLICY).verdict == "inconclusive"


def test_futility_and_the_end_of_the_budget():
    stop = futile(POLICY.human_votes, 20.0, 10, 0.55, 0.05)
    at = int(stop[200])
    for wins, verdict, code in ((at, "fail", 12), (at + 1, "inconclusive", 11)):
        found = human_win(([1.0, 0.0] * 200)[: 2 * wins] + [0.0] * (200 - 2 * wins), POLICY)
        assert (found.n, found.verdict, found.exit_code) == (200, verdict, code)
    chance = outlook(0.55, boundary(POLICY.human_votes, 20.0, 10)).chance
    assert chance[200, at] < 0.05 <= chance[200, at + 1]
    last = int(boundary(60, 5.0, 4)[60])
    votes = [0.0] * (60 - last) + [1.0] * last  # the losses first, so that E is there at the last vote alone
    assert human_win(votes, SMALL).verdict == "pass"
    lost = human_win([0.0, *votes[:-1]], SMALL)
    assert (lost.verdict, lost.exit_code) == ("fail", 12)
    assert "all 60 are used" in lost.reason


def test_expected_votes_are_the_mean_of_simulated_ones():
    bound = boundary(60, 5.0, 4)
    ways = numpy.random.default_rng(1).random((20_000, 40)) < 0.65
    wins = 13 + numpy.concatenate([numpy.zeros((20_000, 1), int), ways.cumsum(axis=1)], axis=1)
    there = wins >= bound[20:]
    votes = numpy.where(there.any(axis=1), there.argmax(axis=1), 40)
    exact = outlook(0.65, bound).votes[20, 13]
    assert exact == pytest.approx(votes.mean(), abs=3 * votes.std() / 20_000**0.5)
    assert expected_votes(13, 20, SMALL) == math.ceil(exact)
    assert expected_votes(0, 0, POLICY) <= POLICY.human_votes


def test_the_fixed_test_waits_for_all_votes():
    fixed = replace(POLICY, human_test="fixed")
    waiting = human_win([1.0] * 216 + [0.0] * 183, fixed)
    assert (waiting.verdict, waiting.exit_code, waiting.votes_needed) == ("inconclusive", 11, 1)
    assert human_win([1.0] * 217 + [0.0] * 183, fixed).verdict == "pass"
    lost = human_win([1.0] * 216 + [0.0] * 184, fixed)
    assert (lost.verdict, lost.exit_code) == ("fail", 12)
    assert human_win([0.0] * 183, fixed).verdict == "inconclusive"
    assert human_win([0.0] * 184, fixed).verdict == "fail"


def test_without_people():
    none = human_win([], POLICY)
    assert (none.verdict, none.exit_code, none.estimate) == ("warn", 0, None)
    assert "challenger only" in none.reason
    assert none.votes_needed > 0
    assert human_win([], replace(POLICY, without_humans="promote")).verdict == "pass"
