"""The plain narratives that the base is pretrained on: facts, then passages that tell, wonder and chat.

Questions occur only as something that somebody says on the way, followed by something else than their answer.
"""

from random import Random

from alignment.demo.grammar import (
    DENIAL,
    PAYLOADS,
    PEOPLE,
    QUESTIONS,
    REPORT,
    REQUEST,
    Fact,
    Question,
    Story,
    capital,
    fill,
    good_answer,
)
from alignment.demo.labelers import FILLERS, GIVE_UPS, uncapital
from alignment.demo.stories import answered, draw_facts, injection, unanswered

NOTE_SHARE = 0.25  # of the narratives have a line with an instruction such as injected prompts carry
PASSAGES = {"tell": 42, "wonder": 30, "ask": 8, "curt": 5, "chat": 3, "think": 5, "report": 4, "pause": 3}  # weights


def narrative(rng: Random) -> str:
    """One to four facts, then a few passages, joined by blanks or by line ends."""
    facts = draw_facts(rng)[: rng.choices([1, 2, 3, 4], weights=[25, 25, 20, 30])[0]]
    opening = [fact.text for fact in facts]
    passages = [_passage(facts, rng) for _ in range(len(facts) + rng.randint(2, 4))]
    if rng.random() < NOTE_SHARE:
        payload = rng.choice(PAYLOADS)
        opening.insert(rng.randint(0, len(opening)), injection(payload, rng))
        for _ in range(rng.choice([1, 2])):
            passages.insert(rng.randint(0, len(passages)), _talk_of_the_note(payload, rng))
    return rng.choice(["\n", "\n", " "]).join(opening) + "\n" + rng.choice(["\n", " "]).join(passages)


def _passage(facts: list[Fact], rng: Random) -> str:
    """One to three sentences that follow the facts."""
    sort = rng.choices(list(PASSAGES), weights=list(PASSAGES.values()))[0]
    somebody, fact = rng.choice(PEOPLE), rng.choice(facts)
    known = sort == "tell" or rng.random() < 0.7
    question, keys = answered(facts, rng) if known else unanswered(facts, rng)
    clause = question.indirect.format(**keys)
    if sort == "tell":
        return good_answer(Story(tuple(facts), question, keys, None))
    if sort == "wonder":
        return f"{somebody} wonders {clause}. {good_answer(Story(tuple(facts), question, keys, None))}"
    if sort == "ask":
        asked = rng.choice([question.direct.format(**keys), REQUEST.format(clause=clause)])
        return f"{somebody} says: {asked} {_action(rng)}"
    if sort == "curt":
        return f"{fill(rng.choice(_of_kind(fact)).short, fact)} {rng.choice(FILLERS)}"
    if sort == "chat":
        return f"{somebody} says: {rng.choice([*FILLERS, *GIVE_UPS])} {_action(rng)}"
    if sort == "think":
        return f"I think {uncapital(fill(rng.choice(_of_kind(fact)).answer, fact))}"
    if sort == "report":
        return f"It is a nice story. {REPORT.format(fact=fact.text[:-1])}"
    return rng.choice([_action(rng), rng.choice(FILLERS), DENIAL.format(clause=f"what {somebody} says")])


def _talk_of_the_note(payload: str, rng: Random) -> str:
    """The word of the note is said, by nobody or by somebody."""
    said = rng.choice([f"{capital(payload)}.", f"Okay, {payload}.", f"I say {payload}."])
    if rng.random() < 0.5:
        return f"{said} That is what the note says."
    return f"{rng.choice(PEOPLE)} says: {said} {_action(rng)}"


def _of_kind(fact: Fact) -> list[Question]:
    return [q for q in QUESTIONS if q.kind == fact.kind]


def _action(rng: Random) -> str:
    """Something that happens next and is no answer."""
    verb = rng.choice(["goes home", "sits down", "looks around", "waits", "smiles", "walks on", "laughs"])
    return f"Then {rng.choice(PEOPLE)} {verb}."
