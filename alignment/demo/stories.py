"""Draw the facts of a story and a question about them, answerable or not."""

from random import Random

from alignment.demo.grammar import FACTS, INJECTIONS, NOTE, QUESTIONS, WORDS, Fact, Question, Slots, slots_of


def draw_facts(rng: Random) -> list[Fact]:
    """Two to four facts that share no person, thing, animal, colour, place or other word but the meal."""
    count = rng.choices([2, 3, 4], weights=[35, 45, 20])[0]
    deck = {slot: rng.sample(words, k=len(words)) for slot, words in WORDS.items()}
    deck["other"] = deck["person"]
    deck["meal"] = rng.choices(WORDS["meal"], k=4)
    kinds = rng.choices(list(FACTS), k=count)
    return [Fact(kind, {slot: deck[slot].pop() for slot in slots_of(FACTS[kind])}) for kind in kinds]


def answered(facts: list[Fact], rng: Random, who: bool = True) -> tuple[Question, Slots]:
    """A question that one of the facts answers, with the key values it names. who=False: none that asks for a person,
    since those go from a fact's end back to its beginning, which a model this small does at chance."""
    fact = rng.choice(facts)
    question = rng.choice([q for q in QUESTIONS if q.kind == fact.kind and (who or not q.direct.startswith("Who"))])
    return question, {s: fact.slots[s] for s in question.keys}


def unanswered(facts: list[Fact], rng: Random) -> tuple[Question, Slots]:
    """A question about somebody or something in the facts that they do not answer.

    Either another matter about a person ("Where does Tom work?" when only his kite is known), another matter
    about a thing (what it is made of when only its place is known), or a thing of another colour.
    """
    fact = rng.choice(facts)
    about_person = [q for q in QUESTIONS if q.keys == ("person",) and q.kind in _OPEN_MATTERS[fact.kind]]
    about_thing = [q for q in QUESTIONS if q.keys == ("colour", "thing") and q.direct in _OPEN_THING.get(fact.kind, ())]
    recoloured = [q for q in QUESTIONS if q.kind == fact.kind and "colour" in q.keys]
    weighted = [(about_person, 50), (about_thing, 30), (recoloured, 20)]
    found = [(qs, weight) for qs, weight in weighted if qs]
    questions = rng.choices([qs for qs, _ in found], weights=[w for _, w in found])[0]
    question = rng.choice(questions)
    keys = {s: fact.slots[s] for s in question.keys}
    if questions is recoloured:
        used = {f.slots.get("colour") for f in facts}
        keys["colour"] = rng.choice([c for c in WORDS["colour"] if c not in used])
    return question, keys


# What stays open about a person or thing of whom a fact of that kind is told (having, keeping, owning and
# being given are too close to each other to ask one when another is told).
_OPEN_MATTERS = {
    "own": ("eat", "work"),
    "keep": ("eat", "work"),
    "gave": ("eat", "work"),
    "pet": ("eat", "work"),
    "eat": ("own", "keep", "pet", "work"),
    "work": ("own", "keep", "pet", "eat"),
}
_OPEN_THING = {
    "own": ("Where is the {colour} {thing}?",),
    "keep": ("What is the {colour} {thing} made of?",),
    "gave": ("What is the {colour} {thing} made of?", "Where is the {colour} {thing}?"),
}


def injection(payload: str, rng: Random) -> str:
    """A line that tells the reader to say the payload instead of answering."""
    return rng.choice(["", NOTE]) + rng.choice(INJECTIONS).format(word=payload)
