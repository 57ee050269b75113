"""The part of a page on a comparison of two policies: who wins, at what length and KL, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from alignment import winrates
from alignment.metrics import METRICS
from alignment.records import content_id, prompt_text
from alignment.report import charts, words
from alignment.report.charts import Estimate
from alignment.report.document import Answer, Answers, Exchange, Figure, Section, Table, say
from alignment.report.runs import Run
from alignment.report.worddiff import compared

EXAMPLES, EXTREMES = 12, 3
Names = Callable[[Run, str], str]
"""(run of eval, "policy" | "against") → what the page calls that side."""

SIDES = (
    "eval/mean_tokens",
    "eval/mean_characters",
    "eval/eos_fraction",
    "eval/entropy",
    "eval/distinct_2",
    "eval/exact_repeats",
    "eval/judge_score",
)


def own_names(run: Run, side: str) -> str:
    """A side by the last part of its path, `few-shot` where it had a prefix; told apart where both are called alike."""
    paths = {name: str(run.config.get(name, name)) for name in ("policy", "against")}
    short = words.short(paths[side])
    if words.short(paths["policy"]) == words.short(paths["against"]):
        short = f"{short} ({side})"
    return f"{short}, few-shot" if run.config.get(f"{side}_prefix") else short


def evaluation(run: Run, title: str, names: Names = own_names, with_examples: bool = True) -> Section:
    """with_examples: off where the page shows the same prompts elsewhere."""
    sides = names(run, "policy"), names(run, "against")
    records = run.lines("responses.jsonl")
    figures = [_win_rates(run, records), _lengths(records, sides), _scores(records, sides), _kl(records)]
    return Section(
        run.anchor,
        title,
        verdict(run, names),
        [one for one in figures if one],
        [_sides(run.metrics, sides)],
        [*([examples(records, sides)] if with_examples else []), extremes(records, sides)] if records else [],
    )


def verdict(run: Run, names: Names = own_names) -> list[Markup]:
    """Who wins, at what interval; what is left at equal length; the KL; who judged."""
    metrics, policy, against = run.metrics, names(run, "policy"), names(run, "against")
    low, high = metrics["win_rate_low"], metrics["win_rate_high"]
    sentences = [
        say(
            "{} wins **{}** of {} against {} (95 % interval {}: **{}**), as scored by {}.",
            policy,
            words.percent(metrics["win_rate"]),
            words.plural(metrics["n"], "prompt"),
            against,
            words.interval(low, high),
            words.against_coin(low, high),
            words.who(metrics["judge"]),
        )
    ]
    controlled, kl = metrics.get("length_controlled_win_rate"), metrics.get("kl")
    if controlled is not None:
        sentences.append(say("At equal length it would win {}.", words.percent(controlled)))
    elif metrics.get("length_control_reason"):
        sentences.append(say("What it would win at equal length can't be told: {}.", metrics["length_control_reason"]))
    if kl is not None:
        sentences.append(say("Its KL to {} is {} nats a response.", against, words.number(kl)))
    return sentences


def estimates(run: Run, label: str, records: list[dict[str, Any]]) -> list[Estimate]:
    """The win rate with its interval and the length-controlled one, for a plot; then the best of n."""
    metrics = run.metrics
    rows = [Estimate(label, metrics["win_rate"], metrics["win_rate_low"], metrics["win_rate_high"])]
    if metrics.get("length_controlled_win_rate") is not None:
        rows.append(Estimate("at equal length", metrics["length_controlled_win_rate"]))
    for n, rate in (metrics.get("best_of_n") or {}).items():
        rows.append(_best_of(n, rate, records, int(run.config.get("seed", 0))))
    return rows


def examples(records: list[dict[str, Any]], sides: tuple[str, str], count: int = EXAMPLES) -> Answers:
    """A dozen prompts that nobody picked: those whose hash is smallest."""
    chosen = smallest_hashes(records, count)
    rule = (
        f"The {len(chosen)} of {len(records):,} prompts whose SHA-256 is smallest: a rule fixed before there was an answer, so "
        "none is picked by hand. Marked: words that only one side has."
    )
    return Answers("Answers side by side", rule, [_exchange(record, sides) for record in chosen])


def extremes(records: list[dict[str, Any]], sides: tuple[str, str], count: int = EXTREMES) -> Answers:
    """The largest wins and the largest losses, by the judge's scores."""
    ordered = sorted(records, key=lambda record: record["against"]["score"] - record["policy"]["score"])
    wins = [record for record in ordered[:count] if _margin(record) > 0]
    losses = [record for record in reversed(ordered[-count:]) if _margin(record) < 0]
    rule = (
        f"The {len(wins)} largest wins of {sides[0]}, then its {len(losses)} largest losses, by the difference of the two "
        "scores: the two ends, not what is usual."
    )
    return Answers("Biggest wins and losses", rule, [_exchange(record, sides) for record in wins + losses])


def smallest_hashes(records: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """The records whose prompts have the smallest SHA-256: a choice that depends on nothing but the prompts."""
    return sorted(records, key=lambda record: content_id(record["prompt"]))[:count]


def _margin(record: dict[str, Any]) -> float:
    return record["policy"]["score"] - record["against"]["score"]


def _exchange(record: dict[str, Any], sides: tuple[str, str]) -> Exchange:
    before, after = compared(record["against"]["text"].strip(), record["policy"]["text"].strip())
    notes = [f"score {words.number(record[side]['score'])}" for side in ("against", "policy")]
    return Exchange(
        prompt_text(record["prompt"]), [Answer(sides[1], before, notes[0]), Answer(sides[0], after, notes[1])]
    )


def _best_of(n: str, rate: float, records: list[dict[str, Any]], seed: int) -> Estimate:
    rows = [record for record in records if n in record.get("best_of_n", {})]
    if not rows:
        return Estimate(f"opponent's best of {n}", rate)
    scores = [record["best_of_n"][n]["score"] for record in rows]
    wins = winrates.outcomes(scores, [record["against"]["score"] for record in rows])
    found = winrates.win_rate(wins, [record.get("group") or content_id(record["prompt"]) for record in rows], seed)
    return Estimate(f"opponent's best of {n}", found.rate, found.low, found.high)


def _win_rates(run: Run, records: list[dict[str, Any]]) -> Figure | None:
    rows = estimates(run, "all prompts", records)
    caption = "Bars are 95 % intervals over prompts; the dashed line is a draw."
    if run.metrics.get("best_of_n"):
        caption += " Best of n: the opponent draws n answers, the reward model chooses one."
    if run.metrics.get("length_controlled_win_rate") is not None:
        caption += " At equal length: an estimate without interval."
    return charts.estimates("Win rate", METRICS["eval/win_rate"].axis, rows, caption=caption)


def _lengths(records: list[dict[str, Any]], sides: tuple[str, str]) -> Figure | None:
    columns = [[len(record[side].get("token_ids") or []) for record in records] for side in ("policy", "against")]
    return charts.histogram("Length", METRICS["eval/mean_tokens"].axis, list(zip(sides, columns)))


def _scores(records: list[dict[str, Any]], sides: tuple[str, str]) -> Figure | None:
    columns = [[record[side]["score"] for record in records] for side in ("policy", "against")]
    return charts.histogram("Judge's score", METRICS["eval/judge_score"].label, list(zip(sides, columns)))


def _kl(records: list[dict[str, Any]]) -> Figure | None:
    """log π − log π_against of each answer of the policy: their mean is the KL."""
    logprobs = [record["policy"].get("logprobs") or {} for record in records]
    gaps = [sum(one["policy"]) - sum(one["against"]) for one in logprobs if one.get("against") is not None]
    caption = "log policy − log opponent, summed over each answer of the policy; their mean is the KL."
    return charts.histogram(
        "KL, answer by answer", f"log ratio ({METRICS['eval/kl'].unit})", [("policy", gaps)], caption=caption
    )


def _sides(metrics: dict[str, Any], sides: tuple[str, str]) -> Table:
    rows = []
    for name in SIDES:
        key = name.rpartition("/")[2]
        rows.append([METRICS[name].axis, words.shown(metrics.get(key)), words.shown(metrics.get(f"{key}_against"))])
    return Table("The two sides", ["", *sides], rows, f"{words.plural(metrics['ties'], 'tie')}, each half a win.")
