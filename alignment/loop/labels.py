"""Gates on the labels of a round: enough new ones, enough at all, by whom, and whether people agree."""

from __future__ import annotations

import math
from collections.abc import Sequence

from alignment.agreement.quality import Quality, quarantine
from alignment.intervals import Estimate
from alignment.loop.bounds import better
from alignment.loop.gates import GateResult, Verdict, gate_result
from alignment.loop.policy import Policy


def trigger(new: int, total: int, policy: Policy, forced: bool = False) -> GateResult:
    """Whether a round starts: new ≥ max(new_prompts, new_share · total). new, total: ranked prompts, the new among all."""
    least = max(policy.new_prompts, _ceil(policy.new_share * total))
    enough = new >= least
    start = f"{new} new ranked prompts of {total}; a round needs {least}"
    return gate_result(
        "trigger",
        "pass" if enough or forced else "fail",
        start + (", forced" if forced and not enough else ""),
        estimate=float(new),
        n=total,
        threshold=float(least),
        votes_needed=None if enough else least - new,
    )


def floor(pairs: int, policy: Policy) -> GateResult:
    """Whether there are labels enough to trust a reward model. pairs: strict pairs of all labels."""
    verdict: Verdict = "pass"
    reason = f"{pairs:,} pairs; a promotion needs {policy.pairs_to_promote:,}"
    if pairs < policy.pairs_to_promote:
        verdict, reason = "warn", reason + ": challenger only"
    if pairs < policy.pairs_to_try:
        verdict, reason = "fail", f"{pairs:,} pairs; a challenger needs {policy.pairs_to_try:,}"
    goal = policy.pairs_to_try if verdict == "fail" else policy.pairs_to_promote
    return gate_result(
        "floor",
        verdict,
        reason,
        estimate=float(pairs),
        n=pairs,
        threshold=float(goal),
        votes_needed=goal - pairs if pairs < goal else None,
    )


def annotators(several: Sequence[Quality], policy: Policy) -> GateResult:
    """Whose labels are set aside, by `agreement.quality.quarantine` with the policy's thresholds. estimate: share of labels
    that are. several: `qualities(labels, band=policy.left_band)`."""
    aside = quarantine(several, policy.gold_floor, policy.largest_share, policy.fewest_annotators)
    total = sum(one.labels for one in several)
    lost = sum(one.labels for one in several if one.annotator in aside)
    told = "; ".join(f"{name} is quarantined ({', '.join(reasons)})" for name, reasons in aside.items())
    return gate_result(
        "annotators",
        "warn" if aside else "pass",
        told or f"none of {len(several)} annotators is set aside",
        estimate=lost / total if total else None,
        n=len(several),
    )


def agreement(found: Estimate | None, labels: int, duplicates: int, policy: Policy) -> GateResult:
    """Whether people agree beyond chance. found: pairwise agreement without ties, by tasks. labels: all of them; duplicates:
    those among them that are a second (or later) label of a task."""
    more = _ceil((policy.duplicates_share * labels - duplicates) / (1 - min(policy.duplicates_share, 0.99)))
    if found is None or more > 0:
        reason = (
            f"{duplicates} of {labels} labels are second labels of a task; {policy.duplicates_share:.0%} are needed"
        )
        return gate_result("agreement", "inconclusive", reason, n=duplicates, votes_needed=max(more, 1))
    result = better("agreement", found, policy.agreement_floor, "agreement", "tasks")
    if result.verdict == "pass" and found.value < policy.agreement_warning:
        reason = f"{result.reason}, but the estimate is below {policy.agreement_warning:.0%}: look at the guideline"
        return gate_result(
            "agreement",
            "warn",
            reason,
            estimate=found.value,
            low=found.low,
            high=found.high,
            n=found.n,
            threshold=result.threshold,
        )
    return result


def _ceil(value: float) -> int:
    """⌈value⌉ where a product such as .07 · 100 = 7.000000000000001 is still 7."""
    return math.ceil(round(value, 9))
