"""Settings of `align data check`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alignment.command import Command
from alignment.config import Settings, setting
from alignment.errors import UserError
from alignment.records import GROUP_FIELDS


@dataclass(frozen=True)
class CheckSettings(Settings):
    """Every setting of `align data check`."""

    file: str = setting(
        positional=True, help="JSONL of demonstrations, prompts, responses or rankings; it is only read"
    )
    against: str | None = setting(
        None,
        none="none",
        help="files that must share no prompt and no group with it, commas between them (held-out prompts)",
        source="ours: without it there is nothing to leak into",
    )
    kind: Literal["auto", "demonstrations", "prompts", "responses", "rankings"] = setting(
        "auto", help="what the lines are", source="ours: most lines' fields tell"
    )
    group_field: str = setting(
        ",".join(GROUP_FIELDS),
        help="fields that name what must stay on one side of a split; the first that a record has",
        source="ours: alignment/records.py says whose fields these are",
    )
    model: str | None = setting(
        None,
        none="none",
        help="a model's directory or Hub id: lengths are counted in its tokens",
        source="ours: without it lengths are counted in characters",
    )
    max_length: int | None = setting(
        None,
        none="auto",
        help="longest prompt and response together; needs --model",
        unit="tokens",
        low=1,
        source="auto: the model's context",
    )
    max_characters: int = setting(
        20_000,
        help="texts above this are reported as very long",
        unit="characters",
        low=1,
        source="ours: about 5,000 tokens of English, more than the context most small models are tuned at",
    )
    near_duplicate: float = setting(
        0.8,
        help="Jaccard similarity of two texts' word triples from which they are near-duplicates",
        unit="share",
        low=0.5,
        high=1.0,
        source="Lee et al. 2022 (arXiv 2107.06499) and SlimPajama use .8",
    )
    fix: bool = setting(
        False,
        help="write a copy beside it, FILE's stem + .fixed.jsonl, with safe mends only: faulty, repeated, leaked and empty "
        "lines dropped; Unicode, line ends and control characters put right",
        source="ours: a check alone writes nothing",
    )
    mask_pii: bool = setting(
        False,
        help="with --fix, replace what looks like personal data or a secret by [EMAIL], [PHONE], ...",
        source="ours: personal data is never altered unasked",
    )
    output: str | None = setting(
        None, none="none", help="JSON file for the whole report; must not exist yet", source="ours"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mask_pii and not self.fix:
            raise UserError("--mask-pii is given without --fix; it changes the copy that --fix writes, so give both")
        if self.max_length is not None and self.model is None:
            raise UserError(f"--max-length {self.max_length} counts tokens, so it needs --model; give both")


COMMAND = Command(
    "data check",
    "check a file of records: faults, duplicates, leaks, bias, encoding, personal data",
    CheckSettings,
    "alignment.data_check.check:run",
)
