"""The K-way reward model beside TRL's RewardTrainer, fed the same pairs: how soon each reaches a validation loss.

    python benchmarks/kway.py [--data DIR] [--output DIR] [--seed N] [--batch-size RANKINGS]

Ours learns from 1,280 rankings of K = 4 responses, which stories260k (260,032 parameters) wrote and a SIMULATED annotator
ordered (VADER; a quarter of random pairs is inverted by noise); TRL learns from every strict pair of them. All trainings
start from the same weights and head, read the same token ids, and take turns in one process on one thread: the clock of
each runs in its own turns alone, and never while a model is measured. Measured on 200 other prompts' rankings: under the
same kind of noisy labels, drawn 8 times over, whose mean loss the times are about, and under noise-free ones.

TRL gets what helps it: no gradient checkpointing (its default; about twice as slow here), float32 (its default is bfloat16;
more than twice as slow on this CPU), pairs of like length together (off by default), micro-batches of 24 pairs (the fastest
of 12, 24 and 48), no worker processes, tokens made before its clock starts. Two sets of settings: its own learning rate and
schedule, and ours; ours is compared with both.
Prints a table, ends with one JSON line, and leaves it in `benchmarks/results/kway.json`, or in
`kway_batch_N.json` where --batch-size is N and not the default.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import real_model
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl import RewardConfig, RewardTrainer

from alignment.learning_rates import learning_rate
from alignment.models import parameter_count
from alignment.records import prompt_text, read_prompts, read_rankings, write_jsonl
from alignment.scorer import Scorer
from alignment.text_statistics import normalised
from reward_model.config import RewardSettings
from reward_model.data import Example
from reward_model.fit import fit, optimizer_steps
from reward_model.loss import Pairs, ranking_losses, strict_pairs
from reward_model.making import Prepared, prepare, score_examples

ROOT = Path(__file__).resolve().parents[1]
RANKINGS, HELD_OUT, LABELINGS = 1280, 200, 8
MEASUREMENTS = 16  # of each training, an epoch
MICRO_BATCH = 24  # pairs: of 12, 24 and 48 the fastest for TRL here
OURS: dict[str, dict[str, Any]] = {"ours": {}, "ours, 2 epochs": {"epochs": 2}}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    default = os.environ.get("ALIGN_DATA", ROOT.parent / "shared" / "data")
    parser.add_argument("--data", type=Path, default=Path(default), help="folder with stories260k and tinystories")
    parser.add_argument("--output", type=Path, default=ROOT / "kway-run", help="made anew at each run")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--batch-size", type=int, default=8, help="rankings a step; TRL's steps have as many pairs")
    options = parser.parse_args()
    if not (options.data / "stories260k").is_dir():
        print(f"--data {options.data}: holds no stories260k; give the folder of real data", file=sys.stderr)
        return 2
    shutil.rmtree(options.output, ignore_errors=True)
    options.output.mkdir(parents=True)
    machine = real_model.machine()
    run = real_model.Run(options.output.resolve(), str((options.data / "stories260k").resolve()), options.seed)
    real_model.split_stories(options.data / "tinystories" / "stories.jsonl", run.folder)
    make_rankings(run)
    settings = RewardSettings(
        base=run.base, rankings=run.path("rankings.jsonl"), eval_rankings=run.path("held-out-0.jsonl"),
        output=run.path("reward"), seed=int(options.seed),
        threads=1, batch_size=options.batch_size,
    )  # fmt: skip
    result = {"machine": machine | {"threads": 1, "load_after": 0.0}, **compared(settings, run)}
    result["machine"]["load_after"] = os.getloadavg()[0]
    report(result)
    size = options.batch_size
    name = "kway" if size == RewardSettings.batch_size else f"kway_batch_{size}"
    target = ROOT / "benchmarks" / "results" / f"{name}.json"
    target.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0


def make_rankings(run: Any) -> None:
    """rankings.jsonl to learn from; held-out-0.jsonl ... and clean.jsonl, the same responses under noisy labels drawn anew
    and under noise-free ones. No prompt to learn from is one of those measured on, but for case, spacing, punctuation."""
    held_out = read_prompts(run.path("eval-prompts.jsonl"))[:HELD_OUT]
    taken = {normalised(prompt_text(one.prompt)) for one in held_out}
    others = [
        one for one in read_prompts(run.path("prompts.jsonl")) if normalised(prompt_text(one.prompt)) not in taken
    ]
    for name, prompts in (("train", others[:RANKINGS]), ("held-out", held_out)):
        write_jsonl(run.folder / f"{name}-prompts.jsonl", [{"prompt": one.prompt} for one in prompts])
        files = ("--prompts", run.path(f"{name}-prompts.jsonl"), "--output", run.path(f"{name}-responses.jsonl"))
        run.align("sample", "--policy", run.base, *files)
    flips = real_model.FLIP_PROBABILITY
    files = [("rankings", "train", flips, 0), ("clean", "held-out", "0", 0)]
    files += [(f"held-out-{number}", "held-out", flips, number) for number in range(LABELINGS)]
    for name, responses, noise, number in files:
        drawn = real_model.Run(run.folder, run.base, str(int(run.seed) + number))
        paths = ("--responses", run.path(f"{responses}-responses.jsonl"), "--output", run.path(f"{name}.jsonl"))
        drawn.align("rank", *paths, "--annotator", f"{real_model.ANNOTATORS}:positive", "--flip-probability", noise)


@dataclass
class Training:
    """A training that stops its clock between turns. points: what was measured, first before any step.

    Wall seconds are what counts; seconds of the processor, of the training's own thread, say what a busy machine added."""

    name: str
    measure: Callable[[], dict[str, float]]
    every: int
    points: list[dict[str, float]] = field(default_factory=list)
    wall: float = 0.0
    cpu: float = 0.0

    def __post_init__(self) -> None:
        self.go, self.back = threading.Semaphore(0), threading.Semaphore(0)
        self.done, self.failed = False, None

    def start(self, work: Callable[[], Any]) -> None:
        def whole() -> None:
            try:
                self._wait()
                work()
            except BaseException as error:  # raised again where turns are given
                self.failed = error
            self.done = True
            self.back.release()

        threading.Thread(target=whole, name=self.name, daemon=True).start()

    def stepped(self, step: int, steps: int) -> None:
        """To be called after each step: measures and gives the turn away where that is due."""
        if step % self.every and step != steps:
            return
        self.wall += time.perf_counter() - self.began
        self.cpu += time.thread_time() - self.began_cpu
        self.note(step)
        self.back.release()
        self._wait()

    def note(self, step: int) -> None:
        self.points.append({"step": step, "seconds": self.wall, "processor_seconds": self.cpu, **self.measure()})

    def turn(self) -> None:
        self.go.release()
        self.back.acquire()
        if self.failed:
            raise self.failed

    def _wait(self) -> None:
        self.go.acquire()
        self.began, self.began_cpu = time.perf_counter(), time.thread_time()


def compared(settings: RewardSettings, run: Any) -> dict[str, Any]:
    """All trainings in turn, and the times to the losses that TRL reaches."""
    ready = prepare(settings)
    held_out = HeldOut.of(ready, run)
    pairs = [
        {"chosen_ids": one.sequences[better], "rejected_ids": one.sequences[worse], "length": one.tokens}
        for one in ready.train
        for better, worse in one.ranking.strict_pairs()
    ]
    trainings = [ours(name, ready, replace(settings, **more), held_out) for name, more in OURS.items()]
    for name, more in trl_settings(ready.scorer, settings).items():
        trainings.append(trl(name, ready, pairs, more, run.folder, settings, held_out))
    while waiting := [one for one in trainings if not one.done]:
        for one in waiting:
            one.turn()
    curves = {one.name: one.points for one in trainings}
    return {
        "rankings": len(ready.train), "pairs": len(pairs), "held_out_rankings": len(held_out.examples),
        "sequences_an_epoch": {"ours": len(sequences(ready.train)), "TRL": 2 * len(pairs)},
        "tokens_an_epoch": {"ours": sum(map(len, sequences(ready.train))), "TRL": sum(map(tokens_of, pairs))},
        "against": {
            f"{mine} against {peer}": against(curves[mine], points)
            for mine in OURS for peer, points in curves.items() if peer not in OURS
        },
        "curves": curves,
    }  # fmt: skip


def sequences(examples: list[Example]) -> list[list[int]]:
    return [sequence for example in examples for sequence in example.sequences]


def tokens_of(pair: dict[str, Any]) -> int:
    return len(pair["chosen_ids"]) + len(pair["rejected_ids"])


def ours(name: str, ready: Prepared, settings: RewardSettings, held_out: HeldOut) -> Training:
    """`align reward`'s own loop."""
    scorer, steps = copy.deepcopy(ready.scorer), optimizer_steps(len(ready.train), settings)
    training = Training(name, lambda: held_out.measured(scorer), -(-steps // settings.epochs // MEASUREMENTS))
    training.note(0)
    training.start(
        lambda: fit(scorer, ready.train, settings, lambda _, step: training.stepped(step, steps), ready.losses)
    )
    return training


def trl_settings(scorer: Scorer, settings: RewardSettings) -> dict[str, dict[str, Any]]:
    """Name → what differs between TRL's runs; in both a step sees as many pairs as ours does."""
    rate = learning_rate("reward", parameter_count(scorer.model), lora=False)
    cosine = {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.1}}
    warmup = {"warmup_steps": settings.warmup_fraction, "adam_beta2": settings.adam_beta2}
    return {"TRL, its rate": {}, "TRL, our rate": {"learning_rate": rate, **cosine, **warmup}}


def trl(
    name: str,
    ready: Prepared,
    pairs: list[dict[str, Any]],
    more: dict[str, Any],
    folder: Path,
    settings: RewardSettings,
    held_out: HeldOut,
) -> Training:
    """TRL's RewardTrainer for one epoch. more: settings that differ from those that all its runs have."""
    scorer = copy.deepcopy(ready.scorer)
    a_step = round(len(pairs) / len(ready.train) * settings.batch_size / MICRO_BATCH)  # micro-batches
    with warnings.catch_warnings():  # TRL's name for gradient checkpointing is on its way out of transformers
        warnings.simplefilter("ignore", FutureWarning)
        config = RewardConfig(
            output_dir=str(folder / "trl"), num_train_epochs=1, per_device_train_batch_size=MICRO_BATCH,
            gradient_accumulation_steps=a_step, gradient_checkpointing=False, bf16=False, max_length=None,
            train_sampling_strategy="group_by_length", length_column_name="length", remove_unused_columns=False,
            dataloader_num_workers=0, dataloader_pin_memory=False, use_cpu=True, seed=settings.seed, report_to="none",
            save_strategy="no", disable_tqdm=True, log_level="error", **more,
        )  # fmt: skip
    steps = -(-len(pairs) // (MICRO_BATCH * a_step))
    training = Training(name, lambda: held_out.measured(scorer), -(-steps // MEASUREMENTS))

    class Turns(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            training.stepped(state.global_step, state.max_steps)

    trainer = RewardTrainer(
        scorer.model,
        args=config,
        train_dataset=Dataset.from_list(pairs),
        processing_class=scorer.tokenizer,
        callbacks=[Turns()],
    )
    trainer.remove_callback(PrinterCallback)
    training.note(0)
    training.start(trainer.train)
    return training


@dataclass(frozen=True)
class HeldOut:
    """What all are measured on. noisy: the pairs of each labeling; clean: those of the noise-free one."""

    examples: list[Example]
    noisy: list[Pairs]
    clean: Pairs

    @classmethod
    def of(cls, ready: Prepared, run: Any) -> HeldOut:
        names = ["clean", *(f"held-out-{number}" for number in range(LABELINGS))]
        read = [read_rankings(run.path(f"{name}.jsonl"), name) for name in names]
        by_id = [{one.id: one for one in rankings if one.strict_pairs()} for rankings in read]
        examples = [one for one in ready.held_out if all(one.ranking.id in some for some in by_id)]
        clean, *noisy = (strict_pairs([some[one.ranking.id] for one in examples]) for some in by_id)
        return cls(examples, noisy, clean)

    def measured(self, scorer: Scorer) -> dict[str, float]:
        """Mean over rankings (and labelings) of their loss, nats a pair, in float64; pair accuracy without noise."""
        scores = torch.tensor(
            [score for some in score_examples(scorer, self.examples) for score in some], dtype=torch.float64
        )
        losses = [ranking_losses(scores, pairs).mean().item() for pairs in self.noisy]
        right = (scores[self.clean.better] > scores[self.clean.worse]).double().mean().item()
        clean = ranking_losses(scores, self.clean).mean().item()
        return {"loss": sum(losses) / len(losses), "clean_loss": clean, "clean_accuracy": right}


def against(points: list[dict[str, float]], peer: list[dict[str, float]]) -> dict[str, Any]:
    """Seconds until ours and until the peer measured at most the peer's best, and final, loss; ours ÷ the peer's."""
    targets = {"best": min(one["loss"] for one in peer), "final": peer[-1]["loss"]}
    return {name: {"loss": loss} | ratio(reached(points, loss), reached(peer, loss)) for name, loss in targets.items()}


def reached(points: list[dict[str, float]], loss: float) -> dict[str, float] | None:
    """The first measurement of at most this loss; nothing is read between measurements."""
    return next((one for one in points if one["loss"] <= loss), None)


def ratio(mine: dict[str, float] | None, peer: dict[str, float] | None) -> dict[str, Any]:
    assert peer is not None
    if mine is None:
        return {"ours": None, "peer": peer["seconds"], "ratio": None}
    shares = {
        f"ratio{suffix}": mine[key] / peer[key]
        for suffix, key in (("", "seconds"), ("_of_processor", "processor_seconds"))
    }
    return {"ours": mine["seconds"], "peer": peer["seconds"], **shares}


def report(result: dict[str, Any]) -> None:
    for name, points in result["curves"].items():
        best, last = min(points, key=lambda one: one["loss"]), points[-1]
        print(
            f"\n{name}: {last['step']} steps in {last['seconds']:.1f} s ({last['processor_seconds']:.1f} s of the processor)"
        )
        for what, one in (("start", points[0]), ("best", best), ("final", last)):
            print(
                f"  {what:<6} loss {one['loss']:.4f} at {one['seconds']:6.1f} s; noise-free {one['clean_loss']:.4f}, accuracy {one['clean_accuracy']:.3f}"
            )
    print()
    for name, found in result["against"].items():
        for what, one in found.items():
            said = (
                "never reached"
                if one["ratio"] is None
                else f"ours {one['ours']:.1f} s, ratio {one['ratio']:.2f} ({one['ratio_of_processor']:.2f} of the processor's)"
            )
            print(f"{name}, its {what} loss {one['loss']:.4f} at {one['peer']:.1f} s: {said}")


if __name__ == "__main__":
    sys.exit(main())
