"""`align demo --dry-run`: the plans of its stages, one after the other.

What a stage would find from those before it does not exist, so something of the same size stands in for it: the embedded
base for every policy, the labelers' answers for the responses, a random head for the reward model."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from transformers import AutoModelForSequenceClassification, AutoTokenizer

from alignment.command import function
from alignment.demo import world
from alignment.demo.grammar import read_prompt
from alignment.demo.labelers import answer
from alignment.pipeline import BASE, DemoSettings, Stage, prefix_quality, read, stages, write_data
from alignment.plan import Part, Plan, Read, directory_writes
from alignment.probe import Probe
from alignment.records import write_jsonl
from alignment.run import require_free


def plan(settings: DemoSettings) -> Plan:
    """Time is the sum over the stages; the peak of memory the highest, since they run in one process."""
    require_free(settings.workspace, "directory", "--workspace")
    probe = Probe()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        data = write_data(work / "data", settings.seed)
        _few_shot(probe, data, settings)
        plans: dict[str, Plan] = {}
        for stage in stages(work, data, settings):
            assert stage.command.plan is not None
            plans[stage.name] = function(stage.command.plan)(stage.settings)
            _stand_in(stage)
        counts = {_called(name): len(read(path)) for name, path in data.items() if name != "few-shot"}
    whole = probe.plan(
        settings,
        [Read("the embedded", "world", counts)],
        {},
        directory_writes(settings.workspace, "everything", "data", *plans),
        steps=sum(one.steps or 0 for one in plans.values()),
        notes=[
            "from the second stage on the base stood in for the policies; it writes on to the limit where a trained one ends"
        ],
    )
    return _sum(whole, plans)


def _few_shot(probe: Probe, data: dict[str, str], settings: DemoSettings) -> None:
    """The search for the best few-shot prefix; the longest takes its place."""
    probe.prepared()
    prefixes = world.few_shot_prompts()
    seconds = probe.measure(
        "few-shot prompts",
        [[one] for one in prefixes],
        lambda some: prefix_quality(some[0], data, settings, "few-shot prompt"),
        lambda some: 1,
    )
    probe.add("few-shot prompts of the base", len(prefixes), "tried", seconds)
    Path(data["few-shot"]).write_text(max(prefixes, key=len), encoding="utf-8")


def _stand_in(stage: Stage) -> None:
    """Puts something of the same kind and size where the stage would have put its output."""
    output = Path(stage.settings.output)
    if stage.name in ("sft", "ppo"):
        shutil.copytree(BASE, output)
    elif stage.name == "responses.jsonl":
        write_jsonl(output, _answered(stage.settings))
    elif stage.name == "rankings.jsonl":
        function(stage.command.run)(stage.settings)  # a second's work
    elif stage.name == "reward-model":
        AutoModelForSequenceClassification.from_pretrained(BASE, num_labels=1).save_pretrained(output)
        AutoTokenizer.from_pretrained(BASE).save_pretrained(output)


def _answered(settings: Any) -> list[dict[str, Any]]:
    """Response sets by the labelers whose answers the SFT model would have learned."""
    draws = Random(settings.seed)
    return [
        {
            "id": record["id"],
            "prompt": record["prompt"],
            "responses": [
                {"text": answer(read_prompt(record["prompt"]), draws)} for _ in range(settings.responses_per_prompt)
            ],
        }
        for record in read(settings.prompts)
    ]


def _called(name: str) -> str:
    return name if name == "demonstrations" else f"{name} prompts"


def _sum(whole: Plan, plans: dict[str, Plan]) -> Plan:
    parts = [Part(name, 1, "", one.seconds, any(part.most for part in one.parts)) for name, one in plans.items()]
    peaks = [one.process_peak_memory_bytes for one in (whole, *plans.values())]
    device = [one.device_peak_memory_bytes for one in plans.values() if one.device_peak_memory_bytes is not None]
    return replace(
        whole,
        parts=(*whole.parts, *parts),
        process_peak_memory_bytes=max(peaks),
        device_peak_memory_bytes=max(device, default=None),
    )
