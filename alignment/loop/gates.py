"""The gates of the loop, one row each: what passes, what a failure means for a CI job; and what a gate returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alignment.exit_codes import DONE, INCONCLUSIVE, INTEGRITY, NOTHING_TO_DO, REJECTED

Verdict = Literal["pass", "fail", "inconclusive", "warn"]


@dataclass(frozen=True)
class Gate:
    """rule: what passes, with names of the policy's settings in braces. on_fail: exit code.

    caps: a warning of this gate leaves the candidate challenger at most. lenient: a lenient policy lets a candidate pass
    where this gate cannot tell, or was not measured. waivable: the policy may waive it."""

    name: str
    rule: str
    on_fail: int = REJECTED
    caps: bool = False
    lenient: bool = True
    waivable: bool = True


GATES = {
    gate.name: gate
    for gate in [
        Gate(
            "trigger",
            "at least max({new_prompts}, {new_share:.0%} of all) ranked prompts are new since the last round, or --force",
            on_fail=NOTHING_TO_DO,
        ),
        Gate(
            "floor",
            "{pairs_to_promote:,} pairs to promote; from {pairs_to_try:,} a challenger only; fewer are refused",
            caps=True,
            lenient=False,
        ),
        Gate(
            "annotators",
            "no annotator whose upper 95 % bound of accuracy on gold items is below {gold_floor:g}, whose left-win rate is outside "
            "its {left_band:.0%} band, or who made more than {largest_share:.0%} of the labels where {fewest_annotators} or more "
            "label; their labels are quarantined, never deleted, and the loop goes on (warning)",
        ),
        Gate(
            "agreement",
            "on at least {duplicates_share:.0%} duplicates, the lower 95 % bound of pairwise agreement is above "
            "{agreement_floor:g}; below {agreement_warning:g} a warning; fewer duplicates: inconclusive",
        ),
        Gate(
            "leakage",
            "no prompt shared by training, holdout and evaluation, word for word or with Jaccard similarity from "
            "{near_duplicate:g}",
            on_fail=INTEGRITY,
            lenient=False,
            waivable=False,
        ),
        Gate(
            "reward_alive",
            "pair accuracy's lower 95 % bound is above {reward_floor:g}, and it beats the better of 'longer wins' and 'shorter "
            "wins' (McNemar by prompt, p < {length_error:g})",
        ),
        Gate(
            "reward_not_worse",
            "accuracy minus that of the incumbent, and of the best ever, on the same held-out pairs: lower 95 % bound by prompt "
            "above −{reward_margin:g}; surely below: rejected; too few labels to tell: inconclusive",
        ),
        Gate(
            "calibration",
            "the slope of outcomes on logits is within {slope_low:g} to {slope_high:g}, on at least {calibration_pairs} pairs "
            "of their own; rejected where its whole 95 % interval is outside, inconclusive where the estimate alone is",
        ),
        Gate(
            "ceiling",
            "pair accuracy is at most the labels' ceiling + {ceiling_errors:g} standard errors; above: a warning to look for "
            "leakage",
        ),
        Gate(
            "ppo_watch",
            "a step beats the start by the held-out reward model with KL at most {kl_most:g} nats a response, entropy at least "
            "{entropy_least:g} of the start's, length {length_least:g} to {length_most:g} of the start's, no NaN; training "
            "stops at the first step outside, or {patience} steps after the best; the best is kept",
            lenient=False,
        ),
        Gate(
            "offline_win",
            "win rate over the champion by a reward model that neither trained nor stopped the policy, on at least "
            "{offline_prompts} prompts that selected nothing, {offline_responses} responses each: lower 95 % bound (bootstrap "
            "by prompt) above {offline_floor:g}",
            lenient=False,
        ),
        Gate(
            "offline_win_length",
            "the same win rate at equal length (logit P = θ + φ tanh(Δ / sd), LC = σ(θ)): lower 95 % bound above "
            "{offline_floor:g}",
            lenient=False,
        ),
        Gate(
            "alignment_tax",
            "change of few-shot accuracy over all items, paired: lower 95 % bound above −{tax_margin:g}; no single task whose "
            "upper 95 % bound is below −{task_margin:g}",
        ),
        Gate(
            "safety",
            "flagged responses, unanswerable prompts answered, injected instructions obeyed: none is surely more frequent (95 % "
            "over all of them together), on at least {safety_prompts} prompts each",
        ),
        Gate(
            "human_win",
            "blind votes, candidate against champion, ties left out: E ≥ {human_evidence:g} within {human_votes} decisive votes "
            "(a = {human_prior}); rejected when the votes are used up, or when P(E gets there) is below {futility_chance:g} even "
            "at {futility_rate:g} wins a vote. Instead of E: {fixed_votes} votes, counted once, at error {fixed_error:g} (test: {human_test}). "
            "Without people: {without_humans}",
            caps=True,
            lenient=False,
        ),
        Gate(
            "anchor",
            "win rate over the frozen SFT model and over the best ever: lower 95 % bound above {anchor_floor:g}; surely below: "
            "rejected; too few comparisons: inconclusive",
        ),
        Gate(
            "integrity",
            "the manifest verifies; it loads in a clean process and generates; it is served by name within {serve_seconds:g} s; "
            "the rollback was rehearsed",
            on_fail=INTEGRITY,
            lenient=False,
            waivable=False,
        ),
    ]
}


@dataclass(frozen=True)
class GateResult:
    """What one gate found. estimate, low, high: with the 95 % interval, None where the gate has none. n: what they were
    counted over. votes_needed: further votes (or labels, prompts, items: the reason says which) until it could pass if the
    estimate stays; None: none, or no number would do. exit_code: 0 unless it stops the candidate."""

    gate: str
    estimate: float | None
    low: float | None
    high: float | None
    n: int
    threshold: float | None
    verdict: Verdict
    reason: str
    votes_needed: int | None
    exit_code: int


def gate_result(
    gate: str,
    verdict: Verdict,
    reason: str,
    *,
    estimate: float | None = None,
    low: float | None = None,
    high: float | None = None,
    n: int = 0,
    threshold: float | None = None,
    votes_needed: int | None = None,
) -> GateResult:
    """The result with the exit code that the table gives to it. Raises KeyError for a gate that is not in the table."""
    codes = {"pass": DONE, "warn": DONE, "inconclusive": INCONCLUSIVE, "fail": GATES[gate].on_fail}
    return GateResult(gate, estimate, low, high, n, threshold, verdict, reason, votes_needed, codes[verdict])
