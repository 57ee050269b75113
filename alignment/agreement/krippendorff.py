"""Krippendorff's α: agreement beyond chance of any number of annotators, with missing labels. Two ways for rankings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy

from alignment.agreement.label import Label, by_task, opinions, places
from alignment.intervals import Estimate, bootstrap_of_sums

Differences = Callable[[numpy.ndarray], numpy.ndarray]


def nominal(totals: numpy.ndarray) -> numpy.ndarray:
    """δ²_ck = 0 where c = k, else 1."""
    return 1 - numpy.eye(len(totals))


def ordinal(totals: numpy.ndarray) -> numpy.ndarray:
    """δ²_ck = (Σ_{g=c}^{k} n_g − (n_c + n_k) / 2)²: how many values lie between, n_g of value g, values in order."""
    middle = numpy.cumsum(totals) - totals / 2
    return numpy.subtract.outer(middle, middle) ** 2


def alpha(
    units: Sequence[Sequence[float | None]],
    difference: Differences,
    clusters: Sequence[str] | None = None,
    seed: int = 0,
    draws: int = 2000,
) -> Estimate | None:
    """α = 1 − D_o / D_e = 1 − (n − 1) Σ_ck o_ck δ²_ck / Σ_ck n_c n_k δ²_ck

    o_ck = Σ_u (pairs of values c, k by different annotators in unit u) / (m_u − 1), m_u values in u; n_c = Σ_k o_ck, n = Σ n_c.
    1 = all agree, 0 = as by chance, below 0 = they disagree more than by chance.

    units: what was judged; for each the values given, in any order, None where missing. A unit with one value is left out.
    difference: `nominal` or `ordinal`. clusters: the task of each unit (None: each its own), what the interval resamples.
    Returns None where no unit has two values, or all values are equal: there is nothing to agree on. n counts values.
    Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability"; the bootstrap over units: Zapf et al. 2016,
    BMC Med Res Methodol 16:93, here by clusters of units."""
    names = [str(number) for number in range(len(units))] if clusters is None else clusters
    values = sorted({value for unit in units for value in unit if value is not None})
    index = {value: number for number, value in enumerate(values)}
    sums: dict[str, numpy.ndarray] = defaultdict(lambda: numpy.zeros((len(values), len(values))))
    for unit, name in zip(units, names, strict=True):
        counts = numpy.bincount([index[value] for value in unit if value is not None], minlength=len(values))
        if counts.sum() > 1:
            sums[name] += (numpy.outer(counts, counts) - numpy.diag(counts)) / (counts.sum() - 1)
    if not sums:
        return None
    stacked = numpy.stack(list(sums.values()))
    found, low, high = bootstrap_of_sums(
        stacked.reshape(len(stacked), -1),
        lambda total: _alpha(total.reshape(stacked.shape[1:]), difference),
        seed=seed,
        draws=draws,
    )
    return None if numpy.isnan(found) else Estimate(found, low, high, round(float(stacked.sum())), len(stacked))


def alpha_of_ranks(labels: Sequence[Label], seed: int = 0) -> Estimate | None:
    """Ordinal α with unit = (task, response), value = the response's place in an annotator's order (`places`).

    It looks at how far apart the ranks are: first against last weighs more than first against second."""
    units: list[list[float | None]] = []
    clusters: list[str] = []
    for several in by_task(labels).values():
        values: dict[str, list[float | None]] = defaultdict(list)
        for label in several.values():
            for response, place in zip(label.responses, places(label.ranks)):
                values[response].append(place)
        units += values.values()
        clusters += [next(iter(several.values())).cluster] * len(values)
    return alpha(units, ordinal, clusters, seed)


def alpha_of_pairs(labels: Sequence[Label], seed: int = 0) -> Estimate | None:
    """Nominal α with unit = (task, pair of responses), value = the first is better, the second is, or a tie.

    Which of the two is called first is a name, not a fact, so each pair is a unit both ways round: α is the same however
    responses are named (ours). It asks the same as pairwise agreement, with what chance would give taken off."""
    units: list[list[int]] = []
    clusters: list[str] = []
    for pair, verdicts in opinions(labels).items():
        units += [list(verdicts.values()), [-verdict for verdict in verdicts.values()]]
        clusters += [pair.cluster] * 2
    return alpha(units, nominal, clusters, seed)


def _alpha(coincidences: numpy.ndarray, difference: Differences) -> float:
    totals = coincidences.sum(axis=0)
    squares = difference(totals)
    expected = float(totals @ squares @ totals)
    return 1 - (totals.sum() - 1) * float((coincidences * squares).sum()) / expected if expected else float("nan")
