"""trl 1.12.0, its last release with PPO: the masked statistics called, PPOTrainer.train run on stand-in models.

python -m peers.trl_1_12_0 OUTPUT.safetensors
"""

from __future__ import annotations

from torch import Tensor
from trl.experimental.ppo.ppo_trainer import PPOTrainer, masked_mean, masked_var, masked_whiten

from peers.inputs import Inputs
from peers.output import write_outputs
from peers.trl_rollout import run_train


def compute(x: Inputs) -> dict[str, Tensor]:
    result = {
        "masked_mean": masked_mean(x.numbers, x.mask),
        "masked_var": masked_var(x.numbers, x.mask),
        "masked_var_population": masked_var(x.numbers, x.mask, unbiased=False),
        "masked_whiten": masked_whiten(x.numbers, x.mask),
        "train/k3": run_train(PPOTrainer.train, x, "k3")["kl"],
    }
    return result | {f"train/{name}": value for name, value in run_train(PPOTrainer.train, x).items()}


if __name__ == "__main__":
    write_outputs(compute, ("trl", "transformers"))
