"""Which policy is kept: by the objective on the rollouts, or by a reward model that nothing is optimised against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from alignment.chat import encode_prompt, stop_ids
from alignment.collectives import all_of, share
from alignment.records import PromptRecord, read_prompts
from alignment.sampling import check_lengths, generate
from alignment.scorer import load_scorer
from alignment.seeds import apart
from alignment.shared_base import Base
from ppo.config import PPOSettings
from ppo.rollout import Score, score_with_model

SCORE = "objective/selection_score"


@dataclass(frozen=True)
class Selection:
    """Prompts of its own and the score of a held-out reward model."""

    prompts: list[PromptRecord]
    encoded: list[list[int]]
    score: Score

    def measure(self, policy: Any, tokenizer: Any, settings: PPOSettings) -> float:
        """Mean score of one response to each prompt. Every call draws from the run's seed, so that policies are compared on
        the same draws; the run's own random numbers stay as they are."""
        parts = []
        with apart(settings.seed):
            for start in range(0, len(self.prompts), settings.batch_size):
                rows = range(len(self.prompts))[start : start + settings.batch_size]
                own = share([*rows])
                tokens = generate(policy, tokenizer, [self.encoded[row] for row in own], settings)
                parts.append(all_of(self.score([self.prompts[row] for row in own], tokens), len(rows)))
        return float(torch.cat(parts).double().mean())


def read_selection(settings: PPOSettings, policy: Any, tokenizer: Any) -> Selection | None:
    """None where --selection-reward-model is not given."""
    if settings.selection_reward_model is None or settings.selection_prompts is None:
        return None
    prompts = read_prompts(settings.selection_prompts, "--selection-prompts")
    encoded = [encode_prompt(tokenizer, prompt.prompt) for prompt in prompts]
    check_lengths(encoded, policy, settings.max_new_tokens, f"--selection-prompts {settings.selection_prompts}")
    rule = settings.ensemble_rule, settings.ensemble_lambda
    base = Base(policy, tokenizer) if settings.lora_rank else None
    scorer = load_scorer(settings.selection_reward_model, "--selection-reward-model", settings.dtype, *rule, base)
    score = score_with_model(
        scorer, tokenizer, stop_ids(tokenizer, policy), settings.batch_size, "--selection-reward-model"
    )
    return Selection(prompts, encoded, score)


def worth(metrics: dict[str, float], settings: PPOSettings) -> float:
    """What the kept policy has most of: the held-out reward model's score where there is one, else score − kl_coef · KL.

    kl_coef is the setting's, also where it adapts, so that all policies of a run are measured alike."""
    if SCORE in metrics:
        return metrics[SCORE]
    if settings.kl_target is None:
        return metrics["objective/rlhf_reward"]
    return (
        metrics["objective/rlhf_reward"] + (metrics["objective/kl_coef"] - settings.kl_coef) * metrics["objective/kl"]
    )
