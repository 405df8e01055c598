"""Which language a text is in, by its script, function words and letters; without a model."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from pipeline.api.signals import Label
from pipeline.inference.language_words import FUNCTION_WORDS, LETTERS, SCRIPTS, TELLING

# Of a text's beginning: enough function words for any language, and a bound of the cost.
SEEN_CHARS = 800
# How much likelier a word is in a language whose function word it is than in another: exp(2.5).
LOG_RATIO = 2.5
MOST_TIMES = 2
ABSTAIN_BELOW = 0.6

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_FOREIGN = re.compile("[" + "".join(f"{first}-{last}" for _, first, last in SCRIPTS) + "]")


def _owners(features: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    owners: defaultdict[str, list[str]] = defaultdict(list)
    for code, owned in features.items():
        for feature in dict.fromkeys(owned):
            owners[feature].append(code)
    return {feature: tuple(codes) for feature, codes in owners.items()}


_WORDS = _owners({code: words.split() for code, words in FUNCTION_WORDS.items()})
_LETTERS = _owners(LETTERS)
_CODES = len(FUNCTION_WORDS)


def language(text: str) -> Label:
    """Return the text's language as an ISO 639-1 code; no name where too little speaks for one.

    A text that is mostly of another script than Latin is told by its letters. Of the others,
    each function word and each letter of its own makes the languages that have it likelier by
    the same factor, so that what several have in common says nothing between them.

    Args:
        text: any; its beginning is looked at.
    """
    seen = text[:SEEN_CHARS].lower()
    others = _NOT_ASCII.findall(seen)
    foreign = _FOREIGN.findall("".join(others)) if others else []
    if foreign:
        latin = sum(map(str.isalpha, seen)) - len(foreign)
        # A letter of most other scripts stands for more than one Latin letter does.
        share = len(foreign) / (len(foreign) + latin / 3)
        if share > ABSTAIN_BELOW:
            return Label(_of_script(foreign), share)
    evidence: defaultdict[str, float] = defaultdict(float)
    for features, owners in ((_WORD.findall(seen), _WORDS), (others, _LETTERS)):
        for feature, count in Counter(features).items():
            # A word that comes again says less than a new one.
            for code in owners.get(feature, ()):
                evidence[code] += LOG_RATIO * min(count, MOST_TIMES)
    if not evidence:
        return Label(None, 1 / _CODES)
    best = max(evidence, key=evidence.__getitem__)
    odds = sum(math.exp(found - evidence[best]) for found in evidence.values())
    probability = 1 / (odds + (_CODES - len(evidence)) * math.exp(-evidence[best]))
    return Label(best if probability >= ABSTAIN_BELOW else None, probability)


def _of_script(letters: list[str]) -> str:
    counts: Counter[str] = Counter()
    for letter in letters:
        counts.update(code for code, first, last in SCRIPTS if first <= letter <= last)
    code = counts.most_common(1)[0][0]
    # Japanese has Chinese characters too, so that its own letters decide however few they are.
    if code == "zh" and counts["ja"]:
        return "ja"
    for other, own in TELLING.get(code, ()):
        if any(letter in own for letter in letters):
            return other
    return code
