"""Our own JSONL, as every command reads and writes it (alignment/records.py)."""

from __future__ import annotations

from alignment.formats.columns import PROMPT_NAMES, RESPONSE_NAMES
from alignment.formats.format import Format, Row
from alignment.records import GROUP_FIELDS, RECORD_KINDS, plain

NOT_OURS = {"chosen", "rejected", "label", "labels", "conversations", "role", "fields", *RESPONSE_NAMES}
"""With one of these beside them, neither `prompt` nor `text` alone is a record of ours."""


def _kind_of(row: Row) -> str | None:
    if "prompt" in row and "responses" in row:
        return "rankings" if "ranks" in row else "responses"
    if "prompt" in row and "response" in row:
        return "verdicts" if "verdict" in row else "demonstrations"
    if "messages" in row and "label" not in row:
        return "demonstrations"
    if "text" in row and not any(name in row for name in (*PROMPT_NAMES, *NOT_OURS)):
        return "demonstrations"
    return "prompts" if isinstance(row.get("prompt"), str | list) and not NOT_OURS & row.keys() else None


def _read(row: Row) -> list[Row]:
    """As it is; a ranking's group may stand under another of the names that the reward model's split looks at."""
    group = next((row[name] for name in GROUP_FIELDS if name in row), None)
    return [row if group is None else {**row, "group": group}]


FORMAT = Format(
    name="own",
    title="our own JSONL",
    example='{"prompt": "...", "responses": [{"text": "..."}, {"text": "..."}], "ranks": [2, 1]}',
    remark="and the README's other records",
    fields=frozenset(GROUP_FIELDS).union(*(one.fields for one in RECORD_KINDS.values())),
    kind_of=_kind_of,
    read=dict.fromkeys(RECORD_KINDS, _read),
    write={kind: lambda record: [plain(record)] for kind in RECORD_KINDS},
)
