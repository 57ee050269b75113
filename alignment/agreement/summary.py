"""All figures of a set of labels under their registered names, as pages, exports and gates take them."""

from __future__ import annotations

from collections.abc import Sequence

from alignment.agreement.consensus import against_consensus
from alignment.agreement.kendall import mean_tau_b
from alignment.agreement.krippendorff import alpha_of_pairs, alpha_of_ranks
from alignment.agreement.label import Label
from alignment.agreement.pairwise import pairwise_agreement
from alignment.agreement.wins import longer_wins
from alignment.intervals import Estimate, clustered_mean


def agreement(labels: Sequence[Label], seed: int = 0) -> dict[str, Estimate | None]:
    """Metric name → estimate with its 95 % interval by tasks; None where the labels cannot tell.

    Reads every label and resamples them: keep what it says while nothing changes."""
    against = list(against_consensus(labels))
    return {
        "agreement/alpha_ranks": alpha_of_ranks(labels, seed),
        "agreement/alpha_pairs": alpha_of_pairs(labels, seed),
        "agreement/tau_b": mean_tau_b(labels, seed),
        "agreement/pairwise": pairwise_agreement(labels, seed=seed),
        "agreement/pairwise_strict": pairwise_agreement(labels, ties=False, seed=seed),
        "agreement/consensus": clustered_mean(
            [one.right for one in against], [one.pair.cluster for one in against], seed
        ),
    }


def lengths(labels: Sequence[Label], seed: int = 0) -> dict[str, Estimate | None]:
    """Metric name → how often the longer response wins, over all pairs and over those of like length."""
    return {
        "bias/longer_wins": longer_wins(labels, seed=seed),
        "bias/longer_wins_matched": longer_wins(labels, matched=True, seed=seed),
    }
