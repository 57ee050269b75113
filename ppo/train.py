"""`align ppo`: rollout, measure, update, until the steps are done or the policy has gone too far from its reference."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from alignment.body import recompute_activations
from alignment.chat import same_tokens
from alignment.checkpoint import Checkpoints
from alignment.clock import Clock
from alignment.collectives import same
from alignment.config import flag
from alignment.distributed import join, require_divisible, whole_weights
from alignment.durable import sync
from alignment.errors import UserError
from alignment.history import both, history
from alignment.learning_rates import learning_rate
from alignment.models import add_lora, frozen_copy, parameter_count, save_model
from alignment.processes import count, is_main
from alignment.progress import progress
from alignment.records import write_jsonl
from alignment.run import output_directory
from alignment.run_record import write_result
from alignment.tracking import Log, tracker
from alignment.training_state import load_values
from ppo.config import PPOSettings
from ppo.cursor import prompt_rows
from ppo.engines import Engine, TransformersEngine
from ppo.faults import About, faults
from ppo.inputs import READS, Inputs, normalization_rows, read_inputs, require_endings
from ppo.kl_controller import adapted_kl_coef
from ppo.measure import measure
from ppo.rollout import Roles, Rollout, adapter_off, always, make_rollout, pad_error
from ppo.samples import before_and_after
from ppo.selection import SCORE, worth
from ppo.state import PPOState
from ppo.update import new_optimizer, update
from ppo.value import value_model_from_policy, value_model_from_scorer

PARTS = ("generate", "score", "logprobs", "selection", "update", "checkpoint")
"""What a step's time is shared among; the checkpoint is that of the step before."""


class Trainer:
    """A PPO run: its inputs, the roles, and the state that `step` moves on."""

    def __init__(self, settings: PPOSettings, inputs: Inputs | None = None, checkpoint: Path | None = None) -> None:
        """checkpoint: where to go on from; None starts anew."""
        self.settings = settings
        self.inputs = inputs or read_inputs(settings)
        self.lr = settings.lr or learning_rate("ppo", parameter_count(self.inputs.policy), settings.lora_rank > 0)
        saved = load_values(checkpoint) if checkpoint else None
        self.clock = Clock()
        self._take_roles(*((saved["score_mean"], saved["score_sd"]) if saved else self._normalization()))
        if checkpoint:
            self.state.load(checkpoint)
        self.engine = new_engine(
            self.roles.policy, self.roles.tokenizer, self.inputs.stops, settings, self.inputs.server
        )

    def _take_roles(self, mean: float, sd: float) -> None:
        settings, inputs = self.settings, self.inputs
        policy, tokenizer, scorer = inputs.policy, inputs.tokenizer, inputs.scorer
        if scorer and same_tokens(tokenizer, scorer.tokenizer):
            value_model = value_model_from_scorer(scorer, mean, sd, settings.lora_rank)
        else:
            value_model = value_model_from_policy(policy, settings.lora_rank)
        if settings.lora_rank:
            learner = add_lora(policy, settings.lora_rank)
            reference_model, reference = learner, adapter_off(learner)
        else:
            learner, reference_model, reference = policy, frozen_copy(policy), always()
            policy.requires_grad_(True)
            join(reference_model)
        join(learner)
        join(value_model)
        self.roles = Roles(
            learner, tokenizer, reference_model, reference, value_model, inputs.score, inputs.gold, inputs.stops
        )
        self.state = PPOState(
            policy=learner, value_model=value_model, score_mean=mean, score_sd=sd, kl_coef=settings.kl_coef,
            policy_optimizer=new_optimizer(learner, self.lr), value_optimizer=new_optimizer(value_model, self.lr),
        )  # fmt: skip
        if settings.gradient_checkpointing:
            recompute_activations(learner)
            recompute_activations(value_model.body)
        if settings.ema:
            self.state.start_average()

    def _normalization(self) -> tuple[float, float]:
        """Mean and sd of the reference's scores, on prompts drawn for this alone; (0, 1) when it is switched off."""
        rows = same(normalization_rows(len(self.inputs.prompts), self.settings))
        if not rows:
            return 0.0, 1.0
        scores, finished = map(
            torch.cat, zip(*(self.inputs.answers(some, self.settings) for some in rows), strict=True)
        )
        require_endings(finished, self.settings)
        values = scores.double()
        mean, sd = float(values.mean()), float(values.std(correction=0))
        if not math.isfinite(sd) or sd < 1e-6:
            raise UserError(
                f"the reward is {mean:.4g} for each of {len(values)} responses of the reference; it must tell responses apart; "
                "check the reward, or switch --no-normalize-scores on"
            )
        return mean, sd

    def rollout(self) -> Rollout:
        """The next batch of prompts, answered by the policy as it is."""
        settings, state = self.settings, self.state
        rows = prompt_rows(state.prompts_taken, settings.batch_size, len(self.inputs.prompts), settings.seed)
        state.prompts_taken += settings.batch_size
        with self.clock.part("generate"):
            self.engine.sync()
        return self.rollout_of(rows)

    def rollout_of(self, rows: list[int]) -> Rollout:
        """These prompts, answered by the policy as it is."""
        prompts, encoded = [self.inputs.prompts[row] for row in rows], [self.inputs.encoded[row] for row in rows]
        state = self.state
        return make_rollout(
            self.roles, self.engine, prompts, encoded, self.settings, state.score_mean, state.score_sd, state.kl_coef,
            self.clock,
        )  # fmt: skip

    def measured(self) -> tuple[Rollout, dict[str, float]]:
        """The next rollout and what it says of the policy, with the time that it took."""
        begun = time.perf_counter()
        rollout = self.rollout()
        metrics = measure(rollout, self.state, self.settings)
        metrics["rollout/pad_error"] = pad_error(self.roles, rollout, self.settings)
        seconds = time.perf_counter() - begun
        tokens = int(rollout.tokens.response_mask.sum())
        return rollout, same(
            metrics | {"time/rollout_seconds": seconds, "time/rollout_tokens_per_second": tokens / seconds}
        )

    def kept_if_best(self, metrics: dict[str, float]) -> dict[str, float]:
        """Keeps the policy where it is the best so far. Returns what it was chosen by besides the rollout."""
        with self.clock.part("selection"):
            chosen = same(self.selection_score())
        metrics = metrics | chosen
        if not self.state.best or worth(metrics, self.settings) > worth(self.state.best, self.settings):
            self.state.keep_best(_objective(metrics))
        return chosen

    def timed_update(self, rollout: Rollout) -> dict[str, float]:
        """An update, with the time that it took."""
        begun = time.perf_counter()
        with self.clock.part("update"):
            metrics = self.update(rollout)
        seconds = time.perf_counter() - begun
        return metrics | {
            "time/update_seconds": seconds,
            "time/update_tokens_per_second": metrics["optim/tokens"] / seconds,
        }

    def selection_score(self) -> dict[str, float]:
        """The held-out reward model's score of the policy that would be kept; nothing where there is none."""
        if self.inputs.selection is None:
            return {}
        with self.state.as_kept():
            return {SCORE: self.inputs.selection.measure(self.roles.policy, self.roles.tokenizer, self.settings)}

    def update(self, rollout: Rollout) -> dict[str, float]:
        """One update, at the rate that the schedule and the steering ask for."""
        settings, state = self.settings, self.state
        annealed = self.lr * (1.0 - (state.step - 1) / settings.steps)  # linear to 0: lm-human-preferences, N+
        for optimizer, scale in ((state.policy_optimizer, state.lr_scale), (state.value_optimizer, 1.0)):
            for group in optimizer.param_groups:
                group["lr"] = annealed * scale
        metrics = same(update(state, rollout, settings, self.inputs.ptx) | {"optim/lr": annealed * state.lr_scale})
        if not all(math.isfinite(metrics[name]) for name in ("optim/grad_norm", "value/loss")):
            raise UserError(f"--lr {self.lr:.3g}: training diverged at step {state.step}; give a lower one")
        if settings.lr is None and settings.approx_kl_target:
            state.lr_scale = steered(state.lr_scale, metrics["policy/approx_kl"], settings.approx_kl_target)
        if settings.kl_target is not None:
            kl, responses = same(float(rollout.kl.mean())), len(rollout.tokens)
            state.kl_coef = adapted_kl_coef(state.kl_coef, kl, responses, settings.kl_target, settings.kl_horizon)
        return metrics


def new_engine(policy: Any, tokenizer: Any, stops: tuple[int, ...], settings: Any, server: Any) -> Engine:
    """The engine that --rollout-engine names. server: what `ppo.vllm_server.connect` gave; None for transformers."""
    if server is None:
        return TransformersEngine(policy, tokenizer, settings)
    from ppo.vllm_engine import VLLMEngine

    return VLLMEngine(policy, tokenizer, stops, settings, server)


def run(settings: PPOSettings) -> dict[str, Any]:
    """The whole command. Stops early when KL passes --kl-max; writes the best policy that a rollout has measured."""
    check_shares(settings)
    with output_directory(settings.output) as directory, tracker(settings.report_to, directory, settings) as tracked:
        started = time.time()
        checkpoints = Checkpoints("ppo", settings, READS)
        trainer = Trainer(settings, checkpoint=checkpoints.start)
        with history(directory) as record, closing(trainer.engine):
            stopped = train(trainer, checkpoints, both(tracked, record))
        state, steps = trainer.state, [values for values, _ in checkpoints.lines]
        if settings.save_state:
            state.save(directory / "state")
        state.restore_best()
        samples = before_and_after(trainer.roles, trainer.inputs.prompts, trainer.inputs.encoded, settings)
        weights = whole_weights(trainer.roles.policy)
        result = {
            "final": _objective(steps[-1]), "best": state.best, "steps": state.step, "stopped": stopped,
            "score_mean_reference": state.score_mean, "score_sd_reference": state.score_sd, "lr": trainer.lr,
            "last_update": {name: value for name, value in (steps[-2] if len(steps) > 1 else {}).items() if "/" in name},
            "seconds": time.time() - started,
        }  # fmt: skip
        if is_main():
            roles, final = trainer.roles, Path(settings.output)
            write_jsonl(directory / "samples.jsonl", samples)
            save_model(roles.policy, roles.tokenizer, directory, settings.policy, final, weights)
            write_result(directory, "ppo", settings, result, started)
            if checkpoints.every:
                sync(directory)
    checkpoints.remove()
    return result


def check_shares(settings: PPOSettings) -> None:
    """UserError where the processes cannot share the batches evenly, or the rollouts."""
    if settings.rollout_engine == "vllm" and count() > 1:
        raise UserError(
            f"--rollout-engine is vllm; in {count()} processes it must be transformers: leave it out, or start it without accelerate "
            "launch"
        )
    for name in ("batch_size", "minibatch_size", "ptx_batch_size"):
        require_divisible(flag(name), getattr(settings, name) or settings.minibatch_size)


def train(trainer: Trainer, checkpoints: Checkpoints, log: Log) -> str:
    """Steps until the last one or until KL passes --kl-max. Returns why it stopped."""
    settings, state, log = trainer.settings, trainer.state, checkpoints.logged(log)
    warn = warnings(settings, checkpoints.lines)
    with progress(settings.steps, "ppo", "step", done=state.step) as bar:
        while True:
            rollout, metrics = trainer.measured()
            stopped = "steps done" if state.step == settings.steps else ""
            if not metrics["objective/kl"] <= settings.kl_max:
                stopped = f"objective/kl {metrics['objective/kl']:.3g} passed --kl-max {settings.kl_max:g}"
            else:
                metrics |= trainer.kept_if_best(metrics)
            warn(metrics)
            if not stopped:
                state.step += 1
                metrics |= trainer.timed_update(rollout)
                bar.update()
                bar.set_postfix_str(_line(metrics))
            number = len(checkpoints.lines)
            log(metrics | trainer.clock.shares(PARTS), number)
            if stopped:
                return stopped
            trainer.clock.restart()
            if checkpoints.due(state.step):
                with trainer.clock.part("checkpoint"):
                    checkpoints.save(state.step, state.parts(), state.counters())


def warnings(settings: PPOSettings, lines: list[tuple[dict[str, float], int]]) -> Callable[[dict[str, float]], None]:
    """A function to call on each rollout's metrics: says each fault of `ppo/faults.py` once, on stderr, when it first shows
    in them or in what was logged before."""
    about, said = About(settings.batch_size, settings.kl_max, settings.dtype), set[str]()

    def warn(metrics: dict[str, float]) -> None:
        rows = [{**values, "step": step} for values, step in [*lines, (metrics, len(lines))]]
        for found in faults(rows, about):
            if found.name not in said:
                said.add(found.name)
                tqdm.write(f"warning: {found}", file=sys.stderr)

    return warn


def _line(metrics: dict[str, float]) -> str:
    """What the progress line shows."""
    return (
        f"score {metrics['objective/score']:.2f} kl {metrics['objective/kl']:.1f} "
        f"tok/s {metrics['time/rollout_tokens_per_second']:.0f} rollout {metrics['time/update_tokens_per_second']:.0f} update"
    )


def steered(scale: float, approx_kl: float, target: float) -> float:
    """The factor on the learning rate after an update: ÷ 1.5 above 1.5 · target, × 1.5 below target / 1.5, within 1/8 … 8.

    Source: the adaptive rule of Schulman 2017, §4, applied to the rate instead of the penalty."""
    if approx_kl > 1.5 * target:
        return max(scale / 1.5, 1 / 8)
    if approx_kl < target / 1.5:
        return min(scale * 1.5, 8.0)
    return scale


def _objective(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith("objective/")}
