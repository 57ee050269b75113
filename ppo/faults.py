"""What goes wrong in PPO runs, as one table: name, evidence in the history, setting to change. Pure functions of the rows of
`history.jsonl`, which live warnings and `align doctor` share. A row that lacks a metric shows nothing; None is a number that
was not finite."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Rows = Sequence[Row]

RATIO_ERROR = 1e-3  # arithmetic repeats itself to the last bit; other kernels may differ in the sixth digit
REWARD_ERROR = 1e-3
PAD_ERROR = {"float32": 1e-2, "bfloat16": 0.5}  # nats
MISMATCH = 0.05  # nats a token: bfloat16 differs by .01 or so, one update that the sampler missed moves .1 and more
SIGMAS = 4.0  # beyond what a rollout's noise explains
LATE = 10  # rollouts before trends are judged
TAIL = 3  # rollouts that a trend is averaged over


@dataclass(frozen=True)
class About:
    """What the rows alone do not say of a run; the names of PPO's settings."""

    batch_size: int
    kl_max: float
    dtype: str = "float32"


@dataclass(frozen=True)
class Fault:
    """One line of the table. `find` gives the evidence, or None where there is no such fault."""

    name: str
    find: Callable[[Rows, About], str | None]
    change: str


@dataclass(frozen=True)
class Found:
    """A fault that a run has."""

    name: str
    evidence: str
    change: str

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}; {self.change}"


def faults(rows: Rows, about: About) -> list[Found]:
    """All faults that the rows show, in the order of the table."""
    found = [(fault, fault.find(rows, about)) for fault in TABLE]
    return [Found(fault.name, evidence, fault.change) for fault, evidence in found if evidence]


def ratio(rows: Rows, about: About) -> str | None:
    """|ratio − 1| in the first minibatch of a fresh rollout is 0: old and new log-probs take one path."""
    return _first(
        rows, "policy/first_ratio_error", lambda value: value > RATIO_ERROR, "|ratio - 1| of a fresh rollout is"
    )


def sampler_mismatch(rows: Rows, about: About) -> str | None:
    """The mean of |log π − log π_sampler| is more than kernels and bfloat16 explain: the sampler draws from other weights or
    at another temperature, or gives log-probs of another distribution than it draws from."""
    what = "the sampler's log-probs differ from the policy's by a mean of"
    return _first(rows, "sampler/mismatch", lambda value: value > MISMATCH, what, broken=True)


def negative_kl(rows: Rows, about: About) -> str | None:
    """The mean of k1 over responses is below 0 by more than its noise, sd ≈ √(2 · |KL| ÷ responses)."""
    limit = 2.0 * SIGMAS**2 / about.batch_size
    return _first(rows, "objective/kl", lambda value: value < -limit, "a KL is never negative, but it is")


def exploding_kl(rows: Rows, about: About) -> str | None:
    """KL that is not finite, or that passed --kl-max by so much in one update that the stop came too late."""
    limit = 2.0 * about.kl_max
    return _first(
        rows, "objective/kl", lambda value: value > limit, f"twice --kl-max is {limit:.3g} nats, KL is", broken=True
    )


def misplaced_score(rows: Rows, about: About) -> str | None:
    """Σ_t r_t over the response mask is score − kl_coef · Σ_t kl_t: all of the score lies on the response."""
    what = "rewards on response tokens miss score - kl_coef * KL by"
    return _first(rows, "rollout/reward_error", lambda value: value > REWARD_ERROR, what)


def pad_leakage(rows: Rows, about: About) -> str | None:
    """A response alone, without any padding, has the log-probs that it has in the batch."""
    what = "without padding, a response's log-prob changes by"
    return _first(rows, "rollout/pad_error", lambda value: value > PAD_ERROR[about.dtype], what)


def infinite_reward(rows: Rows, about: About) -> str | None:
    return _first(rows, "objective/score", lambda value: not math.isfinite(value), "the mean reward is", broken=True)


def flat_reward(rows: Rows, about: About) -> str | None:
    """All responses of a rollout have one score: there is nothing to learn from it."""
    for row in rows:
        sd, mean = row.get("objective/score_sd"), row.get("objective/score")
        if sd is not None and mean is not None and math.isfinite(mean) and sd <= 1e-6 * max(1.0, abs(mean)):
            return f"every response of step {row['step']} has the reward {mean:.4g}"
    return None


def useless_value(rows: Rows, about: About) -> str | None:
    """Late in a run the value model explains nothing of the returns; at the start it cannot, and small rollouts are noisy:
    the mean of the last 10 rollouts + 2 standard errors is at most 0."""
    values = _values(rows, "value/explained_variance")
    late = values[-LATE:]
    if len(values) < 2 * LATE or _mean(late) + 2.0 * statistics.stdev(late) / math.sqrt(LATE) > 0:
        return None
    return f"the value model's explained variance is {_mean(late):.2f} after {len(values)} rollouts"


def length_drift(rows: Rows, about: About) -> str | None:
    """Responses are twice or half as long as the SFT policy's."""
    values = _values(rows, "rollout/response_tokens")
    if len(values) < LATE:
        return None
    before, after = values[0], _mean(values[-TAIL:])
    return None if before / 2 < after < before * 2 else f"responses went from {before:.1f} to {after:.1f} tokens"


def entropy_collapse(rows: Rows, about: About) -> str | None:
    """The policy has lost two thirds of its entropy; ours: the demo's healthy run, sharp from the start, loses half."""
    values = _values(rows, "objective/entropy")
    if len(values) < LATE:
        return None
    before, after = values[0], _mean(values[-TAIL:])
    return None if after >= before / 3 else f"entropy fell from {before:.2f} to {after:.2f} nats a token"


def below_sft(rows: Rows, about: About) -> str | None:
    """The policy's score (or its gold) is below the first rollout's, which the SFT policy made, by more than their noise."""
    for name, word in (("objective/score", "reward"), ("objective/gold", "gold score")):
        values, spreads = _values(rows, name), _values(rows, f"{name}_sd")
        if len(values) < LATE or not spreads:
            continue
        noise = max(spreads) * math.sqrt((1 + 1 / TAIL) / about.batch_size)
        before, after = values[0], _mean(values[-TAIL:])
        if after < before - SIGMAS * noise:
            return f"the {word} went from {before:.3g} (SFT) to {after:.3g}"
    return None


TABLE = [
    Fault("ratio is not 1 at the start", ratio, "give --dtype float32, and take no dropout or other kernels into the policy"),
    Fault("sampler is not the policy", sampler_mismatch, "start the server at --vllm-url again (`trl vllm-serve --model DIR`), with the --dtype of this run"),
    Fault("negative KL", negative_kl, "responses do not come from the policy as it is: give --top-p 1 --top-k 0, and a sampler with its newest weights"),
    Fault("exploding KL", exploding_kl, "lower --lr, or raise --kl-coef"),
    Fault("score on a pad", misplaced_score, "the score must land on the response's last token: ppo/advantages.py is not as it was"),
    Fault("pad leakage", pad_leakage, "give a --policy whose attention heeds the mask and the position ids"),
    Fault("infinite reward", infinite_reward, "make --reward finite, or give --score-clip"),
    Fault("flat reward", flat_reward, "give a --reward or --reward-model that tells responses apart"),
    Fault("value model explains nothing", useless_value, "raise --vf-coef or --value-clip-range, or start from a --reward-model"),
    Fault("length drift", length_drift, "raise --kl-coef, give --missing-eos penalty, or correct the reward for length"),
    Fault("entropy collapse", entropy_collapse, "raise --kl-coef, or lower --lr or --kl-max"),
    Fault("policy below SFT", below_sft, "lower --lr, raise --kl-coef, or choose by --selection-reward-model"),
]  # fmt: skip


def _values(rows: Rows, name: str) -> list[float]:
    return [row[name] for row in rows if row.get(name) is not None]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _first(rows: Rows, name: str, wrong: Callable[[float], bool], what: str, broken: bool = False) -> str | None:
    """The evidence of the first row whose value is wrong; broken: a number that is not finite is wrong too."""
    for row in rows:
        if name not in row:
            continue
        value = row[name]
        if value is None or not math.isfinite(value):
            if broken:
                return f"{what} not finite at step {row['step']}"
        elif wrong(value):
            return f"{what} {value:.3g} at step {row['step']}"
    return None
