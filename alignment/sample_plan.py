"""`align sample --dry-run`."""

from __future__ import annotations

from alignment.memory import require_memory
from alignment.outline import outline
from alignment.plan import Plan, Read, file_writes
from alignment.probe import Probe, by_length
from alignment.run import require_free
from alignment.sample import SampleSettings, read_inputs


def plan(settings: SampleSettings) -> Plan:
    require_free(settings.output, "file")
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
