"""`align rank --dry-run`."""

from __future__ import annotations

from alignment.plan import Plan, Read, file_writes
from alignment.probe import BUDGET, Probe
from alignment.rank import RankSettings, ranked, read_inputs
from alignment.run import require_free

BATCH = 32  # response sets that are timed at once


def plan(settings: RankSettings) -> Plan:
    """Where it takes only seconds, all is ranked, so that an annotator who tells nothing apart is refused as in the run."""
    require_free(settings.output, "file")
    probe = Probe()
    sets, annotator = read_inputs(settings)
    probe.prepared()
    batches = [sets[start : start + BATCH] for start in range(0, len(sets), BATCH)]

    def rank(some: list) -> None:
        annotator([(one.prompt, list(one.responses)) for one in some])

    def responses(some: list) -> int:
        return sum(len(one.responses) for one in some)

    seconds = probe.measure("ranking", batches, rank, responses)
    if seconds < BUDGET:
        whole = probe.measure("ranking", [sets], lambda some: ranked(settings, annotator, some), responses)
        seconds = max(seconds, whole)  # the first has what only a first call takes
    probe.add("ranking by the simulated annotator", len(sets), "prompts", seconds)
    return probe.plan(
        settings,
        [Read("--responses", settings.responses, {"prompts": len(sets), "responses": responses(sets)})],
        {},
        file_writes(settings.output, f"{len(sets):,} rankings"),
    )
