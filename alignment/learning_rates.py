"""The learning rate that `auto` stands for: one rule, three anchors."""

from __future__ import annotations

from typing import Literal

Stage = Literal["sft", "reward", "ppo"]

ANCHORS: dict[Stage, float] = {
    "sft": 1e-5,  # InstructGPT, app. C.1: 9.65e-6 at 1.3 B; on the tiny model 2e-5 · √ was measured to be worse than 1e-5 · √
    "reward": 1e-5,  # TRL's reward-modelling example (0.5 B); InstructGPT 9e-6 at 6 B
    "ppo": 3e-6,  # N+ implementation details, 1 B
}
LORA_FACTOR = 10.0  # Schulman et al. 2025, "LoRA without regret": the best LoRA rate is about 10 times the full one
CEILINGS: dict[Stage, float] = {  # reached by LoRA on models of a few million parameters; rank 16, the tiny model
    "sft": 2e-3,
    "reward": 2e-3,  # pair accuracy .744 against the noise-free annotator; at 5e-3 the loss stayed at ln 2
    "ppo": 7e-4,  # gold .57 at KL 8.4; the rule's 1.9e-3 gave .49 at KL 8.9, for its first updates are too large
}


def learning_rate(stage: Stage, parameters: int, lora: bool) -> float:
    """lr = anchor · √(10⁹ / parameters) · (10 if LoRA), at most the stage's ceiling.

    The square root joins what the papers use at 1 B with what was measured at 0.26 M on the tiny model of
    `benchmarks/real_model.py` (PPO: 3e-6 hardly learns there, 2–3e-4 does). Ours, between two measured ends."""
    return min(ANCHORS[stage] * (1e9 / parameters) ** 0.5 * (LORA_FACTOR if lora else 1.0), CEILINGS[stage])
