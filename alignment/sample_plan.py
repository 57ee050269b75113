"""`align sample --dry-run`."""

from __future__ import annotations

from alignment.endpoints.answers import is_chat, question
from alignment.memory import free_memory, require_memory
from alignment.outline import outline
from alignment.plan import Plan, Read, file_writes
from alignment.probe import Probe, by_length
from alignment.records import encoded, read_prompts
from alignment.run import require_free
from alignment.run_record import peak_memory
from alignment.sample import SampleSettings, read_inputs


def plan(settings: SampleSettings) -> Plan:
    require_free(settings.output, "file")
    if settings.endpoint is not None:
        return _endpoint_plan(settings)
    require_memory([outline(settings.policy).frozen], settings)
    probe = Probe()
    records, policy, prompts = read_inputs(settings)
    probe.prepared()
    drawn: list[int] = []

    def respond(some: list[list[int]]) -> None:
        drawn.extend(len(answer.ids) for answer in policy.respond(some, settings, "sampling"))

    seconds = probe.measure("sampling", by_length(prompts, len, settings.batch_size), respond, len)
    probe.add("sampling", len(prompts), "responses", seconds)
    return probe.plan(
        settings,
        [Read("--prompts", settings.prompts, {"prompts": len(records)}), Read("--policy", settings.policy, {})],
        {
            "of prompts, each read once a response": sum(map(len, prompts)),
            "of responses, at most": len(prompts) * settings.max_new_tokens,
        },
        file_writes(settings.output, f"{len(records):,} response sets"),
        notes=[f"in the probe, {len(drawn):,} responses had {sum(drawn) / len(drawn):.1f} tokens on average"],
    )


def _endpoint_plan(settings: SampleSettings) -> Plan:
    """Bounds alone: nothing is asked for that could cost. A token is at least a byte long, in every tokenizer in use."""
    from alignment.endpoints.drawing import require_askable
    from alignment.endpoints.server import Server

    records = read_prompts(settings.prompts)[: settings.max_prompts]
    require_askable(settings, records)
    server = Server(settings)
    try:
        server.require_reachable()
    finally:
        server.close()
    k = settings.responses_per_prompt
    size = sum(len(encoded(question(one.prompt, is_chat(one.prompt, settings.endpoint_api)))) for one in records)
    return Plan(
        reads=(
            Read("--prompts", settings.prompts, {"prompts": len(records)}),
            Read("--endpoint", str(settings.endpoint), {}),
        ),
        tokens={
            "of prompts, at most, where the server gives K responses a request": size,
            "of prompts, at most, where it gives one": size * k,
            "of responses, at most": len(records) * k * settings.max_new_tokens,
        },
        steps=None,
        parts=(),
        process_peak_memory_bytes=peak_memory(),
        device_peak_memory_bytes=None,
        free_memory_bytes=free_memory(),
        writes=file_writes(settings.output, f"{len(records):,} response sets"),
        notes=(
            f"{len(records):,} requests where the server gives K responses a request, {len(records) * k:,} where it gives one",
        ),
    )
