"""The gate on a PPO run: where it should have stopped, and which step is kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from alignment.loop.gates import GateResult, gate_result
from alignment.loop.policy import Policy


@dataclass(frozen=True)
class Course:
    """A run step by step, entry 0 the policy it starts from; (S,) each, S ≥ 1.

    scores: by the held-out reward model. kl: nats a response. entropy: nats a token. length: mean tokens a response."""

    scores: numpy.ndarray
    kl: numpy.ndarray
    entropy: numpy.ndarray
    length: numpy.ndarray


@dataclass(frozen=True)
class Watch:
    """kept: the step with the best score before the stop. stop: the step at which training stops, None: it goes on. why."""

    kept: int
    stop: int | None
    why: str


def watch(course: Course, policy: Policy) -> Watch:
    """Reads the steps in order: stops at the first that breaks a limit, or `patience` steps after the best score.

    May be called after every step with the course so far."""
    kept = 0
    for step in range(len(course.scores)):
        broken = _broken(course, step, policy)
        if broken:
            return Watch(kept, step, broken)
        if course.scores[step] > course.scores[kept]:
            kept = step
        if step - kept >= policy.patience:
            return Watch(kept, step, f"no better held-out score for {policy.patience} steps")
    return Watch(kept, None, "no limit reached")


def ppo_watch(course: Course, policy: Policy) -> GateResult:
    """Whether any step beats the start within the limits. A stop alone is a warning: the best step is kept.

    estimate: the kept step's held-out score, threshold: the start's. n: steps read."""
    found = watch(course, policy)
    start, best = float(course.scores[0]), float(course.scores[found.kept])
    verdict = "fail" if found.kept == 0 else "pass" if found.stop is None else "warn"
    kept = f"step {found.kept} is kept, held-out score {best:.3f}, start {start:.3f}"
    stopped = "" if found.stop is None else f"; stopped at step {found.stop}: {found.why}"
    return gate_result(
        "ppo_watch",
        verdict,  # type: ignore[arg-type]
        (f"no step is better than the start, held-out score {start:.3f}" if found.kept == 0 else kept) + stopped,
        estimate=best if numpy.isfinite(best) else None,
        n=len(course.scores),
        threshold=start if numpy.isfinite(start) else None,
    )


def _broken(course: Course, step: int, policy: Policy) -> str:
    """The limit that a step breaks, in words; "" where it keeps all."""
    score, kl, entropy, length = (
        float(values[step]) for values in (course.scores, course.kl, course.entropy, course.length)
    )
    if not numpy.isfinite([score, kl, entropy, length]).all():
        return "a figure is not finite"
    if kl > policy.kl_most:
        return f"KL {kl:.2f} nats a response is above {policy.kl_most:g}"
    if entropy < policy.entropy_least * course.entropy[0]:
        return f"entropy {entropy:.3f} is below {policy.entropy_least:g} of the start's {course.entropy[0]:.3f}"
    if not policy.length_least * course.length[0] <= length <= policy.length_most * course.length[0]:
        ratio = length / course.length[0]
        return f"length is {ratio:.2f} of the start's, not {policy.length_least:g} to {policy.length_most:g}"
    return ""
