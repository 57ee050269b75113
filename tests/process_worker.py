"""What each process of a launched test runs: `accelerate launch ... process_worker.py JOBS.json`.

JOBS.json: [[command, [argument, ...], invented], ...], run one after the other in the same processes; the main one writes
the exit codes to JOBS.codes.json. invented: responses are `answers` and not the policy's."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import torch

from alignment.chat import collate, padding_id, stop_ids
from alignment.models import unwrapped

GENERATING = ("ppo.inputs", "ppo.engines", "ppo.samples", "ppo.selection")


def answers(model: Any, tokenizer: Any, prompts: list[list[int]], settings: Any) -> Any:
    """In place of `generate`: ragged responses that are a function of the prompt, half of them ended by EOS. Nothing is
    drawn, so that any number of processes gets the same tokens."""
    responses = []
    for prompt in prompts:
        generator = torch.Generator().manual_seed(sum(prompt))
        length = int(torch.randint(1, settings.max_new_tokens, (), generator=generator))
        ids = torch.randint(5, unwrapped(model).config.vocab_size, (length,), generator=generator).tolist()
        responses.append(ids + stop_ids(tokenizer, model)[:1] * (length % 2))
    return collate(prompts, responses, padding_id(tokenizer))


def run(jobs: Path) -> None:
    from alignment import distributed
    from alignment.cli import command
    from alignment.command import main
    from alignment.processes import is_main
    from alignment.sampling import generate

    torch.set_num_threads(1)
    distributed.stop = distributed.wait  # the processes stay together for the next job
    importlib.import_module("alignment.report.write").draw = lambda folder, final: None  # a second of plots each
    codes = []
    for name, line, invented in json.loads(jobs.read_text()):
        for module in GENERATING:
            importlib.import_module(module).generate = answers if invented else generate
        codes.append(main(command(name), line))
        distributed.wait()
        if is_main():  # the next job may fail first, too
            torch.distributed.distributed_c10d._get_default_store().set("align/failures", "0")
        distributed.wait()
    if is_main():
        jobs.with_suffix(".codes.json").write_text(json.dumps(codes))


if __name__ == "__main__":
    sys.path.insert(0, os.getcwd())
    run(Path(sys.argv[1]))
