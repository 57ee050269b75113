"""Two policies on the same prompts: what each answered, how likely either finds each token, how a judge scored it."""

from __future__ import annotations

from dataclasses import dataclass

from alignment.best_of_n import Best
from alignment.config import GenerationSettings
from alignment.functions import Judge, require_finite
from alignment.records import Prompt, PromptRecord, Response
from alignment.responder import Answer, Responder, TokenStatistics, shared_vocabulary


@dataclass(frozen=True)
class Side:
    """One policy's answers, one a prompt. prompts: its token ids, prefix included. own: the policy's view of its
    answers. other: log-probs of the same tokens under the other policy, None where the vocabularies differ."""

    prompts: list[list[int]]
    answers: list[Answer]
    own: list[TokenStatistics]
    other: list[list[float]] | None

    @property
    def texts(self) -> list[str]:
        return [answer.text for answer in self.answers]

    def kl(self) -> float | None:
        """Mean over prompts of Σ_t log π(a_t) − log π_other(a_t), where a was drawn from π; nats a response."""
        if self.other is None:
            return None
        gaps = [sum(own.logprobs) - sum(other) for own, other in zip(self.own, self.other, strict=True)]
        return sum(gaps) / len(gaps)

    def entropy(self) -> float:
        """Σ_t entropy of π(· | s_t) ÷ tokens, over all answers; nats a token."""
        values = [value for own in self.own for value in own.entropy]
        return sum(values) / max(len(values), 1)

    def mean_tokens(self) -> float:
        """Tokens ÷ answers, the EOS included."""
        return sum(len(answer.ids) for answer in self.answers) / len(self.answers)

    def finished_fraction(self) -> float:
        """Share of answers that ended by themselves."""
        return sum(answer.finished for answer in self.answers) / len(self.answers)


@dataclass(frozen=True)
class Match:
    """Both sides' answers to the same prompts, and the judge's score of each."""

    records: list[PromptRecord]
    policy: Side
    against: Side
    scores: list[float]
    scores_against: list[float]


@dataclass(frozen=True)
class BestOfN:
    """Best-of-n answers and the judge's scores when they meet the same answers of --against as the policy does."""

    best: Best
    scores: list[float]
    scores_against: list[float]


def play(
    responder: Responder,
    other: Responder,
    prompts: tuple[list[list[int]], list[list[int]]],
    settings: GenerationSettings,
    title: str,
) -> Side:
    """One answer of `responder` to each prompt, with both policies' log-probs. prompts: (its own ids, the other's ids)."""
    mine, theirs = prompts
    answers = responder.respond(mine, settings, title)
    ids = [answer.ids for answer in answers]
    own = responder.token_statistics(mine, ids, settings.batch_size)
    if not can_score(other, responder, ids):
        return Side(mine, answers, own, None)
    under_other = other.token_statistics(theirs, ids, settings.batch_size)
    return Side(mine, answers, own, [statistics.logprobs for statistics in under_other])


def can_score(scorer: Responder, author: Responder, ids: list[list[int]]) -> bool:
    """Whether one policy's tokens mean the same to the other, and are all in its vocabulary."""
    size = scorer.model.config.get_text_config().vocab_size
    return shared_vocabulary(scorer.tokenizer, author.tokenizer) and max(map(max, filter(None, ids)), default=0) < size


def as_responses(answers: list[Answer]) -> list[Response]:
    """The answers as judges and reward models take them."""
    return [Response(answer.text, finished=answer.finished) for answer in answers]


def judged(
    judge: Judge, prompts: list[Prompt], first: list[Response], second: list[Response], name: str
) -> tuple[list[float], list[float]]:
    """The judge's scores of two responses to each prompt; it sees the two of a prompt together and nothing else.

    Raises UserError that begins with `name` where a score is not finite."""
    pairs = judge([(prompt, [a, b]) for prompt, a, b in zip(prompts, first, second, strict=True)])
    require_finite((score for pair in pairs for score in pair), name)
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
