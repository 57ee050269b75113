"""The records that flow between the stages, one JSON object a line: demonstrations, prompts, responses, rankings, verdicts.

Reading checks every line once and names the file and the line of the first fault; formulas below trust the records."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from alignment.errors import UserError
from alignment.labeling import Labeling, parse_labeling, plain_labeling
from alignment.text_files import read_lines

Message = dict[str, str]
Prompt = str | list[Message]
"""Text that the response continues as it stands, or chat messages that the tokenizer's chat template turns into text."""

GROUP_FIELDS = ("group", "tree", "question")
"""Fields that name what must stay on one side of a split, the first that a record has: `tree` is OpenAssistant's
conversation, `question` that of question-and-context data."""

STRENGTHS = (0, 1, 2, 3)
"""How much better: negligibly, slightly, better, significantly."""

T = TypeVar("T")


class NotJSONError(ValueError):
    """A line that is no JSON."""


@dataclass(frozen=True)
class Demonstration:
    """A prompt and the response a person would like. `{text}` records have an empty prompt: all of it is learned.

    The other fields say where it comes from; None: not known. labeling: when it was written, and how long that took.
    Example: `{"prompt": "The sky is", "response": " blue."}`, `{"messages": [..., {"role": "assistant", ...}]}`, `{"text": "..."}`.
    """

    prompt: Prompt
    response: str
    id: str | None = None
    annotator: str | None = None
    source: str | None = None
    group: str | None = None
    labeling: Labeling | None = None


@dataclass(frozen=True)
class PromptRecord:
    """A prompt to answer. `group` ties prompts that must stay on one side of a split (None: the prompt itself)."""

    id: str
    prompt: Prompt
    group: str | None = None


@dataclass(frozen=True)
class Response:
    """One answer. `finished` is False when it was cut at the length limit, so that no end-of-text follows it."""

    text: str
    model: str | None = None
    finished: bool = True


@dataclass(frozen=True)
class ResponseSet:
    """A prompt with the K responses that someone will rank."""

    id: str
    prompt: Prompt
    responses: tuple[Response, ...]
    group: str | None = None


@dataclass(frozen=True)
class Ranking:
    """K responses with their ranks: 1 = best, equal ranks tie, None = shown but not compared.

    strength: how much better the preferred is, in the words of Llama 2's annotators (arXiv 2307.09288, §3.2.1): 0 =
    negligibly, 1 = slightly, 2 = better, 3 = significantly; of every strict pair of the ranking. None: not asked.
    labeling: when, how long, in what order shown, with which flags (alignment/labeling.py). None: not known.
    Example: `{"id": "7", "prompt": "...", "responses": [{"text": "a"}, {"text": "b"}], "ranks": [2, 1], "strength": 3}`.
    """

    id: str
    prompt: Prompt
    responses: tuple[Response, ...]
    ranks: tuple[int | None, ...]
    annotator: str | None = None
    source: str | None = None
    group: str | None = None
    strength: int | None = None
    labeling: Labeling | None = None

    def strict_pairs(self) -> list[tuple[int, int]]:
        """(i, j) for every pair where response i was ranked above response j."""
        return strict_pairs(self.ranks)

    def tied_pairs(self) -> list[tuple[int, int]]:
        """(i, j), i < j, for every pair of responses with equal ranks: compared and found alike."""
        return tied_pairs(self.ranks)


@dataclass(frozen=True)
class Verdict:
    """One response judged on its own, a thumb up or down: no comparison with another, so never half of a pair.

    Example: `{"id": "7", "prompt": "...", "response": {"text": "a"}, "verdict": "good"}`.
    """

    id: str
    prompt: Prompt
    response: Response
    verdict: Literal["good", "bad"]
    annotator: str | None = None
    source: str | None = None
    group: str | None = None
    labeling: Labeling | None = None


def strict_pairs(ranks: Sequence[int | None]) -> list[tuple[int, int]]:
    """(i, j) for every pair with ranks[i] < ranks[j]: i is the better one."""
    return [
        (i, j)
        for i, better in enumerate(ranks)
        for j, worse in enumerate(ranks)
        if better is not None and worse is not None and better < worse
    ]


def tied_pairs(ranks: Sequence[int | None]) -> list[tuple[int, int]]:
    """(i, j), i < j, for every pair with equal ranks."""
    return [
        (i, j)
        for j, second in enumerate(ranks)
        for i, first in enumerate(ranks[:j])
        if first is not None and first == second
    ]


def read_demonstrations(path: str | Path, name: str = "--data") -> list[Demonstration]:
    return read_jsonl(path, name, _demonstration)


def read_prompts(path: str | Path, name: str = "--prompts") -> list[PromptRecord]:
    return read_jsonl(path, name, _prompt_record)


def read_responses(path: str | Path) -> list[ResponseSet]:
    return read_jsonl(path, "--responses", _response_set)


def read_rankings(
    path: str | Path, name: str = "--rankings", group_fields: tuple[str, ...] = ("group",)
) -> list[Ranking]:
    """`group_fields`: the first of these that a record has is its group (OpenAssistant's conversations have `tree`)."""

    def parse(value: dict[str, Any]) -> Ranking:
        return _ranking({**value, "group": group_of(value, group_fields)})

    return read_jsonl(path, name, parse)


def read_verdicts(path: str | Path, group_fields: tuple[str, ...] = ("group",)) -> list[Verdict]:
    """`group_fields`: as in `read_rankings`."""

    def parse(value: dict[str, Any]) -> Verdict:
        return _verdict({**value, "group": group_of(value, group_fields)})

    return read_jsonl(path, "--verdicts", parse)


def read_jsonl(path: str | Path, name: str, parse: Callable[[dict[str, Any]], T]) -> list[T]:
    """Every line parsed; a UserError names the setting, the file and the line of the first fault."""
    records = [
        _record(line, f"{name} {path}, line {number}", parse) for number, line in read_lines(path, name) if line.strip()
    ]
    if not records:
        raise UserError(f"{name} {path}: holds no record; write one JSON object a line")
    return records


def _record(line: str, where: str, parse: Callable[[dict[str, Any]], T]) -> T:
    try:
        return parse_line(line, parse)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def parse_line(line: str, parse: Callable[[dict[str, Any]], T]) -> T:
    """The record on one line. Raises ValueError, whose text says what is wrong: NotJSONError where it is no JSON at all."""
    try:
        value = json.loads(line.rstrip(), parse_constant=_no_constant)
        if not isinstance(value, dict):
            raise ValueError(f"holds {described(value)}; each line must hold one JSON object")
        if "\\ud" in line.lower():
            encoded(value)  # refuses half characters
        return parse(value)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.colno}"
        raise NotJSONError(f"is not JSON ({reason}); write one JSON object a line") from None
    except RecursionError:
        raise ValueError("its lists or objects are nested too deeply; write one flat JSON object") from None


def group_of(value: dict[str, Any], group_fields: tuple[str, ...]) -> Any:
    """What a record must stay together with: the first of these fields that it has; None where it has none."""
    return next((value[field] for field in group_fields if value.get(field) is not None), None)


def write_jsonl(path: str | Path, records: Iterable[Any]) -> None:
    """One JSON object a line; fields that are None are left out of the top level and of each response."""
    with open(path, "w", encoding="utf-8") as file:
        for record in records:
            value = record if isinstance(record, dict) else plain(record)
            file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def prompt_text(prompt: Prompt) -> str:
    """The prompt as one string, for annotators, judges and hashes: messages are joined as `role: content` lines."""
    return (
        prompt
        if isinstance(prompt, str)
        else "\n".join(f"{message['role']}: {message['content']}" for message in prompt)
    )


def content_id(prompt: Prompt) -> str:
    """First 16 hex digits of the SHA-256 of the prompt: the id of a record that brings none, and what splits hash."""
    return hashlib.sha256(prompt_text(prompt).encode("utf-8")).hexdigest()[:16]


def plain(record: Any) -> dict[str, Any]:
    """A record as the JSON object that its line holds."""
    kept = _without_none(asdict(record))
    if "responses" in kept:
        kept["responses"] = [_without_none(response) for response in kept["responses"]]
    if isinstance(kept.get("response"), dict):
        kept["response"] = _without_none(kept["response"])
    if "labeling" in kept:
        kept["labeling"] = plain_labeling(record.labeling)
    return kept


def _without_none(value: dict[str, Any]) -> dict[str, Any]:
    return {key: inner for key, inner in value.items() if inner is not None}


def _demonstration(value: dict[str, Any]) -> Demonstration:
    prompt, response = _prompt_and_response(value)
    name, who, source, group = (_optional(value, field) for field in ("id", "annotator", "source", "group"))
    labeling = parse_labeling(value.get("labeling"), 0)
    return Demonstration(prompt, response, name, who, source, group, labeling)


def _prompt_and_response(value: dict[str, Any]) -> tuple[Prompt, str]:
    if "messages" in value:
        messages = _prompt(value["messages"], "messages")
        if isinstance(messages, str) or messages[-1]["role"] != "assistant":
            raise ValueError("messages must be a list that ends with an assistant message: the response to learn")
        return messages[:-1], messages[-1]["content"]
    if "text" in value:
        return "", _text(value, "text", empty=False)
    if "prompt" not in value or "response" not in value:
        raise ValueError(
            f"has the fields {sorted(value)}; it must have prompt and response, or messages, or text{_looks_like(value)}"
        )
    return _prompt(value["prompt"]), _text(value, "response", empty=False)


def _prompt_record(value: dict[str, Any]) -> PromptRecord:
    prompt = _prompt(_field(value, "prompt"))
    return PromptRecord(_optional(value, "id") or content_id(prompt), prompt, _optional(value, "group"))


def _response_set(value: dict[str, Any]) -> ResponseSet:
    base = _prompt_record(value)
    responses = _field(value, "responses")
    if not isinstance(responses, list) or len(responses) < 2:
        count = len(responses) if isinstance(responses, list) else described(responses)
        raise ValueError(f"responses holds {count}; a ranking needs a list of at least 2 responses")
    return ResponseSet(base.id, base.prompt, tuple(_response(response) for response in responses), base.group)


def _ranking(value: dict[str, Any]) -> Ranking:
    base = _response_set(value)
    ranks = _field(value, "ranks")
    if not isinstance(ranks, list) or len(ranks) != len(base.responses):
        count = len(ranks) if isinstance(ranks, list) else described(ranks)
        raise ValueError(f"ranks holds {count} for {len(base.responses)} responses; it must hold one rank a response")
    for rank in ranks:
        if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or rank < 1):
            raise ValueError(f"rank {json.dumps(rank)} must be a whole number from 1 (best), or null for not compared")
    annotator, source = _optional(value, "annotator"), _optional(value, "source")
    strength = value.get("strength")
    if strength is not None and (type(strength) is not int or strength not in STRENGTHS):
        raise ValueError(
            f"strength is {described(strength)}; it must be 0 (negligibly), 1 (slightly), 2 (better) or 3 (significantly)"
        )
    labeling = parse_labeling(value.get("labeling"), len(ranks))
    return Ranking(
        base.id, base.prompt, base.responses, tuple(ranks), annotator, source, base.group, strength, labeling
    )


def _verdict(value: dict[str, Any]) -> Verdict:
    base, verdict = _prompt_record(value), _field(value, "verdict")
    if verdict not in ("good", "bad"):
        raise ValueError(f"verdict is {verdict!r}; it must be good or bad")
    response = _response(_field(value, "response"))
    annotator, source = _optional(value, "annotator"), _optional(value, "source")
    labeling = parse_labeling(value.get("labeling"), 1)
    return Verdict(base.id, base.prompt, response, verdict, annotator, source, base.group, labeling)


def _response(value: Any) -> Response:
    if isinstance(value, str):
        return Response(value)
    if not isinstance(value, dict):
        raise ValueError(f"a response is {described(value)}; it must be an object with text")
    finished = value.get("finished", True)
    if not isinstance(finished, bool):
        raise ValueError(f"finished is {finished!r}; it must be true or false")
    return Response(_text(value, "text"), _optional(value, "model"), finished)


def _prompt(value: Any, name: str = "prompt") -> Prompt:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        for message in value:
            if not isinstance(message, dict) or not all(
                isinstance(message.get(key), str) for key in ("role", "content")
            ):
                raise ValueError(f"{name} holds {message!r}; a message must have role and content, both text")
        return [{"role": message["role"], "content": message["content"]} for message in value]
    raise ValueError(f"{name} is {described(value)}; it must be text or a list of messages")


def _field(value: dict[str, Any], name: str) -> Any:
    if name not in value:
        raise ValueError(f"has the fields {sorted(value)}; {name} is missing{_looks_like(value)}")
    return value[name]


def _looks_like(value: dict[str, Any]) -> str:
    """What a record of another kind is for; nothing where its fields fit none."""
    kinds = [
        ({"prompt", "responses", "ranks"}, "a ranking, which --rankings of `align reward` takes"),
        ({"prompt", "responses"}, "responses, which --responses of `align rank` takes"),
        ({"prompt", "response", "verdict"}, "a verdict, which --verdicts of `align reward` takes"),
        ({"prompt", "response"}, "a demonstration, which --data of `align sft` takes"),
        ({"messages"}, "a demonstration, which --data of `align sft` takes"),
        ({"text"}, "a demonstration, which --data of `align sft` takes"),
        ({"prompt"}, "a prompt, which --prompts of `align sample` takes"),
    ]
    return next((f"; it looks like {what}" for fields, what in kinds if fields <= value.keys()), "")


def _text(value: dict[str, Any], name: str, empty: bool = True) -> str:
    text = _field(value, name)
    if not isinstance(text, str):
        raise ValueError(f"{name} is {described(text)}; it must be text")
    if not empty and not text.strip():
        raise ValueError(f"{name} is empty; it must hold the text to learn")
    return text


def _optional(value: dict[str, Any], name: str) -> str | None:
    inner = value.get(name)
    return None if inner is None else str(inner)


def described(value: Any) -> str:
    """The value as a user of JSON calls it."""
    if isinstance(value, bool):
        return str(value).lower()
    return {"NoneType": "null", "dict": "an object", "list": "a list", "str": "text"}.get(
        type(value).__name__, repr(value)
    )


def encoded(value: Any) -> bytes:
    """The JSON line of `value`; ValueError where a text in it holds what no UTF-8 file can hold."""
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair (\\ud800 to \\udfff), which is no text; remove it") from None


def _no_constant(word: str) -> Any:
    raise ValueError(f"holds {word}, which is not JSON; write a finite number or null")


@dataclass(frozen=True)
class RecordKind:
    """One of the kinds of records. parse: one JSON object → record, or ValueError. fields: all that it may hold."""

    parse: Callable[[dict[str, Any]], Any]
    fields: frozenset[str]


RECORD_KINDS = {
    "demonstrations": RecordKind(
        _demonstration, frozenset(field.name for field in fields(Demonstration)) | {"messages", "text"}
    ),
    "prompts": RecordKind(_prompt_record, frozenset(field.name for field in fields(PromptRecord))),
    "responses": RecordKind(_response_set, frozenset(field.name for field in fields(ResponseSet))),
    "rankings": RecordKind(_ranking, frozenset(field.name for field in fields(Ranking))),
    "verdicts": RecordKind(_verdict, frozenset(field.name for field in fields(Verdict))),
}
