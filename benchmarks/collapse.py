"""Does PPO with its default settings ever collapse? Eight seeds on a real tiny model.

    python benchmarks/collapse.py [--data DIR] [--output DIR] [--seeds N]

One SFT model and one set of responses; each seed has its own noise on the rankings, its own reward model and its own PPO.
Two policies of each run are measured on 400 unseen prompts against the SFT model: the one that is WRITTEN (the best that a
rollout measured below --kl-max) and the LAST one (where training stopped). Gold is the noise-free SIMULATED annotator
(VADER); the second measure is AFINN's word list, which nothing here has optimised or selected by.
Leaves benchmarks/results/collapse.{json,md,svg}."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import Any

from experiment import GOLD, RESULTS, SECOND, World, leave, lines, mean_interval, metrics, parser, require_data, table

LIMITS = {"entropy_ratio": 0.5, "exact_repeats": 0.05}


def main() -> int:
    options = parser(__doc__ or "", "collapse-run", 8).parse_args()
    require_data(options.data)
    world = World(options.output, options.data)
    rows = [row for seed in range(options.seeds) for row in one_seed(world, seed)]
    draw([lines(world.folder / f"seed-{seed}" / "ppo" / "history.jsonl") for seed in range(options.seeds)])
    result = {"gold": GOLD, "second": SECOND, "runs": rows, "summary": summary(rows)}
    leave("collapse", result, text(result))
    return 0


def one_seed(world: World, seed: int) -> list[dict[str, Any]]:
    """The written and the last policy of one run, each against the SFT model."""
    run = world.at(seed)
    reward = world.reward(run, "reward", world.rankings(run))
    policy = world.ppo(run, "ppo", reward, "--save-state")
    last = last_policy(world.path("sft"), Path(policy), Path(run.path("last")))
    evals = {name: world.against_sft(run, f"eval-{name}", path) for name, path in (("written", policy), ("last", last))}
    stopped = metrics(policy)
    return [
        {"seed": seed, "policy": name, "steps": stopped["steps"], "stopped": stopped["stopped"], **measured(path)}
        for name, path in evals.items()
    ]


def last_policy(sft: str, run: Path, target: Path) -> str:
    """The policy where training stopped, as a model directory: the SFT model with the weights of the run's state."""
    from alignment.models import load_policy, save_model
    from alignment.training_state import load_state, load_tensors

    if not target.exists():
        policy, tokenizer = load_policy(sft, "--policy", "float32")
        parts, _ = load_state(run / "state")
        load_tensors(policy, parts["policy"])
        save_model(policy, tokenizer, target, sft, target)
    return str(target)


def measured(evaluation: str) -> dict[str, float]:
    """Gold and the second measure of both sides, entropy, repeats, KL."""
    from annotators import afinn

    found = metrics(evaluation)
    answers = lines(Path(evaluation) / "responses.jsonl")
    second = [[afinn(one["prompt"], [one[side]["text"]])[0] for one in answers] for side in ("policy", "against")]
    return {
        "gold": found["judge_score"], "gold_sft": found["judge_score_against"],
        "second": statistics.fmean(second[0]), "second_sft": statistics.fmean(second[1]),
        "win_rate": found["win_rate"], "kl": found["kl"],
        "entropy": found["entropy"], "entropy_sft": found["entropy_against"],
        "entropy_ratio": found["entropy"] / found["entropy_against"],
        "exact_repeats": found["exact_repeats"], "distinct_2": found["distinct_2"],
    }  # fmt: skip


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each kind of policy: the worst seed, means with intervals over seeds, and how many seeds broke a limit."""
    found = {}
    for kind in ("written", "last"):
        some = [row for row in rows if row["policy"] == kind]
        found[kind] = {
            "gold_gain": mean_interval(row["gold"] - row["gold_sft"] for row in some),
            "gold_gain_lowest": min(row["gold"] - row["gold_sft"] for row in some),
            "second_gain": mean_interval(row["second"] - row["second_sft"] for row in some),
            "second_gain_lowest": min(row["second"] - row["second_sft"] for row in some),
            "entropy_ratio_lowest": min(row["entropy_ratio"] for row in some),
            "exact_repeats_highest": max(row["exact_repeats"] for row in some),
            "broken": sum(broken(row) for row in some),
            "seeds": len(some),
        }
    return found


def broken(row: dict[str, Any]) -> bool:
    """Whether a policy is below the SFT model by either measure, or has collapsed."""
    return (
        row["gold"] < row["gold_sft"]
        or row["second"] < row["second_sft"]
        or row["entropy_ratio"] < LIMITS["entropy_ratio"]
        or row["exact_repeats"] > LIMITS["exact_repeats"]
    )


def text(result: dict[str, Any]) -> str:
    rows = [
        [
            str(row["seed"]), row["policy"], str(row["steps"]), f"{row['gold_sft']:.3f} → {row['gold']:.3f}",
            f"{row['second_sft']:.3f} → {row['second']:.3f}", f"{row['win_rate']:.3f}", f"{row['kl']:.2f}",
            f"{row['entropy_ratio']:.2f}", f"{row['exact_repeats']:.1%}",
        ]
        for row in result["runs"]
    ]  # fmt: skip
    header = [
        "seed",
        "policy",
        "steps",
        "gold (VADER)",
        "second (AFINN)",
        "wins over SFT",
        "KL",
        "entropy ÷ SFT's",
        "repeats",
    ]
    words = [
        f"- **{kind}**: {found['broken']} of {found['seeds']} seeds broke a limit. Gold gain {_interval(found['gold_gain'])}, "
        f"lowest {found['gold_gain_lowest']:.3f}; second measure {_interval(found['second_gain'])}, lowest "
        f"{found['second_gain_lowest']:.3f}; lowest entropy ratio {found['entropy_ratio_lowest']:.2f}; most repeats "
        f"{found['exact_repeats_highest']:.1%}."
        for kind, found in result["summary"].items()
    ]
    return (
        "# Does PPO collapse with its default settings?\n\n"
        "stories260k, made by `python benchmarks/collapse.py`. Labels and gold by a **simulated annotator** (VADER; 25 % of "
        "random pairs inverted by noise); the second measure is AFINN's word list, a word's mean valence, which nothing was "
        "optimised or selected by. One SFT model; noise, reward model and PPO are of the seed. *Written* is the policy that "
        "`align ppo` leaves, *last* is where training stopped. Limits: gold and second measure not below SFT, entropy at least "
        "half of SFT's, at most 5 % exact repeats. 400 unseen prompts; intervals are 95 %, Student's t over seeds.\n\n"
        + "\n".join(words) + "\n\n" + table(header, rows) + "\n![gold and entropy by step](collapse.svg)\n"
    )  # fmt: skip


def _interval(values: tuple[float, float, float]) -> str:
    return "{:.3f} [{:.3f}, {:.3f}]".format(*values)


def draw(histories: list[list[dict[str, Any]]]) -> None:
    """Gold against KL, and entropy against steps, a line a seed."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for seed, history in enumerate(histories):
        kls = [one["objective/kl"] for one in history]
        left.plot(kls, [one["objective/gold"] for one in history], "o-", ms=3, lw=1, label=f"seed {seed}")
        right.plot([one["step"] for one in history], [one["objective/entropy"] for one in history], "o-", ms=3, lw=1)
    left.set(xlabel="KL to the SFT model (nats a response)", ylabel="gold of a rollout (VADER)")
    start = histories[0][0]["objective/entropy"]
    right.axhline(start / 2, color="grey", ls="--", lw=1)
    right.annotate("half of the start", (0, start / 2), va="bottom", color="grey", fontsize=8)
    right.set(xlabel="step", ylabel="entropy (nats a token)", ylim=(0, None))
    left.legend(fontsize=7, frameon=False, ncols=2)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "collapse.svg", metadata={"Date": None})


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    sys.exit(main())
