"""`align rank`: rankings by a SIMULATED annotator, a Python function with noise. No human is behind them."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from typing import Any

import numpy

from alignment import label_noise
from alignment.annotator_settings import AnnotatorSettings
from alignment.command import Command
from alignment.config import StageSettings, setting
from alignment.errors import UserError
from alignment.functions import Judge, load_function
from alignment.label_noise import Scores
from alignment.progress import progress
from alignment.records import Ranking, ResponseSet, read_responses, write_jsonl
from alignment.run import output_file
from alignment.run_record import write_result


@dataclass(frozen=True)
class RankSettings(StageSettings, AnnotatorSettings):
    """Settings of `align rank`."""

    responses: str = setting(help="JSONL of {prompt, responses} that `align sample` wrote, K of at least 2")


COMMAND = Command(
    "rank",
    "rank responses by a simulated annotator (a Python function, with noise)",
    RankSettings,
    "alignment.rank:run",
    plan="alignment.rank_plan:plan",
)


def run(settings: RankSettings) -> dict[str, Any]:
    """Writes one Ranking a prompt to `output`, with `.config.yaml`, `.metrics.json` and `.run.json` beside it.

    Without noise (P = 0) equal gold scores tie. With noise they are ranked by chance, as a person would who has to
    choose; only responses with the same text still tie."""
    importlib.import_module("alignment.seeds")  # loading libraries is no part of what is timed
    started = time.time()
    with output_file(settings.output) as path:
        sets, annotator = read_inputs(settings)
        rankings, metrics = ranked(settings, annotator, sets)
        write_jsonl(path, rankings)
        write_result(path, "rank", settings, metrics, started)
    return metrics


def read_inputs(settings: RankSettings) -> tuple[list[ResponseSet], Judge]:
    """(responses, annotator); seeds the run."""
    from alignment.seeds import seed_everything

    sets = read_responses(settings.responses)
    annotator = load_function(settings.annotator, "--annotator", settings.function_timeout)
    seed_everything(settings.seed, settings.threads)
    return sets, annotator


def ranked(settings: RankSettings, annotator: Judge, sets: list[ResponseSet]) -> tuple[list[Ranking], dict[str, Any]]:
    """The rankings of all response sets, and the metrics. UserError where the annotator tells no responses apart."""
    gold = _gold_scores(annotator, sets)
    noise = noise_for(gold, settings)
    noisy = _noisy(gold, sets, noise, settings.seed)
    rankings = [_ranking(several, scores, settings.annotator) for several, scores in zip(sets, noisy, strict=True)]
    return rankings, _metrics(settings, gold, noisy, rankings, noise)


def noise_for(gold: list[Scores], settings: AnnotatorSettings) -> float:
    """Standard deviation of the noise. UserError where the annotator tells no responses apart."""
    gaps = label_noise.gold_gaps(gold)
    if not len(gaps):
        raise UserError(
            f"--annotator {settings.annotator}: gives all responses of each prompt the same score; "
            "there is nothing to rank: sample more varied responses or use another annotator"
        )
    return label_noise.calibrated_noise(gaps, settings.flip_probability)


def simulated(name: str) -> str:
    """How the labels of a simulated annotator are signed."""
    return name if name.startswith("simulated:") else f"simulated:{name}"


def _gold_scores(annotator: Judge, sets: list[ResponseSet]) -> list[Scores]:
    with progress(len(sets), "simulated annotator", "prompt") as bar:
        gold = []
        for several in sets:
            gold += annotator([(several.prompt, list(several.responses))])
            bar.update(1)
    return gold


def _noisy(gold: list[Scores], sets: list[ResponseSet], noise: float, seed: int) -> list[Scores]:
    """Gold scores plus noise; untouched when the noise is 0, so that equal scores stay equal."""
    if noise == 0:
        return gold
    generator = numpy.random.default_rng(seed)
    texts = [[response.text for response in several.responses] for several in sets]
    return [label_noise.noisy_scores(*pair, noise, generator) for pair in zip(gold, texts, strict=True)]


def _ranking(several: ResponseSet, scores: Scores, annotator: str) -> Ranking:
    return Ranking(
        several.id,
        several.prompt,
        several.responses,
        label_noise.ranks(scores),
        annotator=simulated(annotator),
        group=several.group,
    )


def _metrics(
    settings: RankSettings, gold: list[Scores], noisy: list[Scores], rankings: list[Ranking], noise: float
) -> dict[str, Any]:
    """inversion_rate: realised share of pairs with different gold scores that the noise inverted."""
    counts = [label_noise.inversions(*pair) for pair in zip(gold, noisy, strict=True)]
    total = label_noise.Inversions(sum(c.pairs for c in counts), sum(c.inverted for c in counts))
    every = sum(len(scores) * (len(scores) - 1) // 2 for scores in gold)
    return {
        "annotator": f"simulated annotator {settings.annotator}",
        "prompts": len(rankings),
        "responses": sum(len(ranking.responses) for ranking in rankings),
        "pairs": every,
        "gold_ties": every - total.pairs,
        "ties": every - sum(len(ranking.strict_pairs()) for ranking in rankings),
        "flip_probability": settings.flip_probability,
        "noise_sd": noise,
        "inverted_pairs": total.inverted,
        "inversion_rate": total.rate,
    }
