"""Labels for tests: by hand, and by SIMULATED annotators."""

from __future__ import annotations

from collections.abc import Callable

import numpy

from alignment.agreement.label import Label, Ranks

Scores = list[float]


def label(annotator: str, task: str, ranks: Ranks | list, **more) -> Label:
    """Responses a, b, c, … as the ranks say."""
    return Label(annotator, task, tuple("abcdefghi"[: len(ranks)]), tuple(ranks), **more)


def simulated(
    generator: numpy.random.Generator,
    tasks: int,
    annotators: int = 1,
    responses: int = 4,
    noise: float = 0.7,
    sway: Callable[[int], float] = lambda slot: 0.0,
    step: float = 0.0,
) -> list[Label]:
    """Each annotator sees each response's true quality, N(0, 1), through noise of its own, shuffled, plus what the slot adds.

    step: scores closer than this on a grid are ties; 0: none."""
    made = []
    for task in range(tasks):
        truth = generator.standard_normal(responses)
        for annotator in range(annotators):
            slots = generator.permutation(responses)
            seen = truth + noise * generator.standard_normal(responses) + [sway(int(slot)) for slot in slots]
            if step:
                seen = numpy.round(seen / step)
            ranks = tuple(int((seen > score).sum()) + 1 for score in seen)
            made.append(label(f"simulated:{annotator}", f"t{task}", ranks, slots=tuple(slots.tolist())))
    return made
