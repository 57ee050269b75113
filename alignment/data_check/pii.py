"""Strings that look like personal data or secrets. Rules, not a model: names and addresses of people are not found.

Each rule is a pattern and a check of what it matched; the checks keep false alarms low (check digits, public addresses
only, no placeholder domains or 555 numbers)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

RESERVED_DOMAIN = re.compile(
    r"(?:^|[@.])(?:example\.(?:com|org|net)|[\w-]+\.(?:example|test|invalid|local|localhost))$", re.I
)
"""RFC 2606 and RFC 6762: names that belong to nobody."""
PUBLIC_RESOLVERS = {"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9"}
NUMBER = re.compile(r"\d[\d .()-]{5,}\d")
"""What every number below has: a quick first look."""


@dataclass(frozen=True)
class Rule:
    """needle: what a text must hold for the pattern to be tried at all (a word, or a quick pattern).

    valid: whether a value that the pattern matched is a hit, given some of the text before it."""

    pattern: re.Pattern[str]
    needle: str | re.Pattern[str]
    valid: Callable[[str, str], bool] = lambda value, before: True

    def tried(self, text: str) -> bool:
        return self.needle in text if isinstance(self.needle, str) else self.needle.search(text) is not None

    def hits(self, text: str) -> Iterator[tuple[int, int]]:
        """(start, end) of each hit; where a match is none, what of it stands before a space may be one."""
        match = self.pattern.search(text)
        while match:
            before, value = text[max(0, match.start() - 64) : match.start()], match[0]
            while value and not self.valid(value, before):
                value = value.rpartition(" ")[0]
            if value:
                yield match.start(), match.start() + len(value)
            match = self.pattern.search(text, match.start() + (len(value) or 1))


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others: doubled from the right, every second one, the digits of
    all add up to a multiple of 10. Source: ISO/IEC 7812-1, annex B."""
    doubled = [int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits))]
    return sum(value // 10 + value % 10 for value in doubled) % 10 == 0


def iban(text: str) -> bool:
    """Whether the check digits fit: the first four characters moved to the end, letters as 10…35, it is 1 modulo 97.
    Source: ISO 13616-1."""
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34 or sum(map(str.isdigit, compact)) < 10:
        return False
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


CARD = re.compile(
    r"(?:4\d{3}|5[1-5]\d\d|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)|6(?:011|4[4-9]\d|5\d\d)|35\d\d)\d{12}|3[47]\d{13}"
)
"""Visa, Mastercard, Discover, JCB (16 digits), American Express (15)."""


def _card(value: str, _: str) -> bool:
    groups = [len(group) for group in re.split(r"[ -]", value)]
    digits = re.sub(r"\D", "", value)
    return groups in ([16], [15], [4, 4, 4, 4], [4, 6, 5]) and CARD.fullmatch(digits) is not None and luhn(digits)


def _phone(value: str, _: str) -> bool:
    digits = re.sub(r"\D", "", value)
    return 8 <= len(digits) <= 13 and len(set(digits)) > 2  # E.164 allows 15; signed numbers are commoner than those


def _email(value: str, before: str) -> bool:
    in_address = "://" in before.split()[-1] if before and not before[-1].isspace() else False
    return not RESERVED_DOMAIN.search(value) and not in_address and not value.startswith("git@")


def _address(value: str, before: str) -> bool:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    named_version = re.search(r"\bv(?:er(?:sion)?)?\.? ?$", before, re.IGNORECASE) is not None
    return address.is_global and value not in PUBLIC_RESOLVERS and not named_version


def _credentials(value: str, _: str) -> bool:
    user, _, host = value.partition("://")[2].rpartition("@")
    return not RESERVED_DOMAIN.search(host) and user.partition(":")[2].lower() not in {"password", "pass", "secret"}


KEYS = (
    r"sk-(?:proj-|ant-|or-)?[A-Za-z0-9_-]{20,}",  # OpenAI, Anthropic, OpenRouter
    r"[sr]k_live_[A-Za-z0-9]{16,}",  # Stripe
    r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,}|glpat-[A-Za-z0-9_-]{20,}",
    r"hf_[A-Za-z0-9]{30,}",
    r"A(?:KIA|SIA)[A-Z0-9]{16}",  # AWS
    r"AIza[A-Za-z0-9_-]{35}",  # Google
    r"xox[abprs]-[A-Za-z0-9-]{10,}",  # Slack
    r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",  # JSON web token
)

RULES: dict[str, Rule] = {  # earlier ones win where two overlap
    "url_credentials": Rule(
        re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://[^\s/:@]{1,64}:[^\s/@]{1,128}@[\w-]+(?:\.[\w-]+)*", re.I),
        "://",
        _credentials,
    ),
    "api_key": Rule(
        re.compile(rf"(?<![\w-])(?:{'|'.join(KEYS)})(?![\w-])|-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"),
        re.compile(r"sk-|k_live_|gh[pousr]_|github_pat_|glpat-|hf_|A[KS]IA|AIza|xox[abprs]-|eyJ|PRIVATE KEY"),
    ),
    "email": Rule(
        re.compile(
            r"(?<![\w.%+-])[\w%+-][\w.%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24}(?![\w-])", re.ASCII
        ),
        "@",
        _email,
    ),
    "iban": Rule(
        re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])"),
        NUMBER,
        lambda value, _: iban(value),
    ),
    "credit_card": Rule(re.compile(r"(?<![\w.-])\d(?:[ -]?\d){14,15}(?![\w-]|\.\d)"), NUMBER, _card),
    "us_ssn": Rule(
        re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"),
        NUMBER,
        lambda value, _: value not in {"123-45-6789", "078-05-1120"},  # the two that every form shows as an example
    ),
    "phone": Rule(
        re.compile(
            r"(?<![\w.+-])\+[1-9]\d{0,2}(?:[ .-]?(?:\(\d{1,4}\)|\d{1,4})){2,6}(?![\w-])"
            r"|(?<![\w.-])(?:\((?!555)[2-9]\d{2}\) ?|(?!555)[2-9]\d{2}[-.])(?!555)[2-9]\d{2}[-.]\d{4}(?![\w-]|\.\d)"
        ),
        NUMBER,
        _phone,
    ),
    "ip_address": Rule(
        re.compile(
            r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)|(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{1,4}(?![\w:])"
        ),
        re.compile(r"\d\.\d+\.\d|:[0-9A-Fa-f]{0,4}:"),
        _address,
    ),
}


def matches(text: str) -> Iterator[tuple[str, int, int]]:
    """(rule, start, end) of each hit, none overlapping an earlier rule's."""
    taken: list[tuple[int, int]] = []
    for name, rule in RULES.items():
        if not rule.tried(text):
            continue
        for start, end in rule.hits(text):
            if not any(first < end and start < last for first, last in taken):
                taken.append((start, end))
                yield name, start, end


def mask(rule: str, value: str) -> str:
    """The value as it may be shown: `a***@…`, `+4***`; never more than its first three characters."""
    if rule == "email":
        return value[0] + "***@…"
    return value[: 3 if rule == "api_key" else 2] + "***"


def masked(text: str) -> str:
    """The text with every hit masked, to be shown."""
    return _replaced(text, mask)


def placeholders(text: str) -> str:
    """The text with `[EMAIL]`, `[PHONE]`, ... for every hit: what --mask-pii writes."""
    return _replaced(text, lambda rule, value: f"[{rule.upper()}]")


def _replaced(text: str, new: Callable[[str, str], str]) -> str:
    for rule, start, end in sorted(matches(text), key=lambda hit: -hit[1]):
        text = text[:start] + new(rule, text[start:end]) + text[end:]
    return text
