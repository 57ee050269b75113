"""`align eval --dry-run`."""

from __future__ import annotations

from typing import Any

from alignment.best_of_n import best_of_n
from alignment.comparison import as_responses, judged, play
from alignment.ensembles import member_paths
from alignment.evaluate import POLICY_STREAM, EvaluateSettings, Inputs, read_inputs
from alignment.memory import Held, require_memory
from alignment.models import backbone
from alignment.outline import outline
from alignment.plan import Plan, Read, directory_writes
from alignment.probe import Probe, by_length
from alignment.progress import silent
from alignment.run import require_free
from alignment.seeds import seed_everything

TOKEN_BYTES = 36  # a number in a list of Python: 28 bytes, and 8 to find it by
JUDGED = 32  # prompts whose answers the judge is timed on; ours
KEPT = 4  # numbers that are kept of each token: its id, log-probs under both policies, its entropy
REWARD_MODEL = "reward-model:"


def plan(settings: EvaluateSettings) -> Plan:
    require_free(settings.output, "directory")
    require_memory(_least(settings), settings)
    probe = Probe()
    inputs = read_inputs(settings)
    probe.prepared()
    seed_everything(settings.seed, settings.threads, POLICY_STREAM)
    draws = max(inputs.sizes, default=0)
    _play(probe, settings, "policy", (inputs.policy, inputs.against), (inputs.policy_ids, inputs.against_ids))
    _play(probe, settings, "against", (inputs.against, inputs.policy), (inputs.against_ids, inputs.policy_ids))
    _best_of_n(probe, settings, inputs, draws)
    _judge(probe, settings, inputs)
    count = len(inputs.records)
    return probe.plan(
        settings,
        [
            Read("--prompts", settings.prompts, {"prompts": count}),
            Read("--policy", settings.policy, {}),
            Read("--against", settings.against, {}),
            *([Read("--reward-model", str(settings.reward_model), {})] if draws else []),
        ],
        {
            "of prompts, read by each policy": sum(map(len, inputs.policy_ids)),
            "of responses, at most": (2 + draws) * count * settings.max_new_tokens,
        },
        directory_writes(settings.output, f"the comparison on {count:,} prompts", "responses.jsonl"),
        grows=(2 * KEPT + draws) * count * settings.max_new_tokens * TOKEN_BYTES,
    )


def _least(settings: EvaluateSettings) -> list[Held]:
    """Both policies, the reward model of best-of-n, and the judge where it is one."""
    scorers = [settings.judge.removeprefix(REWARD_MODEL)] if settings.judge.startswith(REWARD_MODEL) else []
    scorers += [settings.reward_model] if settings.reward_model and settings.best_of else []
    policies = [outline(path).frozen for path in (settings.policy, settings.against)]
    return policies + [outline(member, adapt=backbone).frozen for path in scorers for member in member_paths(path)]


def _play(probe: Probe, settings: EvaluateSettings, name: str, two: tuple[Any, Any], ids: tuple[Any, Any]) -> None:
    """Answers of one policy, and what both policies make of them."""

    def work(some: list[tuple[list[int], list[int]]]) -> None:
        mine, theirs = zip(*some, strict=True)
        play(*two, (list(mine), list(theirs)), settings, name)

    both = list(zip(*ids, strict=True))
    batches = by_length(both, lambda pair: len(pair[0]), settings.batch_size)
    probe.add(f"{name}: answers and their log-probs", len(both), "prompts", probe.measure(name, batches, work, len))


def _best_of_n(probe: Probe, settings: EvaluateSettings, inputs: Inputs, draws: int) -> None:
    if inputs.scorer is None:
        return
    scorer = inputs.scorer

    def work(some: list[tuple[list[int], Any]]) -> None:
        ids, prompts = [one for one, _ in some], [record.prompt for _, record in some]
        best_of_n(inputs.against, prompts, ids, scorer.score_responses, inputs.sizes, settings)

    rows = list(zip(inputs.against_ids, inputs.records, strict=True))
    batches = by_length(rows, lambda row: len(row[0]), max(settings.batch_size // draws, 1))
    seconds = probe.measure(f"best of {draws}", batches, work, len)
    probe.add(f"best of {draws}: answers and their rewards", draws * len(rows), "responses", seconds)


def _judge(probe: Probe, settings: EvaluateSettings, inputs: Inputs) -> None:
    """The judge on answers to the first prompts, for as many comparisons as there will be."""
    prompts = [record.prompt for record in inputs.records[:JUDGED]]
    with silent():
        ours = as_responses(inputs.policy.respond(inputs.policy_ids[:JUDGED], settings, "policy"))
        theirs = as_responses(inputs.against.respond(inputs.against_ids[:JUDGED], settings, "against"))
    items = list(zip(prompts, ours, theirs, strict=True))
    comparisons = len(inputs.records) * (1 + len(inputs.sizes))

    def work(some: list[tuple[Any, Any, Any]]) -> None:
        prompts, ours, theirs = (list(column) for column in zip(*some, strict=True))
        judged(inputs.judge, prompts, ours, theirs, f"--judge {settings.judge}")

    seconds = probe.measure("judge", [items], work, len, comparisons / len(items))
    probe.add("judge", comparisons, "comparisons", seconds)
