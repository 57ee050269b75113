"""What a PPO run reads: prompts, policy, reward, and what its options ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from alignment.body import compute_in
from alignment.chat import encode_prompt, stop_ids
from alignment.collectives import all_of, share
from alignment.errors import UserError
from alignment.functions import load_function
from alignment.models import Dtype, load_policy
from alignment.records import PromptRecord, read_prompts
from alignment.sampling import check_lengths, generate
from alignment.scorer import Scorer, load_judge, load_scorer
from alignment.seeds import seed_everything
from alignment.shared_base import Base
from ppo.config import PPOSettings
from ppo.ptx import PtxData, read_ptx
from ppo.rollout import Score, score_with_function, score_with_model
from ppo.scores import ended
from ppo.selection import Selection, read_selection
from ppo.vllm_server import connect, require_fitting

READS = ("prompts", "ptx_data", "selection_prompts")  # settings whose files may not change while a run is stopped
NORMALIZATION_RESPONSES = 256  # responses of the reference that scores are normalised on


@dataclass(frozen=True)
class Inputs:
    """All that a run reads. encoded: the token ids of each prompt. scorer: None where the reward is a function. server:
    the client of the vLLM server that draws the rollouts, None where this process does."""

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
    server: Any = None

    def answers(self, rows: list[int], settings: PPOSettings) -> tuple[torch.Tensor, torch.Tensor]:
        """(scores, whether an EOS ended it) of the reference's responses, one to each of these prompts."""
        own = share(rows)
        tokens = generate(self.policy, self.tokenizer, [self.encoded[row] for row in own], settings)
        scores, finished = self.score([self.prompts[row] for row in own], tokens), ended(tokens, [*self.stops])
        return all_of(scores, len(rows)), all_of(finished, len(rows))


def read_inputs(settings: PPOSettings) -> Inputs:
    """Reads, loads, tokenizes and checks, before anything slow; seeds the run."""
    if (settings.reward_model is None) == (settings.reward is None):
        given = "both" if settings.reward else "none of them"
        raise UserError(f"--reward-model and --reward: {given} given; give exactly one")
    prompts = read_prompts(settings.prompts)
    server = connect(settings)
    judge = load_function(settings.reward, "--reward", settings.function_timeout) if settings.reward else None
    rule, gold = (settings.ensemble_rule, settings.ensemble_lambda), None
    if settings.gold:
        gold = load_judge(settings.gold, "--gold", settings.function_timeout, settings.batch_size, *rule)
    seed_everything(settings.seed, settings.threads)
    policy, tokenizer = load_policy(settings.policy, "--policy", policy_dtype(settings))
    scorer = None
    if settings.reward_model:
        base = Base(policy, tokenizer) if settings.lora_rank else None  # what learns in full shares nothing
        scorer = load_scorer(settings.reward_model, "--reward-model", settings.dtype, *rule, base)
        compute_in(scorer.model, settings.dtype)  # the value model starts from it
    compute_in(policy, settings.dtype)  # after what is copied from it, which has its own
    encoded = [encode_prompt(tokenizer, prompt.prompt) for prompt in prompts]
    check_lengths(encoded, policy, settings.max_new_tokens, f"--prompts {settings.prompts}")
    if server:
        require_fitting(server, policy, encoded, settings)
    stops = stop_ids(tokenizer, policy)
    if scorer:
        score = score_with_model(scorer, tokenizer, stops, settings.batch_size)
    else:
        assert judge is not None
        score = score_with_function(judge, tokenizer, stops)
    gold_score = score_with_function(gold, tokenizer, stops) if gold else None
    ptx, selection = read_ptx(settings, policy, tokenizer), read_selection(settings, policy, tokenizer)
    return Inputs(prompts, encoded, policy, tokenizer, scorer, score, gold_score, tuple(stops), ptx, selection, server)


def policy_dtype(settings: PPOSettings) -> Dtype:
    """What the policy is held in: float32 where all of it learns, the type asked for where it stays frozen under LoRA."""
    return settings.dtype if settings.lora_rank else "float32"


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


def _chunks(rows: list[int], size: int) -> list[list[int]]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]
