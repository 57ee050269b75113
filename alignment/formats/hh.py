"""Anthropic's HH transcripts: "\\n\\nHuman: ... \\n\\nAssistant: ...", chosen and rejected with the same beginning.

Source: Bai et al. 2022 (arXiv 2204.05862), the released hh-rlhf files."""

from __future__ import annotations

from alignment.formats.chats import pair, shared_prompt
from alignment.formats.columns import text
from alignment.formats.details import EMPTY, MARKS, PLAIN, ROLES, SYSTEM, TURN_MARK
from alignment.formats.format import WHO, Format, Row, who
from alignment.formats.trl import PAIR_DROPS, PAIR_REFUSES
from alignment.records import Message, Prompt, Ranking

ROLE_OF = {"Human": "user", "Assistant": "assistant"}
NAME_OF = {role: name for name, role in ROLE_OF.items()}


def parse(transcript: str, name: str) -> list[Message]:
    """A transcript's turns. One space after the colon belongs to the mark; every other character to the text."""
    if not TURN_MARK.match(transcript):
        raise ValueError(f'{name} does not begin with "\\n\\nHuman:"; it must be a transcript of turns')
    parts = TURN_MARK.split(transcript)[1:]
    return [
        {"role": ROLE_OF[speaker], "content": content.removeprefix(" ")}
        for speaker, content in zip(parts[::2], parts[1::2], strict=True)
    ]


def transcript(prompt: Prompt, response: str) -> str:
    """The inverse of `parse`, for texts without turn marks."""
    before = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    turns = [*before, {"role": "assistant", "content": response}]
    return "".join(f"\n\n{NAME_OF[turn['role']]}: {turn['content']}" for turn in turns)


def _kind_of(row: Row) -> str | None:
    given = [row.get("chosen"), row.get("rejected")]
    return "rankings" if all(isinstance(one, str) and TURN_MARK.match(one) for one in given) else None


def _ranking(row: Row) -> list[Row]:
    chats = [parse(text(row, name), name) for name in ("chosen", "rejected")]
    return [{**who(row), **pair(*shared_prompt(*chats))}]


def _write(ranking: Ranking) -> list[Row]:
    def one(index: int) -> str:
        return transcript(ranking.prompt, ranking.responses[index].text)

    return [{"chosen": one(i), "rejected": one(j)} for i, j in ranking.strict_pairs()]


FORMAT = Format(
    name="hh",
    title="HH",
    example='{"chosen": "\\n\\nHuman: ...\\n\\nAssistant: ...", "rejected": "\\n\\nHuman: ...\\n\\nAssistant: ..."}',
    fields=frozenset(("chosen", "rejected", *WHO)),
    kind_of=_kind_of,
    read={"rankings": _ranking},
    write={"rankings": _write},
    refuses=PAIR_REFUSES | {SYSTEM, ROLES, MARKS, EMPTY},
    drops=PAIR_DROPS | {PLAIN},
)
