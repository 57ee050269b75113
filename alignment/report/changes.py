"""What new rankings changed in the reward model, as `align reward changes` found it: for its own page and the team's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from alignment.report import charts, words
from alignment.report.charts import Estimate
from alignment.report.document import Answer, Answers, Exchange, Figure, Section, Table, say
from alignment.report.plots import MUTED, SERIES, SIZE, plot
from alignment.report.worddiff import compared
from alignment.winrates import turned

if TYPE_CHECKING:  # it imports torch, which the team's page does without
    from alignment.report.runs import Run

PARTS = {"new": "new", "shared": "shared", "held_out": "held-out"}

TURNED = {0: "the order is as before", 1: "turned towards the label", -1: "turned away from the label"}
MARKS = {0: ("o", SERIES[0], 3.5), 1: ("^", SERIES[2], 6), -1: ("X", SERIES[1], 6)}
"""How a pair is drawn: mark, colour, size."""


def section(run: Run, title: str) -> Section:
    """A run of `align reward changes`."""
    change = run.change
    return Section(run.anchor, title, verdict(change), figures(change), tables(change), [most_changed(change)])


def verdict(change: dict[str, Any]) -> list[Markup]:
    """What is new, and how either model orders it: what was learned, what that is worth, what was forgotten."""
    old, new = names(change)
    gone = f"; {change['n_gone']:,} that {old} had are gone" if change["n_gone"] else ""
    told = [
        say(
            "{} was given **{}** that {} was not, by {}; {} both were given{}.",
            new,
            words.plural(change["n_new"], "ranking"),
            old,
            _by(change),
            f"{change['n_shared']:,}",
            gone,
        )
    ]
    for part, found in change["parts"].items():
        if found:
            told.append(_ordered(found, f"the {PARTS[part]} rankings", (old, new)))
            told += _of_new(found, (old, new)) if part == "new" else []
    return told


def figures(change: dict[str, Any]) -> list[Figure]:
    """Accuracy of both, and each part's margins, old against new."""
    rows = [
        Estimate(label, found["accuracy_new"]["value"], found["accuracy_new"]["low"], found["accuracy_new"]["high"],
                 (("older", found["accuracy_old"]["value"]),))
        for label, found in _rows(change)
    ]  # fmt: skip
    caption = "Dot: the newer model with its 95 % interval by prompts; diamond: the older. Dashed: a coin."
    made = [charts.estimates("Pairs ordered as the labels say", "pair accuracy (share)", rows, caption=caption)]
    made += [margins(points, part, change["parts"][part]["n_pairs"]) for part, points in change["points"].items()]
    return [one for one in made if one]


def margins(points: list[list[float]], part: str, count: int) -> Figure:
    """Each pair's margin under both models; its sign says whether the order is the label's. count: pairs of the part."""
    by_turn = {turn: [pair for pair in points if turned(*pair) == turn] for turn in (0, 1, -1)}
    reach = 1.08 * max(1e-6, *(abs(margin) for pair in points for margin in pair))
    with plot("older: margin (score)", "newer: margin (score)", size=(SIZE[0], SIZE[0])) as p:
        line = {"color": MUTED, "linewidth": 1}
        p.axes.plot([-reach, reach], [-reach, reach], linestyle=(0, (3, 3)), **line)
        p.axes.axhline(0, **line)
        p.axes.axvline(0, **line)
        for turn, pairs in by_turn.items():
            mark, color, size = MARKS[turn]
            style = {"color": color, "markersize": size, "alpha": 0.75, "markeredgewidth": 0, "linestyle": "none"}
            p.axes.plot([x for x, _ in pairs], [y for _, y in pairs], mark, label=TURNED[turn], **style)
        p.axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        p.axes.xaxis.set_major_locator(MaxNLocator(5))
        p.axes.yaxis.set_major_locator(MaxNLocator(5))
    shown = (
        f"{len(points):,} of {count:,} pairs, drawn at random" if len(points) < count else words.plural(count, "pair")
    )
    caption = (
        f"{shown[:1].upper()}{shown[1:]}. A margin is the preferred response's score less the other's: above 0 the model orders "
        "the pair as its label does. Dashed: as before."
    )
    told = "; ".join(f"{TURNED[turn]}: {len(pairs)}" for turn, pairs in by_turn.items())
    return Figure(f"Margins, {PARTS[part]} rankings", p.svg, f"Margins of {shown}, newer over older. {told}.", caption)


def tables(change: dict[str, Any]) -> list[Table]:
    """The figures of each part: how many pairs are right, how many turned, how alike the scores are."""
    rows = _rows(change)
    return [
        Table(
            "How many are right",
            ["part", "rankings", "pairs", "prompts", "older right", "newer right", "change (points)", "p"],
            [[label, *_right(found)] for label, found in rows],
            "In brackets: 95 % intervals, by prompts (or groups). p: McNemar's test by prompt. The newer model was trained on most "
            "of the new rankings: only those unseen by both, whose prompts trained neither, tell what they are worth on others.",
        ),
        Table(
            "Pairs whose order turned",
            ["part", "towards the label", "away from it", "change of the margin"],
            [[label, *_moved(found)] for label, found in rows],
            "The margin is the preferred response's score less the other's; its mean change over all pairs. Either model's scores "
            "have sd 1 on its own training responses.",
        ),
        Table(
            "Scores",
            ["part", "responses", "older with newer", "older with length", "newer with length"],
            [[label, *_alike(found)] for label, found in rows],
            "Spearman's ρ over the different responses; length in characters.",
        ),
    ]


def most_changed(change: dict[str, Any]) -> Answers:
    """The pairs whose margins changed most, with their texts."""
    rule = "The pairs whose margins changed most, one a prompt. Marked: words that only one of the two has."
    return Answers("Most changed pairs", rule, list(map(_exchange, change["most_changed"])))


def names(change: dict[str, Any]) -> tuple[str, str]:
    """What the older and the newer model are called."""
    old, new = change["old"]["model"], change["new"]["model"]
    return (f"{old} (older)", f"{new} (newer)") if old == new else (old, new)


def _exchange(pair: dict[str, Any]) -> Exchange:
    rejected, chosen = compared(pair["rejected"], pair["chosen"])
    return Exchange(
        pair["prompt"], [Answer(f"preferred by {_who(pair)}", chosen, _told(pair)), Answer("not preferred", rejected)]
    )


def _told(pair: dict[str, Any]) -> str:
    return f"margin {_signed(pair['margin_old'])} → {_signed(pair['margin_new'])}: {TURNED[pair['turned']]}"


def _who(pair: dict[str, Any]) -> str:
    name = pair["annotator"]
    if not name:
        return "nobody named"
    return words.annotators({name}) if name.startswith("simulated:") else name


def _rows(change: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(name, figures) of each part that has pairs, and of what of it trained neither model."""
    rows = []
    for part, found in change["parts"].items():
        if found:
            rows.append((f"{PARTS[part]} rankings", found))
            rows += [(f"{PARTS[part]}, unseen by both", found["unseen"])] if found["unseen"] else []
    return rows


def _right(found: dict[str, Any]) -> list[str]:
    counts = [f"{found[name]:,}" for name in ("n_rankings", "n_pairs", "n_units")]
    shares = [words.percent(found[name]["value"]) for name in ("accuracy_old", "accuracy_new")]
    return [*counts, *shares, _points(found["accuracy_change"]), f"{found['p']:.3f}"]


def _moved(found: dict[str, Any]) -> list[str]:
    turns = [
        f"{words.percent(one['value'])} [{words.interval(one['low'], one['high'])}]"
        for one in (found["towards"], found["away"])
    ]
    margin, low, high = (_signed(found["margin_change"][name]) for name in ("value", "low", "high"))
    return [*turns, f"{margin} [{low} to {high}]"]


def _alike(found: dict[str, Any]) -> list[str]:
    names = ("scores_spearman", "length_spearman_old", "length_spearman_new")
    return [f"{found['n_responses']:,}", *(words.shown(found[name]) for name in names)]


def _ordered(found: dict[str, Any], where: str, who: tuple[str, str]) -> Markup:
    change = found["accuracy_change"]
    return say(
        "Of {} of {}, {} orders **{}** as the labels say and {} {}: {} points, **{}**.",
        words.plural(found["n_pairs"], "pair"),
        where,
        who[1],
        words.percent(found["accuracy_new"]["value"]),
        who[0],
        words.percent(found["accuracy_old"]["value"]),
        _points(change),
        "better" if change["low"] > 0 else "worse" if change["high"] < 0 else "no clear change",
    )


def _of_new(found: dict[str, Any], who: tuple[str, str]) -> list[Markup]:
    """How the order turned; and what is no measure of learning by heart."""
    towards, away = (words.percent(found[name]["value"]) for name in ("towards", "away"))
    told = [say("{} turned towards the label, {} away from it.", towards, away)]
    if found["unseen"] is None:
        return [*told, say("The prompts of all of them trained a model, so nothing here is a test on other prompts.")]
    where = f"the {found['unseen']['n_rankings']:,} of them whose prompts trained neither (only these are a test)"
    return [*told, _ordered(found["unseen"], where, who)]


def _by(change: dict[str, Any]) -> str:
    people, simulated = change["n_annotators"], change["n_simulated_annotators"]
    parts = [words.plural(people, "annotator")] if people else []
    parts += [words.plural(simulated, "simulated annotator")] if simulated else []
    return " and ".join(parts) or "annotators whom they do not name"


def _points(change: dict[str, float]) -> str:
    value, low, high = (f"{100 * change[name]:+.1f}".replace("-", "−") for name in ("value", "low", "high"))
    return f"{value} [{low} to {high}]"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
