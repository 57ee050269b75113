"""trl 0.11.4: PPOTrainer's methods called with a stand-in self, PPOv2Trainer.train run on stand-in models.

python -m peers.trl_0_11_4 OUTPUT.safetensors
"""

from __future__ import annotations

from types import MethodType, SimpleNamespace

import torch
from torch import Tensor
from trl.core import masked_mean, masked_var, masked_whiten
from trl.trainer.ppo_trainer import PPOTrainer
from trl.trainer.ppov2_trainer import PPOv2Trainer
from trl.trainer.utils import AdaptiveKLController

from peers import inputs as given
from peers.inputs import Inputs
from peers.output import with_gradient, write_outputs
from peers.trl_rollout import run_train


def compute(x: Inputs) -> dict[str, Tensor]:
    mask = x.mask.long()  # PPOTrainer's masks are attention masks
    result = {
        "masked_mean": masked_mean(x.numbers, mask),
        "masked_var": masked_var(x.numbers, mask),
        "masked_var_population": masked_var(x.numbers, mask, unbiased=False),
        "masked_whiten": masked_whiten(x.numbers, mask),
        "kl_coef": kl_coefs(),
    }
    result |= methods(x, mask)
    return result | {f"train/{name}": value for name, value in run_train(PPOv2Trainer.train, x).items()}


def kl_coefs() -> Tensor:
    controller = AdaptiveKLController(given.KL_INIT, given.KL_TARGET, given.KL_HORIZON)
    values = []
    for kl in given.KL_SEEN:
        controller.update(kl, given.KL_RESPONSES)
        values.append(float(controller.value))
    return torch.tensor(values, dtype=torch.float64)


def methods(x: Inputs, mask: Tensor) -> dict[str, Tensor]:
    """PPOTrainer's own methods; the stand-in has the settings that they read, and its `_kl_penalty`."""
    trainer = SimpleNamespace(
        config=SimpleNamespace(
            kl_penalty="kl", whiten_rewards=False, gamma=given.GAMMA, lam=given.LAM, vf_coef=1.0, ratio_threshold=10.0,
            cliprange=given.CLIP_RANGE, cliprange_value=given.VALUE_CLIP_RANGE,
        ),
        kl_ctl=SimpleNamespace(value=given.KL_COEF),
    )  # fmt: skip
    trainer._kl_penalty = MethodType(PPOTrainer._kl_penalty, trainer)
    logprobs, ref_logprobs, new_logprobs = (x.logprobs(z) for z in (x.logits, x.ref_logits, x.new_logits))
    rewards, non_score_rewards, k1 = PPOTrainer.compute_rewards(trainer, x.scores, logprobs, ref_logprobs, mask)
    _, advantages, returns = PPOTrainer.compute_advantages(trainer, x.values, rewards, mask)
    trainer.config.kl_penalty = "mse"
    k2 = trainer._kl_penalty(logprobs, ref_logprobs)

    def losses(new_logprobs: Tensor, new_values: Tensor) -> tuple[Tensor, Tensor]:
        fixed = (x.new_logits, new_values, new_logprobs, mask, x.advantages, x.returns)
        return PPOTrainer.loss(trainer, logprobs, x.values, *fixed)[:2]

    policy_loss, policy_gradient = with_gradient(lambda new: losses(new, x.new_values)[0], new_logprobs)
    value_loss, value_gradient = with_gradient(lambda new: losses(new_logprobs, new)[1], x.new_values)
    statistics = {"val/error": torch.ones(1), "returns/var": torch.ones(1)}  # read on the way, not compared
    step = PPOTrainer.record_step_stats(
        trainer, given.KL_COEF, masks=mask, kls=k1, logprobs=logprobs, ref_logprobs=ref_logprobs, scores=x.scores,
        non_score_reward=non_score_rewards, queries=x.queries, responses=x.responses, train_stats=statistics,
    )  # fmt: skip
    return {
        "k1": k1, "k2": k2, "kl": step["objective/kl"], "rewards": rewards, "advantages": advantages, "returns": returns,
        "policy_loss": policy_loss, "policy_gradient": policy_gradient,
        "value_loss": value_loss, "value_gradient": value_gradient,
    }  # fmt: skip


if __name__ == "__main__":
    write_outputs(compute, ("trl", "transformers"))
