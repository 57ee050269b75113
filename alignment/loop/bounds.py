"""What a gate says of an interval and a threshold, alike for all that have both."""

from __future__ import annotations

import math
from collections.abc import Sequence

from alignment.intervals import Estimate
from alignment.loop.gates import GateResult, gate_result

SEVERITY = {"fail": 3, "inconclusive": 2, "warn": 1, "pass": 0}


def needed(estimate: float, low: float, n: int, threshold: float) -> int | None:
    """How many more until the lower bound would be above the threshold, if the estimate stays where it is:

        n · ((estimate − low) / (estimate − threshold))² − n,

    since an interval's half shrinks with 1/√n. None where the estimate itself is not above; at least 1 elsewhere.
    Example: .6 [.45, …] of 100, threshold .5: 125 more."""
    if estimate <= threshold:
        return None
    return max(1, math.ceil(round(n * ((estimate - low) / (estimate - threshold)) ** 2 - n, 6)))


def better(gate: str, found: Estimate, threshold: float, what: str, units: str) -> GateResult:
    """Pass where the lower bound is above the threshold; fail elsewhere, whatever the reason: it was not shown."""
    passed = found.low > threshold
    more = None if passed else needed(found.value, found.low, found.clusters, threshold)
    words = "above" if passed else "not above"
    hint = f"; at this estimate {more} more {units} would show it" if more else ""
    return gate_result(
        gate,
        "pass" if passed else "fail",
        f"{what} {share(found)} on {found.clusters} {units}: its lower bound is {words} {threshold:.1%}{hint}",
        estimate=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        threshold=threshold,
        votes_needed=more,
    )


def not_worse(gate: str, found: Estimate, threshold: float, even: float, what: str, units: str) -> GateResult:
    """Pass where the lower bound is above the threshold, fail where even the upper one is not, inconclusive between.

    even: the value of no difference, above the threshold. How many more are needed is counted at the estimate, or halfway
    from the threshold to `even` where the estimate is lower: an unlucky small sample asks for a finite number."""
    verdict = "pass" if found.low > threshold else "fail" if found.high <= threshold else "inconclusive"
    more, words = None, "its lower bound is above" if verdict == "pass" else "its upper bound is not above"
    if verdict == "inconclusive":
        hoped = max(found.value, (threshold + even) / 2)
        more = needed(hoped, hoped - (found.value - found.low), found.clusters, threshold)
        words = f"too few to tell (about {more} more {units} needed) whether it is above"
    shown = points if even == 0 else share
    bound = f"{100 * threshold:+.1f} points" if even == 0 else f"{threshold:.1%}"
    return gate_result(
        gate,
        verdict,  # type: ignore[arg-type]
        f"{what} {shown(found)} on {found.clusters} {units}: {words} {bound}",
        estimate=found.value,
        low=found.low,
        high=found.high,
        n=found.n,
        threshold=threshold,
        votes_needed=more,
    )


def worst(results: Sequence[GateResult]) -> GateResult:
    """The result that decides where one gate asks several questions: the most severe, then the one nearest to its threshold;
    its reason tells all of them. votes_needed: the most that any asks for."""
    chosen = max(results, key=lambda one: (SEVERITY[one.verdict], (one.threshold or 0) - (one.low or 0)))
    counts = [one.votes_needed for one in results if one.votes_needed is not None]
    return gate_result(
        chosen.gate,
        chosen.verdict,
        "; ".join(one.reason for one in [chosen, *(other for other in results if other is not chosen)]),
        estimate=chosen.estimate,
        low=chosen.low,
        high=chosen.high,
        n=chosen.n,
        threshold=chosen.threshold,
        votes_needed=max(counts, default=None),
    )


def share(found: Estimate) -> str:
    return f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}]"


def points(found: Estimate) -> str:
    return f"{100 * found.value:+.1f} points [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"
