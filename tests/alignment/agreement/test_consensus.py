"""Each annotator against the others' majority; discrimination of tasks and guidelines.

Mutations seen to fail (alignment/agreement/consensus.py):
- an annotator's own vote counted -> test_against_the_others
- pairs without a majority counted -> test_against_the_others
- the total with the task itself (uncorrected) -> test_discrimination_by_hand
- ½ in place of the means within a task -> test_a_harder_task_is_no_worse_task
- FEWEST 2 -> test_too_few_to_tell
- the highest r first -> test_a_misread_task_is_found
"""

from __future__ import annotations

from dataclasses import replace

import numpy
import pytest
from labels import label

from alignment.agreement.consensus import against_consensus, discrimination, with_consensus


def by_task(one):
    return one.task


def test_against_the_others():
    """ab: x +, y +, z −, w 0. Others of x: + − 0 = none; of z: + + 0 = +; of w: + + − = +. Alone on u: nobody."""
    labels = [label("x", "t", (1, 2)), label("y", "t", (1, 2)), label("z", "t", (2, 1)), label("w", "t", (1, 1))]
    labels.append(label("x", "u", (1, 2)))
    assert {one.annotator: one.right for one in against_consensus(labels)} == {"z": 0.0, "w": 0.5}
    assert {name: one.value for name, one in with_consensus(labels).items()} == {"w": 0.5, "z": 0.0}
    assert with_consensus([]) == {}


def right_and_wrong(table: dict[str, str]) -> list:
    """Task → a letter an annotator: r orders as five sure others, w the reverse. The others are always right."""
    labels = []
    for task, letters in table.items():
        labels += [label(f"sure{n}", task, (1, 2)) for n in range(5)]
        labels += [label(f"ann{n}", task, (1, 2) if letter == "r" else (2, 1)) for n, letter in enumerate(letters)]
    return labels


def test_discrimination_by_hand():
    """Scores of ann0, ann1 on t, u, v: r w, r w, w r, of the five sure ones all right. On v the rest scores are 1, 0 and
    1 · 5, the item scores 0, 1 and 1 · 5: r by numpy's correlation of these, and of theirs on t."""
    found = {one.key: one for one in discrimination(right_and_wrong({"t": "rw", "u": "rw", "v": "wr"}), by_task)}
    sure = [1.0] * 5
    assert found["v"].r == pytest.approx(numpy.corrcoef([0, 1, *sure], [1, 0, *sure])[0, 1])
    assert found["t"].r == pytest.approx(numpy.corrcoef([1, 0, *sure], [0.5, 0.5, *sure])[0, 1])
    assert (found["v"].tasks, found["v"].labels, found["v"].low) == (1, 7, None)


def test_a_misread_task_is_found():
    """Four annotators who are right everywhere are wrong on `bad`, two who are wrong elsewhere are right there."""
    table = {f"good{n}": "rrrrww" for n in range(4)} | {"bad": "wwwwrr"}
    found = discrimination(right_and_wrong(table), by_task)
    assert found[0].key == "bad"
    assert found[0].r < 0 < found[1].r
    pooled = discrimination(right_and_wrong(table), lambda one: "v2" if one.task == "bad" else "v1")
    assert [one.key for one in pooled] == ["v2", "v1"]
    assert (pooled[1].tasks, pooled[1].labels) == (4, 44)
    assert pooled[1].low is not None
    assert pooled[1].low <= pooled[1].r <= pooled[1].high
    assert discrimination(right_and_wrong(table), lambda one: None) == []


def test_a_harder_task_is_no_worse_task():
    """Two crews with tasks of their own, one right nearly always, one seldom: means are taken within a task, so that the
    crews' difference is no discrimination. Against numpy's covariances, task by task."""
    letters = {"a": "rrrw", "b": "rrwr", "c": "rwrr"}, {"d": "wwrw", "e": "wrww", "f": "wwwr"}
    labels = []
    for crew, table in enumerate(letters):
        labels += [replace(one, annotator=f"{crew}{one.annotator}") for one in right_and_wrong(table)]
    right = {(one.annotator, one.pair.task): one.right for one in against_consensus(labels)}
    top, left, under = 0.0, 0.0, 0.0
    for task in "abcdef":
        names = [name for name, where in right if where == task]
        x = numpy.array([right[name, task] for name in names])
        rest = [[score for (who, where), score in right.items() if who == name and where != task] for name in names]
        covariance = numpy.cov(x, [sum(scores) / len(scores) for scores in rest]) * (len(names) - 1)
        top, left, under = top + covariance[0, 1], left + covariance[0, 0], under + covariance[1, 1]
    (found,) = discrimination(labels, lambda one: "all")
    assert found.r == pytest.approx(top / (left * under) ** 0.5)
    assert (found.tasks, found.labels) == (6, 54)


def test_too_few_to_tell():
    two = [label("x", t, (1, 2)) for t in "ab"] + [label("y", t, (2, 1)) for t in "ab"]
    assert discrimination(two, by_task) == []
    same = [label(name, task, (1, 2)) for name in "xyz" for task in "ab"]
    assert discrimination(same, by_task) == []  # no spread
    # two on a task differ only where one of them ties: r would be 1 or −1 whatever they do
    pair = [label("ann0", "two", (1, 2, 3, 3)), label("ann1", "two", (1, 2, 3, 4))]
    labels = right_and_wrong({"t": "rw", "u": "rw"}) + pair
    assert {one.key for one in discrimination(labels, by_task)} == {"t", "u"}
