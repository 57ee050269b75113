"""What a comparison of two policies comes to: its metrics, and a line for each prompt from which all can be recomputed."""

from __future__ import annotations

from typing import Any

from alignment import winrates
from alignment.best_of_n import kl_bound
from alignment.comparison import BestOfN, Match, Side
from alignment.metrics import METRICS
from alignment.records import PromptRecord, content_id
from alignment.text_statistics import distinct_2, exact_repeats


def win_metrics(match: Match, best: dict[int, BestOfN], seed: int) -> dict[str, Any]:
    """The metrics of `align eval`. best: n → best-of-n answers, empty when none were drawn."""
    clusters = [record.group or content_id(record.prompt) for record in match.records]
    wins = winrates.outcomes(match.scores, match.scores_against)
    rate = winrates.win_rate(wins, clusters, seed)
    lengths = [list(map(len, side.texts)) for side in (match.policy, match.against)]
    controlled = winrates.length_controlled(wins, *lengths)
    return {
        "win_rate": rate.rate,
        "win_rate_low": rate.low,
        "win_rate_high": rate.high,
        "n": rate.n,
        "ties": rate.ties,
        "length_controlled_win_rate": controlled.rate,
        "length_control_reason": controlled.reason,
        "kl": match.policy.kl(),
        "kl_reason": None if match.policy.other is not None else "the two policies do not share a vocabulary",
        **_side_metrics(match.policy, match.scores, ""),
        **_side_metrics(match.against, match.scores_against, "_against"),
        "best_of_n": {str(n): _rate(several) for n, several in best.items()} or None,
        "best_of_n_kl_bound": {str(n): kl_bound(n) for n in best} or None,
        "kl_definition": METRICS["eval/kl"].formula,
        "entropy_definition": METRICS["eval/entropy"].formula,
    }


def response_records(match: Match, best: dict[int, BestOfN]) -> list[dict[str, Any]]:
    """One object a prompt: {id, prompt, group?, policy, against, best_of_n?}, each side with its text, tokens, the
    log-probs of the tokens under both policies (nats, temperature 1) and the judge's score."""
    return [_response_record(record, row, match, best) for row, record in enumerate(match.records)]


def _response_record(record: PromptRecord, row: int, match: Match, best: dict[int, BestOfN]) -> dict[str, Any]:
    sides = {
        "policy": _answer(match.policy, row, ("policy", "against"), match.scores[row]),
        "against": _answer(match.against, row, ("against", "policy"), match.scores_against[row]),
    }
    chosen = {str(n): _chosen(several, row) for n, several in best.items()}
    group = {"group": record.group} if record.group is not None else {}
    return {"id": record.id, "prompt": record.prompt, **group, **sides, **({"best_of_n": chosen} if chosen else {})}


def _answer(side: Side, row: int, names: tuple[str, str], score: float) -> dict[str, Any]:
    other = None if side.other is None else [round(value, 6) for value in side.other[row]]
    return {
        "text": side.answers[row].text,
        "finished": side.answers[row].finished,
        "score": score,
        "prompt_token_ids": side.prompts[row],
        "token_ids": side.answers[row].ids,
        "logprobs": {names[0]: [round(value, 6) for value in side.own[row].logprobs], names[1]: other},
    }


def _chosen(several: BestOfN, row: int) -> dict[str, Any]:
    answer = several.best.answers[row]
    return {
        "text": answer.text,
        "finished": answer.finished,
        "score": several.scores[row],
        "reward": several.best.rewards[row],
        "token_ids": answer.ids,
    }


def _side_metrics(side: Side, scores: list[float], suffix: str) -> dict[str, Any]:
    metrics = {
        "mean_tokens": side.mean_tokens(),
        "mean_characters": sum(map(len, side.texts)) / len(side.texts),
        "eos_fraction": side.finished_fraction(),
        "entropy": side.entropy(),
        "distinct_2": distinct_2(side.texts),
        "exact_repeats": exact_repeats(side.texts),
        "judge_score": sum(scores) / len(scores),
    }
    return {name + suffix: value for name, value in metrics.items()}


def _rate(several: BestOfN) -> float:
    return float(winrates.outcomes(several.scores, several.scores_against).mean())
