"""`align ppo --dry-run`."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from alignment.checkpoint import Checkpoints
from alignment.ensembles import member_paths
from alignment.memory import MOMENTS, Held, least_bytes, require_memory, tensor_bytes
from alignment.models import add_lora, backbone, trainable
from alignment.outline import outline, saving
from alignment.plan import Plan, Read, directory_writes
from alignment.probe import MOST_BATCHES, WHOLE, Probe
from alignment.run import require_free
from alignment.shared_base import adapter_rank, shares
from alignment.tracking import require_installed
from ppo.config import PPOSettings
from ppo.cursor import prompt_rows
from ppo.inputs import READS, Inputs, normalization_rows, policy_dtype, read_inputs
from ppo.train import Trainer


def plan(settings: PPOSettings) -> Plan:
    """One whole rollout and update are probed where that takes seconds; the run may end sooner, at --kl-max."""
    require_free(settings.output, "directory")
    checkpoints = Checkpoints("ppo", settings, READS, look=True)
    require_installed(settings.report_to)
    require_memory(_least(settings), settings)
    probe = Probe()
    inputs = read_inputs(settings)
    probe.prepared()
    quick = _normalization(probe, inputs, settings)
    trainer = Trainer(settings if quick else replace(settings, normalize_scores=False, missing_eos="none"), inputs)
    lengths = _steps(probe, trainer, settings)
    rollouts = settings.steps + 1
    notes = [
        f"at most: the run ends when the KL passes --kl-max {settings.kl_max:g}",
        f"in the probe, {len(lengths):,} responses had {sum(lengths) / len(lengths):.1f} tokens on average",
        *_sharing(trainer),
        *checkpoints.notes(),
        *_engine_notes(settings),
    ]
    state = ("state/state.safetensors", "state/state.json") if settings.save_state else ()
    reward = ("--reward", settings.reward) if settings.reward else ("--reward-model", str(settings.reward_model))
    return probe.plan(
        settings,
        [
            Read("--prompts", settings.prompts, {"prompts": len(inputs.prompts)}),
            Read("--policy", settings.policy, {"parameters": inputs.policy.num_parameters()}),
            Read(*reward, {}),
            *_more_reads(settings, inputs),
        ],
        {"of responses, at most": rollouts * settings.batch_size * settings.max_new_tokens},
        directory_writes(settings.output, "the best policy", "history.jsonl", "samples.jsonl", *state),
        steps=settings.steps * settings.ppo_epochs * (settings.batch_size // settings.minibatch_size),
        grows=tensor_bytes(trainable(trainer.roles.policy)),  # the best policy, beside the one that learns
        saving=_saving(trainer, settings),
        notes=notes,
    )


def _engine_notes(settings: PPOSettings) -> list[str]:
    """A dry run changes nothing, not even the server's weights."""
    if settings.rollout_engine != "vllm":
        return []
    return [
        f"rollouts were drawn by the server at {settings.vllm_url} with the weights that it has; sending it the policy's "
        "before each rollout takes time too"
    ]


def _sharing(trainer: Trainer) -> list[str]:
    """What is said where several models have one copy of their weights."""
    if not trainer.settings.lora_rank:
        return []
    scorer = trainer.inputs.scorer
    if scorer and not shares(trainer.roles.policy, scorer.model):
        return ["two bases in memory: policy and reference have one, the reward model and the value model another"]
    others = "reward model and value model" if scorer else "value model"
    return [f"one base in memory: policy, reference, {others} are adapters and heads on the same weights"]


def _more_reads(settings: PPOSettings, inputs: Inputs) -> list[Read]:
    reads = []
    if settings.ptx_data and inputs.ptx:
        reads.append(Read("--ptx-data", settings.ptx_data, {"records": len(inputs.ptx.examples)}))
    if settings.selection_reward_model and settings.selection_prompts and inputs.selection:
        reads.append(
            Read("--selection-prompts", settings.selection_prompts, {"prompts": len(inputs.selection.prompts)})
        )
        reads.append(Read("--selection-reward-model", settings.selection_reward_model, {}))
    return reads


def _least(settings: PPOSettings) -> list[Held]:
    """The policy and its value model learn; the reference is a frozen copy, but for LoRA the policy itself.

    The value model has the body of the reward model, or of the policy where they read other tokens: the smaller counts.
    Under LoRA its weights are those of the body that is there, so its adapter alone comes on top; the same goes for a reward
    model that has an adapter, if its base is the policy's, which is only seen when both are loaded."""
    rank, dtype = settings.lora_rank, policy_dtype(settings)
    policy = outline(settings.policy, dtype, lambda model: add_lora(model, rank) if rank else model)
    members = member_paths(settings.reward_model) if settings.reward_model else []
    bodies = [settings.policy, *members[:1]]
    value = min((outline(path, dtype, lambda model: _learner(model, rank)) for path in bodies), key=_bytes)
    judges = (
        member_paths(settings.selection_reward_model, "--selection-reward-model")
        if settings.selection_reward_model
        else []
    )
    scorers = [_scorer(member, settings) for member in [*members, *judges]]
    if rank:
        return [policy, Held(value.learning, value.learning), *scorers]
    return [policy, value, policy.frozen, *scorers]


def _scorer(path: str, settings: PPOSettings) -> Held:
    """A reward model: whole, or its adapter where it may share the policy's base."""
    rank = adapter_rank(path) if settings.lora_rank else 0
    if rank:
        return Held(outline(path, settings.dtype, lambda model: _learner(model, rank)).learning)
    return outline(path, settings.dtype, backbone).frozen


def _learner(model: Any, rank: int) -> Any:
    return add_lora(backbone(model), rank, "FEATURE_EXTRACTION") if rank else backbone(model)


def _bytes(one: Held) -> int:
    return least_bytes([one])


def _normalization(probe: Probe, inputs: Inputs, settings: PPOSettings) -> bool:
    """The reference's scores that the others are normalised by. Returns whether all of them would take only seconds."""
    batches = normalization_rows(len(inputs.prompts), settings)
    seconds = probe.measure("normalisation", batches, lambda rows: inputs.answers(rows, settings), len)
    if batches:
        probe.add("scores of the reference, to normalise by", sum(map(len, batches)), "responses", seconds)
    return seconds < WHOLE


def _steps(probe: Probe, trainer: Trainer, settings: PPOSettings) -> list[int]:
    """Rollouts and updates, at a learning rate of 0: it takes as long, and nothing can go astray. Returns the lengths of
    the responses."""
    trainer.lr, trainer.state.step = 0.0, 1
    lengths: list[int] = []
    longest = (0.0, 0.0)  # of all steps probed: seconds of its rollout, and of all of it

    def step(rows: list[int]) -> None:
        nonlocal longest
        begun = time.perf_counter()
        rollout = trainer.rollout_of(rows)
        middle = time.perf_counter()
        trainer.update(rollout)
        longest = max(longest, (middle - begun, time.perf_counter() - begun), key=lambda pair: pair[1])
        lengths.extend(rollout.tokens.response_mask.sum(1).tolist())

    count = len(trainer.inputs.prompts)
    taken = [number * settings.batch_size for number in range(min(settings.steps, MOST_BATCHES))]
    batches = [prompt_rows(start, settings.batch_size, count, settings.seed) for start in taken]
    whole = probe.measure("rollouts and updates", batches, step, len, 1 / len(batches))
    share = longest[0] / longest[1]
    probe.add(
        "rollouts",
        settings.steps + 1,
        f"of {settings.batch_size} responses",
        (settings.steps + 1) * whole * share,
        most=True,
    )
    probe.add(
        "updates", settings.steps, f"of {settings.ppo_epochs} epochs", settings.steps * whole * (1 - share), most=True
    )
    return lengths


def _saving(trainer: Trainer, settings: PPOSettings) -> int:
    """Writing the policy takes a copy of it, writing the state or a checkpoint two of all that it holds."""
    best = tensor_bytes(trainable(trainer.roles.policy))
    learning = best + tensor_bytes(trainable(trainer.state.value_model))
    state = (
        2 * (learning * (1 + MOMENTS) + best) if settings.save_state or 0 < settings.save_every <= settings.steps else 0
    )
    return max(saving(trainer.roles.policy, settings.policy), state)
