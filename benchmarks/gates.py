"""What the gates let through: wrong promotions in 20 rounds, power of the whole default chain, peeking, length-only rewards.

    python benchmarks/gates.py [--seed N]

Nobody votes here: people, judges and effects are SIMULATED, as `Round` says. About two minutes on one core. Leaves
benchmarks/results/gates.{json,md,svg}."""

from __future__ import annotations

import argparse
import math
import sys
import time
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy
from experiment import RESULTS, leave, table

from alignment.intervals import clopper_pearson
from alignment.loop.candidate import Comparisons, Flags, alignment_tax, anchor, offline_win, offline_win_length, safety
from alignment.loop.human import human_win
from alignment.loop.policy import Policy
from alignment.loop.reward import calibration, reward_alive, reward_not_worse
from alignment.loop.votes import boundary, fixed_wins, futile, outlook

NORMAL = NormalDist()
AGREEMENT = 0.726
"""How often two people agree on a pair. Source: InstructGPT (arXiv 2203.02155, §3.4)."""
JUDGE_ACCURACY = 0.65
"""How often the judge orders a pair of candidate and champion as one person does. Source: ours, below the 69.6 % that
InstructGPT's reward model has on the labels of people it was not trained on: both policies come from one SFT model."""
PROMPT_SHARE = 0.25
"""Share of the variance of quality, and of the judge's error, that all responses to one prompt have in common."""
ROUNDS, SPREAD = 20, 0.2


@dataclass(frozen=True)
class Round:
    """A candidate whose response is preferred by a person with probability `rate`.

    Quality of response r to prompt i, candidate minus champion's response q: d = m + b_i + a_ir − c_iq, of variance 1 about m:
    b has PROMPT_SHARE of it, a and c half of the rest each. A person prefers the candidate where d + e > 0, with e of each
    vote N(0, s²), s from AGREEMENT; m from `rate`. The judge prefers it where d + u > 0, u made of the same three parts
    with a variance that gives JUDGE_ACCURACY, and a little love of length. The people vote once on each prompt, on its first
    two responses: so votes and judge share d. Lengths are N(200, 40), alike for both."""

    rate: float
    prompts: int
    responses: int
    judge_accuracy: float = JUDGE_ACCURACY


def correlation(agreement: float) -> float:
    """Of two normal variables whose signs agree with that probability: sin(π (A − ½)). Source: Sheppard 1899."""
    return math.sin(math.pi * (agreement - 0.5))


PERSON = 1 / correlation(AGREEMENT)
"""Variance of d + e: two people share d, of variance 1."""


def simulate(one: Round, random: numpy.random.Generator) -> tuple[Comparisons, list[int]]:
    """(what the judge says of every pairing, people's votes)."""
    judge = 1 / (correlation(one.judge_accuracy) ** 2 * PERSON)  # variance of d + u
    m = NORMAL.inv_cdf(one.rate) * math.sqrt(PERSON)
    d, u = m + parts(one, random), math.sqrt(judge - 1) * parts(one, random)
    lengths, against = random.normal(200, 40, (2, one.prompts, one.responses)).round()
    long = numpy.broadcast_to(lengths[:, :, None], d.shape)
    short = numpy.broadcast_to(against[:, None, :], d.shape)
    wins = (d + u + 0.1 * numpy.tanh((long - short) / 57) > 0).astype(float)
    votes = d[:, 0, 0] + random.normal(0, math.sqrt(PERSON - 1), one.prompts) > 0
    names = numpy.repeat(numpy.arange(one.prompts), one.responses**2)
    return Comparisons(wins.ravel(), names, long.ravel(), short.ravel()), votes.astype(int).tolist()


def parts(one: Round, random: numpy.random.Generator) -> numpy.ndarray:
    """(prompts, R, R) variance 1: the prompt's own, the candidate's response's, the champion's response's."""
    rest = math.sqrt((1 - PROMPT_SHARE) / 2)
    own = math.sqrt(PROMPT_SHARE) * random.standard_normal((one.prompts, 1, 1))
    a, c = random.standard_normal((2, one.prompts, one.responses))
    return own + rest * a[:, :, None] - rest * c[:, None, :]


def on_candidate(one: Round, policy: Policy, random: numpy.random.Generator) -> dict[str, bool]:
    """Which gates on the candidate let it pass. The best ever is the champion; SFT loses to the champion by 55 to 45."""
    found, votes = simulate(one, random)
    above_sft = replace(one, rate=NORMAL.cdf(NORMAL.inv_cdf(one.rate) + NORMAL.inv_cdf(0.55)))
    sft, _ = simulate(above_sft, random)
    return {
        "offline_win": offline_win(found, policy).verdict == "pass",
        "offline_win_length": offline_win_length(found, policy).verdict == "pass",
        "anchor": anchor({"SFT": sft, "best": found}, policy).verdict == "pass",
        "human_win": watched(votes, policy),
    }


def watched(votes: list[int], policy: Policy) -> bool:
    """Whether the human gate passes when it is looked at after every vote and stops at the first verdict."""
    wins = numpy.cumsum(votes[: policy.human_votes])
    count = numpy.arange(1, len(wins) + 1)
    won = wins >= boundary(policy.human_votes, policy.human_evidence, policy.human_prior)[count]
    lost = wins <= stops(policy)[count]
    passed = bool(won.any() and (not lost.any() or won.argmax() < lost.argmax()))
    at = votes[: int(won.argmax()) + 1] if passed else votes
    assert not passed or human_win(at, policy).verdict == "pass"  # the gate itself says so at that vote
    return passed


def stops(policy: Policy) -> numpy.ndarray:
    return futile(
        policy.human_votes, policy.human_evidence, policy.human_prior, policy.futility_rate, policy.futility_chance
    )


def on_the_rest(policy: Policy, random: numpy.random.Generator) -> dict[str, bool]:
    """The statistical gates that do not know the candidate's win rate, where all is well: a new reward model 1 point better
    than the incumbent on 1,000 held-out prompts of 6 pairs (accuracy .70, calibrated, 90 % of pairs ordered alike; longer wins
    55 %), 4,000 few-shot items (6 % change sides, no tax), 3 safety measures of 1,000 prompts (flags of 5 %, unchanged)."""
    prompts = numpy.repeat(numpy.arange(1000), 6)
    ease = numpy.repeat(random.normal(0, 0.5, 1000), 6)
    logits = (random.normal(0, 1.2, 6000) + ease) * numpy.where(random.random(6000) < 0.5, 1, -1)
    first = random.random(6000) < 1 / (1 + numpy.exp(-logits))
    correct = ((logits > 0) == first).astype(float)
    change = random.random(6000)
    old = correct.copy()  # of 6,000 pairs 5.5 % were gained, 4.5 % lost
    right = correct == 1
    old[right & (change < 0.055 / right.mean())] = 0
    old[~right & (change < 0.045 / (1 - right.mean()))] = 1
    longer = (random.random(6000) < 0.55).astype(float)
    before = (random.random(4000) < 0.5).astype(float)
    after = numpy.where(random.random(4000) < 0.06, 1 - before, before)
    tasks = [f"task {number % 4}" for number in range(4000)]
    flags = {
        name: Flags(*(random.random((2, 1000)) < 0.05).astype(float), numpy.arange(1000))
        for name in ("flagged", "unanswerable", "injected")
    }
    gates = (
        reward_alive(correct, longer, prompts, policy),
        reward_not_worse(correct, {"the incumbent": old}, prompts, policy),
        calibration(logits, first.astype(float), prompts, policy),
        alignment_tax(before, after, tasks, policy),
        safety(flags, policy),
    )
    return {one.gate: one.verdict in ("pass", "warn") for one in gates}


def shares(rows: list[dict[str, bool]]) -> dict[str, dict[str, float]]:
    """Share of draws that pass, with Clopper–Pearson's 95 %: of each gate, and of all of them together."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    if "human_win" in columns:
        columns["judge"] = [all(row[name] for name in row if name != "human_win") for row in rows]
    columns["all"] = [all(row.values()) for row in rows]
    return {name: interval(sum(values), len(values)) for name, values in columns.items()}


def interval(count: int, total: int) -> dict[str, float]:
    low, high = clopper_pearson(count, total)
    return {"share": count / total, "low": low, "high": high, "draws": total}


def exact(rate: float, policy: Policy) -> dict[str, float]:
    """P(the human gate passes) and mean votes when it is looked at after every vote; forwards over (votes, wins)."""
    bound, stop = boundary(policy.human_votes, policy.human_evidence, policy.human_prior), stops(policy)
    wins = numpy.arange(policy.human_votes + 2)
    mass, passed, votes = numpy.zeros(len(wins)), 0.0, 0.0
    mass[0] = 1.0
    for n in range(1, policy.human_votes + 1):
        votes += float(mass.sum())
        mass[1:], mass[0] = (1 - rate) * mass[1:] + rate * mass[:-1], (1 - rate) * mass[0]
        there = wins >= bound[n]
        passed += float(mass[there].sum())
        mass[there | (wins <= stop[n])] = 0
    return {"passes": passed, "votes": votes}


def histories(policy: Policy, random: numpy.random.Generator, count: int, rate: float | None = None) -> dict[str, Any]:
    """Wrong promotions (true rate ≤ ½) in 20 rounds, by rule. rate: of every round; None: effects N(0, .2) in logits.

    `people alone` is the human gate with a judge that lets everything through; `strict chain` asks the two offline
    gates besides, on new draws, of those that the people let through."""
    effects = random.normal(0, SPREAD, count * ROUNDS)
    rates = 1 / (1 + numpy.exp(-effects)) if rate is None else numpy.full(count * ROUNDS, rate)
    bound, stop = boundary(policy.human_votes, policy.human_evidence, policy.human_prior), stops(policy)
    people, estimate = numpy.zeros((2, len(rates)), dtype=bool)
    for start in range(0, len(rates), 4000):
        some = slice(start, start + 4000)
        votes = random.random((len(rates[some]), policy.human_votes), dtype=numpy.float32) < rates[some, None]
        wins = votes.cumsum(axis=1, dtype=numpy.int16)
        won, lost = wins >= bound[1:], wins <= stop[1:]
        first = numpy.where(won.any(axis=1), won.argmax(axis=1), policy.human_votes)
        people[some] = first < numpy.where(lost.any(axis=1), lost.argmax(axis=1), policy.human_votes)
        estimate[some] = wins[:, 399] > 200
    bad = rates <= 0.5
    chain = numpy.zeros(len(rates), dtype=bool)
    for row in numpy.flatnonzero(people & bad):
        found, _ = simulate(Round(float(rates[row]), policy.offline_prompts, policy.offline_responses), random)
        chain[row] = (
            offline_win(found, policy).verdict == "pass" and offline_win_length(found, policy).verdict == "pass"
        )
    every = numpy.ones(len(rates), dtype=bool)
    rules = {
        "always promote": every,
        "estimate > 50 % of 400 votes": estimate,
        "people alone": people,
        "strict chain": chain,
    }
    wrong = {name: per_history(taken & bad, count) for name, taken in rules.items()}
    right = {name: per_history(rules[name] & ~bad, count) for name in [*rules][:3]}
    return {"histories": count, "wrong": wrong, "right": right}


def per_history(taken: numpy.ndarray, count: int) -> dict[str, float]:
    """Mean of a history with its 95 %: 20 times Clopper–Pearson's interval over all rounds, which are independent."""
    found = interval(int(taken.sum()), count * ROUNDS)
    return {"mean": ROUNDS * found["share"], "low": ROUNDS * found["low"], "high": ROUNDS * found["high"]}


def peeking(policy: Policy, random: numpy.random.Generator, count: int = 20_000) -> dict[str, Any]:
    """Share of equal candidates that ever look like winners, looked at after every vote, without the futility stop."""
    bound = boundary(policy.human_votes, policy.human_evidence, policy.human_prior)
    wins = (random.random((count, policy.human_votes), dtype=numpy.float32) < 0.5).cumsum(axis=1, dtype=numpy.int16)
    every = numpy.arange(10, policy.fixed_votes + 1, 10)
    least = numpy.array([fixed_wins(int(n), policy.fixed_error) for n in every])
    return {
        "e-process, after every vote": interval(int((wins >= bound[1:]).any(axis=1).sum()), count),
        "e-process, exactly": float(outlook(0.5, bound).chance[0, 0]),
        "fixed test, every 10 votes": interval(int((wins[:, every - 1] >= least).any(axis=1).sum()), count),
    }


def length_only(policy: Policy, random: numpy.random.Generator, count: int = 40) -> dict[str, Any]:
    """A candidate of equal quality that is 30 characters longer (lengths have sd 40), by two judges that like length alone:
    `always` prefers the longer one, `mostly` prefers it with probability σ(3 Δ / sd of Δ)."""
    found: dict[str, Any] = {}
    for judge in ("always", "mostly"):
        raw, controlled = 0, 0
        for _ in range(count):
            shape = (policy.offline_prompts, policy.offline_responses)
            names = numpy.repeat(numpy.arange(shape[0]), shape[1])
            mine, theirs = random.normal(230, 40, shape).round().ravel(), random.normal(200, 40, shape).round().ravel()
            gap = mine - theirs
            noisy = (random.random(len(gap)) < 1 / (1 + numpy.exp(-3 * gap / gap.std()))).astype(float)
            wins = (numpy.sign(gap) + 1) / 2 if judge == "always" else noisy
            comparisons = Comparisons(wins, names, mine, theirs)
            raw += offline_win(comparisons, policy).verdict == "pass"
            controlled += offline_win_length(comparisons, policy).verdict == "pass"
        found[judge] = {"raw": interval(raw, count), "controlled": interval(controlled, count)}
    return found


def chain(policy: Policy, random: numpy.random.Generator) -> dict[str, Any]:
    """Power of all gates together, by true win rate."""
    rest = shares([on_the_rest(policy, random) for _ in range(80)])
    found: dict[str, Any] = {"rest": rest}
    for rate, draws in ((0.6, 120), (0.55, 250)):
        one = Round(rate, policy.offline_prompts, policy.offline_responses)
        row = shares([on_candidate(one, policy, random) for _ in range(draws)])
        whole = row["all"]["share"] * rest["all"]["share"]
        alone = interval(round(row["judge"]["share"] * draws), draws)
        people = exact(rate, policy)["passes"]
        found[f"{rate:g}"] = {
            **row,
            "whole": product(row["all"], rest["all"], whole),
            "people exact": product(alone, rest["all"], people * alone["share"] * rest["all"]["share"]),
        }
    return found


def product(one: dict[str, float], other: dict[str, float], whole: float) -> dict[str, float]:
    """Two independent shares multiplied; the interval adds their relative variances (delta method)."""
    spread = sum((1 - x["share"]) / (x["share"] * x["draws"]) for x in (one, other) if x["share"])
    half = 1.96 * whole * math.sqrt(spread)
    return {"share": whole, "low": whole - half, "high": min(whole + half, 1.0)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begun, random, policy = time.process_time(), numpy.random.default_rng(options.seed), Policy()
    design = replace(policy, human_votes=400, offline_prompts=400, offline_responses=1)
    rates = (0.48, 0.5, 0.52, 0.54, 0.55, 0.56, 0.58, 0.6, 0.65)
    variants = {"400 votes": design, "800 votes": policy, "800 votes, a = 30": replace(policy, human_prior=30)}
    result = {
        "seed": options.seed,
        "judge_accuracy": JUDGE_ACCURACY,
        "agreement": AGREEMENT,
        "prompt_share": PROMPT_SHARE,
        "people": {name: {f"{rate:g}": exact(rate, one) for rate in rates} for name, one in variants.items()},
        "fixed_400": {f"{rate:g}": fixed_power(rate, policy) for rate in rates},
        "peeking": peeking(policy, random),
        "chain": chain(policy, random),
        "before": chain_before(design, random),
        "length_only": length_only(policy, random),
        "rounds": {
            "N(0, .2)": histories(policy, random, 1000),
            "p = .50": histories(policy, random, 100, 0.5),
            "p = .48": histories(policy, random, 100, 0.48),
        },
        "policy": asdict(policy),
    }
    result["cpu_seconds"] = time.process_time() - begun
    draw(result)
    leave("gates", result, text(result))
    return 0


def fixed_power(rate: float, policy: Policy) -> float:
    from alignment.tails import binomial_at_most

    losses = policy.fixed_votes - fixed_wins(policy.fixed_votes, policy.fixed_error)
    return binomial_at_most(losses, policy.fixed_votes, 1 - rate)


def chain_before(policy: Policy, random: numpy.random.Generator) -> dict[str, Any]:
    """The same gates on a candidate with 400 votes, 400 prompts and one response each."""
    found = {}
    for rate in (0.6, 0.55):
        one = Round(rate, policy.offline_prompts, policy.offline_responses)
        found[f"{rate:g}"] = shares([on_candidate(one, policy, random) for _ in range(150)])
    return found


def text(result: dict[str, Any]) -> str:
    rates = [*result["fixed_400"]]
    people = [
        [name, *(f"{row[rate]['passes']:.3f} ({row[rate]['votes']:.0f})" for rate in rates)]
        for name, row in result["people"].items()
    ]
    people.append(["fixed, 217 of 400", *(f"{result['fixed_400'][rate]:.3f}" for rate in rates)])
    chain_rows = [
        [
            f"{100 * float(rate):.0f} %",
            *(
                said(result["chain"][rate][name])
                for name in ("offline_win", "offline_win_length", "anchor", "human_win", "all")
            ),
            said(result["chain"]["rest"]["all"]),
            f"**{said(result['chain'][rate]['whole'])}**",
            said(result["chain"][rate]["people exact"]),
            said(result["before"][rate]["all"]),
        ]
        for rate in ("0.6", "0.55")
    ]
    rounds = [
        [name, rule, said(row, "mean"), said(found["right"][rule], "mean") if rule in found["right"] else ""]
        for name, found in result["rounds"].items()
        for rule, row in found["wrong"].items()
    ]
    peeks, only = result["peeking"], result["length_only"]
    head = [
        "true win rate",
        "offline",
        "at equal length",
        "anchors",
        "people",
        "candidate's gates",
        "other gates",
        "whole chain",
        "whole chain, people's power exact",
        "candidate's gates, 400 votes, 400 prompts × 1",
    ]
    return (
        f"# What the gates let through\n\nMade by `python benchmarks/gates.py` in {result['cpu_seconds']:.0f} s of one core. People, judges and "
        f"effects are **simulated**: two people agree on {AGREEMENT:.1%} of pairs, the judge agrees with one person on "
        f"{JUDGE_ACCURACY:.0%}, {PROMPT_SHARE:.0%} of the variance belongs to the prompt; people vote on the first two responses of "
        "the judge's own prompts. Intervals are 95 %.\n\n## The whole default chain\n\n"
        "*Other gates* are those on the reward model, alignment tax and safety where all is well (a new reward model one point "
        "better, on 1,000 held-out prompts of 6 pairs; 4,000 few-shot items; 3 measures of 1,000 prompts); with fewer held-out "
        "prompts the chain is inconclusive more often. The last but one column takes people's power from the exact recursion below "
        "and not from the draws, as if votes and judge were independent.\n\n" + table(head, chain_rows) +
        "\nThe last column is why the budget is 800 votes and 800 prompts of 4 responses: with half of the votes and one response "
        "each, a true 55 % candidate would mostly be turned away.\n\n## People's votes\n\n"
        "P(E ≥ 20 within the budget), in brackets mean votes, looked at after every vote, futility stop included; exact.\n\n"
        + table(["test", *rates], people) +
        "\n![power](gates.svg)\n\n"
        f"Equal candidates that ever look like winners: {said(peeks['e-process, after every vote'])} (exactly "
        f"{peeks['e-process, exactly']:.4f}) by the e-process looked at after each of 800 votes; "
        f"{said(peeks['fixed test, every 10 votes'])} by a fixed test looked at every 10 of 400.\n\n"
        "## Wrong promotions in 20 rounds\n\n"
        "A promotion is wrong where the true win rate is at most ½. *People alone*: a judge that lets everything through, the "
        "worst there is. *Strict chain*: the two offline gates besides; the others can only turn more away.\n\n"
        + table(["effects", "rule", "wrong promotions", "right ones"], rounds) +
        "\n## A reward that only likes length\n\n"
        "A candidate of equal quality, 30 characters longer (sd 40), by judges that look at length alone. The curve of the "
        "length control is smooth, a judge that *always* prefers the longer one is a step: what it lets through there is this "
        "misfit. People's votes still stop it.\n\n"
        + table(
            ["judge", "raw win rate passes", "length-controlled passes"],
            [[name, said(row["raw"]), said(row["controlled"])] for name, row in only.items()],
        )
    )  # fmt: skip


def said(row: dict[str, float], key: str = "share") -> str:
    return f"{row[key]:.3f} [{row['low']:.3f}, {row['high']:.3f}]"


def draw(result: dict[str, Any]) -> None:
    """Power of the votes by true win rate, the chain's two points on it."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gates"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 3.8), layout="constrained")
    for name, row in result["people"].items():
        axes.plot([float(rate) for rate in row], [one["passes"] for one in row.values()], "-", label=f"E ≥ 20, {name}")
    fixed = result["fixed_400"]
    axes.plot([float(rate) for rate in fixed], [*fixed.values()], "--", color="grey", label="fixed, 217 of 400")
    for rate in ("0.6", "0.55"):
        whole = result["chain"][rate]["whole"]
        error = [[whole["share"] - whole["low"]], [whole["high"] - whole["share"]]]
        label = "whole chain" if rate == "0.6" else None
        axes.errorbar([float(rate)], [whole["share"]], yerr=error, fmt="ko", ms=4, capsize=3, label=label)
    axes.axvline(0.5, color="lightgrey", lw=1, zorder=0)
    axes.set(xlabel="true win rate", ylabel="probability of passing", ylim=(0, 1.02))
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "gates.svg", metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
