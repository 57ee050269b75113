"""Whether the place on the screen decides. The order shown is a fresh shuffle each time, so chance is known exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy

from alignment.agreement.label import Label
from alignment.records import strict_pairs
from alignment.tails import chi_square_above

BAND = 0.99
"""Mass of the band in which an unbiased annotator lies. Source: ours; with 50 honest annotators fewer than 1 is outside."""

Z_99 = 2.5758293035489004
"""The 99.5 % point of the normal distribution."""


@dataclass(frozen=True)
class LeftWins:
    """share: strict pairs that the response shown earlier wins; low, high: the band of mass `level` for an annotator whom
    the place does not sway; outside: whether share lies beyond it."""

    share: float
    low: float
    high: float
    pairs: int
    level: float = BAND

    @property
    def outside(self) -> bool:
        return not self.low <= self.share <= self.high


@dataclass(frozen=True)
class SlotWins:
    """wins: (S, S) how often the response in slot i beat that in slot j. band: (S,) half width of each slot's 99 % band
    about ½ (0 where nothing was compared). chi_square, df, p: the test over all slots."""

    wins: numpy.ndarray
    band: numpy.ndarray
    chi_square: float
    df: int
    p: float

    @property
    def pairs(self) -> numpy.ndarray:
        """(S,) strict pairs that each slot took part in."""
        return self.wins.sum(axis=1) + self.wins.sum(axis=0)

    @property
    def share(self) -> numpy.ndarray:
        """(S,) P(win | slot), ½ by chance; NaN where a slot took part in none."""
        pairs = self.pairs
        return numpy.divide(self.wins.sum(axis=1), pairs, out=numpy.full(len(pairs), numpy.nan), where=pairs > 0)


def left_wins(labels: Iterable[Label], level: float = BAND) -> LeftWins | None:
    """Strict pairs won by the earlier slot ÷ strict pairs, and the band it lies in by chance.

    Given how many responses share each tier, every arrangement of the compared responses over their slots is equally
    likely, so a label's number W of pairs in slot order has the generating function of inversions of a multiset,

        Σ_w P(W = w) q^w = [k]_q! / Π_i [t_i]_q!  ÷  k! / Π_i t_i!,   [n]_q! = Π_{m ≤ n} (1 + q + … + q^{m−1}),

    and the sum over labels the product of these. The band is exact: an unbiased annotator is outside in at most
    1 − level of draws, however few or dependent their pairs. t_i: responses in tier i, k: compared responses.
    Labels without slots are left out; None where no strict pair is left.
    Source: MacMahon 1915 for the inversions; Wilcoxon–Mann–Whitney and Kendall's S have the same null distribution."""
    shown = [label for label in labels if label.slots is not None]
    earlier = [label.slots[i] < label.slots[j] for label in shown for i, j in strict_pairs(label.ranks)]  # type: ignore[index]
    if not earlier:
        return None
    chance = _earlier_by_chance([_tiers(label) for label in shown], len(earlier))
    lowest = int(numpy.searchsorted(numpy.cumsum(chance), (1 - level) / 2, side="right"))
    count = len(earlier)  # both bounds are counts ÷ pairs, so that a share on the bound is not outside by a rounding
    return LeftWins(sum(earlier) / count, lowest / count, (count - lowest) / count, count, level)


def slot_wins(labels: Iterable[Label]) -> SlotWins | None:
    """Which slots win, and a test of whether any does more than by chance:

        χ² = Sᵀ V⁻ S,   S_j = wins − losses of slot j over all labels,   V = Σ_labels (Σ_i a_i² / (k − 1)) (I − 11ᵀ/k),

    a_i: wins − losses of a label's response i, V over the k slots that it compares: the covariance of S when the
    compared responses lie in random slots. df = rank V; p from χ²_df, which is close for 20 labels and more. A slot's
    band is ½ ± 2.58 √V_jj / (2 · pairs of the slot).
    For labels of one K, all compared, χ² is Friedman's with ties; K = 2: the sign test (b − c)²/(b + c).
    Source: Friedman 1937; with slots missing, Benard & van Elteren 1953. None where no label has slots and a strict pair."""
    wins: Counter[tuple[int, int]] = Counter()
    shown = [label for label in labels if label.slots is not None and strict_pairs(label.ranks)]
    if not shown:
        return None
    size = 1 + max(max(label.slots or ()) for label in shown)
    covariance = numpy.zeros((size, size))
    for label in shown:
        slots = label.slots or ()
        for i, j in strict_pairs(label.ranks):
            wins[slots[i], slots[j]] += 1
        covariance += _covariance(label, size)
    table = numpy.zeros((size, size))
    for (winner, loser), count in wins.items():
        table[winner, loser] = count
    net = table.sum(axis=1) - table.sum(axis=0)
    square, df = _quadratic_form(net, covariance)
    pairs = table.sum(axis=1) + table.sum(axis=0)
    half = Z_99 * numpy.sqrt(numpy.diag(covariance)) / (2 * numpy.maximum(pairs, 1))
    return SlotWins(table, half, square, df, chi_square_above(square, df))


def _covariance(label: Label, size: int) -> numpy.ndarray:
    net = [0] * len(label.ranks)
    for i, j in strict_pairs(label.ranks):
        net[i] += 1
        net[j] -= 1
    inside = numpy.zeros(size)
    inside[[slot for slot, rank in zip(label.slots or (), label.ranks) if rank is not None]] = 1
    spread = sum(each * each for each in net) / (label.compared - 1)
    return spread * (numpy.diag(inside) - numpy.outer(inside, inside) / label.compared)


def _quadratic_form(net: numpy.ndarray, covariance: numpy.ndarray) -> tuple[float, int]:
    """Sᵀ V⁻ S and rank V. Net wins sum to 0, so V is always singular: what rounding leaves of its zeros must not count."""
    values, vectors = numpy.linalg.eigh(covariance)
    kept = values > 1e-9 * values[-1]
    return float(((vectors.T @ net)[kept] ** 2 / values[kept]).sum()), int(kept.sum())


def _tiers(label: Label) -> tuple[int, ...]:
    """How many responses share each rank, in any order that is the same for equal counts."""
    return tuple(sorted(Counter(rank for rank in label.ranks if rank is not None).values()))


def _earlier_by_chance(tiers: list[tuple[int, ...]], pairs: int) -> numpy.ndarray:
    """(pairs + 1,) P(W = w) of the sum over labels: a product of transforms, one for each pattern of ties."""
    transform = numpy.ones((pairs + 1) // 2 + 1, dtype=complex)
    for sizes, count in Counter(tiers).items():
        transform *= numpy.fft.rfft(_inversions(sizes), pairs + 1) ** count
    return numpy.maximum(numpy.fft.irfft(transform, pairs + 1), 0)


@cache
def _inversions(sizes: tuple[int, ...]) -> numpy.ndarray:
    """P(W = w) of one label: the q-multinomial as a product of q-binomials, normalised."""
    counts, total = numpy.ones(1), 0
    for size in sizes:
        total += size
        counts = numpy.convolve(counts, _q_binomial(total, size))
    return counts / counts.sum()


@cache
def _q_binomial(n: int, m: int) -> numpy.ndarray:
    """Coefficients of [n choose m]_q = [n − 1 choose m − 1]_q + q^m [n − 1 choose m]_q."""
    if m in (0, n):
        return numpy.ones(1)
    found = numpy.zeros(m * (n - m) + 1)
    without, within = _q_binomial(n - 1, m - 1), _q_binomial(n - 1, m)
    found[: len(without)] += without
    found[m : m + len(within)] += within
    return found
