"""From what lies in a directory to a page: a stage's, one over several seeds, or a whole run's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from alignment.quantities import duration
from alignment.report import changes, policy, several, training, whole, words
from alignment.report.document import Page, Section
from alignment.report.evaluation import evaluation, own_names
from alignment.report.facts import FAMILIES, changed_settings, glossary, machine
from alignment.report.runs import Found, Run

KINDS = {
    "sft": "Stage 1: supervised fine-tuning",
    "reward": "Stage 2: reward model",
    "ppo": "Stage 3: PPO",
    "eval": "Comparison of two policies",
    "reward changes": "What new rankings changed in the reward model",
}


def page(found: Found) -> Page:
    """The page of what was found."""
    if found.stages and not (found.own and found.own.seeds > 1):
        return _whole(found)
    assert found.own is not None  # `find` saw to it
    return _single(found.own)


def section(run: Run, title: str, names: Callable[[Run, str], str] = own_names, with_examples: bool = True) -> Section:
    """A run's part of a page; of a command that has no part of its own, its settings alone."""
    builders: dict[str, Callable[[Run, str], Section]] = {
        "sft": training.sft,
        "reward": training.reward,
        "ppo": policy.ppo,
        "reward changes": changes.section,
        "eval": partial(evaluation, names=names, with_examples=with_examples),
    }
    unknown: Callable[[Run, str], Section] = lambda run, title: Section(run.anchor, title)  # noqa: E731
    build = several.seeds if run.seeds > 1 else builders.get(run.command, unknown)
    made = build(run, title)
    made.tables.append(changed_settings(run))
    return made


def _single(run: Run) -> Page:
    made = section(run, "Figures")
    kind = KINDS.get(run.command, f"align {run.command}")
    facts = [f"align {run.command}", duration(run.record.get("seconds", 0.0)), _day(run)]
    if run.seeds > 1:
        kind, facts = f"{kind}, {run.seeds} seeds", [*facts, f"{run.seeds} seeds"]
    verdict, body = made.verdict, Section(made.anchor, "Figures", [], made.figures, made.tables, made.answers)
    return Page(run.name, kind, facts, verdict, [], [body, machine([run]), *_glossary(run)])


def _glossary(run: Run) -> list[Section]:
    """Of a command that has metrics of its own."""
    return [glossary({run.command})] if run.command in FAMILIES else []


def _whole(found: Found) -> Page:
    models = whole.Models(found)
    every = found.stages + ([found.own] if found.own else [])
    overview = whole.overview(found, models)
    joined = bool(overview and overview.answers)
    parts = [section(run, whole.title(run, found.stages, models), models, not joined) for run in found.stages]
    seconds = found.own.record.get("seconds") if found.own else None
    total = seconds or sum(run.record.get("seconds", 0.0) for run in found.stages + found.files)
    facts = [words.plural(len(found.stages), "stage"), duration(total), _day(found.stages[0])]
    if found.own:
        parts.append(Section("own", "Settings of the whole", tables=[changed_settings(found.own)]))
    return Page(
        found.own.name if found.own else found.folder.resolve().name,
        "A whole run",
        facts,
        whole.summary(found, models) or [sentence for part in parts[:1] for sentence in part.verdict],
        whole.flow(found, models),
        [
            *([overview] if overview else []),
            *parts,
            machine(found.stages + found.files),
            glossary({run.command for run in every}),
        ],
    )


def _day(run: Run) -> str:
    return str(run.record.get("started", ""))[:10]
