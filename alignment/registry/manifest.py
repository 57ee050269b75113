"""What an artifact says of itself: the files of the model, how it was made, what was measured."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from alignment.preferences.ids import digest_of
from alignment.registry.errors import Damaged
from alignment.registry.listing import check_inner
from alignment.registry.names import DIGEST, KINDS

FORMAT = 1


@dataclass(frozen=True)
class File:
    """bytes: its size. sha256: 64 hex digits."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Parent:
    """An artifact that this one was made from. role: the setting that named it (`policy`, `reward_model`), or
    "parent". artifact: KIND/sha256-DIGEST."""

    role: str
    artifact: str


@dataclass(frozen=True)
class Manifest:
    """Of one artifact.

    files: the model's, by path; they alone decide the digest. records: the run's own, below `records/`. parents: artifacts
    it was made from. base: the one of them that an adapter stands on, where it is loaded from. inputs: setting → what it named (`{"given", "sha256"}` of a file, `{"given", "snapshot"}` of labels,
    `{"given", "content"}` of a model that is not in the registry). settings: all of the run; changed: those that are not the
    default. versions: of the code. gates: the verdicts it came with, if any. created: when it was added, UTC; by: by whom."""

    kind: str
    files: dict[str, File]
    created: str
    by: str
    records: dict[str, File] = field(default_factory=dict)
    parents: tuple[Parent, ...] = ()
    base: str | None = None
    inputs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    command: str | None = None
    started: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    changed: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    gates: Any = None

    @property
    def digest(self) -> str:
        return content_digest(self.files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(one.bytes for one in [*self.files.values(), *self.records.values()])

    def text(self) -> str:
        """The JSON of MANIFEST.json."""
        value = {"format": FORMAT, "digest": self.digest, **asdict(self)}
        return json.dumps(value, indent=1, allow_nan=False, sort_keys=True) + "\n"


def content_digest(files: dict[str, File]) -> str:
    """The name of a model: SHA-256 of the canonical JSON of its files' paths, sizes and SHA-256.

    When, where and how long it was trained are not in it: the same weights are the same artifact."""
    return digest_of({"format": FORMAT, "files": {name: asdict(one) for name, one in files.items()}})


def parse(text: str, where: str) -> Manifest:
    """Damaged where it is no manifest, names files outside its artifact, or says another digest than its files have."""
    try:
        value = json.loads(text)
        if value.pop("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")
        told = value.pop("digest")
        files, records = ({name: _file(one) for name, one in value.pop(key).items()} for key in ("files", "records"))
        parents = tuple(_parent(one) for one in value.pop("parents"))
        made = Manifest(files=files, records=records, parents=parents, **value)
        if made.base is not None:
            split_name(made.base)
        if made.kind not in KINDS or not isinstance(made.inputs, dict):
            raise ValueError(f"its kind is {made.kind!r}")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(f"{where} is damaged ({error}); restore it from a copy of the store") from None
    for name in (*made.files, *made.records):
        check_inner(name, where)
    if told != made.digest:
        raise Damaged(
            f"{where} says the digest {str(told)[:12]}, its files have {made.digest[:12]}; restore it from a copy"
        )
    return made


def artifact_name(kind: str, digest: str) -> str:
    """`policy/sha256-…`: where it lies in the store."""
    return f"{kind}/sha256-{digest}"


def split_name(artifact: str) -> tuple[str, str]:
    """(kind, digest) of such a name; ValueError where it is none."""
    kind, _, digest = str(artifact).partition("/sha256-")
    if kind not in KINDS or DIGEST.fullmatch(digest) is None:
        raise ValueError(f"{artifact!r} names no artifact")
    return kind, digest


def _file(value: dict[str, Any]) -> File:
    made = File(**value)
    if type(made.bytes) is not int or made.bytes < 0 or DIGEST.fullmatch(made.sha256) is None:
        raise ValueError("a file has no size or no sha256")
    return made


def _parent(value: dict[str, Any]) -> Parent:
    made = Parent(**value)
    split_name(made.artifact)
    return made
