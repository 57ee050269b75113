"""`align sample`: K responses a prompt from a policy, for someone to rank; from a model here, or from a server."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignment.command import Command
from alignment.config import GenerationSettings, StageSettings, setting
from alignment.endpoints.settings import EndpointSettings
from alignment.errors import UserError
from alignment.records import PromptRecord, Response, ResponseSet, plain, read_prompts, write_jsonl
from alignment.run import output_file
from alignment.run_record import write_result

if TYPE_CHECKING:  # they import torch and httpx, which `align --help` does without
    from alignment.endpoints.answers import Given
    from alignment.endpoints.drawing import Tally
    from alignment.responder import Responder


@dataclass(frozen=True)
class SampleSettings(StageSettings, GenerationSettings, EndpointSettings):
    """Settings of `align sample`."""

    policy: str = setting(
        model=True,
        help="policy that responds: a model directory, a LoRA adapter or a Hub id; with --endpoint the model's name there",
    )
    prompts: str = setting(help="JSONL of {prompt, id?, group?}; the prompt is text or chat messages")
    responses_per_prompt: int = setting(
        4, help="K, the responses drawn for each prompt", unit="responses", low=2, source="InstructGPT §3.5: K = 4 to 9"
    )
    max_prompts: int | None = setting(
        None, help="use only the first prompts of the file", unit="prompts", none="all", low=1, source="ours"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.endpoint is not None and self.top_k:
            raise UserError(f"--top-k is {self.top_k} with --endpoint, whose API knows no such thing; it must be 0")


GREEDY = (
    "all responses of each prompt are the same: the server does not sample; have it do so (`transformers serve` follows the "
    "model's generation_config.json alone), or there is nothing to rank"
)

COMMAND = Command(
    "sample",
    "draw several responses a prompt from a policy, here or on a server",
    SampleSettings,
    "alignment.sample:run",
    plan="alignment.sample_plan:plan",
)


def run(settings: SampleSettings) -> dict[str, Any]:
    """Writes one ResponseSet a prompt to `output`, with `.config.yaml`, `.metrics.json` and `.run.json` beside it."""
    if settings.endpoint is not None:
        return _run_on_endpoint(settings)
    importlib.import_module("alignment.responder")  # loading libraries is no part of what is timed
    started = time.time()
    with output_file(settings.output) as path:
        records, policy, prompts = read_inputs(settings)
        drawn = policy.respond(prompts, settings, "sampling")
        responses = [Response(answer.text, settings.policy, answer.finished) for answer in drawn]
        sets = _sets(records, responses, settings.responses_per_prompt)
        metrics = _metrics(sets, sum(len(answer.ids) for answer in drawn))
        write_jsonl(path, sets)
        write_result(path, "sample", settings, metrics, started)
    return metrics


def _run_on_endpoint(settings: SampleSettings) -> dict[str, Any]:
    """The same by a server's model. Answers are kept beside the output until that is there."""
    from alignment.endpoints.drawing import draw
    from alignment.endpoints.journal import journal_of

    started = time.time()
    with output_file(settings.output) as path:
        records = read_prompts(settings.prompts)[: settings.max_prompts]
        given, tally = draw(settings, records)
        flat = [one for several in given for one in several]
        responses = [Response(one.text, settings.policy, one.finished) for one in flat]
        sets = _sets(records, responses, settings.responses_per_prompt)
        metrics = _metrics(sets, tally.written) | _endpoint_metrics(sets, flat, tally)
        write_jsonl(path, _marked(sets, given))
        write_result(path, "sample", settings, metrics, started)
    journal_of(settings.output).unlink(missing_ok=True)
    return metrics


def _marked(sets: list[ResponseSet], given: list[list[Given]]) -> list[dict[str, Any]]:
    """The records as their lines; `ended` says of a response that it was refused or withheld. Readers pass over it."""
    lines = [plain(one) for one in sets]
    for line, several in zip(lines, given, strict=True):
        for response, one in zip(line["responses"], several, strict=True):
            response.update({"ended": one.end} if one.end in ("refusal", "content_filter") else {})
    return lines


def _endpoint_metrics(sets: list[ResponseSet], given: list[Given], tally: Tally) -> dict[str, Any]:
    """calls: requests made, those that repeat a failed one included; kept: responses of an earlier run that was stopped."""
    return {
        "cut": sum(one.end == "length" for one in given),
        "refused": sum(one.end == "refusal" for one in given),
        "withheld": sum(one.end == "content_filter" for one in given),
        "calls": tally.calls,
        "repeated_calls": tally.repeated,
        "kept": tally.kept,
        "prompt_tokens": tally.read,
        "response_tokens": tally.written,
        "served_model": sorted(tally.models),
        "note": [GREEDY] if len(sets) == len({(one.id, r.text) for one in sets for r in one.responses}) else [],
    }


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


def _metrics(sets: list[ResponseSet], tokens: int | None) -> dict[str, Any]:
    """tokens: of all responses, None where nobody counted. duplicate_share: responses whose text equals an earlier one of the same prompt, as a share of all responses;
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
        "mean_tokens": None if tokens is None else tokens / len(flat),
        "eos_fraction": sum(response.finished for response in flat) / len(flat),
    }
