"""Pairs that code makes up: minimal changes that matter, and rewordings that do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from models.cache_verifier.made_words import (
    ANTONYMS,
    ASYMMETRIC,
    CLAUSES,
    COMPARED,
    DAYS,
    DOING,
    FILLERS,
    FINE,
    JOBS,
    LOOKS,
    MATTERING,
    ORDINALS,
    PEOPLE,
    PLACES,
    PLURALS,
    POLITE,
    QUALITIES,
    SYMMETRIC,
    THINGS,
    TOPICS,
    UNITS,
    VERBS,
    WHEN,
)
from models.cache_verifier.sources import Pair, changed_number

Draw = Callable[[tuple[str, ...]], str]
Made = tuple[str, str, bool]


def made_pairs(each: int) -> list[Pair]:
    """Return pairs of every kind that code makes, the same ones every time.

    Args:
        each: pairs of a kind.
    """
    generator = np.random.default_rng(7)

    def draw(words: tuple[str, ...]) -> str:
        return words[generator.integers(len(words))]

    found = []
    for kind, make in _KINDS.items():
        for at in range(each):
            asked, stored, serves = make(draw, generator)
            if asked == stored:
                continue
            if generator.random() < 0.5:
                asked, stored = stored, asked
            if generator.random() < 0.3:
                asked, stored = asked.lower(), stored.lower()
            found.append(Pair(asked, stored, serves, "made", kind, f"{kind} {at}"))
    return found


def _two(draw: Draw, words: tuple[str, ...]) -> tuple[str, str]:
    first = second = draw(words)
    while first == second:
        second = draw(words)
    return first, second


def _clause(draw: Draw) -> str:
    return draw(CLAUSES).format(t=draw(TOPICS))


def _number(draw: Draw, generator: np.random.Generator) -> Made:
    unit = draw(tuple(one for one, _ in UNITS))
    text = draw(
        (
            "How many {u} are {n} of these?", "What is {n} percent of {m}?",
            "Convert {n} {u} for me", "Set a timer for {n} minutes",
            "If I save ${n} a week, what do I have after {m} weeks?",
            "Is {n} {u} of walking too much?", "What happened in {y}?", "Book a table for {n}",
            "Move ${n} from savings to checking", "Explain error {y} in version {n}.{m}",
        )
    ).format(
        u=unit,
        n=generator.integers(2, 90),
        m=generator.integers(2, 400),
        y=generator.integers(1900, 2030),
    )  # fmt: skip
    return text, changed_number(text, generator) or text, False


def _unit(draw: Draw, generator: np.random.Generator) -> Made:
    one, other = draw(tuple(f"{a}|{b}" for a, b in UNITS)).split("|")
    text = draw(("How far is {n} {u}?", "What is {n} {u} in total?", "Is {n} {u} a lot?"))
    n = generator.integers(2, 90)
    return text.format(n=n, u=one), text.format(n=n, u=other), False


def _entity(draw: Draw, _: np.random.Generator) -> Made:
    words = (PEOPLE, PLACES, JOBS, THINGS, TOPICS)[_.integers(5)]
    one, other = _two(draw, words)
    if words is PEOPLE:
        text = (
            f"{draw(('Is {x} a ' + draw(JOBS), 'Is {x} ' + draw(LOOKS), 'Where does {x} live'))}?"
        )
    elif words is PLACES:
        text = draw(
            (
                "What is the weather in {x}?",
                "Flights to {x} on " + draw(DAYS),
                "Do I need a visa for {x}?",
            )
        )
    elif words is JOBS:
        text = draw((f"Is {draw(PEOPLE)} a {{x}}?", "What does a {x} earn?"))
    elif words is THINGS:
        text = draw(
            (f"How much is a {{x}} in {draw(PLACES)}?", f"Did {draw(PEOPLE)} sell the {{x}}?")
        )
    else:
        text = draw(CLAUSES).format(t="{x}")
    return text.format(x=one), text.format(x=other), False


def _trait(draw: Draw, _: np.random.Generator) -> Made:
    one, other = _two(draw, LOOKS)
    who = draw(PEOPLE)
    return f"Is {who} {one}?", f"Is {who} {other}?", False


def _negation(draw: Draw, _: np.random.Generator) -> Made:
    quality = draw(tuple(a for a, _ in QUALITIES))
    one, other = draw(
        (
            "Which foods should I eat with {t}?|Which foods should I not eat with {t}?",
            "Who is a {q} worker?|Who is a worker that isn't {q}?",
            "What can a {j} do about {t}?|What can't a {j} do about {t}?",
            "How do I become a {q} {j}?|How do I become a {j} who is not {q}?",
            "Which cities have trains?|Which cities have no trains?",
            "Can I travel with {t}?|Can I travel without {t}?",
            "Is it {q} to ask?|Is it not {q} to ask?",
            "{t} works|{t} doesn't work",
            "I always want {t}|I never want {t}",
        )
    ).split("|")
    names = {"t": draw(TOPICS), "q": quality, "j": draw(JOBS)}
    return one.format(**names), other.format(**names), False


def _antonym(draw: Draw, _: np.random.Generator) -> Made:
    one, other = draw(tuple(f"{a}|{b}" for a, b in ANTONYMS)).split("|")
    text = draw(
        ("How do I {x} {t}?", "Can you {x} {t}", "{x} {t} now", "What happens if I {x} {t}?")
    )
    if one in {"on", "off"}:
        text = draw(("Turn {x} {t}", "Switch {x} the light in the hall", "Is the heating {x}?"))
    topic = draw(TOPICS)
    return text.format(x=one, t=topic), text.format(x=other, t=topic), False


def _double(draw: Draw, _: np.random.Generator) -> Made:
    """A quality and the negation, or the opposite direction, of its antonym: the same question."""
    one, other = draw(tuple(f"{a}|{b}" for a, b in QUALITIES)).split("|")
    pattern = draw(
        (
            "How can someone be {a}?|How can someone be not {b}?|1",
            "How do I get more {a}?|How do I get less {b}?|1",
            "How do I get more {a}?|How do I get more {b}?|0",
            "How do I get less {a}?|How do I get less {b}?|0",
            "Why is he {a}?|Why is he not {b}?|1",
            "Why is he not {a}?|Why is he not {b}?|0",
            "Is it getting more {a}?|Is it getting less {a}?|0",
            "How can I be a {a} colleague?|How can I be a colleague who isn't {b}?|1",
            "How can I be a {a} colleague?|How can I be a colleague who is {b}?|0",
            "How can I be a {a} colleague?|How can I be a colleague who is {a}?|1",
        )
    )
    first, second, serves = pattern.split("|")
    return first.format(a=one, b=other), second.format(a=one, b=other), serves == "1"


def _comparison(draw: Draw, _: np.random.Generator) -> Made:
    one, other = _two(draw, PLURALS)
    more = draw(COMPARED)
    less = "less useful" if more.startswith("more") else "less " + more.removesuffix("er")
    same = (
        f"What is {more}, {one} or {other}?|What is {more}, {other} or {one}?|1",
        f"Which are {more}, {one} or {other}?|Are {one} {more} than {other}?|1",
        f"Which are {more}, {one} or {other}?|Are {other} {more} than {one}?|1",
        f"Are {one} {more} than {other}?|Are {other} {more} than {one}?|0",
        f"Why are {one} {more} than {other}?|Why are {other} {more} than {one}?|0",
        f"Which are {more}, {one} or {other}?|Which are {less}, {one} or {other}?|0",
    )
    first, second, serves = draw(same).split("|")
    return first, second, serves == "1"


def _role(draw: Draw, _: np.random.Generator) -> Made:
    one, other = _two(draw, PEOPLE)
    relation = draw(ASYMMETRIC)
    city, town = _two(draw, PLACES)
    return (
        (f"Is {one} {relation} {other}?", f"Is {other} {relation} {one}?", False)
        if _.random() < 0.7
        else (f"trains from {city} to {town}", f"trains from {town} to {city}", False)
    )


def _mutual(draw: Draw, _: np.random.Generator) -> Made:
    one, other = _two(draw, PEOPLE)
    relation = draw(SYMMETRIC)
    first, second = _two(draw, JOBS)
    pair = draw(
        (
            f"Is {one} {relation} {other}?|Is {other} {relation} {one}?",
            f"Is {one} a {first} or a {second}?|Is {one} a {second} or a {first}?",
            f"Are {one} and {other} at home?|Are {other} and {one} at home?",
            f"Is {one} a {first} and a {second}?|Is {one} a {second} and a {first}?",
        )
    )
    asked, stored = pair.split("|")
    return asked, stored, True


def _both(draw: Draw, _: np.random.Generator) -> Made:
    first, second = _two(draw, JOBS)
    who = draw(PEOPLE)
    one = f"Is {who} a {first} or a {second}?"
    other = draw(
        (
            f"Is {who} a {first} and a {second}?",
            f"Is {who} both a {first} and a {second}?",
            f"Is {who} neither a {first} nor a {second}?",
            f"Is {who} at once a {first} and a {second}?",
            f"Is {who} only a {first}?",
        )
    )
    return one, other, False


def _voice(draw: Draw, generator: np.random.Generator) -> Made:
    verb, done = draw(tuple(f"{a}|{b}" for a, b in VERBS)).split("|")
    who, thing = draw(PEOPLE), f"the {draw(THINGS)}"
    active = f"Did {who} {verb} {thing}?"
    if generator.random() < 0.5:
        return active, f"Was {thing} {done} by {who}?", True
    return active, f"Was {who} {done} by {thing}?", False


def _time(draw: Draw, generator: np.random.Generator) -> Made:
    one, other = _two(draw, WHEN)
    day, later = _two(draw, DAYS)
    who, job = draw(PEOPLE), draw(JOBS)
    hour = generator.integers(1, 12)
    fine, doing = draw(FINE), draw(DOING)
    nth, mth = _two(draw, ORDINALS)
    text = draw(
        (
            f"What did I spend {one}?|What did I spend {other}?",
            f"Is the shop open on {day}?|Is the shop open on {later}?",
            f"Is it {fine} to {doing} before {hour} am?|Is it {fine} to {doing} after {hour} am?",
            f"May I {doing} before lunch?|May I {doing} after lunch?",
            f"Is {who} a {job}?|Was {who} a {job}?",
            f"Is {who} a {job}?|Is {who} no longer a {job}?",
            f"Does {who} work as a {job}?|Did {who} once work as a {job}?",
            f"Does {who} {doing}?|Did {who} use to {doing}?",
            f"Is {who} a {job}?|Will {who} become a {job}?",
            f"Who was the {nth} to arrive?|Who was the {mth} to arrive?",
            f"Is it {fine} to {doing} during winter?|Is it {fine} to {doing} until winter?",
        )
    )
    first, second = text.split("|")
    return first, second, False


def _modifier(draw: Draw, generator: np.random.Generator) -> Made:
    who, job, added = draw(PEOPLE), draw(JOBS), draw(MATTERING)
    if generator.random() < 0.5:
        return f"Is {who} a {job}?", f"Is {who} {_article(added)} {added} {job}?", False
    thing = draw(THINGS)
    return (
        f"Where can I rent a {thing}?",
        f"Where can I rent {_article(added)} {added} {thing}?",
        False,
    )


def _filler(draw: Draw, _: np.random.Generator) -> Made:
    who, job, word = draw(PEOPLE), draw(JOBS), draw(FILLERS)
    thing, topic = draw(THINGS), draw(TOPICS)
    first, second = draw(
        (
            f"Is {who} a {job}?|Is {who} {word} a {job}?",
            f"Is that {thing} in the yard?|Is that {thing} {word} in the yard?",
            f"Is this {thing} broken?|Is this {thing} {word} broken?",
            f"Do I need {topic}?|Do I {word} need {topic}?",
            f"What is {topic}?|What {word} is {topic}?",
        )
    ).split("|")
    return first, second, True


def _preamble(draw: Draw, _: np.random.Generator) -> Made:
    """The same question at the end of different stories."""
    one, other = _two(draw, THINGS)
    who, friend = _two(draw, PEOPLE)
    doing, fine = draw(DOING), draw(FINE)
    asks = f"Is it {fine} for people to {doing}?"
    first, second = draw(
        (
            f"My friend {who} likes to {doing}. {asks}|My friend {friend} likes to {doing}. {asks}",
            f"I bought a {one}. {asks}|I bought a {other}. {asks}",
            f"My {one} is old. How do I {doing}?|My {other} is old. How do I {doing}?",
        )
    ).split("|")
    return first, second, True


def _polite(draw: Draw, _: np.random.Generator) -> Made:
    clause = _clause(draw)
    one, other = _two(draw, POLITE)
    return one.format(clause), other.format(clause), True


def _asked_otherwise(draw: Draw, _: np.random.Generator) -> Made:
    one, other = _two(draw, CLAUSES)
    topic = draw(TOPICS)
    return one.format(t=topic), other.format(t=topic), False


def _pronoun(draw: Draw, _: np.random.Generator) -> Made:
    woman, man = _two(draw, PEOPLE)
    doing = draw(("trust", "help", "leave", "call", "forgive"))
    return (
        f"When {woman} and {man} met, did she {doing} him?",
        f"When {woman} and {man} met, did he {doing} her?",
        False,
    )


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


_KINDS: dict[str, Callable[[Draw, np.random.Generator], Made]] = {
    "number": _number,
    "unit": _unit,
    "entity": _entity,
    "trait": _trait,
    "negation": _negation,
    "antonym": _antonym,
    "double": _double,
    "comparison": _comparison,
    "role": _role,
    "mutual": _mutual,
    "both": _both,
    "voice": _voice,
    "time": _time,
    "modifier": _modifier,
    "filler": _filler,
    "preamble": _preamble,
    "polite": _polite,
    "asked otherwise": _asked_otherwise,
    "pronoun": _pronoun,
}
