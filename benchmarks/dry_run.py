"""What `--dry-run` estimates against what the run then takes, for `align demo` and for each command of `real_model.py`.

    python benchmarks/dry_run.py [--data DIR] [--output DIR]

Every command is asked first (`--dry-run`), then run; its `run.json` says how long it took and the most memory it held.
PPO may end before its last step, where the KL passes --kl-max: its estimate for the steps that it did take is compared.
Prints a table, ends with one JSON line, and leaves it in `benchmarks/results/dry_run.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import real_model

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = os.environ.get("ALIGN_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default), help="folder with stories260k and tinystories")
    parser.add_argument("--output", type=Path, default=ROOT / "dry-run-run", help="made anew at each run")
    options = parser.parse_args()
    if not (options.data / "stories260k").is_dir():
        print(f"--data {options.data}: holds no stories260k; give the folder of real data", file=sys.stderr)
        return 2
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    folder = options.output.resolve()
    result: dict[str, Any] = {"machine": real_model.machine()}
    result["demo"] = demo(folder / "demo")
    result["load_between"] = os.getloadavg()[0]
    result["real_model"] = real(folder / "real-model", options.data)
    report(result)
    target = ROOT / "benchmarks" / "results" / "dry_run.json"
    target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0


def demo(workspace: Path) -> dict[str, Any]:
    """Its stages run in one process, so only the peak of the whole can be compared."""
    arguments = ["demo", "--workspace", str(workspace)]
    plan = align(*arguments, "--dry-run")
    align(*arguments)
    planned = {part["name"]: part["seconds"] for part in plan["parts"]}
    stages = {
        name: row(seconds, record(workspace / name)["seconds"])
        for name, seconds in planned.items()
        if (workspace / name).exists()
    }
    whole = record(workspace)
    return {"stages": stages, "sum": row(plan["seconds"], whole["seconds"]), "memory": memory(plan, whole)}


def real(folder: Path, data: Path) -> dict[str, Any]:
    """Each command of the real-model run asks for its plan when its inputs are there."""
    folder.mkdir()
    real_model.split_stories(data / "tinystories" / "stories.jsonl", folder)
    rows: dict[str, Any] = {}

    class Run(real_model.Run):
        def align(self, name: str, *arguments: str) -> dict[str, Any]:
            plan = align(name, *arguments, "--seed", self.seed, "--dry-run")
            metrics = super().align(name, *arguments)
            output = Path(arguments[arguments.index("--output") + 1])
            rows[output.name] = compared(name, plan, metrics, record(output))
            return metrics

    real_model.whole_pipeline(Run(folder, str((data / "stories260k").resolve()), "0"))
    estimates, measured = (sum(one["seconds"][key] for one in rows.values()) for key in ("estimate", "measured"))
    return {"commands": rows, "sum": row(estimates, measured)}


def compared(name: str, plan: dict[str, Any], metrics: dict[str, Any], ran: dict[str, Any]) -> dict[str, Any]:
    seconds = plan["seconds"]
    if name == "ppo":  # what was planned for the steps that it took
        done = {"rollouts": metrics["steps"] + 1, "updates": metrics["steps"]}
        seconds = sum(part["seconds"] * done.get(part["name"], part["count"]) / part["count"] for part in plan["parts"])
    result = {"seconds": row(seconds, ran["seconds"]), "memory": memory(plan, ran)}
    if name == "ppo":
        result["steps"] = {"planned": plan["parts"][-1]["count"], "taken": metrics["steps"]}
        result["seconds_if_all_steps"] = plan["seconds"]
    return result


def align(*arguments: str) -> dict[str, Any]:
    """The JSON that a command prints."""
    command = [sys.executable, "-m", "alignment", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def record(output: Path) -> dict[str, Any]:
    """What `run.json` says of a run."""
    place = output / "run.json" if output.is_dir() else output.with_name(f"{output.stem}.run.json")
    return json.loads(place.read_text(encoding="utf-8"))


def memory(plan: dict[str, Any], ran: dict[str, Any]) -> dict[str, float]:
    """Of the device where there is one, else of the process; bytes."""
    name = "device_peak_memory_bytes" if ran["device_peak_memory_bytes"] else "process_peak_memory_bytes"
    return row(plan[name], ran[name])


def row(estimate: float, measured: float) -> dict[str, float]:
    return {"estimate": estimate, "measured": measured, "ratio": estimate / measured}


def report(result: dict[str, Any]) -> None:
    machine = result["machine"]
    print(
        f"\n{machine['processors']} processors, {machine['architecture']}, threads {machine['threads']}, "
        f"load {machine['load_before']:.2f} before and {result['load_between']:.2f} between; "
        f"torch {machine['torch']}, transformers {machine['transformers']}\n"
    )
    demo, real = result["demo"], result["real_model"]
    print(f"{'seconds':<34}{'estimate':>10}{'measured':>10}{'ratio':>8}")
    for name, one in demo["stages"].items():
        line(f"demo  {name}", one)
    line("demo  in sum", demo["sum"])
    for name, one in real["commands"].items():
        line(f"real  {name}", one["seconds"])
    line("real  in sum", real["sum"])
    print(f"\n{'peak memory, GB':<34}{'estimate':>10}{'measured':>10}{'ratio':>8}")
    line("demo", demo["memory"], 1e9)
    for name, one in real["commands"].items():
        line(f"real  {name}", one["memory"], 1e9)
    steps = next(one["steps"] for one in real["commands"].values() if "steps" in one)
    print(f"\nreal: PPO took {steps['taken']} of {steps['planned']} steps; its estimate above is for these")


def line(name: str, one: dict[str, float], unit: float = 1.0) -> None:
    figures = f"{one['estimate'] / unit:>10.2f}{one['measured'] / unit:>10.2f}{one['ratio']:>8.2f}"
    print(f"{name:<34}{figures}{'' if 0.5 <= one['ratio'] <= 2 else '   <-'}")


if __name__ == "__main__":
    sys.exit(main())
