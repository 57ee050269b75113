"""Broken encodings, invisible characters, mixed normal forms, foreign scripts."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter

from ftfy.badness import is_bad

from alignment.data_check.excerpt import excerpt
from alignment.data_check.findings import Findings
from alignment.data_check.lines import Entry

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""All but tab and new line; a CR is one, alone or before a new line."""
MARKS = "\u200e\u200f\u061c"
"""Direction marks: needed beside right-to-left letters."""
INVISIBLE = re.compile(
    f"[\u200b\u2060-\u2064\u00ad\u180e\u202a-\u202e\u2066-\u2069{MARKS}\u200c\u200d\U000e0001-\U000e007f]"
)
RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
JOINED = re.compile("[\u0600-\u08ff\u0900-\u0dff\u1780-\u17ff]|[\u2190-\u2bff\ufe0f\U0001f000-\U0001faff]")
"""Letters and emoji between which joiners (U+200C, U+200D) are spelling: Arabic, Indic, Khmer, emoji."""
FLAG = "\U0001f3f4"
"""The black flag: tag characters after it spell England, Scotland, Wales."""
FEW, MOST = 0.05, 0.9
"""A line is an outlier when its script leads on under FEW of the lines and another one on over MOST of them."""
EAST_ASIAN = {"CJK", "HIRAGANA", "KATAKANA", "IDEOGRAPHIC", "BOPOMOFO"}
ALPHABETS = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", "HEBREW", "ARABIC", "SYRIAC", "THAANA", "ETHIOPIC")
INDIC = ("DEVANAGARI", "BENGALI", "GURMUKHI", "GUJARATI", "ORIYA", "TAMIL", "TELUGU", "KANNADA", "MALAYALAM", "SINHALA")
SCRIPTS = {*ALPHABETS, *INDIC, "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "MONGOLIAN", "HANGUL", "CHEROKEE"}
"""First words of the Unicode names of a script's letters; letters of other scripts, and letter-like signs, are "Other"."""
NO_ASCII_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())


def check(entries: list[Entry], findings: Findings) -> dict[str, float]:
    """Adds the findings; returns the share of the letters in each Unicode script (a script is not a language)."""
    letters: Counter[str] = Counter()
    main: dict[int, str] = {}
    for entry in entries:
        own: Counter[str] = Counter()
        for place, text in entry.texts:
            _characters(entry.line, place, text, findings)
            own += scripts(text)
        letters += own
        if own:
            main[entry.line] = own.most_common(1)[0][0]
    _outliers(entries, main, findings)
    total = sum(letters.values())
    return {script: count / total for script, count in letters.most_common()}


def scripts(text: str) -> Counter[str]:
    """How many letters are of which script."""
    if text.isascii():
        count = len(text.encode("ascii").translate(None, delete=NO_ASCII_LETTERS))  # far quicker than one by one
        return Counter({"Latin": count} if count else {})
    counts: Counter[str] = Counter()
    for character, count in Counter(text).items():
        script = _script(character)
        if script:
            counts[script] += count
    return counts


@functools.lru_cache(maxsize=65536)
def _script(character: str) -> str | None:
    """The script of a letter by the first word of its Unicode name; None for what is no letter."""
    if not character.isalpha():
        return None
    word = unicodedata.name(character, "UNNAMED").split()[0].split("-")[0]
    if word in EAST_ASIAN:
        return "East Asian"
    return word.capitalize() if word in SCRIPTS else "Other"


def cleaned(text: str) -> str:
    """What --fix makes of a text: CR LF and CR become new lines, other control characters and U+FEFF vanish, NFC."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\ufeff", "")
    return unicodedata.normalize("NFC", CONTROL.sub("", text))


def _characters(line: int, place: str, text: str, findings: Findings) -> None:
    control = CONTROL.search(text)
    if control:
        findings.add("control_character", line, f"{place}: U+{ord(control[0]):04X} at character {control.start() + 1}")
    if text.isascii():
        return
    if "\ufffd" in text:
        findings.add("replacement_character", line, f"{place}: {_around(text, text.index(chr(0xFFFD)))}")
    if "\ufeff" in text:
        findings.add("bom_in_text", line, f"{place}: {_around(text, text.index(chr(0xFEFF)))}")
    broken = [word for word in re.findall(r"\S*[^\x00-\x7f]\S*", text) if is_bad(word)]
    if broken:
        findings.add("mojibake", line, f"{place}: {excerpt(broken[0])}")
    if not unicodedata.is_normalized("NFC", text):
        findings.add("not_nfc", line, place)
    for match in INVISIBLE.finditer(text):
        if not _needed(text, match.start()):
            findings.add("invisible_character", line, f"{place}: {_around(text, match.start())}")


def _needed(text: str, index: int) -> bool:
    """Whether an invisible character is part of the spelling."""
    character, before, after = text[index], text[index - 1 : index], text[index + 1 : index + 2]
    if character in MARKS:
        return RIGHT_TO_LEFT.search(text) is not None
    if character in "\u200c\u200d":
        return JOINED.match(before) is not None or JOINED.match(after) is not None
    return character > "\U000e0000" and FLAG in text[max(0, index - 8) : index]


def _around(text: str, index: int) -> str:
    return excerpt(text[max(0, index - 20) : index + 20])


def _outliers(entries: list[Entry], main: dict[int, str], findings: Findings) -> None:
    counts = Counter(main.values())
    if not counts or counts.most_common(1)[0][1] < MOST * len(main):
        return
    for entry in entries:
        script = main.get(entry.line)
        if script and counts[script] < FEW * len(main):
            findings.add(
                "script_outlier", entry.line, f"mostly {script}: {excerpt(entry.subject or entry.texts[0][1], 40)}"
            )
