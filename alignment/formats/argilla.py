"""Argilla 2 records, as `records.to_json` and `records.to_datasets` write them: fields, and answers to questions about them.

A ranking question's value lists the names of fields, best first; older exports give each a rank, and then may hold ties.
People's answers are taken; a suggestion only where no person answered, with the annotator `suggestion:AGENT`."""

from __future__ import annotations

import uuid
from typing import Any

from alignment.formats.columns import PROMPT_NAMES, RESPONSE_NAMES, one_of, text
from alignment.formats.details import CUT, LABELING, NO_PAIR, NONE_ACCEPTABLE, STRENGTHS, TIES, UNCOMPARED
from alignment.formats.format import Format, Row
from alignment.records import Prompt, Ranking, Response, ResponseSet, described

NOBODY = str(uuid.UUID(int=0))
"""The user of a ranking that names no annotator: Argilla wants one."""
QUESTION = "ranking"
"""The name of the ranking question that is written."""


def nested(row: Row) -> Row:
    """A flat row of `to_datasets` (`ranking.responses`, `ranking.responses.users`, ...) in the layout of `to_json`."""
    if "fields" in row:
        if not isinstance(row["fields"], dict):
            raise ValueError(f"fields is {described(row['fields'])}; it must be an object with the texts of the record")
        return row
    fields = {name: value for name, value in row.items() if "." not in name and name not in ("id", "_server_id")}
    found: Row = {"id": row.get("id"), "fields": fields, "metadata": fields, "responses": {}, "suggestions": {}}
    for name, value in row.items():
        question, _, what = name.rpartition(".")
        if what == "responses" and isinstance(value, list):
            users, states = (_column(row, f"{name}.{part}", len(value)) for part in ("users", "status"))
            found["responses"][question] = [
                {"value": one, "user_id": user, "status": state} for one, user, state in zip(value, users, states)
            ]
        if what == "suggestion":
            found["suggestions"][question] = {"value": value, "agent": row.get(f"{name}.agent")}
    return found


def _column(row: Row, name: str, length: int) -> list[Any]:
    value = row.get(name)
    return value if isinstance(value, list) and len(value) == length else [None] * length


def _kind_of(row: Row) -> str | None:
    is_flat = "fields" not in row and any(name.endswith((".responses", ".suggestion")) for name in row)
    if not is_flat and not isinstance(row.get("fields"), dict):
        return None
    found = nested(row)
    answers = [*_answers(found), *_suggestions(found)]
    if any(_order(found, value) for _, value, _ in answers):
        return "rankings"
    return "demonstrations" if any(name in RESPONSE_NAMES for name, _, _ in answers) else "responses"


def _answers(row: Row) -> list[tuple[str, Any, str | None]]:
    """(question, value, annotator) of every answer by a person, drafts and discarded ones left out."""
    questions = row.get("responses")
    if not isinstance(questions, dict):
        return []
    return [
        (question, one.get("value"), None if one.get("user_id") in (None, NOBODY) else str(one["user_id"]))
        for question, several in questions.items()
        for one in (several if isinstance(several, list) else [])
        if isinstance(one, dict) and one.get("status") in (None, "submitted")
    ]


def _suggestions(row: Row) -> list[tuple[str, Any, str | None]]:
    questions = row.get("suggestions")
    return [
        (question, one.get("value"), f"suggestion:{one.get('agent') or 'unknown'}")
        for question, one in (questions.items() if isinstance(questions, dict) else ())
        if isinstance(one, dict)
    ]


def _order(row: Row, value: Any) -> dict[str, int] | None:
    """Field name → rank, where `value` is a ranking question's value over fields of this record; else None."""
    if not isinstance(value, list) or len(value) < 2:
        return None
    fields = {_same(name): name for name in row["fields"]}
    ranks: dict[str, int] = {}
    for place, one in enumerate(value, start=1):
        option, rank = (one.get("value"), one.get("rank")) if isinstance(one, dict) else (one, None)
        field = fields.get(_same(option)) if isinstance(option, str) else None
        if field is None:
            return None
        ranks[field] = int(rank) if isinstance(rank, int | float) and float(rank).is_integer() and rank >= 1 else place
    return ranks


def _same(name: str) -> str:
    """Argilla's values are called `reply-1` where the field is `reply_1`."""
    return name.casefold().replace("_", "-").replace(" ", "-")


def _rankings(row: Row) -> list[Row]:
    """One an annotator; the responses are the fields that the ranking question names, in the order of the fields."""
    found = nested(row)
    people = [(order, who) for _, value, who in _answers(found) if (order := _order(found, value))]
    models = [(order, who) for _, value, who in _suggestions(found) if (order := _order(found, value))]
    named = _metadata(found).get("annotator")  # what export wrote: the name behind one of the user ids
    rankings = []
    for order, annotator in people or models:
        names = [name for name in found["fields"] if name in order]
        ranking = {**_start(row, found, names), "ranks": [order[name] for name in names]}
        rankings.append(
            {**ranking, "annotator": named if isinstance(named, str) and annotator == _user(named) else annotator}
        )
    return rankings


def _start(row: Row, found: Row, names: list[str]) -> Row:
    metadata = _metadata(found)
    responses = [_response(found, metadata, name) for name in names]
    start = {"id": found.get("id"), "prompt": _prompt(row, found), "responses": responses}
    start |= {name: metadata.get(name) for name in ("group", "source")}
    return {name: value for name, value in start.items() if value is not None}


def _metadata(found: Row) -> Row:
    metadata = found.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _response(found: Row, metadata: Row, name: str) -> Row:
    model = metadata.get(f"{name}-model")
    return {"text": text(found["fields"], name), **({} if model is None else {"model": model})}


def _prompt(row: Row, found: Row) -> Any:
    name = one_of(found["fields"], PROMPT_NAMES)
    prompt = row.get("prompt") if "fields" in row else None  # given by --map
    if prompt is None and name is None:
        raise ValueError(
            f"fields has {sorted(found['fields'])}; one of them must be the prompt: say which with --map prompt=fields.NAME"
        )
    value = prompt if prompt is not None else found["fields"][name]
    if isinstance(value, list):  # a chat field
        return [
            {"role": one.get("role"), "content": one.get("content")} if isinstance(one, dict) else one for one in value
        ]
    return value


def _responses(row: Row) -> list[Row]:
    """To be ranked still: the fields that are called as a response is, with a number or letter behind."""
    found = nested(row)
    names = [name for name in found["fields"] if _same(name).startswith((*RESPONSE_NAMES, "reply"))]
    return [_start(row, found, names)]


def _demonstrations(row: Row) -> list[Row]:
    """Answers to a text question that is called as a response is."""
    found = nested(row)
    texts = [value for name, value, _ in _answers(found) if name in RESPONSE_NAMES and isinstance(value, str)]
    return [{"prompt": _prompt(row, found), "response": value} for value in texts]


def _prompts(row: Row) -> list[Row]:
    found = nested(row)
    return [{"id": found.get("id"), "prompt": _prompt(row, found)}]


def _write_responses(record: ResponseSet) -> list[Row]:
    return [_written(record.id, record.prompt, record.responses, {"group": record.group})]


def _write_ranking(ranking: Ranking) -> list[Row]:
    metadata = {"group": ranking.group, "source": ranking.source, "annotator": ranking.annotator}
    row = _written(ranking.id, ranking.prompt, ranking.responses, metadata)
    order = sorted(range(len(ranking.ranks)), key=lambda index: ranking.ranks[index] or 0)
    answer = {"value": [_name(index) for index in order], "user_id": _user(ranking.annotator)}
    return [{**row, "responses": {QUESTION: [answer]}}]


def _written(name: str, prompt: Prompt, responses: tuple[Response, ...], metadata: Row) -> Row:
    fields: Row = {"prompt": prompt, **{_name(index): response.text for index, response in enumerate(responses)}}
    metadata = {**metadata, **{f"{_name(index)}-model": response.model for index, response in enumerate(responses)}}
    kept = {key: value for key, value in metadata.items() if value is not None}
    return {"id": name, "fields": fields, **({"metadata": kept} if kept else {})}


def _name(index: int) -> str:
    return f"response-{index + 1}"


def _user(annotator: str | None) -> str:
    """Argilla's users are UUIDs: the annotator's own, or one made from the name, which the metadata keeps."""
    if annotator is None:
        return NOBODY
    try:
        return str(uuid.UUID(annotator))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, annotator))


FORMAT = Format(
    name="argilla",
    title="Argilla",
    example='{"fields": {"prompt": "...", "response-1": "...", "response-2": "..."}, "responses": {"ranking": '
    '[{"value": ["response-2", "response-1"], "user_id": "..."}]}}',
    remark="nested as records.to_json writes it, or flat as records.to_datasets",
    fields=None,
    kind_of=_kind_of,
    read={"rankings": _rankings, "responses": _responses, "demonstrations": _demonstrations, "prompts": _prompts},
    write={"rankings": _write_ranking, "responses": _write_responses},
    refuses=frozenset((TIES, UNCOMPARED, NO_PAIR)),
    drops=frozenset((CUT, STRENGTHS, LABELING, NONE_ACCEPTABLE)),
    several=True,
)
