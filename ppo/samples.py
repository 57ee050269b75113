"""What the policy said before and says after, to a few fixed prompts: for people to read."""

from __future__ import annotations

from typing import Any

from alignment.chat import stop_ids
from alignment.models import unwrapped
from alignment.records import PromptRecord
from alignment.sampling import generate
from alignment.seeds import apart
from ppo.config import PPOSettings
from ppo.rollout import Roles, responses_of

SAMPLED_PROMPTS = 8


def before_and_after(
    roles: Roles, prompts: list[PromptRecord], encoded: list[list[int]], settings: PPOSettings
) -> list[dict[str, Any]]:
    """{id, prompt, start, final} for the first 8 prompts: an answer of the reference and one of the policy as it is, each
    {text, finished, score, gold?}. Both are drawn from the run's seed, and the run's own random numbers stay as they are."""
    prompts, encoded = prompts[:SAMPLED_PROMPTS], encoded[:SAMPLED_PROMPTS]
    with roles.reference():
        start = _answers(roles, roles.reference_model, prompts, encoded, settings)
    final = _answers(roles, roles.policy, prompts, encoded, settings)
    return [
        {"id": prompt.id, "prompt": prompt.prompt, "start": first, "final": last}
        for prompt, first, last in zip(prompts, start, final, strict=True)
    ]


def _answers(
    roles: Roles, model: Any, prompts: list[PromptRecord], encoded: list[list[int]], settings: PPOSettings
) -> list[dict[str, Any]]:
    with apart(settings.seed):
        tokens = generate(model, roles.tokenizer, encoded, settings)
        scores, gold = roles.score(prompts, tokens), roles.gold_scores(prompts, tokens)
    responses = responses_of(roles.tokenizer, stop_ids(roles.tokenizer, unwrapped(model)), tokens)
    answers = [
        {"text": response.text, "finished": response.finished, "score": score}
        for response, score in zip(responses, scores.tolist(), strict=True)
    ]
    if gold is not None:
        answers = [{**answer, "gold": value} for answer, value in zip(answers, gold.tolist(), strict=True)]
    return answers
