"""verl 0.9.1: functions of core_algos and torch_functional, the score's placement and the KL penalty of its trainer.

python -m peers.verl_0_9_1 OUTPUT.safetensors
"""

from __future__ import annotations

import torch
from torch import Tensor
from verl import DataProto
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
from verl.trainer.ppo import core_algos
from verl.trainer.ppo.ray_trainer import apply_kl_penalty
from verl.utils import torch_functional
from verl.workers.config import ActorConfig

from peers import inputs as given
from peers.inputs import CLIP_RANGE, VALUE_CLIP_RANGE, Inputs
from peers.output import with_gradient, write_outputs

NO_DUAL_CLIP = 1e9  # verl's default caps the loss at 3 · |A| where A < 0; ours has no such cap


def compute(x: Inputs) -> dict[str, Tensor]:
    mask = x.mask.long()  # verl's response_mask is a slice of the attention mask
    result = {
        "masked_mean": torch_functional.masked_mean(x.numbers, mask),
        "masked_var": torch_functional.masked_var(x.numbers, mask),
        "masked_var_population": torch_functional.masked_var(x.numbers, mask, unbiased=False),
        "masked_whiten": torch_functional.masked_whiten(x.numbers, mask),
        "kl_coef": kl_coefs(),
    }
    return result | rewards(x, mask) | losses(x, mask)


def kl_coefs() -> Tensor:
    controller = core_algos.AdaptiveKLController(given.KL_INIT, given.KL_TARGET, given.KL_HORIZON)
    values = []
    for kl in given.KL_SEEN:
        controller.update(kl, given.KL_RESPONSES)
        values.append(float(controller.value))
    return torch.tensor(values, dtype=torch.float64)


def rewards(x: Inputs, mask: Tensor) -> dict[str, Tensor]:
    """From scores to advantages, through verl's own batch class."""
    logprobs, ref_logprobs = x.logprobs(x.logits), x.logprobs(x.ref_logits)
    attention = torch.cat([torch.ones_like(x.queries), mask], 1)
    batch = {"prompts": x.queries, "responses": x.responses, "attention_mask": attention, "response_mask": mask}
    data = DataProto.from_dict(batch | {"old_log_probs": logprobs, "ref_log_prob": ref_logprobs})
    placed = RewardManagerBase.assemble_rm_scores(data, x.scores.tolist()).to(x.values.dtype)
    data.batch["token_level_scores"] = placed
    data, metrics = apply_kl_penalty(data, core_algos.FixedKLController(given.KL_COEF))
    shaped = data.batch["token_level_rewards"]
    advantages, returns = core_algos.compute_gae_advantage_return(shaped, x.values, mask, given.GAMMA, given.LAM)
    kl = {name: core_algos.kl_penalty(logprobs, ref_logprobs, name) for name in ("k1", "k2", "k3")}
    return kl | {
        "placed_scores": placed, "rewards": shaped, "advantages": advantages, "returns": returns,
        "kl": torch.tensor(metrics["actor/reward_kl_penalty"]),
        "rewards_by_compute_rewards": core_algos.compute_rewards(placed, logprobs, ref_logprobs, given.KL_COEF),
    }  # fmt: skip


def losses(x: Inputs, mask: Tensor) -> dict[str, Tensor]:
    logprobs, new_logprobs = x.logprobs(x.logits), x.logprobs(x.new_logits)
    actor = ActorConfig(
        strategy="fsdp", rollout_n=1, ppo_micro_batch_size_per_gpu=1, clip_ratio=CLIP_RANGE, clip_ratio_low=CLIP_RANGE,
        clip_ratio_high=CLIP_RANGE, clip_ratio_c=NO_DUAL_CLIP,
    )  # fmt: skip

    def deprecated(new: Tensor) -> Tensor:
        clip = {"cliprange": CLIP_RANGE, "clip_ratio_c": NO_DUAL_CLIP}
        return core_algos.compute_policy_loss(logprobs, new, x.advantages, mask, **clip)[0]

    def vanilla(new: Tensor) -> Tensor:
        return core_algos.compute_policy_loss_vanilla(logprobs, new, x.advantages, mask, config=actor)[0]

    def value(new: Tensor) -> Tensor:
        return core_algos.compute_value_loss(new, x.returns, x.values, mask, VALUE_CLIP_RANGE)[0]

    policy_loss, policy_gradient = with_gradient(vanilla, new_logprobs)
    value_loss, value_gradient = with_gradient(value, x.new_values)
    halves = [(rows, slice(None)) for rows in (slice(0, 5), slice(5, None))]
    return {
        "policy_loss": policy_loss, "policy_gradient": policy_gradient,
        "policy_loss_deprecated": deprecated(new_logprobs),
        "value_loss": value_loss, "value_gradient": value_gradient,
        "agg_loss": core_algos.agg_loss(x.numbers, mask, "token-mean"),
        "agg_loss_of_micro_batches": sum(
            core_algos.agg_loss(x.numbers[half], mask[half], "token-mean", batch_num_tokens=mask.sum()) for half in halves
        ),
    }  # fmt: skip


if __name__ == "__main__":
    write_outputs(compute, ("verl", "transformers", "ray", "tensordict"))
