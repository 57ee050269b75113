"""What a record of ours uses that another format may not be able to hold. The phrases end the sentence "X holds no ..."."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from alignment.labeling import Labeling
from alignment.records import Demonstration, PromptRecord, Ranking, Response, ResponseSet, Verdict, content_id

IDS = "ids"
GROUPS = "groups"
ANNOTATORS = "annotators"
SOURCES = "sources"
STRENGTHS = "strengths of preference"
LABELING = "times, flags and orders of labeling"
NONE_ACCEPTABLE = "marks that none is acceptable"
MODELS = "model names"
CUT = "marks of responses cut at the length limit"
TIES = "ties"
UNCOMPARED = "responses left uncompared"
SEVERAL = "more than two responses in one record"
ORDER = "order in which two responses were shown"
NO_PAIR = "ranking without a strict pair"
PLAIN = "plain-text prompts (they come back as one chat message)"
CHAT = "chat messages (they come back as plain text)"
SYSTEM = "system messages"
TURNS = "chat of more than one turn"
ROLES = "roles but user, assistant and system"
OPEN = "prompt whose last message is not the user's"
EMPTY = "empty prompts"
MARKS = 'turn marks ("\\n\\nHuman:", "\\n\\nAssistant:") inside a text'

TURN_MARK = re.compile(r"\n\n(Human|Assistant):")
"""What opens a turn of an HH transcript."""

Record = Demonstration | PromptRecord | ResponseSet | Ranking | Verdict


def details(record: Record) -> set[str]:
    """The details that this record uses."""
    labeling = getattr(record, "labeling", None)
    used = {
        IDS: getattr(record, "id", None) not in (None, content_id(record.prompt)),
        GROUPS: getattr(record, "group", None) is not None,
        ANNOTATORS: getattr(record, "annotator", None) is not None,
        SOURCES: getattr(record, "source", None) is not None,
        STRENGTHS: getattr(record, "strength", None) is not None,
        LABELING: labeling is not None and replace(labeling, none_acceptable=None) != Labeling(),
        NONE_ACCEPTABLE: labeling is not None and labeling.none_acceptable is True,
        MODELS: any(response.model is not None for response in _responses(record)),
        CUT: any(not response.finished for response in _responses(record)),
        SEVERAL: len(_responses(record)) > 2,
        MARKS: any(TURN_MARK.search(text) for text in _texts(record)),
    }
    ranks = _rank_details(record) if isinstance(record, Ranking) else set()
    return {name for name, is_used in used.items() if is_used} | ranks | _prompt_details(record.prompt)


def _rank_details(ranking: Ranking) -> set[str]:
    ranked = [rank for rank in ranking.ranks if rank is not None]
    pairs = ranking.strict_pairs()
    used = {
        TIES: len(set(ranked)) < len(ranked),
        UNCOMPARED: len(ranked) < len(ranking.ranks),
        NO_PAIR: not pairs,
        ORDER: len(ranking.ranks) == 2 and pairs == [(1, 0)],
    }
    return {name for name, is_used in used.items() if is_used}


def _prompt_details(prompt: Any) -> set[str]:
    if isinstance(prompt, str):
        return {PLAIN} if prompt else {PLAIN, EMPTY}
    roles = [message["role"] for message in prompt]
    used = {
        CHAT: True,
        SYSTEM: "system" in roles,
        TURNS: len([role for role in roles if role != "system"]) > 1,
        ROLES: bool(set(roles) - {"user", "assistant", "system"}),
        OPEN: roles[-1] != "user",
    }
    return {name for name, is_used in used.items() if is_used}


def _responses(record: Record) -> tuple[Response, ...]:
    if isinstance(record, Verdict):
        return (record.response,)
    return record.responses if isinstance(record, ResponseSet | Ranking) else ()


def _texts(record: Record) -> list[str]:
    prompt = [record.prompt] if isinstance(record.prompt, str) else [message["content"] for message in record.prompt]
    own = [record.response] if isinstance(record, Demonstration) else []
    return prompt + own + [response.text for response in _responses(record)]
