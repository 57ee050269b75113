"""Read a response sentence by sentence: what each sentence claims, denies, or merely fills the page with."""

import re
from dataclasses import dataclass
from typing import Literal

from alignment.demo.grammar import (
    FACTS,
    QUESTIONS,
    WORDS,
    Fact,
    Slots,
    Story,
    pattern,
    read_fact,
    values,
)
from alignment.demo.labelers import FILLERS, GIVE_UPS

Role = Literal["claim", "fragment", "denial", "give_up", "filler", "unread"]


@dataclass(frozen=True)
class Sentence:
    """One sentence, read. Example: "It is at the river." after a question about the green boat ->
    role "claim", kind "keep", told {"place": "at the river"}, meant: these and colour, thing.

    told: slots that the sentence itself states; meant: told and what its pronouns refer to. Both are empty for
    other roles; a fragment ("At the river.") has them without a kind. report: it begins "It says that".
    unsure: it begins "I think". clause: what a denial says is untold.
    """

    text: str
    role: Role
    kind: str = ""
    told: tuple[tuple[str, str], ...] = ()
    meant: tuple[tuple[str, str], ...] = ()
    report: bool = False
    unsure: bool = False
    clause: str = ""

    def supported_by(self, fact: Fact) -> bool:
        """The fact is of the claim's kind and agrees with everything that is meant."""
        return self.role == "claim" and self.kind == fact.kind and set(self.meant) <= fact.all_slots.items()


def _statements() -> list[tuple[str, bool, re.Pattern[str]]]:
    """Every sentence that tells a fact: (kind, whether a pronoun stands for what was told before, pattern)."""
    templates = [(kind, text) for kind, text in FACTS.items()]
    templates += [(q.kind, text) for q in QUESTIONS for text in (q.answer, q.support)]
    templates += [
        ("own", "{person} has a {thing}."),
        ("own", "The {colour} {thing} belongs to {person}."),
        ("keep", "{person} keeps the {colour} {thing} {place}."),
        ("keep", "{person}'s {thing} is {place}."),
        ("pet", "The {colour} {animal} belongs to {person}."),
        ("pet", "{person}'s {animal} sleeps {place}."),
        ("eat", "{person} has {food} for {meal}."),
        ("work", "{he} works {place}."),
        ("work", "{he} works on {day}."),
        ("gave", "{person} gave {her} the {colour} {thing}."),
        ("gave", "{other} has it now."),
    ]
    unique = dict.fromkeys(templates)
    return [
        (kind, bool(re.search(r"\b(it|them|there|then)\b|{he}|{she}", text, re.I)), pattern(text))
        for kind, text in unique
    ]


_STATEMENTS = _statements()
_FRAGMENTS = [
    pattern(f"{article}{text}.")
    for slots in (
        "{colour} {thing}",
        "{colour} {animal}",
        "{thing}",
        "{animal}",
        *(f"{{{s}}}" for s in WORDS),
    )
    for article, text in (("", slots), ("A ", slots), ("The ", slots))
    if slots not in ("{he}", "{she}", "{her}", "{other}")
] + [pattern("On {day}."), pattern("For {meal}."), pattern("Of {material}."), pattern("To {person}.")]
_DENIAL = re.compile(r"The story does not say (.+)\.", re.IGNORECASE)
_REPORT, _UNSURE = "it says that ", "i think "


def split_sentences(response: str) -> list[str]:
    """The sentences of a response, each with its final mark; what is left without a mark is the last one."""
    return [s.strip() for s in re.findall(r"[^.!?\n]+[.!?]*|[.!?]+", response) if s.strip()]


def read_response(response: str, story: Story) -> list[Sentence]:
    """Read every sentence; pronouns refer to the last claim, at first to what the question is about."""
    kind, before = story.question.kind, story.keys
    sentences = []
    for text in split_sentences(response):
        sentence = read_sentence(text, kind, before)
        if sentence.role == "claim":
            kind, before = sentence.kind, dict(sentence.meant)
        sentences.append(sentence)
    return sentences


def read_sentence(text: str, kind: str, before: Slots) -> Sentence:
    """Read one sentence after a claim of that kind with these slots; a missing final mark is no hindrance."""
    text = text if text.endswith("?") else text.rstrip(".! ") + "."
    if text in FILLERS:
        return Sentence(text, "filler")
    if text in GIVE_UPS:
        return Sentence(text, "give_up")
    if match := _DENIAL.fullmatch(text):
        return Sentence(text, "denial", clause=match.group(1))
    lower = text.lower()
    report, unsure = lower.startswith(_REPORT), lower.startswith(_UNSURE)
    core = text[len(_REPORT) :] if report else text[len(_UNSURE) :] if unsure else text
    claim = _read_claim(core, kind, before)
    if claim:
        claimed, told, meant = claim
        return Sentence(text, "claim", claimed, tuple(told.items()), tuple(meant.items()), report, unsure)
    if core is text:
        for expression in _FRAGMENTS:
            if match := expression.match(text):
                told = values(match)
                return Sentence(text, "fragment", told=tuple(told.items()), meant=tuple(told.items()))
    return Sentence(text, "unread")


def _read_claim(text: str, kind: str, before: Slots) -> tuple[str, Slots, Slots] | None:
    """(kind, told, meant) of a sentence that tells a fact; None when it tells none."""
    if fact := read_fact(text):
        return fact.kind, fact.slots, fact.slots
    found = [(k, pronoun, m) for k, pronoun, p in _STATEMENTS if (m := p.match(text))]
    if not found:
        return None
    found.sort(key=lambda item: item[0] != kind)  # the matter under discussion first
    claimed, pronoun, match = found[0]
    told = values(match)
    if not pronoun:
        return claimed, told, told
    return claimed, told, before | told
