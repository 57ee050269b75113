"""`align sample`: K responses a prompt from a policy, for someone to rank."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignment.command import Command
from alignment.config import GenerationSettings, StageSettings, setting
from alignment.records import PromptRecord, Response, ResponseSet, read_prompts, write_jsonl
from alignment.run import output_file
from alignment.run_record import write_result

if TYPE_CHECKING:  # it imports torch, which `align --help` does without
    from alignment.responder import Responder


@dataclass(frozen=True)
class SampleSettings(StageSettings, GenerationSettings):
    """Settings of `align sample`."""

    policy: str = setting(model=True, help="policy that responds: a model directory, a LoRA adapter or a Hub id")
    prompts: str = setting(help="JSONL of {prompt, id?, group?}; the prompt is text or chat messages")
    responses_per_prompt: int = setting(
        4, help="K, the responses drawn for each prompt", unit="responses", low=2, source="InstructGPT §3.5: K = 4 to 9"
    )
    max_prompts: int | None = setting(
        None, help="use only the first prompts of the file", unit="prompts", none="all", low=1, source="ours"
    )


COMMAND = Command(
    "sample",
    "draw several responses a prompt from a policy",
    SampleSettings,
    "alignment.sample:run",
    plan="alignment.sample_plan:plan",
)


def run(settings: SampleSettings) -> dict[str, Any]:
    """Writes one ResponseSet a prompt to `output`, with `.config.yaml`, `.metrics.json` and `.run.json` beside it."""
    importlib.import_module("alignment.responder")  # loading libraries is no part of what is timed
    started = time.time()
    with output_file(settings.output) as path:
        records, policy, prompts = read_inputs(settings)
        drawn = policy.respond(prompts, settings, "sampling")
        responses = [Response(answer.text, settings.policy, answer.finished) for answer in drawn]
        sets = _sets(records, responses, settings.responses_per_prompt)
        metrics = _metrics(sets, [len(answer.ids) for answer in drawn])
        write_jsonl(path, sets)
        write_result(path, "sample", settings, metrics, started)
    return metrics


def read_inputs(settings: SampleSettings) -> tuple[list[PromptRecord], Responder, list[list[int]]]:
    """(records, policy, the token ids of each prompt K times over), checked before anything slow; seeds the run."""
    from alignment.responder import load_responder
    from alignment.seeds import seed_everything

    records = read_prompts(settings.prompts)[: settings.max_prompts]
    seed_everything(settings.seed, settings.threads)
    policy = load_responder(settings.policy, "--policy")
    prompts = policy.encode_all([record.prompt for record in records], settings, f"--prompts {settings.prompts}")
    return records, policy, [prompt for prompt in prompts for _ in range(settings.responses_per_prompt)]


def _sets(records: list[PromptRecord], responses: list[Response], k: int) -> list[ResponseSet]:
    """Prompt i gets responses i·K to (i+1)·K − 1."""
    return [
        ResponseSet(record.id, record.prompt, tuple(responses[i * k : (i + 1) * k]), record.group)
        for i, record in enumerate(records)
    ]


def _metrics(sets: list[ResponseSet], lengths: list[int]) -> dict[str, Any]:
    """duplicate_share: responses whose text equals an earlier one of the same prompt, as a share of all responses;
    nothing can be learned from a pair of them."""
    texts = [[response.text for response in several.responses] for several in sets]
    duplicates = sum(len(several) - len(set(several)) for several in texts)
    flat = [response for several in sets for response in several.responses]
    return {
        "prompts": len(sets),
        "responses": len(flat),
        "duplicates": duplicates,
        "duplicate_share": duplicates / len(flat),
        "empty": sum(not response.text.strip() for response in flat),
        "mean_tokens": sum(lengths) / len(flat),
        "eos_fraction": sum(response.finished for response in flat) / len(flat),
    }
