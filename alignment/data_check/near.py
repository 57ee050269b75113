"""Near-duplicates: MinHash finds the candidates (rensa), the exact Jaccard similarity decides."""

from __future__ import annotations

import re
import unicodedata

from rensa import RMinHash, RMinHashLSH

PERMUTATIONS, BANDS = 150, 25
"""Bands of 6: two texts at Jaccard .8 become candidates with probability 1 − (1 − .8⁶)²⁵ = .9995, at .5 with .33."""
CROWD = 200
"""A text with more candidates than this is compared with the likeliest, and joins the index no more: texts that share a
template would otherwise cost n²."""
COMPARED = 20
WITHOUT_SPACES = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese: written without spaces, so that each character counts as a word."""
WORD = re.compile(rf"[{WITHOUT_SPACES}]|[^\W{WITHOUT_SPACES}]+")


def triples(text: str) -> set[str]:
    """The text's sets of three words in a row, in NFKC and lower case; all of it where it has fewer than three."""
    words = WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return {" ".join(words[i : i + 3]) for i in range(len(words) - 2)} or {" ".join(words) or text}


def jaccard(some: set[str], other: set[str]) -> float:
    """|A ∩ B| / |A ∪ B|."""
    both = len(some & other)
    return both / (len(some) + len(other) - both)


class NearIndex:
    """Texts that were added, to ask which of them a text is nearly the same as.

    threshold: the Jaccard similarity of word triples from which two texts are near-duplicates. crowded: how many texts
    that are like none were left out of the index, because they share a template with more than CROWD others; what is
    nearly one of these may be missed."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.crowded = 0
        self._index = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=BANDS)
        self._texts: list[str] = []
        self._hashes: list[RMinHash] = []

    def find(self, text: str, add: bool) -> tuple[int, float] | None:
        """(number, similarity) of the likest text added before, None where none reaches the threshold; `add` adds the
        text then. Numbers count from 0 in the order of adding."""
        own = triples(text)
        hashed = RMinHash(num_perm=PERMUTATIONS, seed=0)
        hashed.update(sorted(own))
        candidates = self._index.query(hashed)
        likest = sorted(candidates, key=lambda number: (-self._hashes[number].jaccard(hashed), number))[:COMPARED]
        similarity, number = max(((jaccard(own, triples(self._texts[n])), -n) for n in likest), default=(0.0, 0))
        hit = (-number, similarity) if similarity >= self.threshold else None
        if add:
            self._add(text, hashed, crowded=len(candidates) > CROWD, found=hit is not None)
        return hit

    def _add(self, text: str, hashed: RMinHash, crowded: bool, found: bool) -> None:
        if crowded:
            self.crowded += not found
        else:
            self._index.insert(len(self._texts), hashed)
        self._texts.append(text)
        self._hashes.append(hashed)
