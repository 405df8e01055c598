"""A question as it is compared: tokens, numbers, names and the words that turn a meaning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from plugins.semantic_cache.verifying.words import (
    CONTRACTIONS,
    DIRECTIONS,
    FUTURE,
    NEGATIONS,
    NUMBER_WORDS,
    PAST,
    PRONOUNS,
    QUANTIFIERS,
    QUESTION_WORDS,
    STOPWORDS,
    TIMES,
    UNITS,
)

# Ends of sentences, words, numbers with their separators.
_TOKEN = re.compile(r"[.!?]+(?=\s)|\d+(?:[.,:/]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)?|[^\W_]+")
_LITERAL = re.compile(r"`[^`]+`|\"[^\"]+\"|\b\w+(?:[._/:]\w+)+\(?|\b[a-z]+[A-Z]\w*|--?\w[\w-]+")
# Without one of these there is neither.
_MARKED = re.compile(r"[`\"._/:(A-Z-]")
_NOT = re.compile(r"n't$")
_POSSESSIVE = re.compile(r"'(?:s|re|ve|ll|d|m)$")
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
# A longer question is compared by its beginning and its end.
_MOST_TOKENS = 256
_PARTICIPLE = re.compile(r"(?:ed|en|wn|ght|nt|ld|ut|ung|uck|ade|ost|one|ead|elt)$")
_NONE: frozenset[str] = frozenset()
_I = "i'"
_DIRECTED = frozenset(DIRECTIONS)
_PERSONS = frozenset(PRONOUNS)
_COUNTED = frozenset(NUMBER_WORDS)
_SUFFIXES = ("ingly", "edly", "ings", "ing", "ies", "ied", "es", "ed", "ly", "s")


@dataclass(frozen=True, slots=True, repr=False)
class Reading:
    """What is compared of a question.

    Args:
        tokens: lower case, contractions taken apart.
        stems: of the tokens, in order.
        bag: the stems once each.
        content: stems that say what it is about, in order.
        numbers: as they are written, number words as digits.
        units, times, quantifiers: words of these sets.
        names: words with a capital letter that begin no sentence, in lower case.
        literals: code-like names and quoted text.
        asks: question words.
        negations: how many there are.
        direction: more and most, less less and least.
        tense: -1 past, 1 future.
        pronouns: kinds of person, in order.
        passive: whether something "was done by" someone.
        last: stems of the last sentence.
        script: the most frequent Unicode block of 256 code points.
    """

    tokens: tuple[str, ...]
    stems: tuple[str, ...]
    bag: frozenset[str]
    content: tuple[str, ...]
    numbers: frozenset[str]
    units: frozenset[str]
    times: frozenset[str]
    quantifiers: frozenset[str]
    names: frozenset[str]
    literals: frozenset[str]
    asks: frozenset[str]
    negations: int
    direction: int
    tense: int
    pronouns: tuple[str, ...]
    passive: bool
    last: frozenset[str]
    script: int


def read(text: str) -> Reading:
    """Take a question apart.

    Args:
        text: of the question.
    """
    text = text.replace("\u2019", "'")
    tokens, names = _tokens(text)
    words = frozenset(tokens)
    stems = [stem(token) for token in tokens]
    bag = frozenset(stems)
    marked = _MARKED.search(text) is not None
    return Reading(
        tokens=tuple(tokens),
        stems=tuple(stems),
        bag=bag,
        content=tuple([s for s, t in zip(stems, tokens, strict=True) if t not in STOPWORDS]),
        numbers=_numbers(words),
        units=words & UNITS,
        times=words & TIMES,
        quantifiers=words & QUANTIFIERS,
        names=frozenset(names),
        literals=frozenset(_LITERAL.findall(text)) if marked else _NONE,
        asks=words & QUESTION_WORDS,
        negations=sum([tokens.count(word) for word in words & NEGATIONS]),
        direction=sum([tokens.count(word) * DIRECTIONS[word] for word in words & _DIRECTED]),
        tense=-1 if words & PAST else (1 if words & FUTURE else 0),
        pronouns=_pronouns(tokens) if words & _PERSONS else (),
        passive=_is_passive(tokens) if "by" in words else False,
        last=_last(text, bag),
        script=0 if text.isascii() else _script(text),
    )


@lru_cache(maxsize=16_384)
def stem(word: str) -> str:
    """Return a word without its ending, roughly: enough that forms of one word agree."""
    if len(word) < 4:
        return word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            rest = word[: -len(suffix)]
            if suffix == "s" and rest[-1] in "su":
                return word
            if suffix in {"ing", "ed", "ings"} and rest[-1] == rest[-2] and rest[-1] not in "ls":
                rest = rest[:-1]
            return rest + "y" if suffix in {"ies", "ied"} else rest.removesuffix("e")
    return word.removesuffix("e")


def _tokens(text: str) -> tuple[list[str], list[str]]:
    """Return tokens, and the words with a capital letter that begin no sentence."""
    found = _TOKEN.findall(text)
    if len(found) > _MOST_TOKENS:
        found = found[: _MOST_TOKENS // 2] + found[-_MOST_TOKENS // 2 :]
    tokens: list[str] = []
    names: list[str] = []
    for word in found:
        if word[-1] in ".!?":
            tokens.append("")
            continue
        lower = word.lower()
        if lower != word and tokens and tokens[-1] and lower != "i" and lower[:2] != _I:
            names.append(lower.removesuffix("'s"))
        if "'" in lower:
            tokens += _apart(lower)
        elif lower in CONTRACTIONS:
            tokens += CONTRACTIONS[lower]
        else:
            tokens.append(lower)
    return [token for token in tokens if token], names


def _numbers(words: frozenset[str]) -> frozenset[str]:
    found = [NUMBER_WORDS[word] for word in words & _COUNTED]
    return frozenset(found + [word.replace(",", "") for word in words if word[0].isdigit()])


def _pronouns(tokens: list[str]) -> tuple[str, ...]:
    return tuple([PRONOUNS[token] for token in tokens if token in PRONOUNS])


def _is_passive(tokens: list[str]) -> bool:
    at = tokens.index("by")
    return at > 0 and _PARTICIPLE.search(tokens[at - 1]) is not None


def _last(text: str, bag: frozenset[str]) -> frozenset[str]:
    """Return the stems of the last sentence, all where there is one only."""
    sentences = _SENTENCE.split(text.strip())
    if len(sentences) == 1:
        return bag
    return frozenset([stem(word) for word in _TOKEN.findall(sentences[-1].lower())])


def _apart(word: str) -> tuple[str, ...]:
    if word in CONTRACTIONS:
        return CONTRACTIONS[word]
    if _NOT.search(word):
        rest = _NOT.sub("", word)
        return (rest, "not") if rest else ("not",)
    rest = _POSSESSIVE.sub("", word)
    return (rest,) if rest else ()


def _script(text: str) -> int:
    letters = [ord(letter) >> 8 for letter in text[:200] if letter.isalpha()]
    return max(set(letters), key=letters.count) if letters else 0
