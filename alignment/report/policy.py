"""The part of a page on a PPO run: what the policy gained, what it paid, and what it says now."""

from __future__ import annotations

import math
from typing import Any

from markupsafe import Markup

from alignment.metrics import METRICS
from alignment.records import prompt_text
from alignment.report import charts, words
from alignment.report.charts import Curve, Mark
from alignment.report.document import Answer, Answers, Exchange, Figure, Section, Table, say
from alignment.report.plots import INK, MUTED, PAPER, SERIES, SIZE, plot
from alignment.report.runs import Run
from alignment.report.training import curve
from alignment.report.worddiff import compared

TABLE = (
    "objective/score",
    "objective/gold",
    "objective/rlhf_reward",
    "objective/kl",
    "objective/entropy",
    "rollout/response_tokens",
    "rollout/eos_fraction",
)


def ppo(run: Run, title: str) -> Section:
    figures = _figures(run)
    return Section(
        run.anchor,
        title,
        verdict(run),
        [one for one in figures if one],
        [_table(run), *_shares(run)],
        _samples(run.lines("samples.jsonl")),
    )


def gold_words(config: dict[str, Any]) -> str:
    """Who gives the gold score."""
    return words.who(config["gold"]) if config.get("gold") else "no one"


def kept_step(run: Run) -> int | None:
    """The rollout whose policy was kept."""
    return run.metrics.get("best", {}).get("step")


def verdict(run: Run) -> list[Markup]:
    """Which policy was kept, what it gained, what it paid, what the gold score says of it."""
    metrics, best = run.metrics, run.metrics["best"]
    start = run.history[0] if run.history else {}
    sentences = [
        say(
            "Of {} the policy of rollout **{}** was kept: reward **{}**, from {} at the start, at a KL of **{}** nats a response.",
            words.plural(metrics["steps"] + 1, "rollout"),
            best["step"],
            words.number(best["objective/score"]),
            words.shown(start.get("objective/score")),
            words.number(best["objective/kl"]),
        )
    ]
    if best.get("objective/gold") is not None and start.get("objective/gold") is not None:
        sentences.append(
            say(
                "The gold score, by {}, was measured and never optimised: it went from {} to **{}**.",
                gold_words(run.config),
                words.number(start["objective/gold"]),
                words.number(best["objective/gold"]),
            )
        )
        sentences += _over_optimised(run)
    if metrics["stopped"] != "steps done":
        sentences.append(say("The run stopped early: **{}**.", metrics["stopped"]))
    return sentences


def _over_optimised(run: Run) -> list[Markup]:
    """What to say where the gold score peaked before the policy that was kept."""
    steps, gold = run.curve("objective/gold")
    kept = kept_step(run)
    if not gold or kept is None or kept not in steps:
        return []
    highest = gold.index(max(gold))
    if steps[highest] >= kept:
        return []
    return [
        say(
            "It was highest at rollout {}, with {}: since then the reward gained and the gold did not.",
            int(steps[highest]),
            words.number(gold[highest]),
        )
    ]


def _figures(run: Run) -> list[Figure | None]:
    kept, config = kept_step(run), run.config

    def over_rollouts(metric: str, *marks: Mark, **shape: Any) -> Figure | None:
        return curve(run, metric, x="rollout", kept=kept, marks=marks, **shape)

    gold = f"Measured by {gold_words(config)}; never optimised."
    kl_max, target = config.get("kl_max"), config.get("approx_kl_target")
    return [
        over_rollouts("objective/score", caption="The ring is the policy that was kept, here and below."),
        over_rollouts("objective/gold", caption=gold),
        over_rollouts("objective/kl", *([Mark(kl_max, "stops here")] if kl_max is not None else [])),
        against_distance(run),
        over_rollouts("objective/rlhf_reward"),
        over_rollouts("objective/entropy"),
        over_rollouts("rollout/response_tokens"),
        over_rollouts("rollout/eos_fraction"),
        curve(run, "policy/approx_kl", x="rollout", marks=[Mark(target, "target")] if target is not None else []),
        curve(run, "policy/clip_fraction", x="rollout"),
        curve(run, "value/explained_variance", x="rollout"),
        curve(run, "optim/lr", x="rollout"),
        _over_parts(run, "Time a step", "_seconds"),
        _over_parts(run, "Speed", "_tokens_per_second"),
    ]


def against_distance(run: Run) -> Figure | None:
    """Reward and gold over √KL, the distance that over-optimisation is a function of (Gao 2022)."""
    names = [name for name in ("objective/score", "objective/gold") if run.curve(name)[0]]
    points = {name: _over_root_kl(run, name) for name in names}
    if not any(len(xs) > 1 for xs, _ in points.values()):
        return None
    kept = kept_step(run)
    with plot(
        "√KL to the reference (√nats)", "", rows=len(names), size=(SIZE[0], SIZE[1] + 0.7 * (len(names) - 1))
    ) as p:
        panels = p.axes if len(names) > 1 else [p.axes]
        for number, (panel, name) in enumerate(zip(panels, names)):
            xs, ys = points[name]
            panel.plot(xs, ys, color=SERIES[number], linewidth=0.9, alpha=0.45)
            panel.plot(xs, ys, "o", color=SERIES[number], markersize=4)
            panel.set_title(METRICS[name].axis, loc="left", color=MUTED)
            if kept is not None and kept < len(xs):
                ring = {"markersize": 8, "markerfacecolor": PAPER, "markeredgecolor": INK, "zorder": 5}
                panel.plot([xs[kept]], [ys[kept]], "o", **ring)
    alt = "; ".join(
        f"{METRICS[name].label} from {words.number(ys[0])} at √KL {words.number(xs[0])} to {words.number(ys[-1])} at √KL "
        f"{words.number(xs[-1])}, highest {words.number(max(ys))} at √KL {words.number(xs[ys.index(max(ys))])}"
        for name, (xs, ys) in points.items()
    )
    caption = "Where the reward still rises and the gold falls, the policy exploits the reward model's mistakes."
    return Figure(
        "What the distance buys", p.svg, f"Over the root of the KL: {alt}.", caption if len(names) > 1 else ""
    )


def _over_root_kl(run: Run, name: str) -> tuple[list[float], list[float]]:
    pairs = [
        (math.sqrt(max(line["objective/kl"], 0.0)), line[name])
        for line in run.history
        if line.get("objective/kl") is not None and line.get(name) is not None
    ]
    return [x for x, _ in pairs], [y for _, y in pairs]


def _over_parts(run: Run, title: str, ending: str) -> Figure | None:
    """A quantity of rollout and update over each other."""
    names = [f"time/{part}{ending}" for part in ("rollout", "update")]
    lines = [Curve(part, *run.curve(name)) for part, name in zip(("rollout", "update"), names)]
    return charts.curves(title, f"{title.lower()} ({METRICS[names[0]].unit})", lines, x="rollout")


def _shares(run: Run) -> list[Table]:
    """Where the time went, over all steps: Σ share · seconds ÷ Σ seconds; nothing for a run that logged no shares."""
    lines = [
        line for line in run.history if line.get("time/update_seconds") and line.get("time/other_share") is not None
    ]
    seconds = [line["time/rollout_seconds"] + line["time/update_seconds"] for line in lines]
    names = [name for name in METRICS if name.endswith("_share") and any(line.get(name) for line in lines)]
    rows = [
        [METRICS[name].label, words.percent(sum(line[name] * s for line, s in zip(lines, seconds)) / sum(seconds))]
        for name in names
    ]
    return [Table("Where a step's time goes", ["part", "share"], rows)] if rows else []


def _table(run: Run) -> Table:
    kept = kept_step(run)
    chosen = [run.history[0], run.history[kept], run.history[-1]] if kept is not None and run.history else []
    rows = [
        [METRICS[name].axis, *(words.shown(line.get(name)) for line in chosen)]
        for name in TABLE
        if any(line.get(name) is not None for line in chosen)
    ]
    return Table("Start, kept, last", ["", "start", f"kept (rollout {kept})", "last"], rows)


def _samples(records: list[dict[str, Any]]) -> list[Answers]:
    if not records:
        return []
    exchanges = []
    for record in records:
        before, after = compared(record["start"]["text"].strip(), record["final"]["text"].strip())
        answers = [Answer("start", before, _note(record["start"])), Answer("kept", after, _note(record["final"]))]
        exchanges.append(Exchange(prompt_text(record["prompt"]), answers))
    rule = (
        f"The first {len(records)} prompts of the file, answered once by the starting policy and once by the one kept, "
        "both drawn from the run's seed. Marked: words that only one of the two has."
    )
    return [Answers("Before and after", rule, exchanges)]


def _note(answer: dict[str, Any]) -> str:
    parts = [f"reward {words.number(answer['score'])}"]
    if answer.get("gold") is not None:
        parts.append(f"gold {words.number(answer['gold'])}")
    return ", ".join(parts)
