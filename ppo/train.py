"""`align ppo`: rollout, measure, update, until the steps are done or the policy has gone too far from its reference."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from alignment.chat import encode_prompt, stop_ids
from alignment.checkpoint import Checkpoints, sync
from alignment.errors import UserError
from alignment.functions import load_function
from alignment.history import both, history
from alignment.learning_rates import learning_rate
from alignment.masked import masked_mean, masked_variance
from alignment.models import add_lora, frozen_copy, load_policy, parameter_count, save_model
from alignment.progress import progress
from alignment.records import PromptRecord, read_prompts, write_jsonl
from alignment.run import output_directory
from alignment.run_record import write_result
from alignment.sampling import check_lengths, generate
from alignment.scorer import Scorer, load_judge, load_scorer
from alignment.seeds import seed_everything
from alignment.tracking import Log, tracker
from alignment.training_state import load_values
from ppo.config import PPOSettings
from ppo.cursor import prompt_rows
from ppo.kl_controller import adapted_kl_coef
from ppo.loss import kl_estimates
from ppo.ptx import PtxData, read_ptx
from ppo.rollout import (
    Roles,
    Rollout,
    Score,
    adapter_off,
    always,
    make_rollout,
    same_tokens,
    score_with_function,
    score_with_model,
)
from ppo.samples import before_and_after
from ppo.scores import ended
from ppo.selection import SCORE, Selection, read_selection, worth
from ppo.state import PPOState
from ppo.update import new_optimizer, update
from ppo.value import value_model_from_policy, value_model_from_scorer

READS = ("prompts", "ptx_data", "selection_prompts")  # settings whose files may not change while a run is stopped
NORMALIZATION_RESPONSES = 256  # responses of the reference that scores are normalised on


@dataclass(frozen=True)
class Inputs:
    """All that a run reads. encoded: the token ids of each prompt. scorer: None where the reward is a function."""

    prompts: list[PromptRecord]
    encoded: list[list[int]]
    policy: Any
    tokenizer: Any
    scorer: Scorer | None
    score: Score
    gold: Score | None
    stops: tuple[int, ...]
    ptx: PtxData | None = None
    selection: Selection | None = None

    def answers(self, rows: list[int], settings: PPOSettings) -> tuple[torch.Tensor, torch.Tensor]:
        """(scores, whether an EOS ended it) of the reference's responses, one to each of these prompts."""
        tokens = generate(self.policy, self.tokenizer, [self.encoded[row] for row in rows], settings)
        return self.score([self.prompts[row] for row in rows], tokens), ended(tokens, [*self.stops])


def read_inputs(settings: PPOSettings) -> Inputs:
    """Reads, loads, tokenizes and checks, before anything slow; seeds the run."""
    if (settings.reward_model is None) == (settings.reward is None):
        given = "both" if settings.reward else "none of them"
        raise UserError(f"--reward-model and --reward: {given} given; give exactly one")
    prompts = read_prompts(settings.prompts)
    judge = load_function(settings.reward, "--reward", settings.function_timeout) if settings.reward else None
    rule, gold = (settings.ensemble_rule, settings.ensemble_lambda), None
    if settings.gold:
        gold = load_judge(settings.gold, "--gold", settings.function_timeout, settings.batch_size, *rule)
    seed_everything(settings.seed, settings.threads)
    policy, tokenizer = load_policy(settings.policy, "--policy", settings.dtype)
    scorer = None
    if settings.reward_model:
        scorer = load_scorer(settings.reward_model, "--reward-model", settings.dtype, *rule)
    encoded = [encode_prompt(tokenizer, prompt.prompt) for prompt in prompts]
    check_lengths(encoded, policy, settings.max_new_tokens, f"--prompts {settings.prompts}")
    stops = stop_ids(tokenizer, policy)
    if scorer:
        score = score_with_model(scorer, tokenizer, stops, settings.batch_size)
    else:
        assert judge is not None
        score = score_with_function(judge, tokenizer, stops)
    gold_score = score_with_function(gold, tokenizer, stops) if gold else None
    ptx, selection = read_ptx(settings, policy, tokenizer), read_selection(settings, policy, tokenizer)
    return Inputs(prompts, encoded, policy, tokenizer, scorer, score, gold_score, tuple(stops), ptx, selection)


class Trainer:
    """A PPO run: its inputs, the roles, and the state that `step` moves on."""

    def __init__(self, settings: PPOSettings, inputs: Inputs | None = None, checkpoint: Path | None = None) -> None:
        """checkpoint: where to go on from; None starts anew."""
        self.settings = settings
        self.inputs = inputs or read_inputs(settings)
        self.lr = settings.lr or learning_rate("ppo", parameter_count(self.inputs.policy), settings.lora_rank > 0)
        saved = load_values(checkpoint) if checkpoint else None
        self._take_roles(*((saved["score_mean"], saved["score_sd"]) if saved else self._normalization()))
        if checkpoint:
            self.state.load(checkpoint)

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
        self.roles = Roles(
            learner, tokenizer, reference_model, reference, value_model, inputs.score, inputs.gold, inputs.stops
        )
        self.state = PPOState(
            policy=learner, value_model=value_model, score_mean=mean, score_sd=sd, kl_coef=settings.kl_coef,
            policy_optimizer=new_optimizer(learner, self.lr), value_optimizer=new_optimizer(value_model, self.lr),
        )  # fmt: skip
        if settings.ema:
            self.state.start_average()

    def _normalization(self) -> tuple[float, float]:
        """Mean and sd of the reference's scores, on prompts drawn for this alone; (0, 1) when it is switched off."""
        rows = normalization_rows(len(self.inputs.prompts), self.settings)
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
        return self.rollout_of(rows)

    def rollout_of(self, rows: list[int]) -> Rollout:
        """These prompts, answered by the policy as it is."""
        prompts, encoded = [self.inputs.prompts[row] for row in rows], [self.inputs.encoded[row] for row in rows]
        state = self.state
        return make_rollout(
            self.roles, prompts, encoded, self.settings, state.score_mean, state.score_sd, state.kl_coef
        )

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
        metrics = update(state, rollout, settings, self.inputs.ptx) | {"optim/lr": annealed * state.lr_scale}
        if not all(math.isfinite(metrics[name]) for name in ("optim/grad_norm", "value/loss")):
            raise UserError(f"--lr {self.lr:.3g}: training diverged at step {state.step}; give a lower one")
        if settings.lr is None and settings.approx_kl_target:
            state.lr_scale = steered(state.lr_scale, metrics["policy/approx_kl"], settings.approx_kl_target)
        if settings.kl_target is not None:
            kl, responses = float(rollout.kl.mean()), len(rollout.tokens)
            state.kl_coef = adapted_kl_coef(state.kl_coef, kl, responses, settings.kl_target, settings.kl_horizon)
        return metrics


def run(settings: PPOSettings) -> dict[str, Any]:
    """The whole command. Stops early when KL passes --kl-max; writes the best policy that a rollout has measured."""
    with output_directory(settings.output) as directory, tracker(settings.report_to, directory, settings) as tracked:
        started = time.time()
        checkpoints = Checkpoints("ppo", settings, READS)
        trainer = Trainer(settings, checkpoint=checkpoints.start)
        with history(directory) as record:
            stopped = train(trainer, checkpoints, both(tracked, record))
        state, steps = trainer.state, [values for values, _ in checkpoints.lines]
        if settings.save_state:
            state.save(directory / "state")
        state.restore_best()
        samples = before_and_after(trainer.roles, trainer.inputs.prompts, trainer.inputs.encoded, settings)
        write_jsonl(directory / "samples.jsonl", samples)
        save_model(trainer.roles.policy, trainer.roles.tokenizer, directory, settings.policy, Path(settings.output))
        result = {
            "final": _objective(steps[-1]), "best": state.best, "steps": state.step, "stopped": stopped,
            "score_mean_reference": state.score_mean, "score_sd_reference": state.score_sd, "lr": trainer.lr,
            "last_update": {name: value for name, value in (steps[-2] if len(steps) > 1 else {}).items() if "/" in name},
            "seconds": time.time() - started,
        }  # fmt: skip
        write_result(directory, "ppo", settings, result, started)
        if checkpoints.every:
            sync(directory)
    checkpoints.remove()
    return result


def train(trainer: Trainer, checkpoints: Checkpoints, log: Log) -> str:
    """Steps until the last one or until KL passes --kl-max. Returns why it stopped."""
    settings, state, log = trainer.settings, trainer.state, checkpoints.logged(log)
    with progress(settings.steps, "ppo", "step", done=state.step) as bar:
        while True:
            begun = time.perf_counter()
            rollout = trainer.rollout()
            metrics = measure(rollout, state, settings) | {"time/rollout_seconds": time.perf_counter() - begun}
            if not metrics["objective/kl"] <= settings.kl_max:
                log(metrics, state.step)
                return f"objective/kl {metrics['objective/kl']:.3g} passed --kl-max {settings.kl_max:g}"
            metrics |= trainer.selection_score()
            if not state.best or worth(metrics, settings) > worth(state.best, settings):
                state.keep_best(_objective(metrics))
            if state.step == settings.steps:
                log(metrics, state.step)
                return "steps done"
            begun, state.step = time.perf_counter(), state.step + 1
            metrics |= trainer.update(rollout) | {"time/update_seconds": time.perf_counter() - begun}
            bar.update()
            bar.set_postfix_str(f"score {metrics['objective/score']:.2f} kl {metrics['objective/kl']:.1f}")
            log(metrics, state.step - 1)
            if checkpoints.due(state.step):
                checkpoints.save(state.step, state.parts(), state.counters())


def measure(rollout: Rollout, state: PPOState, settings: PPOSettings) -> dict[str, float]:
    """What a rollout says of the policy that made it, before it is updated."""
    mask, kl = rollout.tokens.response_mask, rollout.kl
    k3 = kl_estimates(rollout.logprobs - rollout.ref_logprobs)[2].masked_fill(~mask, 0.0)
    lengths = mask.sum(1).double()
    unexplained, variance = (masked_variance(x, mask) for x in (rollout.returns - rollout.values, rollout.returns))
    return {
        "objective/score": float(rollout.scores.mean()),
        **({} if rollout.gold is None else {"objective/gold": float(rollout.gold.mean())}),
        "objective/kl": float(kl.mean()),
        "objective/kl_k3": float(k3.sum(1).mean()),
        "objective/kl_coef": state.kl_coef,
        "objective/entropy": float(masked_mean(rollout.entropy, mask)),
        "objective/rlhf_reward": float((rollout.normalized - state.kl_coef * kl).mean()),
        "value/explained_variance": float(1.0 - unexplained / variance) if variance > 0 else 0.0,
        "rollout/response_tokens": float(lengths.mean()),
        "rollout/eos_fraction": float((lengths < settings.max_new_tokens).double().mean()),
    }


def steered(scale: float, approx_kl: float, target: float) -> float:
    """The factor on the learning rate after an update: ÷ 1.5 above 1.5 · target, × 1.5 below target / 1.5, within 1/8 … 8.

    Source: the adaptive rule of Schulman 2017, §4, applied to the rate instead of the penalty."""
    if approx_kl > 1.5 * target:
        return max(scale / 1.5, 1 / 8)
    if approx_kl < target / 1.5:
        return min(scale * 1.5, 8.0)
    return scale


def require_endings(finished: torch.Tensor, settings: PPOSettings) -> None:
    """UserError where --missing-eos would punish most of what the reference says: the score would tell little apart."""
    share = float(finished.double().mean())
    if settings.missing_eos == "penalty" and share < 0.5:
        raise UserError(
            f"--missing-eos is penalty, but only {share:.0%} of the reference's responses end within --max-new-tokens "
            f"{settings.max_new_tokens}; it must be at least half: raise --max-new-tokens, or use none"
        )


def normalization_rows(count: int, settings: PPOSettings) -> list[list[int]]:
    """Which of `count` prompts the reference answers to normalise scores, in batches; none when it is switched off."""
    if not settings.normalize_scores:
        return []
    return _chunks(torch.randperm(count)[:NORMALIZATION_RESPONSES].tolist(), settings.batch_size)


def _objective(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith("objective/")}


def _chunks(rows: list[int], size: int) -> list[list[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
