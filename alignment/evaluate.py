"""`align eval`: one policy against another on the same prompts, by a judge; every response is kept for rescoring."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignment.command import Command
from alignment.config import FunctionSettings, GenerationSettings, StageSettings, setting
from alignment.ensembles import EnsembleSettings
from alignment.functions import Judge, require_finite
from alignment.records import Prompt, PromptRecord, Response, read_prompts, write_jsonl
from alignment.run import output_directory
from alignment.run_record import write_result
from alignment.text_files import read_text

if TYPE_CHECKING:  # they import torch, which `align --help` does without
    from alignment.comparison import BestOfN, Match
    from alignment.responder import Responder
    from alignment.scorer import Scorer

POLICY_STREAM, AGAINST_STREAM, BEST_OF_N_STREAM = 0, 1, 2
"""Each draws from random numbers of its own: the responses of --against are the same whatever it is compared with."""


@dataclass(frozen=True)
class EvaluateSettings(StageSettings, GenerationSettings, FunctionSettings, EnsembleSettings):
    """Settings of `align eval`."""

    policy: str = setting(model=True, help="policy to measure: a model directory, a LoRA adapter or a Hub id")
    against: str = setting(model=True, help="policy it is compared with, likewise")
    prompts: str = setting(help="JSONL of {prompt, id?, group?}; best those that neither trained nor selected anything")
    judge: str = setting(
        model=True,
        help="MODULE:FUNCTION or FILE.py:FUNCTION, (prompt: str, responses: list[str]) -> list[float], "
        "or reward-model:DIR; the higher score wins, equal is a tie",
    )
    reward_model: str | None = setting(
        None,
        model=True,
        help="reward model that chooses the best of n responses of --against",
        source="off: ours, it takes time",
    )
    best_of: str | None = setting(
        "4,16,64",
        help="the n of best-of-n, where --reward-model is given",
        unit="responses",
        source="ours: Gao 2022 (arXiv 2210.10760) compares RL with best-of-n over this range",
    )
    max_prompts: int | None = setting(
        None, help="use only the first prompts of the file", unit="prompts", none="all", low=1, source="ours"
    )
    policy_prefix: str | None = setting(
        None,
        help="file whose text goes before each prompt for --policy (few-shot examples); the judge does not see it",
        source="off: ours",
    )
    against_prefix: str | None = setting(None, help="the same for --against", source="off: ours")
    policy_stop: str | None = setting(
        None,
        help="text that ends a response of --policy, \\n = a new line; not part of the response",
        source="off: ours",
    )
    against_stop: str | None = setting(None, help="the same for --against", source="off: ours")


COMMAND = Command(
    "eval",
    "compare two policies on the same prompts by a judge",
    EvaluateSettings,
    "alignment.evaluate:run",
    repeats=True,
    plan="alignment.evaluate_plan:plan",
)


def run(settings: EvaluateSettings) -> dict[str, Any]:
    """Writes `responses.jsonl`, `config.yaml`, `metrics.json` and `run.json` to the directory `output`; returns the metrics."""
    from alignment.comparison_report import response_records, win_metrics

    started = time.time()
    with output_directory(settings.output) as directory:
        inputs = read_inputs(settings)
        match = _match(inputs, settings)
        best = _best_of_n(inputs, match, settings)
        metrics = {**win_metrics(match, best, settings.seed), "judge": settings.judge}
        write_jsonl(directory / "responses.jsonl", response_records(match, best))
        write_result(directory, "eval", settings, metrics, started)
    return metrics


@dataclass(frozen=True)
class Inputs:
    """All that the command reads, checked before anything slow. ids: each side's tokens of every prompt."""

    records: list[PromptRecord]
    judge: Judge
    scorer: Scorer | None
    sizes: list[int]
    policy: Responder
    against: Responder
    policy_ids: list[list[int]]
    against_ids: list[list[int]]


def read_inputs(settings: EvaluateSettings) -> Inputs:
    from alignment.best_of_n import parse_sizes
    from alignment.responder import load_responder
    from alignment.scorer import load_judge, load_scorer

    records = read_prompts(settings.prompts)[: settings.max_prompts]
    sizes = parse_sizes(settings.best_of, "--best-of")
    prefixes = [_text(settings.policy_prefix, "--policy-prefix"), _text(settings.against_prefix, "--against-prefix")]
    rule = settings.ensemble_rule, settings.ensemble_lambda
    judge = load_judge(settings.judge, "--judge", settings.function_timeout, settings.batch_size, *rule)
    scorer = None
    if settings.reward_model and sizes:
        scorer = load_scorer(settings.reward_model, "--reward-model", "float32", *rule)
    policy = load_responder(settings.policy, "--policy", prefixes[0], _stop(settings.policy_stop))
    against = load_responder(settings.against, "--against", prefixes[1], _stop(settings.against_stop))
    prompts, source = [record.prompt for record in records], f"--prompts {settings.prompts}"
    policy_ids = policy.encode_all(prompts, settings, source)
    against_ids = against.encode_all(prompts, settings, source)
    return Inputs(records, judge, scorer, sizes if scorer else [], policy, against, policy_ids, against_ids)


def _match(inputs: Inputs, settings: EvaluateSettings) -> Match:
    """Both sides' answers, judged."""
    from alignment.comparison import Match, as_responses, judged, play
    from alignment.seeds import seed_everything

    ids = (inputs.policy_ids, inputs.against_ids)
    seed_everything(settings.seed, settings.threads, POLICY_STREAM)
    policy = play(inputs.policy, inputs.against, ids, settings, "policy")
    seed_everything(settings.seed, settings.threads, AGAINST_STREAM)
    against = play(inputs.against, inputs.policy, (ids[1], ids[0]), settings, "against")
    prompts = [record.prompt for record in inputs.records]
    sides = as_responses(policy.answers), as_responses(against.answers)
    scores = judged(inputs.judge, prompts, *sides, f"--judge {settings.judge}")
    return Match(inputs.records, policy, against, *scores)


def _best_of_n(inputs: Inputs, match: Match, settings: EvaluateSettings) -> dict[int, BestOfN]:
    """For each n, the best of n fresh answers of --against, judged like the policy against the same answers."""
    if inputs.scorer is None:
        return {}
    from alignment.best_of_n import best_of_n
    from alignment.comparison import BestOfN, as_responses, judged
    from alignment.seeds import seed_everything

    seed_everything(settings.seed, settings.threads, BEST_OF_N_STREAM)
    prompts = [record.prompt for record in inputs.records]
    scorer, name = inputs.scorer, f"--judge {settings.judge}"

    def rewards(items: list[tuple[Prompt, Response]], batch_size: int) -> list[float]:
        scores = scorer.score_responses(items, batch_size)
        require_finite(scores, f"--reward-model {settings.reward_model}")
        return scores

    best = best_of_n(inputs.against, prompts, inputs.against_ids, rewards, inputs.sizes, settings)
    opponents = as_responses(match.against.answers)
    return {
        n: BestOfN(choice, *judged(inputs.judge, prompts, as_responses(choice.answers), opponents, name))
        for n, choice in best.items()
    }


def _text(path: str | None, name: str) -> str:
    """What a prefix file holds, to the letter; nothing where no file is given."""
    return "" if path is None else read_text(path, name)


def _stop(text: str | None) -> str | None:
    """The stop text with \\n, as a shell hands it over, made a new line; an empty one stops nothing."""
    return text.replace("\\n", "\n") if text else None
