"""K1 and K2 beside eager torch and TRL's chunked torch path: time, peak extra memory, error against float64.

    python benchmarks/kernels.py [--threads 1] [--repeats 5] [--small]

Forward and backward of one output head with a negative log-likelihood (and, for K2 alone, PPO's clipped loss with
entropy), fp32, on CPU. Every case runs in a process of its own, so that its peak of resident memory is its own; the
rounds go round the cases, so that a disturbance meets all of them, and ratios are medians of ratios within a round.
Prints the machine, a table, one JSON line at the end, and writes benchmarks/results/kernels.json.
"""

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from alignment_kernels import reference
from alignment_kernels.fused_linear_token_loss import fused_linear_token_loss
from alignment_kernels.linear_logprob import linear_logprob

RESULTS = Path(__file__).parent / "results" / "kernels.json"
SHAPES = [(512, 64, 512), (1024, 256, 8192), (4096, 512, 32000)]  # N tokens, D hidden, V vocabulary
TRL_CHUNK = 32768  # the vocabulary tile of TRL 1.16's own calls, `trl.trainer.utils`


def nll(logprobs: Tensor, entropy: Tensor, tokens: slice) -> Tensor:
    return -logprobs


def ppo(logprobs: Tensor, entropy: Tensor, tokens: slice) -> Tensor:
    ratio = torch.exp(logprobs - logprobs.detach())
    return torch.maximum(-ratio, -ratio.clamp(0.8, 1.2)) - 0.01 * entropy


def k2(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return fused_linear_token_loss(hidden, weight, targets, nll)[0]


def k2_ppo(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return fused_linear_token_loss(hidden, weight, targets, ppo)[0]


def k1(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return -linear_logprob(hidden, weight, targets)[0].sum()


def eager(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(hidden @ weight.T, targets, reduction="sum")


def trl(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    from trl.kernels import ChunkedLogProbFunction

    arguments = (hidden, weight, None, targets, 1.0, TRL_CHUNK, None, 1.0, ("entropy",))
    return -ChunkedLogProbFunction.apply(*arguments)[0].sum()


CASES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "K2 nll": k2,
    "K2 ppo": k2_ppo,
    "eager nll": eager,
    "TRL nll": trl,
    "K1": k1,
}


def resident_mib(field: str) -> float:
    """Resident memory of this process now ("VmRSS") or at its peak since `forget_peak` ("VmHWM"). Linux only."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def inputs(shape: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    n, d, v = shape
    torch.manual_seed(0)
    hidden, weight = torch.randn(n, d), torch.randn(v, d) / d**0.5
    return hidden.requires_grad_(), weight.requires_grad_(), torch.randint(v, (n,))


def step(name: str, hidden: Tensor, weight: Tensor, targets: Tensor) -> float:
    """Seconds of one forward and, where there is one, backward; the gradients are left on the inputs."""
    hidden.grad = weight.grad = None
    start = time.perf_counter()
    loss = CASES[name](hidden, weight, targets)
    if loss.requires_grad:
        loss.backward()
    return time.perf_counter() - start


def errors(shape: tuple[int, int, int], hidden: Tensor, weight: Tensor, targets: Tensor) -> dict[str, float]:
    """Relative gradient errors of an NLL against float64, made in slices of tokens to keep memory small."""
    hidden_64 = hidden.detach().double().requires_grad_()
    weight_64 = weight.detach().double().requires_grad_()
    for rows in torch.arange(shape[0]).split(256):
        (-reference.linear_logprob(hidden_64[rows], weight_64, targets[rows])[0]).sum().backward()
    return {
        f"{name}_grad_error": ((actual.grad.double() - exact.grad).norm() / exact.grad.norm()).item()
        for name, actual, exact in (("hidden", hidden, hidden_64), ("weight", weight, weight_64))
    }


def serve(name: str, shape: tuple[int, int, int], threads: int, pipe) -> None:  # type: ignore[no-untyped-def]
    """One case in its own process: the peak of a first step, then a step for every "time", an error at the end."""
    torch.set_num_threads(threads)
    if name.startswith("TRL"):
        import trl.kernels  # noqa: F401  its import is not what is measured
    step(name, *inputs((32, 8, 64)))  # libraries and threads load before the baseline is taken
    head = inputs(shape)
    forget_peak()
    before = resident_mib("VmRSS")
    step(name, *head)
    pipe.send(resident_mib("VmHWM") - before)
    while (order := pipe.recv()) == "time":
        pipe.send(step(name, *head))
    pipe.send(errors(shape, *head) if order == "error" and name.endswith("nll") else {})


def measure(shape: tuple[int, int, int], names: list[str], threads: int, repeats: int, exact: bool) -> list[dict]:
    """All cases at one shape: rows of the table, times interleaved round by round."""
    context = multiprocessing.get_context("spawn")
    workers = {}
    for name in names:
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(name, shape, threads, there), daemon=True)
        process.start()
        there.close()
        workers[name] = (process, here, here.recv())
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        for name, (_, pipe, _) in workers.items():
            pipe.send("time")
            seconds[name].append(pipe.recv())
    rows = []
    for name, (process, pipe, extra) in workers.items():
        pipe.send("error" if exact else "stop")
        row = {"case": name, "N": shape[0], "D": shape[1], "V": shape[2], "dtype": "float32"}
        row |= {"seconds": statistics.median(seconds[name]), "seconds_min": min(seconds[name]), "extra_mib": extra}
        for other in ("eager nll", "TRL nll"):
            if other in names:
                ratio = statistics.median(theirs / ours for theirs, ours in zip(seconds[other], seconds[name]))
                row[f"faster_than_{other.split()[0].lower()}"] = ratio
        rows.append(row | pipe.recv())
        process.join()
    return rows


def machine(threads: int) -> dict:
    """What the numbers depend on; no host name, no path."""
    cpu = [x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x]
    packages = ("torch", "trl", "transformers")
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cores": os.cpu_count(),
        "threads": threads,
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def table(rows: list[dict]) -> str:
    columns = ["case", "N", "D", "V", "seconds", "seconds_min", "extra_mib", "faster_than_eager", "faster_than_trl"]
    columns += ["hidden_grad_error", "weight_grad_error"]
    lines = ["  ".join(f"{c:>17}" for c in columns)]
    for row in rows:
        cells = (row.get(c, "") for c in columns)
        lines.append("  ".join(f"{c:>17.3g}" if isinstance(c, float) else f"{c:>17}" for c in cells))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="torch threads (default: all cores)")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of each case (default: 5)")
    parser.add_argument("--small", action="store_true", help="leave out the largest shape")
    parser.add_argument("--no-error", action="store_true", help="leave out the float64 gradients")
    settings = parser.parse_args()

    report = {"machine": machine(settings.threads), "repeats": settings.repeats, "rows": []}
    print(json.dumps(report["machine"], indent=1))
    for shape in SHAPES[:-1] if settings.small else SHAPES:
        names = list(CASES)
        report["rows"] += measure(shape, names, settings.threads, settings.repeats, not settings.no_error)
    report["machine"]["load_after"] = round(os.getloadavg()[0], 2)
    print(table(report["rows"]))
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
