"""docs/formats.md. Seen to fail: a format's example changed without the page; a format taken out of the table."""

from pathlib import Path

from alignment.formats.importing import TARGETS
from alignment.formats.table import FORMATS, formats_table

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "formats.md").read_text(encoding="utf-8")


def test_the_page_holds_the_table():
    assert formats_table() in PAGE


def test_the_table_has_a_row_for_each_format_and_nothing_breaks_it():
    lines = [line for line in formats_table().splitlines() if line.startswith("|")]
    assert [line.split("`")[1] for line in lines[2:]] == list(FORMATS)
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_what_can_be_mapped_is_what_is_read():
    assert {"prompt", "response", "chosen", "rejected", "label", "group", "id"} <= set(TARGETS)
