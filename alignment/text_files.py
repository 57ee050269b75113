"""Text files of the user's, read line by line; what is no UTF-8 text is named for what it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from alignment.errors import UserError

LONGEST_LINE = 32 * 2**20
"""Bytes of one line: 8 responses of a million tokens at 4 bytes each. What is longer is no record (most often a whole
file without line ends), and would be read into memory before it could be refused."""

_GZIP, _UTF16, _UTF8_MARK = b"\x1f\x8b", (b"\xff\xfe", b"\xfe\xff"), b"\xef\xbb\xbf"


def read_lines(path: str | Path, name: str, what: str = "a JSONL file") -> Iterator[tuple[int, str]]:
    """(number from 1, line) of a UTF-8 file; a UserError names the setting `name`, the file, and that it must be `what`."""
    try:
        with open(path, "rb") as file:
            number = 0
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if number == 1:
                    check_start(line, f"{name} {path}")
                yield number, _decoded(line, f"{name} {path}, line {number}")
    except FileNotFoundError:
        raise UserError(f"{name} {path}: no such file; give {what}") from None
    except OSError as error:
        raise UserError(f"{name} {path}: cannot be read ({error.strerror}); give {what}") from None


def read_text(path: str | Path, name: str, what: str = "a text file") -> str:
    """The whole of a UTF-8 file; its lines end with \\n alone."""
    return "".join(line for _, line in read_lines(path, name, what)).replace("\r\n", "\n")


def check_start(line: bytes, where: str) -> None:
    if line.startswith(_GZIP):
        raise UserError(f"{where}: is compressed by gzip; unpack it (`gunzip`) and give the text file")
    if line.startswith(_UTF16):
        raise UserError(f"{where}: is UTF-16 text; save it as UTF-8")
    if b"\0" in line[:4096]:
        raise UserError(f"{where}: is a binary file; give UTF-8 text")


def _decoded(line: bytes, where: str) -> str:
    if len(line) > LONGEST_LINE:
        raise UserError(f"{where}: is longer than {LONGEST_LINE // 2**20} MiB; end each record with a new line")
    try:
        return line.removeprefix(_UTF8_MARK).decode("utf-8")  # Windows editors put a mark at the start
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where}: is not UTF-8 text ({error.reason} at byte {error.start + 1}); save it as UTF-8"
        ) from None
