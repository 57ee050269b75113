"""Stand-ins that let TRL's `train()` run its own lines on given tensors: models that answer from tables, no training.

TRL's PPO (PPOv2Trainer in 0.11.4, PPOTrainer in 1.12.0) keeps reward shaping, GAE and both losses inside `train()`. It is
called here with an object that has the attributes that it reads; every line from the log-probs to the loss is TRL's.
Its results are read from its local variables at the one call per minibatch that passes outside, `accelerator.backward`."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig

from peers import inputs as given
from peers.inputs import B, Inputs, P, T, V


def run_train(train: Any, x: Inputs, kl_estimator: str = "k1") -> dict[str, Tensor]:
    """What one rollout and one update of `train` (an unbound method) computed: (B,T) tensors and two losses."""
    trainer = stand_in(x, kl_estimator)
    np.random.seed(given.SEED)  # it shuffles the rows; a sum's last bit depends on their order
    train(trainer)
    return trainer.accelerator.seen


class Accelerator:
    """One process on a CPU. `backward` is where the results are read."""

    device = torch.device("cpu")
    state = SimpleNamespace(deepspeed_plugin=None)

    def __init__(self) -> None:
        self.seen: dict[str, Tensor] = {}

    def backward(self, loss: Tensor) -> None:
        frame = inspect.currentframe()
        assert frame is not None
        assert frame.f_back is not None
        names = dict(frame.f_back.f_locals)
        rows = torch.as_tensor(names["micro_batch_inds"])
        for name in ("kl", "rewards", "advantages", "returns"):
            self.seen[name] = names[name].clone()
        self.seen["policy_loss"], self.seen["value_loss"] = names["pg_loss"].detach(), names["vf_loss"].detach()
        for name, of, by in (("policy_gradient", "pg_loss", "new_logprobs"), ("value_gradient", "vf_loss", "vpred")):
            gradient = torch.zeros(B, T)
            gradient[rows] = torch.autograd.grad(names[of], names[by], retain_graph=True)[0]
            self.seen[name] = gradient

    def print(self, *words: object) -> None: ...

    def accumulate(self, model: object) -> Any:
        return nullcontext()

    def unwrap_model(self, model: Any, **options: object) -> Any:
        return model

    def gather(self, value: Tensor) -> Tensor:
        return value

    gather_for_metrics = gather


class LanguageModel:
    """A policy whose logits come from a table: row by the query's first id, position by the sequence's."""

    is_gradient_checkpointing = False

    def __init__(self, table: Tensor, responses: Tensor) -> None:
        self.table, self.responses = table, responses
        self.generation_config = GenerationConfig()

    def __call__(self, input_ids: Tensor, **options: object) -> Any:
        logits = torch.zeros(len(input_ids), P + T, V)
        logits[:, P - 1 : -1] = self.table[input_ids[:, 0] - given.FIRST_ROW]
        return SimpleNamespace(logits=logits)

    def generate(self, input_ids: Tensor, **options: object) -> Any:
        rows = input_ids[:, 0] - given.FIRST_ROW
        sequences = torch.cat([input_ids, self.responses[rows]], 1)
        return SimpleNamespace(sequences=sequences, scores=self.table[rows].unbind(1))


class ScalarModel:
    """A value or reward model: `backbone` gives the table's rows as hidden states (B,S,1), `score` passes them on."""

    base_model_prefix = "backbone"

    def __init__(self, table: Tensor) -> None:
        self.table = table

    def backbone(self, input_ids: Tensor, **options: object) -> Any:
        return SimpleNamespace(hidden_states=[self.table[input_ids[:, 0] - given.FIRST_ROW][..., None]])

    def score(self, hidden: Tensor) -> Tensor:
        return hidden


class PolicyAndValue:
    """The sampling policy and value model of the rollout; called in the update, it answers as the new ones."""

    is_gradient_checkpointing = False

    def __init__(self, x: Inputs) -> None:
        self.policy = LanguageModel(x.logits, x.responses)
        self.value_model = ScalarModel(value_table(x.values))
        self.new_policy = LanguageModel(x.new_logits.clone().requires_grad_(), x.responses)
        self.new_value_model = ScalarModel(value_table(x.new_values).requires_grad_())
        self.generation_config = GenerationConfig()

    def __call__(self, input_ids: Tensor, **options: object) -> Any:
        hidden = self.new_value_model.backbone(input_ids).hidden_states[-1]
        return self.new_policy(input_ids), self.new_value_model.score(hidden)

    def train(self) -> None: ...


def value_table(values: Tensor) -> Tensor:
    """(B,S): the value of token t stands at the place before it; 7 where nothing should look."""
    table = torch.full((B, P + T), 7.0)
    table[:, P - 1 : -1] = values
    return table


def score_table(x: Inputs) -> Tensor:
    """(B,S): the score at the response's last token; −9 elsewhere."""
    table = torch.full((B, P + T), -9.0)
    table[torch.arange(B), P + x.mask.sum(1) - 1] = x.scores
    return table


def stand_in(x: Inputs, kl_estimator: str) -> Any:
    """Everything that `train` reads from `self`, under the names of both versions."""
    control = SimpleNamespace(should_save=False)
    events = dict.fromkeys(("on_train_begin", "on_step_end", "on_train_end"), lambda args, state, control: control)
    no_step = SimpleNamespace(step=lambda: None, zero_grad=lambda: None, get_last_lr=lambda: [0.0])
    words = SimpleNamespace(pad_token_id=given.PAD, eos_token_id=given.EOS)
    reference = LanguageModel(x.ref_logits, x.responses)
    return SimpleNamespace(
        args=arguments(kl_estimator), accelerator=Accelerator(), optimizer=no_step, lr_scheduler=no_step,
        model=PolicyAndValue(x), ref_policy=reference, ref_model=reference, reward_model=ScalarModel(score_table(x)),
        tokenizer=words, processing_class=words, stop_token_id=given.EOS, dataloader=[{"input_ids": x.queries}],
        train_dataset_len=B, state=SimpleNamespace(), control=control, callback_handler=SimpleNamespace(**events),
        is_deepspeed_enabled=False, log=lambda metrics: None,
    )  # fmt: skip


def arguments(kl_estimator: str) -> Any:
    """One batch, one epoch, one minibatch. The temperature is 1 − 1e-7 because TRL adds 1e-7 before it divides."""
    sizes = ("batch_size", "local_batch_size", "local_mini_batch_size", "per_device_train_batch_size", "total_episodes")
    ones = ("num_ppo_epochs", "num_mini_batches", "gradient_accumulation_steps", "num_total_batches")
    nothing = ("logging_steps", "eval_steps", "save_steps", "missing_eos_penalty")
    return SimpleNamespace(
        **dict.fromkeys(sizes, B), **dict.fromkeys(ones, 1), **dict.fromkeys(nothing),
        local_rollout_forward_batch_size=B, num_sample_generations=0, response_length=T, temperature=1 - 1e-7,
        stop_token_id=given.EOS, whiten_rewards=False, ds3_gather_for_generation=False, kl_estimator=kl_estimator,
        kl_coef=given.KL_COEF, gamma=given.GAMMA, lam=given.LAM, vf_coef=1.0,
        cliprange=given.CLIP_RANGE, cliprange_value=given.VALUE_CLIP_RANGE,
    )  # fmt: skip
