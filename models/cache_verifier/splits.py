"""What is trained on, calibrated on and held back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from models.cache_stream.streams import Utterance, halves, read_clinc
from models.cache_verifier.made import made_pairs
from models.cache_verifier.sources import Pair, advising, checklist, disfluent, gsm8k, mock, negated

Part = Literal["train", "calibration", "test"]

# Whole tests of CheckList, some of each class, and of each with its positive counterpart.
HELD_BACK = {
    "How can I become a X person != How can I become a person who is not X": "negation",
    "How can I become a X person == How can I become a person who is not antonym(X)": "negation",
    "same adjectives, different people": "entity",
    "Simple coref: he and she": "role",
    "traditional SRL: active / passive swap": "role",
    "traditional SRL: wrong active / passive swap": "role",
    "Is it {ok, dangerous, ...} to {smoke, rest, ...} after != before": "time",
    "How can I become more X != How can I become less X": "comparison",
    "How can I become more X = How can I become less antonym(X)": "comparison",
    "A or B is not the same as A and B": "modifier",
    "Irrelevant modifiers - animals": "modifier",
    "Irrelevant preamble with different examples.": "modifier",
}
"""Failure class of each test that training never sees."""

_EACH_TEST = 250
_EACH_QUERY = 12
_DISFLUENT = 2000
_EACH_KIND = 400
_EACH_FILE = 200
# GSM8K's questions and Advising's queries go to the three parts in turn.
_PARTS: tuple[Part, ...] = ("train", "calibration", "test")


def clinc_parts(data: Path) -> tuple[list[Utterance], list[Utterance], list[Utterance]]:
    """Return two quarters of CLINC150 that train and calibrate each other, and the half to judge.

    Args:
        data: folder of the material.
    """
    train, test = halves(read_clinc(data), seed=0)
    first, second = halves(train, seed=1)
    return first, second, test


def pairs(data: Path) -> dict[Part, list[Pair]]:
    """Return all other pairs by part; none of a group is in two of them.

    Args:
        data: folder of the material.
    """
    found: dict[Part, list[Pair]] = {"train": [], "calibration": [], "test": []}
    for pair in checklist(data, _EACH_TEST):
        found["test" if pair.group in HELD_BACK else "train"].append(pair)
    for pair in [*gsm8k(data), *advising(data, _EACH_QUERY)]:
        found[_PARTS[int(pair.group.split()[1]) % 3]].append(pair)
    found["test"] += negated(data, _EACH_FILE)
    found["train"] += [*disfluent(data, _DISFLUENT), *mock(data), *made_pairs(_EACH_KIND)]
    return found


def texts_of(found: Sequence[Pair]) -> list[str]:
    """Return the texts of pairs, each once."""
    return list(dict.fromkeys(text for pair in found for text in (pair.asked, pair.stored)))
