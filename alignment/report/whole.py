"""A whole run on one page: the flow of its stages, one plot of all win rates, every model's answer to the same prompt."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from alignment.metrics import METRICS
from alignment.quantities import duration
from alignment.records import prompt_text
from alignment.report import charts, words
from alignment.report.charts import Estimate
from alignment.report.document import Answer, Answers, Exchange, Figure, Section, Step, Table, say
from alignment.report.evaluation import EXAMPLES, own_names, smallest_hashes
from alignment.report.reliability import wilson
from alignment.report.runs import Found, Run, started
from alignment.report.training import capital
from alignment.report.worddiff import compared, plain

TITLES = {
    "sft": "SFT",
    "reward": "Reward model",
    "ppo": "PPO",
    "eval": "Evaluation",
    "sample": "Answers drawn",
    "rank": "Answers ranked",
    "demo": "Demo",
}


class Models:
    """What the models of a whole run are called: a stage's by its title, the SFT stage's base "base", others by folder."""

    def __init__(self, found: Found) -> None:
        self.titles = {run.name: title(run, found.stages) for run in found.stages if run.command in ("sft", "ppo")}
        self.bases = {str(run.config.get("base")) for run in found.stages if run.command == "sft"}

    def __call__(self, run: Run, side: str) -> str:
        path = str(run.config.get(side, side))
        name = self.titles.get(words.short(path)) or ("base" if path in self.bases else None)
        if name is None:
            return own_names(run, side)
        return f"{name}, few-shot" if run.config.get(f"{side}_prefix") else name

    def order(self, name: str) -> tuple[int, str]:
        """Base first, then SFT, then PPO, then what is none of them."""
        place = next((i for i, start in enumerate(("base", "SFT", "PPO")) if name.startswith(start)), 3)
        return place, name


def title(run: Run, runs: list[Run], models: Models | None = None) -> str:
    """A stage's title, a comparison's by its sides; with its folder's name where another would be called the same."""

    def plain_title(one: Run) -> str:
        if one.command == "eval" and one.seeds == 1 and models is not None:
            return f"{models(one, 'policy')} over {models(one, 'against')}"
        return TITLES.get(one.command, one.command)

    name = plain_title(run)
    return name if [plain_title(other) for other in runs].count(name) == 1 else f"{name} · {run.name}"


def flow(found: Found, models: Models) -> list[Step]:
    """The stages and the files between them, in the order they started."""
    runs = sorted(found.stages + found.files, key=started)
    stages = {id(run) for run in found.stages}
    return [
        Step(
            title(run, found.stages if id(run) in stages else found.files, models),
            f"{_gist(run)} {duration(run.record.get('seconds', 0.0))}.".strip(),
            f"#{run.anchor}" if id(run) in stages else "",
        )
        for run in runs
    ]


def summary(found: Found, models: Models) -> list[Markup]:
    """The verdict of the whole: each comparison, who judged, the reward model, behaviour."""
    runs = [run for run in found.stages if run.seeds == 1]
    evals = [run for run in runs if run.command == "eval"]
    sentences = [_won(run, models) for run in evals]
    if evals:
        judges = sorted({words.who(run.metrics["judge"]) for run in evals})
        sentences.append(say("Scored by {}; in brackets the 95 % intervals.", " and ".join(judges)))
    for run in runs:
        if run.command == "reward":
            name, share = title(run, found.stages).lower(), words.percent(run.metrics["pair_accuracy"])
            sentences.append(
                say("The {} orders **{}** of {:,} held-out pairs right.", name, share, run.metrics["n_pairs"])
            )
    behaviour = _behaviour(found)
    if len(behaviour) > 1:
        first, *_, last = behaviour
        before, after = behaviour[first], behaviour[last]
        sentences.append(
            say(
                "From {} to {}, unanswerable questions answered all the same went from {} to **{}**, injected instructions "
                "obeyed from {} to **{}**.",
                models_name(first), models_name(last), words.percent(before["made_up"]), words.percent(after["made_up"]),
                words.percent(before["obeyed_injection"]), words.percent(after["obeyed_injection"]),
            )
        )  # fmt: skip
    return sentences


def _won(run: Run, models: Models) -> Markup:
    metrics = run.metrics
    kl = "" if metrics.get("kl") is None else f", at a KL of {words.number(metrics['kl'])} nats a response"
    return say(
        "{} wins **{}** of {} against {} ({}){}.",
        models(run, "policy"),
        words.percent(metrics["win_rate"]),
        words.plural(metrics["n"], "prompt"),
        models(run, "against"),
        words.interval(metrics["win_rate_low"], metrics["win_rate_high"]),
        kl,
    )


def overview(found: Found, models: Models) -> Section | None:
    """Win rates in one plot, behaviour, and the answers of all models to the same prompts."""
    evals = [run for run in found.stages if run.command == "eval" and run.seeds == 1]
    rows = [
        Estimate(
            title(run, found.stages, models),
            run.metrics["win_rate"],
            run.metrics["win_rate_low"],
            run.metrics["win_rate_high"],
        )
        for run in evals
    ]
    judges = sorted({words.who(run.metrics["judge"]) for run in evals})
    caption = f"By {' and '.join(judges)}. Bars are 95 % intervals over prompts; the dashed line is a draw."
    figures = [charts.estimates("Who wins", METRICS["eval/win_rate"].axis, rows, caption=caption)] if rows else []
    behaviour, tables = _behaviour(found), []
    if behaviour:
        figures.append(_behaviour_figure(behaviour, "made_up", "n_unanswerable"))
        figures.append(_behaviour_figure(behaviour, "obeyed_injection", "n_injected"))
        tables.append(_behaviour_table(behaviour))
    answers = joined(evals, models)
    if len(rows) < 2 and not (behaviour or answers):  # one comparison says it all in its own part
        return None
    return Section(
        "overview", "Side by side", [], [one for one in figures if one], tables, [answers] if answers else []
    )


def joined(evals: list[Run], models: Models, count: int = EXAMPLES) -> Answers | None:
    """For the prompts of smallest hash that every evaluation has, the answer of each model, joined by prompt id.

    Where two evaluations hold an answer of one model, that of the earlier one is taken."""
    if len(evals) < 2:
        return None
    tables = [{str(record["id"]): record for record in run.lines("responses.jsonl")} for run in evals]
    shared = [record for key, record in tables[0].items() if all(key in table for table in tables)]
    columns: dict[str, tuple[dict[str, Any], str]] = {}
    for run, table in zip(evals, tables, strict=True):
        for side in ("policy", "against"):
            columns.setdefault(models(run, side), (table, side))
    names = sorted(columns, key=models.order)
    chosen = smallest_hashes(shared, count)
    if not chosen or len(names) < 3:
        return None
    exchanges = [_row(record, names, columns) for record in chosen]
    rule = (
        f"The {len(chosen)} of {len(shared):,} shared prompts whose SHA-256 is smallest: a rule fixed before there was an "
        "answer, so none is picked by hand. Marked in each: words that the answer before it does not have."
    )
    return Answers("The same prompt, every model", rule, exchanges)


def models_name(key: str) -> str:
    """A model of the demo's `behaviour`, as people call it."""
    return {"base": "base, few-shot", "sft": "SFT", "ppo": "PPO"}.get(key, key)


def _row(record: dict[str, Any], names: list[str], columns: dict[str, tuple[dict[str, Any], str]]) -> Exchange:
    answers: list[Answer] = []
    last: str | None = None
    for name in names:
        table, side = columns[name]
        one = table[str(record["id"])][side]
        text = one["text"].strip()
        pieces = plain(text) if last is None else compared(last, text)[1]
        answers.append(Answer(name, pieces, f"score {words.number(one['score'])}"))
        last = text
    return Exchange(prompt_text(record["prompt"]), answers)


def _behaviour(found: Found) -> dict[str, dict[str, float]]:
    return (found.own.metrics.get("behaviour") or {}) if found.own else {}


def _behaviour_figure(behaviour: dict[str, dict[str, float]], key: str, count: str) -> Figure | None:
    about = METRICS[f"behaviour/{key}"]
    rows = [
        Estimate(models_name(name), one[key], *wilson(one[key] * one[count], int(one[count])))
        for name, one in behaviour.items()
    ]
    caption = "Lower is better. Bars are 95 % binomial (Wilson) intervals."
    return charts.estimates(capital(about.label), about.axis, rows, level=None, caption=caption)


def _behaviour_table(behaviour: dict[str, dict[str, float]]) -> Table:
    head = [
        "",
        "unanswerable",
        METRICS["behaviour/made_up"].axis,
        "injected",
        METRICS["behaviour/obeyed_injection"].axis,
    ]
    rows = [
        [
            models_name(name), words.shown(one["n_unanswerable"]), f"{one['made_up']:.3f}", words.shown(one["n_injected"]),
            f"{one['obeyed_injection']:.3f}", words.number(one["gold_mean"]),
        ]
        for name, one in behaviour.items()
    ]  # fmt: skip
    note = "Unanswerable: the text does not say. Injected: the text holds an instruction that is not the user's."
    return Table("Behaviour on the held-out prompts", [*head, METRICS["behaviour/gold_mean"].axis], rows, note)


def _gist(run: Run) -> str:
    """What a stage did, in a few words."""
    metrics = run.metrics
    if run.seeds > 1:
        return f"{run.seeds} seeds."
    if run.command == "rank":
        return f"{metrics['prompts']:,} prompts, by a simulated annotator."
    known = {
        "sft": lambda: f"{metrics['examples']:,} demonstrations.",
        "sample": lambda: f"{metrics['responses']:,} answers to {metrics['prompts']:,} prompts.",
        "reward": lambda: f"{metrics['n_rankings']:,} rankings.",
        "ppo": lambda: f"{metrics['steps']} updates.",
        "eval": lambda: f"{metrics['n']:,} prompts.",
    }
    return known[run.command]() if run.command in known else ""
