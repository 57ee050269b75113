"""What the long experiments on the real tiny model share: its world made once, stage 2 under a seed, reports.

The model is stories260k (260,032 parameters), prompts and demonstrations come from TinyStories, and the SIMULATED
annotator is `tests/annotators.py:positive`; a quarter of random pairs is inverted by noise (see `real_model.py`)."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from real_model import ANNOTATORS, FLIP_PROBABILITY, ROOT, Run, machine, split_stories

RESULTS = ROOT / "benchmarks" / "results"
GOLD, SECOND = f"{ANNOTATORS}:positive", f"{ANNOTATORS}:afinn"
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
"""Two-sided 95 % point of Student's t with n − 1 degrees of freedom, by the number n of seeds. Source: any table."""


class World:
    """A folder with the SFT model, the prompts, and responses to rank. What is there already is not made again."""

    def __init__(self, folder: Path, data: Path, responses_per_prompt: int = 4) -> None:
        self.folder, self.base = folder.resolve(), str((data / "stories260k").resolve())
        self.stories = data / "tinystories" / "stories.jsonl"
        self.folder.mkdir(parents=True, exist_ok=True)
        run = Run(self.folder, self.base, "0")
        if not (self.folder / "eval-prompts.jsonl").exists():
            split_stories(self.stories, self.folder)
        data_file = self.path("demonstrations.jsonl")
        self.once(run, "sft", "sft", "--base", self.base, "--data", data_file)
        for name in ("prompts", "oracle-prompts"):
            sampled = ("--policy", self.path("sft"), "--prompts", self.path(f"{name}.jsonl"))
            self.once(run, "sample", name.replace("prompts", "responses") + ".jsonl", *sampled)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def at(self, seed: int) -> Run:
        """A run of that seed, in a folder of its own."""
        folder = self.folder / f"seed-{seed}"
        folder.mkdir(exist_ok=True)
        return Run(folder, self.base, str(seed))

    @staticmethod
    def once(run: Run, command: str, output: str, *arguments: str) -> str:
        """The path of what an `align` command writes; the command runs only where that is not there yet."""
        path = run.path(output)
        if not Path(path).exists():
            run.align(command, *arguments, "--output", path)
        return path

    def oracle(self) -> str:
        """The held-out rankings without noise."""
        ranked = ("--responses", self.path("oracle-responses.jsonl"), "--annotator", GOLD, "--flip-probability", "0")
        return self.once(Run(self.folder, self.base, "0"), "rank", "oracle.jsonl", *ranked)

    def rankings(self, run: Run) -> str:
        """The simulated annotator's noisy rankings, with noise of the run's seed."""
        noise = ("--annotator", GOLD, "--flip-probability", FLIP_PROBABILITY)
        return self.once(run, "rank", "rankings.jsonl", "--responses", self.path("responses.jsonl"), *noise)

    def reward(self, run: Run, output: str, rankings: str, *extra: str) -> str:
        """A reward model of these rankings, measured on the noise-free ones."""
        files = ("--base", self.path("sft"), "--rankings", rankings, "--eval-rankings", self.oracle())
        return self.once(run, "reward", output, *files, *extra)

    def ppo(self, run: Run, output: str, reward: str, *extra: str) -> str:
        """A policy optimised against the reward model, with the true annotator looking on."""
        files = ("--policy", self.path("sft"), "--reward-model", reward, "--prompts", self.path("prompts.jsonl"))
        return self.once(run, "ppo", output, *files, "--gold", GOLD, *extra)

    def against_sft(self, run: Run, output: str, policy: str, *extra: str) -> str:
        """The policy against the SFT model on prompts that neither trained nor selected anything."""
        sides = ("--policy", policy, "--against", self.path("sft"), "--prompts", self.path("eval-prompts.jsonl"))
        return self.once(run, "eval", output, *sides, "--judge", GOLD, *extra)


def metrics(directory: str) -> dict[str, Any]:
    """What a command left in its output's metrics.json."""
    return json.loads((Path(directory) / "metrics.json").read_text(encoding="utf-8"))


def lines(path: str | Path) -> list[dict[str, Any]]:
    """The records of a JSONL file."""
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def mean_interval(values: Iterable[float]) -> tuple[float, float, float]:
    """(mean, low, high): mean ± t · sd/√n over n seeds, 95 %."""
    xs = list(values)
    half = T_95[len(xs)] * statistics.stdev(xs) / len(xs) ** 0.5
    mean = statistics.fmean(xs)
    return mean, mean - half, mean + half


def parser(doc: str, folder: str, seeds: int) -> argparse.ArgumentParser:
    """--data, --output and --seeds."""
    found = argparse.ArgumentParser(description=doc.split("\n")[0])
    default = os.environ.get("ALIGN_DATA", ROOT.parent / "shared" / "data")
    found.add_argument("--data", type=Path, default=Path(default), help="folder with stories260k and tinystories")
    found.add_argument("--output", type=Path, default=ROOT / folder, help="what is there already is used again")
    found.add_argument("--seeds", type=int, default=seeds)
    return found


def require_data(data: Path) -> None:
    if not (data / "stories260k").is_dir():
        print(f"--data {data}: holds no stories260k; give the folder of real data", file=sys.stderr)
        raise SystemExit(2)


def leave(name: str, result: dict[str, Any], text: str) -> None:
    """Writes results/NAME.json and the report results/NAME.md, and prints both."""
    RESULTS.mkdir(exist_ok=True)
    result = {"machine": machine(), **result}
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)
    print(json.dumps(result))


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *rows)) + "\n"
