"""Option by option: what each setting of the reward model and of PPO changes, on a real tiny model with 25 % flips.

    python benchmarks/ablation.py [--data DIR] [--output DIR] [--seeds N]

640 prompts with 4 responses each, labelled by the SIMULATED annotator. Two kinds of rankings from the same noisy scores: strict
ones, and tiered ones in which about a quarter of the pairs tie and each ranking has a strength (0 to 3: the quarter that the
gap between its best and its worst noisy score falls into). Each option is one change to the default. Its reward model is
measured on noise-free rankings of unseen prompts; PPO is run against it and the written policy measured on 400 unseen prompts
by the noise-free annotator. Policies differ in KL, so what is compared is the gain in gold over SFT ÷ √KL (Gao 2022, arXiv
2210.10760: gold is nearly linear in √KL while KL is small). Differences are to the default of the same seed.
Leaves benchmarks/results/ablation.{json,md,svg}."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from experiment import GOLD, RESULTS, World, leave, lines, mean_interval, metrics, parser, require_data, table
from real_model import FLIP_PROBABILITY, Run

PROMPTS, TIE_SHARE = 640, 0.25


@dataclass(frozen=True)
class Option:
    """One change: extra arguments to `align reward` or `align ppo`. against: whose numbers it is compared with."""

    name: str
    against: str
    rankings: str = "strict"
    reward: tuple[str, ...] = ()
    ppo: tuple[str, ...] = ()
    reward_of: str | None = None


OPTIONS = (
    Option("default", "default"),
    Option("--loss plackett-luce", "default", reward=("--loss", "plackett-luce")),
    Option("--label-noise .25, smoothing", "default", reward=("--label-noise", FLIP_PROBABILITY)),
    Option("--label-noise .25, unbiased", "default", reward=("--label-noise", FLIP_PROBABILITY, "--noise-loss", "unbiased")),
    Option("--ensemble 3, mean", "default", reward=("--ensemble", "3")),
    Option("--ensemble 3, worst", "default", ppo=("--ensemble-rule", "worst"), reward_of="--ensemble 3, mean"),
    Option("--ensemble 3, mean-var", "default", ppo=("--ensemble-rule", "mean-var"), reward_of="--ensemble 3, mean"),
    Option("--kl-target 6", "default", ppo=("--kl-target", "6"), reward_of="default"),
    Option("--ema .99", "default", ppo=("--ema", "0.99"), reward_of="default"),
    Option("--score-clip 2", "default", ppo=("--score-clip", "2"), reward_of="default"),
    Option("tiers, ties unused", "tiers, ties unused", "tiered"),
    Option("--tie-model rao-kupper", "tiers, ties unused", "tiered", reward=("--tie-model", "rao-kupper")),
    Option("--tie-model davidson", "tiers, ties unused", "tiered", reward=("--tie-model", "davidson")),
    Option("--strength-margins llama-2", "tiers, ties unused", "tiered", reward=("--strength-margins", "llama-2")),
)  # fmt: skip


def main() -> int:
    options = parser(__doc__ or "", "collapse-run", 3).parse_args()
    require_data(options.data)
    world = World(options.output, options.data)
    rows = []
    for seed in range(options.seeds):
        run = InProcess(world.at(seed).folder, world.base, str(seed))
        files = rankings(world, run, seed)
        for option in OPTIONS:
            rows.append({"seed": seed, "option": option.name, **measured(world, run, option, files)})
            print(json.dumps(rows[-1]), flush=True)
    summary = {option.name: compared(option, rows) for option in OPTIONS}
    draw(summary)
    share = tie_share(world.folder / "seed-0" / "ablation-tiered.jsonl")
    result = {"gold": GOLD, "prompts": PROMPTS, "tie_share": share, "rows": rows, "summary": summary}
    leave("ablation", result, text(result))
    return 0


class InProcess(Run):
    """Calls `align` commands in this process: libraries are loaded once."""

    def align(self, name: str, *arguments: str) -> dict[str, Any]:
        from alignment import cli
        from alignment.command import main

        settings = [*arguments, "--seed", self.seed, "--threads", "1"]
        if main(cli.command(name), settings):
            raise SystemExit(f"align {name} {' '.join(settings)} failed")
        return {}


def rankings(world: World, run: Run, seed: int) -> dict[str, str]:
    """The path of each kind of rankings, made from one draw of noise."""
    import numpy

    from alignment import label_noise
    from alignment.functions import load_function
    from alignment.records import Ranking, read_responses, write_jsonl

    paths = {kind: run.path(f"ablation-{kind}.jsonl") for kind in ("strict", "tiered")}
    if all(Path(path).exists() for path in paths.values()):
        return paths
    sets = read_responses(world.path("responses.jsonl"))[:PROMPTS]
    judge = load_function(GOLD, "--annotator", 60.0)
    gold = [judge([(several.prompt, list(several.responses))])[0] for several in sets]
    noise = label_noise.calibrated_noise(label_noise.gold_gaps(gold), float(FLIP_PROBABILITY))
    generator = numpy.random.default_rng(seed)
    noisy = [
        label_noise.noisy_scores(scores, [one.text for one in several.responses], noise, generator)
        for several, scores in zip(sets, gold, strict=True)
    ]
    width = tier_width(noisy)
    spreads = [max(scores) - min(scores) for scores in noisy]
    quarters = numpy.quantile(spreads, [0.25, 0.5, 0.75])
    made: dict[str, list[Ranking]] = {"strict": [], "tiered": []}
    for several, scores, spread in zip(sets, noisy, spreads, strict=True):
        start = Ranking(several.id, several.prompt, several.responses, label_noise.ranks(scores), f"simulated:{GOLD}")
        made["strict"].append(start)
        tiers = label_noise.ranks([math.floor(score / width) for score in scores])
        strength = int(numpy.searchsorted(quarters, spread))
        made["tiered"].append(
            Ranking(start.id, start.prompt, start.responses, tiers, start.annotator, strength=strength)
        )
    for kind, some in made.items():
        write_jsonl(Path(paths[kind]), some)
    return paths


def tier_width(noisy: list[list[float]]) -> float:
    """The width of the tiers, floor(score / width), at which TIE_SHARE of the pairs tie; by bisection."""

    def share(width: float) -> float:
        pairs = [(math.floor(a / width), math.floor(b / width)) for scores in noisy for a, b in combinations(scores, 2)]
        return sum(a == b for a, b in pairs) / len(pairs)

    low, high = 0.0, 4.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) < TIE_SHARE else (low, middle)
    return high


def tie_share(path: Path) -> float:
    ranks = [one["ranks"] for one in lines(path)]
    pairs = [pair for some in ranks for pair in combinations(some, 2)]
    return sum(a == b for a, b in pairs) / len(pairs)


def measured(world: World, run: Run, option: Option, files: dict[str, str]) -> dict[str, float]:
    """The reward model's accuracy and log-loss, the policy's gold, KL and entropy."""
    reward = world.reward(
        run, f"ablation-reward-{slug(option.reward_of or option.name)}", files[option.rankings], *option.reward
    )
    policy = world.ppo(run, f"ablation-ppo-{slug(option.name)}", reward, *option.ppo)
    found, won = metrics(reward), metrics(world.against_sft(run, f"ablation-eval-{slug(option.name)}", policy))
    gain = won["judge_score"] - won["judge_score_against"]
    return {
        "pair_accuracy": found["pair_accuracy"], "log_loss": found["log_loss"], "gold": won["judge_score"], "gain": gain,
        "kl": won["kl"], "efficiency": gain / math.sqrt(max(won["kl"], 1e-9)), "entropy": won["entropy"],
        "win_rate": won["win_rate"], "steps": metrics(policy)["steps"],
    }  # fmt: skip


def slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


def compared(option: Option, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, and the differences to what it is compared with, each with a 95 % interval."""
    own = [row for row in rows if row["option"] == option.name]
    other = [row for row in rows if row["option"] == option.against]
    names = ("pair_accuracy", "log_loss", "gain", "kl", "efficiency")
    found: dict[str, Any] = {name: mean_interval(row[name] for row in own) for name in names}
    if option.name != option.against:
        found["difference"] = {
            name: mean_interval(a[name] - b[name] for a, b in zip(own, other, strict=True)) for name in names
        }
    return found


def text(result: dict[str, Any]) -> str:
    rows = []
    for name, found in result["summary"].items():
        difference = found.get("difference")
        rows.append(
            [f"`{name}`" if name.startswith("--") else f"**{name}**"]
            + [f"{found[key][0]:.3f}" for key in ("pair_accuracy", "log_loss", "gain", "kl", "efficiency")]
            + (
                [_interval(difference["pair_accuracy"]), _interval(difference["efficiency"])]
                if difference
                else ["", ""]
            )
        )
    seeds = len({row["seed"] for row in result["rows"]})
    header = ["option", "pair accuracy", "log-loss", "gold gain", "KL", "gain ÷ √KL", "Δ accuracy", "Δ gain ÷ √KL"]
    return (
        "# Option by option\n\n"
        f"stories260k, {result['prompts']} rankings of 4 by the **simulated annotator**, 25 % of random pairs inverted by noise; "
        "made by `python benchmarks/ablation.py`, whose first lines say what is measured. "
        f"{seeds} seeds; Δ is to the bold row above it on the same seeds, with a 95 % interval (Student's t). In the tiered "
        f"rankings {result['tie_share']:.0%} of the pairs tie. Log-losses of tie models and margins are those of their scores "
        "under Bradley–Terry after temperature scaling.\n\n" + verdict(result["summary"]) + "\n\n" + table(header, rows) + "\n![differences to the default](ablation.svg)\n"
    )  # fmt: skip


def verdict(summary: dict[str, Any]) -> str:
    """Which options help or harm beyond what the seeds alone change: what a default may be changed for."""
    gains = {name: found["difference"]["efficiency"] for name, found in summary.items() if "difference" in found}
    better, worse = [n for n, g in gains.items() if g[1] > 0], [n for n, g in gains.items() if g[2] < 0]
    return (
        "An option becomes the default when its interval of Δ gain ÷ √KL lies above 0. Above 0: "
        f"{', '.join(better) or 'none'}. Below 0: {', '.join(worse) or 'none'}. With so few seeds that says only that no large "
        "difference was seen."
    )


def _interval(values: tuple[float, float, float]) -> str:
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*values)


def draw(summary: dict[str, Any]) -> None:
    """The differences to the default with their intervals: accuracy at the left, gold at equal √KL at the right."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    some = {name: found["difference"] for name, found in summary.items() if "difference" in found}
    names = [*reversed(some)]
    figure, panels = pyplot.subplots(1, 2, figsize=(9, 4), layout="constrained", sharey=True)
    titles = {"pair_accuracy": "pair accuracy (noise-free)", "efficiency": "gold gain ÷ √KL"}
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        for row, name in enumerate(names):
            mean, low, high = some[name][key]
            axes.plot([low, high], [row, row], color="#4269d0", lw=1.5)
            axes.plot([mean], [row], "o", color="#4269d0", ms=5)
        axes.axvline(0, color="grey", lw=1, ls="--")
        axes.set_xlabel(f"difference in {title}")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(names)), names, fontsize=8)
    RESULTS.mkdir(exist_ok=True)
    figure.savefig(RESULTS / "ablation.svg", metadata={"Date": None})


if __name__ == "__main__":
    sys.exit(main())
