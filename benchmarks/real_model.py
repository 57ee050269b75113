"""A real pretrained model through all stages, by the stage commands with their default settings.

    python benchmarks/real_model.py [--data DIR] [--output DIR] [--controls] [--lora-rank R] [--go-on]

The model is stories260k (260,032 parameters), demonstrations and prompts come from TinyStories, and the SIMULATED
annotator is the mean over sentences of VADER's compound score; a quarter of random pairs is inverted by noise.
`--controls` repeats stages 2 and 3 with the annotator negated and with ranks shuffled at random.
`--lora-rank` trains reward model and PPO as LoRA adapters on one base; SFT stays a full training, best of n is left out.
`--go-on` runs no command whose output is in the folder already: the stages before what is asked for may be another run's.
Prints a table, ends with one JSON line, and leaves it in `benchmarks/results/real_model.json` (`real_model_lora.json`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ANNOTATORS = "tests/annotators.py"  # commands run in the repository, so that results name no machine's folder
FLIP_PROBABILITY = "0.25"
EVAL_PROMPTS, ORACLE_PROMPTS, DEMONSTRATIONS = 400, 200, 300


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = os.environ.get("ALIGN_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default), help="folder with stories260k and tinystories")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "real-model-run", help="made anew at each run, but for --go-on"
    )
    parser.add_argument("--controls", action="store_true", help="also the negated annotator and the shuffled ranks")
    parser.add_argument("--lora-rank", default="0", help="of the reward model's and PPO's adapters; 0: full training")
    parser.add_argument("--go-on", action="store_true", help="keep what --output holds, and run what it lacks")
    parser.add_argument("--seed", default="0")
    options = parser.parse_args()
    if not (options.data / "stories260k").is_dir():
        print(f"--data {options.data}: holds no stories260k; give the folder of real data", file=sys.stderr)
        return 2
    if not options.go_on:
        shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True, exist_ok=True)
    base = str((options.data / "stories260k").resolve())
    run = Run(options.output.resolve(), base, options.seed, options.lora_rank)
    split_stories(options.data / "tinystories" / "stories.jsonl", run.folder)
    result: dict[str, Any] = {"machine": machine(), "seed": int(options.seed), "lora_rank": int(options.lora_rank)}
    started = time.perf_counter()
    result["main"] = whole_pipeline(run)
    result["main"]["seconds"] = time.perf_counter() - started
    if options.controls:
        result["negated"] = stages_2_and_3(run, "negated", f"{ANNOTATORS}:negative")
        result["shuffled"] = stages_2_and_3(run, "shuffled", None)
    report(result)
    name = "real_model.json" if options.lora_rank == "0" else "real_model_lora.json"
    target = ROOT / "benchmarks" / "results" / name
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0


class Run:
    """One run's folder; calls `align` commands and reads their JSON."""

    def __init__(self, folder: Path, base: str, seed: str, lora_rank: str = "0") -> None:
        self.folder, self.base, self.seed = folder, base, seed
        self.adapters = ("--lora-rank", lora_rank)
        self.seconds: dict[str, float] = {}

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def align(self, name: str, *arguments: str) -> dict[str, Any]:
        output = Path(arguments[arguments.index("--output") + 1])
        if output.exists():  # of a run before, which --go-on kept
            self.seconds[output.name] = left(output, "run.json")["seconds"]
            return left(output, "metrics.json")
        command = [sys.executable, "-m", "alignment", name, *arguments, "--seed", self.seed, "--json"]
        started = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
        self.seconds[output.name] = time.perf_counter() - started
        return json.loads(done.stdout.splitlines()[-1])


def left(output: Path, name: str) -> dict[str, Any]:
    """A result file in a command's output, or beside it where that is a file."""
    place = output / name if output.is_dir() else output.with_name(f"{output.stem}.{name}")
    return json.loads(place.read_text(encoding="utf-8"))


def split_stories(stories: Path, folder: Path) -> None:
    """Demonstrations: first sentence → the rest. Prompts: the first sentence, and the first two, of each training story.
    Held-out stories: 400 prompts for evaluation, 200 for the reward model."""
    pairs: dict[str, str] = {}
    for line in stories.read_text(encoding="utf-8").splitlines():
        match = re.match(r"(.+?[.!?][\"”]?)(\s.+)", json.loads(line)["text"], re.DOTALL)
        if match:
            pairs.setdefault(match[1], match[2])
    prompts = sorted(pairs)
    random.Random(0).shuffle(prompts)
    held_out, trained = prompts[: EVAL_PROMPTS + ORACLE_PROMPTS], prompts[EVAL_PROMPTS + ORACLE_PROMPTS :]
    longer = [
        prompt + match[1]
        for prompt in trained
        if (match := re.match(r"(\s.+?[.!?][\"”]?)\s", pairs[prompt], re.DOTALL))
    ]
    files = {
        "demonstrations": [{"prompt": prompt, "response": pairs[prompt]} for prompt in trained[:DEMONSTRATIONS]],
        "prompts": [{"prompt": prompt} for prompt in trained + longer],
        "eval-prompts": [{"prompt": prompt} for prompt in held_out[:EVAL_PROMPTS]],
        "oracle-prompts": [{"prompt": prompt} for prompt in held_out[EVAL_PROMPTS:]],
    }
    for name, records in files.items():
        (folder / f"{name}.jsonl").write_text(
            "".join(json.dumps(record) + "\n" for record in records), encoding="utf-8"
        )


def whole_pipeline(run: Run) -> dict[str, Any]:
    """SFT and sampling, then stages 2 and 3 under the true annotator, with best-of-n beside PPO."""
    sft = run.align("sft", "--base", run.base, "--data", run.path("demonstrations.jsonl"), "--output", run.path("sft"))
    for name in ("prompts", "oracle-prompts"):
        output = run.path(name.replace("prompts", "responses") + ".jsonl")
        run.align("sample", "--policy", run.path("sft"), "--prompts", run.path(f"{name}.jsonl"), "--output", output)
    best_of_n = ("--reward-model", run.path("reward-main")) if run.adapters[1] == "0" else ()
    result = stages_2_and_3(run, "main", f"{ANNOTATORS}:positive", *best_of_n)
    return {"sft": sft, **result, "seconds_by_stage": dict(run.seconds)}


def stages_2_and_3(run: Run, name: str, annotator: str | None, *extra: str) -> dict[str, Any]:
    """Rankings → reward model → PPO → evaluation against the base by the noise-free annotator."""
    noisy, clean = run.path(f"rankings-{name}.jsonl"), run.path(f"oracle-{name}.jsonl")
    truth = annotator or f"{ANNOTATORS}:positive"
    flips = ("--annotator", truth, "--flip-probability")
    ranked = run.align("rank", "--responses", run.path("responses.jsonl"), *flips, FLIP_PROBABILITY, "--output", noisy)
    run.align("rank", "--responses", run.path("oracle-responses.jsonl"), *flips, "0", "--output", clean)
    if annotator is None:
        shuffle_ranks(Path(noisy))
    model, policy = run.path(f"reward-{name}"), run.path(f"ppo-{name}")
    reward = run.align(
        "reward",
        "--base",
        run.path("sft"),
        "--rankings",
        noisy,
        "--eval-rankings",
        clean,
        *run.adapters,
        "--output",
        model,
    )
    ppo = run.align(
        "ppo",
        "--policy",
        run.path("sft"),
        "--reward-model",
        model,
        "--prompts",
        run.path("prompts.jsonl"),
        "--gold",
        truth,
        *run.adapters,
        "--output",
        policy,
    )
    judge = ("--judge", f"{ANNOTATORS}:positive", "--prompts", run.path("eval-prompts.jsonl"))
    won = run.align(
        "eval", "--policy", policy, "--against", run.base, *judge, "--output", run.path(f"eval-{name}"), *extra
    )
    return {"rank": ranked, "reward": reward, "ppo": ppo, "eval": won}


def shuffle_ranks(path: Path) -> None:
    """The same rankings with each prompt's ranks in random order: labels that say nothing."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    draws = random.Random(1)
    for record in records:
        draws.shuffle(record["ranks"])
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")


def machine() -> dict[str, Any]:
    packages = ("torch", "transformers", "trl", "vaderSentiment")
    return {
        "processors": os.cpu_count(), "architecture": platform.machine(), "python": platform.python_version(),
        "load_before": os.getloadavg()[0], "threads": os.environ.get("OMP_NUM_THREADS", "torch's default"),
        **{name: version(name) for name in packages},
    }  # fmt: skip


def report(result: dict[str, Any]) -> None:
    for name in ("main", "negated", "shuffled"):
        if name not in result:
            continue
        reward, won, ppo = result[name]["reward"], result[name]["eval"], result[name]["ppo"]
        print(f"\n{name}: pair accuracy against the noise-free oracle {reward['pair_accuracy']:.3f}", end=" ")
        print(
            f"[{reward['pair_accuracy_low']:.3f}, {reward['pair_accuracy_high']:.3f}], longer wins {reward['length_baseline_accuracy']:.3f}"
        )
        print(
            f"  PPO over the base: gold win rate {won['win_rate']:.3f} [{won['win_rate_low']:.3f}, {won['win_rate_high']:.3f}]",
            end=" ",
        )
        print(f"at KL {won['kl']:.2f} nats; {ppo['steps']} steps, {ppo['stopped']}")
        if won["best_of_n"]:
            print("  best of n from the base under the same reward model:", end=" ")
            print(", ".join(f"{n}: {rate:.3f}" for n, rate in won["best_of_n"].items()))
    print(
        f"\nseconds, controls apart: {result['main']['seconds']:.0f}  { ({k: round(v) for k, v in result['main']['seconds_by_stage'].items()}) }"
    )


if __name__ == "__main__":
    sys.exit(main())
