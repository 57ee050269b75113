"""What the user names → rows: JSON and JSONL (also gzipped), CSV, Parquet, a directory of them, or a Hub dataset."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alignment.errors import UserError
from alignment.formats.format import Place, Row
from alignment.formats.parsing import Fault, Source, read_bytes, read_csv, read_json
from alignment.records import described

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
SPLITS = ("train", "validation", "valid", "dev", "test")
"""Words in a file's name that say which split it is (datasets' own convention)."""


def read_rows(source: Source) -> list[tuple[Place, Row | Fault]]:
    """(place, row) of everything; values that are missing (null, NaN, absent) are left out of the rows."""
    path = Path(source.name)
    if path.is_dir():
        rows = list(_directory(path, source))
    elif path.exists() or path.suffix.lower() in (*SUFFIXES, ".gz") or not _is_hub_id(source.name):
        rows = list(_file(path, source))
    else:
        rows = list(_from_hub(source))
    if not rows:
        raise UserError(f"SOURCE {source.name}: holds no record")
    return [(place, row if isinstance(row, Fault) else _present(row)) for place, row in rows]


def _file(path: Path, source: Source) -> Iterator[tuple[Place, Any]]:
    kind = _data_suffix(path)
    if kind == ".parquet":
        return _parquet(path)
    return read_csv(path, source) if kind in (".csv", ".tsv") else read_json(path, source)


def _directory(path: Path, source: Source) -> Iterator[tuple[Place, Any]]:
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        yield from _from_disk(path, source)
        return
    files = sorted(file for file in path.rglob("*") if _data_suffix(file) in SUFFIXES and file.is_file())
    splits = {file: next((word for word in SPLITS if _has_word(file, word)), None) for file in files}
    if source.split is not None:
        files = [file for file in files if _has_word(file, source.split)]
    elif len({split for split in splits.values() if split}) > 1:
        raise _which_split(source, sorted({split for split in splits.values() if split}))
    if not files:
        what = f" of the split {source.split}" if source.split else ""
        raise UserError(f"SOURCE {path}: holds no data file{what}; known are {', '.join(SUFFIXES)}, plain or .gz")
    for file in files:
        for place, row in _file(file, source):
            yield f"{file.relative_to(path)}, {place}", row


def _data_suffix(file: Path) -> str:
    return (file.with_suffix("") if file.suffix == ".gz" else file).suffix.lower()


def _has_word(file: Path, word: str) -> bool:
    return re.search(rf"(^|[^a-z]){re.escape(word.lower())}([^a-z]|$)", file.name.lower()) is not None


def _which_split(source: Source, splits: list[str]) -> UserError:
    return UserError(
        f"SOURCE {source.name}: holds the splits {', '.join(splits)}; say which with --split, for example --split {splits[0]}"
    )


def _parquet(path: Path) -> Iterator[tuple[Place, Any]]:
    import pyarrow
    import pyarrow.parquet

    content = read_bytes(path)
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content))
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"SOURCE {path}: is not Parquet ({str(error).splitlines()[0]})") from None
    return ((f"row {number}", row) for number, row in enumerate(table.to_pylist(), start=1))


def _from_disk(path: Path, source: Source) -> Iterator[tuple[Place, Any]]:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(path))
    except Exception as error:
        raise UserError(
            f"SOURCE {path}: looks like a saved dataset and cannot be loaded ({type(error).__name__}: {error})"
        ) from error
    return _dataset(loaded, source)


def _from_hub(source: Source) -> Iterator[tuple[Place, Any]]:
    import datasets
    import huggingface_hub

    huggingface_hub.logging.set_verbosity_error()  # its retries are no news to the user
    try:
        loaded = datasets.load_dataset(source.name, name=source.subset)
    except Exception as error:  # the Hub's libraries raise many kinds
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"SOURCE {source.name}: is no file here, and no dataset of that name could be had from the Hub "
            f"({type(error).__name__}: {reason}); check the name, the network, --subset"
        ) from error
    return _dataset(loaded, source)


def _dataset(loaded: Any, source: Source) -> Iterator[tuple[Place, Any]]:
    if isinstance(loaded, dict):
        splits = list(loaded)
        if source.split is None and len(splits) > 1:
            raise _which_split(source, splits)
        if source.split not in (None, *splits):
            raise UserError(f"--split is {source.split!r}; {source.name} holds {', '.join(splits)}")
        loaded = loaded[source.split or splits[0]]
    return ((f"row {number}", dict(row)) for number, row in enumerate(loaded, start=1))


def _is_hub_id(name: str) -> bool:
    return re.fullmatch(r"([\w-][\w.-]*/)?[\w-][\w.-]*", name) is not None


def _present(value: Any) -> Row | Fault:
    if isinstance(value, Fault):
        return value
    if not isinstance(value, dict):
        return Fault(f"holds {described(value)}; it must be an object with named fields")
    try:
        return _without_missing(value)
    except RecursionError:
        return Fault("is nested too deeply")


def _without_missing(value: Any) -> Any:
    """Objects without what is null or NaN (typed tables give every object every field), lists as long as they are."""
    if isinstance(value, list):
        return [_without_missing(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {str(name): _without_missing(one) for name, one in value.items() if one is not None and one == one}
