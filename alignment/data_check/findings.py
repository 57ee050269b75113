"""Every kind of finding, registered once: the checks name one, the report and the documentation are made from here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class FindingKind:
    """meaning: what was found. advice: what to do. mended: what --fix does about it, "" for nothing."""

    severity: Severity
    meaning: str
    advice: str
    mended: str = ""


FINDINGS: dict[str, FindingKind] = {
    # lines
    "not_utf8": FindingKind("error", "the line is not UTF-8 text", "save the file as UTF-8", "line dropped"),
    "not_json": FindingKind("error", "the line is not JSON", "write one JSON object a line", "line dropped"),
    "invalid_record": FindingKind(
        "error", "the line is no valid record of this kind", "correct what the sentence names", "line dropped"
    ),
    "blank_line": FindingKind("note", "the line is empty", "nothing: readers skip it", "line dropped"),
    "byte_order_mark": FindingKind(
        "note", "the file starts with a UTF-8 byte order mark", "save it as UTF-8 without BOM", "removed"
    ),
    "crlf_line": FindingKind("note", "the line ends in CR LF, as Windows writes it", "save with LF", "LF written"),
    "unknown_field": FindingKind(
        "note",
        "a field that no command reads, spelled like one that is read, or on fewer than half of the lines",
        "check the spelling; else leave it: it does no harm",
    ),
    # duplicates
    "exact_duplicate": FindingKind(
        "warning", "an earlier line holds the same record (ids aside)", "keep one, or it counts twice", "line dropped"
    ),
    "near_duplicate": FindingKind(
        "warning",
        "nearly the text of an earlier line (the prompt; of a demonstration, prompt and response)",
        "keep one, or give both the same group, so that a split keeps them together",
    ),
    "repeated_prompt": FindingKind(
        "note", "an earlier line has this prompt with other responses", "fine when meant; splits keep them together"
    ),
    "duplicate_id": FindingKind("warning", "an earlier line has this id with another prompt", "give each its own id"),
    "conflicting_response": FindingKind(
        "warning",
        "an earlier demonstration answers this prompt differently",
        "keep the better one, unless several answers are meant",
    ),
    "conflicting_ranks": FindingKind(
        "warning",
        "an earlier line ranks the same responses to this prompt differently (same annotator, or none named)",
        "find out which is right and drop the other",
    ),
    "annotator_disagreement": FindingKind(
        "note", "another annotator ranked the same responses differently", "normal; the share is the noise in the data"
    ),
    "contradictory_preferences": FindingKind(
        "warning",
        "with other lines of this prompt its preferences run in a circle (A over B and B over A)",
        "drop or correct one of them; no reward can satisfy all",
    ),
    # leaks
    "leaked_prompt": FindingKind(
        "error",
        "a file of --against has this prompt, word for word or but for case, spacing and punctuation",
        "keep it on one side only, or what is measured there means nothing",
        "line dropped",
    ),
    "leaked_near_duplicate": FindingKind(
        "warning",
        "a file of --against has nearly this prompt; or a {text} record begins with a prompt from there",
        "keep it on one side only",
        "line dropped",
    ),
    "leaked_group": FindingKind(
        "warning", "a file of --against has prompts of this group", "keep a group on one side only", "line dropped"
    ),
    # texts
    "empty_prompt": FindingKind(
        "warning", "the prompt is empty or white space", "write one, or use {text} records", "line dropped"
    ),
    "empty_response": FindingKind(
        "warning",
        "a response is empty or white space",
        "check the sampling: end-of-text may come first",
        "line dropped where every response is empty",
    ),
    "unfinished": FindingKind(
        "note", "a response was cut at the length limit (finished: false)", "many of them: raise --max-new-tokens"
    ),
    "truncated": FindingKind(
        "note", "prose that ends in mid-sentence, or an open code block", "read some; drop those that were cut"
    ),
    "repetition": FindingKind(
        "note", "a letter 16 times or a word 6 times in a row, as a model in a loop writes", "read it; drop it if so"
    ),
    "very_long": FindingKind(
        "warning",
        "longer than --max-characters; with --model, than --max-length tokens",
        "shorten or drop it: training cuts or refuses what does not fit",
    ),
    # rankings
    "tied_ranks": FindingKind("note", "responses share a rank", "normal; ties teach nothing to the reward model"),
    "null_ranks": FindingKind("note", "responses that were shown but not ranked", "normal; they are in no pair"),
    "no_strict_pair": FindingKind(
        "warning", "no response is ranked above another", "nothing to learn from it; drop it or rank it again"
    ),
    "identical_responses": FindingKind(
        "warning", "responses with the same text have different ranks", "give them one rank, or show only one"
    ),
    "annotator_share": FindingKind(
        "warning", "one annotator ranked more than half", "the reward model learns that person's taste; share the work"
    ),
    "position_bias": FindingKind(
        "warning", "where a response was listed decides too often who wins", "shuffle responses before showing them"
    ),
    "length_bias": FindingKind(
        "warning",
        "the longer or the shorter response wins too often",
        "longer may be better; compare with the length baseline that `align reward` reports",
    ),
    # encoding
    "mojibake": FindingKind(
        "warning", "text decoded with the wrong encoding (Ã© for é)", "decode the source as UTF-8; ftfy repairs much"
    ),
    "replacement_character": FindingKind(
        "warning", "U+FFFD stands where a character was lost", "read the source again with its true encoding"
    ),
    "control_character": FindingKind(
        "warning", "control characters that no text needs", "remove them", "removed (a CR becomes a new line)"
    ),
    "bom_in_text": FindingKind(
        "warning", "a byte order mark (U+FEFF) within a text, left from joining files", "remove it", "removed"
    ),
    "invisible_character": FindingKind(
        "warning", "zero-width, direction or tag characters", "remove them unless the script needs them"
    ),
    "not_nfc": FindingKind(
        "note", "Unicode not in normal form C: the same letters have other tokens", "normalise to NFC", "normalised"
    ),
    "script_outlier": FindingKind(
        "note", "mostly in another script than nearly all other lines", "check that it belongs here"
    ),
    # personal data and secrets
    "email": FindingKind("warning", "looks like an e-mail address", "mask or drop it", "only with --mask-pii"),
    "phone": FindingKind("warning", "looks like a phone number", "mask or drop it", "only with --mask-pii"),
    "ip_address": FindingKind("warning", "a public IP address", "mask or drop it", "only with --mask-pii"),
    "credit_card": FindingKind(
        "warning", "a card number (its check digit fits)", "mask or drop it", "only with --mask-pii"
    ),
    "iban": FindingKind("warning", "a bank account (its check digits fit)", "mask or drop it", "only with --mask-pii"),
    "us_ssn": FindingKind(
        "warning", "looks like a US social security number", "mask or drop it", "only with --mask-pii"
    ),
    "api_key": FindingKind(
        "warning", "looks like a key, token or private key", "revoke it, then drop it", "only with --mask-pii"
    ),
    "url_credentials": FindingKind(
        "warning", "a URL with user and password", "change the password, then drop it", "only with --mask-pii"
    ),
}


@dataclass(frozen=True)
class Case:
    """One finding. line: from 1, None for the file as a whole. detail: what and where, fit to be shown."""

    line: int | None
    detail: str


@dataclass
class Findings:
    """What the checks found: one case a kind and line; further ones on that line are counted in it."""

    cases: dict[str, dict[int | None, Case]] = field(default_factory=dict)
    more: dict[tuple[str, int | None], int] = field(default_factory=dict)

    def add(self, kind: str, line: int | None, detail: str = "") -> None:
        """Raises KeyError for a kind that is not registered."""
        FINDINGS[kind]
        cases = self.cases.setdefault(kind, {})
        if line in cases:
            self.more[kind, line] = self.more.get((kind, line), 0) + 1
        else:
            cases[line] = Case(line, detail)

    def of(self, kind: str) -> list[Case]:
        """The cases of a kind in order of line, with the count of further ones on the same line in the detail."""
        cases = sorted(self.cases.get(kind, {}).values(), key=lambda case: case.line or 0)
        return [Case(case.line, self._with_more(kind, case)) for case in cases]

    def lines(self, kind: str) -> set[int]:
        return {line for line in self.cases.get(kind, {}) if line is not None}

    def found(self, severity: Severity) -> list[str]:
        """The kinds of this severity with a case, in the order of the table."""
        return [kind for kind, about in FINDINGS.items() if about.severity == severity and self.cases.get(kind)]

    def _with_more(self, kind: str, case: Case) -> str:
        more = self.more.get((kind, case.line))
        return f"{case.detail} (and {more} more on this line)" if more else case.detail


def findings_table() -> str:
    """The registry as a Markdown table: name, severity, meaning, what to do, what --fix does."""
    rows = ["| finding | severity | what it means | what to do | `--fix` |", "| --- | --- | --- | --- | --- |"]
    for name, kind in FINDINGS.items():
        rows.append(f"| `{name}` | {kind.severity} | {kind.meaning} | {kind.advice} | {kind.mended or '—'} |")
    return "\n".join(rows) + "\n"
