"""Personal data and secrets. All values here are made up or published examples. Each test was seen to fail under the
mutation named beside it (in `alignment/data_check/pii.py`):

- Luhn doubles the other digits, or adds a doubled digit as it is: test_luhn_by_hand
- IBAN without moving the first four characters: test_iban_by_hand
- any one of the `valid` checks left out: test_what_is_no_hit
- the rules' order turned round: test_one_hit_where_rules_overlap
- text cut before it is masked: test_no_report_shows_a_whole_value
- records.py's sentences shown unmasked: test_no_report_shows_a_whole_value
"""

from __future__ import annotations

import pytest

from alignment.data_check.excerpt import excerpt
from alignment.data_check.pii import iban, luhn, mask, masked, matches, placeholders

HITS = [
    ("email", "jane.roe+x@mail.acme.co.uk"),
    ("phone", "+44 20 7946 0958"),
    ("phone", "+49 (30) 901820"),
    ("phone", "+4930901820"),
    ("phone", "(415) 867-5309"),
    ("phone", "415-867-5309"),
    ("phone", "415.867.5309"),
    ("ip_address", "81.2.69.142"),
    ("ip_address", "2a00:1450:4001:82a::200e"),
    ("credit_card", "4111 1111 1111 1111"),
    ("credit_card", "5500005555555559"),
    ("credit_card", "3782-822463-10005"),
    ("iban", "DE89 3704 0044 0532 0130 00"),
    ("iban", "GB82WEST12345698765432"),
    ("us_ssn", "219-09-9999"),
    ("api_key", "sk-proj-abcdefghijklmnopqrstuvwx"),
    ("api_key", "AKIAIOSFODNN7EXAMPLE"),
    ("api_key", "ghp_" + "a1B2" * 9),
    ("api_key", "hf_" + "aBcDe" * 7),
    ("api_key", "-----BEGIN RSA PRIVATE KEY-----"),
    ("url_credentials", "postgres://admin:hunter2@db.acme.io"),
]


@pytest.mark.parametrize(("rule", "value"), HITS)
@pytest.mark.parametrize("around", ["{}", "Write to {}.", "({}), please", "x: {}\ny"])
def test_hits(rule, value, around):
    text = around.format(value)
    start = text.index(value)
    assert list(matches(text)) == [(rule, start, start + len(value))]


@pytest.mark.parametrize(
    "text",
    [
        "someone@example.com, a@b.test, root@localhost, x @ y.z",
        "decorators: @property.setter, cost@5.00 each",
        "(555) 867-5309, 415-555-0100, (123) 456-7891, 1-2-3, 2017-2018, 555-1234",
        "+960397912423686 and +12 apples, 5 +100 = 105, C++11 2011",
        "version 81.2.69.142, v81.2.69.142, 192.168.0.1, 127.0.0.1, 8.8.8.8, 1.2.3.4.5, 300.1.2.3, section 4.2.1",
        "12:30:45:10, std::vector::iterator, fe80::1, 2001:db8::1:2:3, a::b",
        "4111 1111 1111 1112, 1234567812345670, 0000 0000 0000 0000, 411 111 111 111 1111, 1007411131329104",
        "DE88 3704 0044 0532 0130 00, AB12 CDEF GHIJ KLMN, ISBN 9780306406157",
        "000-12-3456, 666-12-3456, 912-12-3456, 123-45-6789, 12-345-6789, 123-456-7890-1",
        "sk-short, task-force-of-the-year-two-thousand, AKIAlower, hf_model, eyJust",
        "https://user@host.org/x, git@github.com:a/b, http://example.com:80/a@b, ftp://user:password@acme.io, http://a:b@example.org",
        "1,000,000 - 500,000 = 500,000; 3.14159265358979; 13b05b60-8090-44d1-92f8-c1a0c8c84995",
    ],
)
def test_what_is_no_hit(text):
    assert [(rule, text[start:end]) for rule, start, end in matches(text)] == []


def test_luhn_by_hand():
    """7992739871·3: 9→18→9, 7→14→5, ... the example of ISO's own description."""
    assert [digit for digit in "0123456789" if luhn("7992739871" + digit)] == ["3"]
    assert not luhn("4111111111111112")


def test_iban_by_hand():
    """GB82 WEST 1234 5698 7654 32 → 3214282912345698765432161182 mod 97 = 1."""
    assert 3214282912345698765432161182 % 97 == 1
    assert iban("GB82 WEST 1234 5698 7654 32")
    assert not iban("GB28 WEST 1234 5698 7654 32")
    assert not iban("GB82 WEST 1234 5698 7645 32")


def test_what_follows_a_number_does_not_hide_it():
    text = "BE68 5390 0754 7034 NOW, +4930901820 415 867 5309 1234 and +49 30 901820 20 people"
    assert [text[a:b] for _, a, b in matches(text)] == ["BE68 5390 0754 7034", "+4930901820 415", "+49 30 901820 20"]


def test_one_hit_where_rules_overlap():
    text = "see https://jane:s3cr3t@acme.io/x, then jane@acme.io"
    assert [(rule, text[a:b]) for rule, a, b in matches(text)] == [
        ("url_credentials", "https://jane:s3cr3t@acme.io"),
        ("email", "jane@acme.io"),
    ]


@pytest.mark.parametrize(("rule", "value"), HITS)
def test_a_mask_shows_three_characters_at_most(rule, value):
    shown = mask(rule, value)
    assert shown.split("***")[0] == value[: len(shown.split("***")[0])]
    assert len(shown.split("***")[0]) <= 3
    assert not list(matches(shown))


def test_masks_and_placeholders():
    text = "Ask jane@acme.io or (415) 867-5309, not bob@example.com."
    assert masked(text) == "Ask j***@… or (4***, not bob@example.com."
    assert placeholders(text) == "Ask [EMAIL] or [PHONE], not bob@example.com."


def test_no_report_shows_a_whole_value(check):
    """In whatever finding the text is quoted, and in the sentences of the readers, every value is masked."""
    values = " ".join(value for _, value in HITS)
    data = [
        {"prompt": values, "response": "A."},
        {"prompt": values, "response": values},
        {"prompt": values.upper() + " x", "response": "A." + "\x07"},
        {"messages": [{"role": values}]},
        {"prompt": "x " * 26 + "jane.roe+x@mail.acme.co.uk " * 3, "response": "A.\ufffd"},
        {"prompt": "Б" * 100, "response": values + "\u200b", values: 1},
    ]
    result = check(data)
    assert {rule for rule, _ in HITS} <= set(result.lines)
    for _, value in HITS:
        assert value not in str(result.report)
        assert value not in result.text
    assert "jane.roe" not in str(result.report) + result.text


def test_excerpts_are_safe_to_print():
    assert excerpt("a\nb\x1b[31m\u202e!") == "a⏎b<U+001B>[31m<U+202E>!"
    assert excerpt("x" * 100, 10) == "x" * 10 + "…"


def test_findings_by_line(check):
    data = [{"prompt": "Hello."}] + [{"prompt": f"Number {i}: {value}"} for i, (_, value) in enumerate(HITS)]
    result = check(data)
    for rule in {rule for rule, _ in HITS}:
        assert result.lines[rule] == [2 + i for i, (name, _) in enumerate(HITS) if name == rule]
    assert result.code == 0
