"""JSON, JSON lines and CSV files → rows, with one sentence for what is wrong with the file or a line of it."""

from __future__ import annotations

import gzip
import io
import json
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alignment.errors import UserError
from alignment.formats.format import WHO, Place, Row

WRAPPERS = ("data", "records", "examples")
"""Names under which a JSON object holds its list of records."""


@dataclass(frozen=True)
class Fault:
    """A row that could not be read, and why."""

    reason: str


@dataclass(frozen=True)
class Source:
    """What to read. name: a file, a directory or a Hub id. split, subset: of a directory or Hub dataset, None: the only one.
    encoding, delimiter: of text files."""

    name: str
    split: str | None = None
    subset: str | None = None
    encoding: str = "utf-8"
    delimiter: str | None = None


def _text(path: Path, source: Source) -> str:
    content = read_bytes(path)
    encoding = "utf-8-sig" if source.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else source.encoding
    hint = "UTF-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in content[:64] else "Latin-1"
    try:
        text = content.decode(encoding)
    except LookupError:
        raise UserError(
            f"--encoding is {source.encoding!r}; it must be one Python knows, for example latin-1"
        ) from None
    except UnicodeError as error:
        raise UserError(
            f"SOURCE {path}: is not {source.encoding} text ({error}); save it as UTF-8, or name its encoding: "
            f"--encoding {hint.lower()} if it is {hint}"
        ) from None
    if "\0" in text[:64].split("\n")[0]:
        raise UserError(
            f"SOURCE {path}: holds NUL characters; if it is UTF-16 text, say --encoding utf-16-le or utf-16-be"
        )
    return text


def read_json(path: Path, source: Source) -> Iterator[tuple[Place, Any]]:
    """One JSON array, one JSON object (a record, or the one list of records in it), or JSON lines."""
    text = _text(path, source)
    if text.lstrip()[:1] == "[":
        try:
            return _elements(_loads(text))
        except ValueError as error:
            if "\n" not in text.strip():
                raise UserError(
                    f"SOURCE {path}: is not JSON ({error}); write a JSON array or one object a line"
                ) from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if lines and len(lines) > 1 and isinstance(_line(lines[0][1]), Fault):  # one object over several lines
        try:
            return _elements(_inner(_loads(text)))
        except ValueError:
            pass
    if len(lines) == 1:
        return _elements(_inner(_line(lines[0][1])), "line 1")
    return ((f"line {number}", _line(line)) for number, line in lines)


def _line(line: str) -> Any:
    try:
        return _loads(line)
    except ValueError as error:
        return Fault(f"is not JSON ({error}); write one JSON object a line")


def _inner(value: Any) -> Any:
    """`{"data": [...], ...}` → the list; anything else stays."""
    lists = [value[name] for name in WRAPPERS if isinstance(value.get(name), list)] if isinstance(value, dict) else []
    return lists[0] if len(lists) == 1 else value


def _elements(value: Any, place: Place = "record 1") -> Iterator[tuple[Place, Any]]:
    if not isinstance(value, list):
        return iter([(place, value)])
    return ((f"record {number}", one) for number, one in enumerate(value, start=1))


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=lambda word: None)  # NaN and infinity: missing
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_csv(path: Path, source: Source) -> Iterator[tuple[Place, Any]]:
    """Every cell as the text that it is: numbers, "NA" and "None" are not interpreted."""
    import pandas

    text = _text(path, source)
    delimiter = source.delimiter or ("\t" if ".tsv" in path.suffixes else ",")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pandas.errors.ParserWarning)  # else it drops cells and only warns
            table = pandas.read_csv(io.StringIO(text), sep=delimiter, dtype=str, keep_default_na=False, index_col=False)
    except pandas.errors.ParserWarning:
        raise UserError(
            f"SOURCE {path}: its rows have more cells than its first line has names; quote texts that hold {delimiter!r}"
        ) from None
    except (ValueError, TypeError) as error:  # pandas' own errors are ValueErrors
        reason = str(error).strip().replace("\n", " ")
        raise UserError(
            f"SOURCE {path}: is not CSV with {delimiter!r} between cells ({reason}); quote texts that hold it, or say --delimiter"
        ) from None
    _check_header([str(name) for name in table.columns], delimiter, path)
    records = table.to_dict("records")
    return ((f"row {number}", _no_empty_who(row)) for number, row in enumerate(records, start=1))


def _check_header(names: list[str], delimiter: str, path: Path) -> None:
    other = next((sign for sign in ";\t|," if sign != delimiter and len(names) == 1 and sign in names[0]), None)
    if other is not None:
        raise UserError(
            f"SOURCE {path}: has one column, {names[0][:60]!r}; its cells seem to stand between {other!r}: "
            f"say --delimiter {'tab' if other == chr(9) else repr(other)}"
        )


def _no_empty_who(row: dict[Any, Any]) -> Row:
    return {str(name): value for name, value in row.items() if value != "" or name not in WHO}


def read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except FileNotFoundError:
        raise UserError(f"SOURCE {path}: no such file; give a file, a directory or a Hub dataset id") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"SOURCE {path}: cannot be read ({error}); give a file or a directory of data") from None
