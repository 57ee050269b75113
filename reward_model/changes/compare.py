"""The command: reads what both reward models were given, scores it with both, tells and keeps what changed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.command import Outcome
from alignment.errors import UserError
from alignment.functions import require_finite
from alignment.preferences.engine import reference
from alignment.preferences.store import existing
from alignment.records import GROUP_FIELDS, Ranking, prompt_text
from alignment.report.changes import verdict
from alignment.report.runs import CHANGES
from alignment.run import output_directory, write_json
from alignment.run_record import write_result
from alignment.scorer import Scorer, load_scorer
from alignment.seeds import seed_everything
from reward_model.changes.config import ChangesSettings
from reward_model.changes.origins import Origin, content, origin, require_one_store
from reward_model.changes.pairs import Part, Scored, by_part, most_changed, people, points
from reward_model.split import read, units


def run(settings: ChangesSettings) -> Outcome:
    """Writes `changes.json`, its page and the result files to the directory `output`; then the store keeps the change."""
    started = time.time()
    with output_directory(settings.output) as directory:
        inputs = read_inputs(settings)
        change = compared(inputs, settings)
        metrics = {name: value for name, value in change.items() if name not in ("points", "most_changed")}
        write_json(directory / CHANGES, change)
        write_result(directory, "reward changes", settings, metrics, started)
        kept = [] if inputs.store is None else [_kept(inputs.store, change)]  # last: nothing of a run that failed
    told = [sentence.striptags() for sentence in verdict(change)]
    return Outcome(metrics, "\n".join([*told, *kept, f"page: {Path(settings.output) / 'report.html'}"]))


@dataclass(frozen=True)
class Inputs:
    """All that the command reads, checked before it scores. parts: rankings by part. store: URL of the store that keeps
    the result, None: none does."""

    old: Origin
    new: Origin
    scorers: tuple[Scorer, Scorer]
    parts: dict[Part, list[Ranking]]
    store: str | None


def read_inputs(settings: ChangesSettings) -> Inputs:
    """Raises UserError where a directory is no reward model, both are one, or no ranking is new."""
    if Path(settings.new).resolve() == Path(settings.against).resolve():
        raise UserError(f"--against {settings.against}: is NEW itself; give the reward model that NEW came after")
    seed_everything(settings.seed, settings.threads)
    rule = settings.ensemble_rule, settings.ensemble_lambda
    old_scorer = load_scorer(settings.against, "--against", "float32", *rule)
    new_scorer = load_scorer(settings.new, "NEW", "float32", *rule)
    old = origin(settings.against, "--against", settings.against_rankings, "--against-rankings")
    new = origin(settings.new, "NEW", settings.rankings, "--rankings")
    require_one_store(old, new, f"--against {settings.against}")
    parts = _parts(old, new, settings)
    return Inputs(old, new, (old_scorer, new_scorer), parts, _store(new, settings))


def compared(inputs: Inputs, settings: ChangesSettings) -> dict[str, Any]:
    """What `changes.json` holds."""
    scored = _scored(inputs, settings)
    old, new, given = inputs.old, inputs.new, inputs.parts
    return {
        "old": {"model": Path(settings.against).resolve().name, "rankings": old.shown},
        "new": {"model": Path(settings.new).resolve().name, "rankings": new.shown},
        "n_new": len(given["new"]),
        "n_shared": len(given["shared"]),
        "n_gone": len(set(map(content, old.rankings)) - set(map(content, new.rankings))),
        **people(given["new"]),
        "parts": by_part(scored, settings.seed),
        "points": points(scored, settings.seed),
        "most_changed": most_changed(scored, settings.most_changed),
    }


def _parts(old: Origin, new: Origin, settings: ChangesSettings) -> dict[Part, list[Ranking]]:
    before = set(map(content, old.rankings))
    parts: dict[Part, list[Ranking]] = {"new": [], "shared": []}
    for ranking in new.rankings:
        parts["shared" if content(ranking) in before else "new"].append(ranking)
    if not parts["new"]:
        raise UserError(
            f"NEW {settings.new}: has no new rankings: --against {settings.against} was given all its {len(new.rankings)} "
            "too; give an older reward model, or train NEW on a newer snapshot"
        )
    if not any(ranking.strict_pairs() for ranking in parts["new"]):
        raise UserError(
            f"NEW {settings.new}: none of its {len(parts['new'])} new rankings has a strict pair to compare on; "
            "train NEW on rankings with unequal ranks"
        )
    if settings.eval_rankings is not None:
        parts["held_out"] = read(settings.eval_rankings, "--eval-rankings", ",".join(GROUP_FIELDS))
    return parts


def _store(new: Origin, settings: ChangesSettings) -> str | None:
    """Opened once, so that a store that cannot keep the result is told before the work."""
    own = [found[0] for found in map(reference, new.references) if found]
    url = settings.store or next(iter(own), None)
    if url is not None:
        try:
            with existing(url):
                pass
        except UserError as error:
            raise UserError(str(error).replace("STORE", "--store", 1)) from error
    return url


def _scored(inputs: Inputs, settings: ChangesSettings) -> list[Scored]:
    """Every ranking with both models' scores."""
    rankings = [(part, ranking) for part, several in inputs.parts.items() for ranking in several]
    alone = [ranking for _, ranking in rankings]
    old, new = (
        _scores(scorer, alone, settings.batch_size, name)
        for scorer, name in zip(inputs.scorers, (f"--against {settings.against}", f"NEW {settings.new}"), strict=True)
    )
    return [
        Scored(ranking, before, after, part, unit, not (inputs.old.taught_by(ranking) or inputs.new.taught_by(ranking)))
        for (part, ranking), before, after, unit in zip(rankings, old, new, units(alone), strict=True)
    ]


def _scores(scorer: Scorer, rankings: list[Ranking], batch_size: int, name: str) -> list[list[float]]:
    """K scores for each ranking. A response that was ranked several times is scored once."""
    places = {
        (prompt_text(ranking.prompt), response.text): (ranking.prompt, response)
        for ranking in rankings
        for response in ranking.responses
    }
    encoded = [scorer.encode(*one) for one in places.values()]
    flat = scorer.score_many([[*one.prompt_ids, *one.response_ids] for one in encoded], batch_size, "scoring")
    require_finite(flat, name)
    scores = dict(zip(places, flat, strict=True))
    return [[scores[prompt_text(one.prompt), response.text] for response in one.responses] for one in rankings]


def _kept(url: str, change: dict[str, Any]) -> str:
    with existing(url) as store:
        store.add_reward_change(change)
        return f"kept in the store {store.shown}, for the team's page"
