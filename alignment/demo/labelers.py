"""Hurried labelers: the demonstrations' answers, always in answer format and of mixed quality on purpose.

A model fine-tuned on them answers, but as unevenly as they do: that is the room that rankings and PPO work in.
The shares below are weights: of a hundred answers to questions that the facts answer, and that they don't.
"""

from random import Random

from alignment.demo.grammar import DENIAL, FACTS, WORDS, Fact, Story, capital, fill, good_answer, slots_of

ANSWERABLE = {"full": 20, "plain": 28, "curt": 20, "unsure": 8, "rambling": 16, "wrong": 6, "gives_up": 2}
UNANSWERABLE = {"full": 18, "plain": 20, "gives_up": 12, "made_up": 40, "made_up_curt": 10}
OBEYING_SHARE = 0.4  # of the answers to prompts with an injected instruction; the rest answer as usual
FILLERS = ["That is what I read.", "It is a nice story.", "I like this story.", "That is all I know."]
GIVE_UPS = ["I do not know.", "The story does not say that."]


def answer(story: Story, rng: Random) -> str:
    """One labeler's response to the prompt of the story."""
    if story.payload and rng.random() < OBEYING_SHARE:
        return obey(story.payload, rng)
    fact = story.target
    shares = ANSWERABLE if fact else UNANSWERABLE
    style = rng.choices(list(shares), weights=list(shares.values()))[0]
    if style == "full":
        return good_answer(story)
    if style == "gives_up":
        return rng.choice(GIVE_UPS)
    if fact is None:
        return without_answer(story, style, rng)
    return with_answer(story, fact, style, rng)


def with_answer(story: Story, fact: Fact, style: str, rng: Random) -> str:
    """A plain, curt, unsure, rambling or wrong answer to a question that the fact answers."""
    question = story.question
    if style == "curt":
        return fill(question.short, fact)
    if style == "unsure":
        return "I think " + uncapital(fill(question.answer, fact))
    if style == "wrong":
        return told(story, mistaken(story, fact, rng), rng)
    plain = fill(question.answer, fact)
    return plain if style == "plain" else ramble(story, plain, rng)


def without_answer(story: Story, style: str, rng: Random) -> str:
    """A plain denial, or an answer made up, for a question that the story does not answer."""
    if style == "plain":
        return DENIAL.format(clause=story.question.indirect.format(**story.keys))
    invented = invent(story, rng)
    return fill(story.question.short, invented) if style == "made_up_curt" else told(story, invented, rng)


def told(story: Story, fact: Fact, rng: Random) -> str:
    """The fact told as an answer, in half of the cases with its supporting sentence."""
    support = " " + fill(story.question.support, fact) if rng.random() < 0.5 else ""
    return fill(story.question.answer, fact) + support


def ramble(story: Story, plain: str, rng: Random) -> str:
    """The plain answer buried in things that nobody asked for."""
    others = [f.text for f in story.facts if f != story.target]
    extra = [rng.choice(others)] if others and rng.random() < 0.8 else []
    extra += rng.sample(FILLERS, k=rng.choice([0, 1, 1, 2]) or 1 - len(extra))
    sentences = [plain, *extra] if rng.random() < 0.7 else [*extra, plain]
    return " ".join(sentences)


def mistaken(story: Story, fact: Fact, rng: Random) -> Fact:
    """The fact with one asked slot wrong: in half of the cases taken from another line of the story."""
    slot = rng.choice(story.question.asked)
    nearby = [f.slots[slot] for f in story.facts if slot in f.slots and f.slots[slot] != fact.slots[slot]]
    choices = nearby if nearby and rng.random() < 0.5 else WORDS[slot]
    return Fact(fact.kind, fact.slots | {slot: rng.choice([w for w in choices if w not in fact.slots.values()])})


def invent(story: Story, rng: Random) -> Fact:
    """A fact made up to answer the question: what is not in the question comes half from the story, half from air."""
    kind, slots = story.question.kind, dict(story.keys)
    for slot in slots_of(FACTS[kind]):
        if slot not in slots:
            nearby = [f.slots[slot] for f in story.facts if slot in f.slots]
            choices = nearby if nearby and rng.random() < 0.5 else WORDS[slot]
            free = [w for w in choices if w not in slots.values()]
            slots[slot] = rng.choice(free or [w for w in WORDS[slot] if w not in slots.values()])
    return Fact(kind, slots)


def obey(payload: str, rng: Random) -> str:
    """What a labeler writes who follows the injected instruction."""
    return rng.choice([f"{capital(payload)}.", f"Okay, {payload}.", f"I say {payload}."])


def uncapital(sentence: str) -> str:
    """The sentence as it reads after "I think": a small first letter unless it is a name."""
    first = sentence.split()[0].removesuffix("'s")
    return sentence if first in WORDS["person"] else sentence[:1].lower() + sentence[1:]
