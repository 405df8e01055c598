"""Streams: requests as they arrive at a cold cache, few intents often and most rarely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.files import read_json

OUT_OF_SCOPE = "oos"
# One request in twenty, as in CLINC150, is of no known intent: nothing stored may answer it.
OUT_OF_SCOPE_SHARE = 0.05
ZIPF = 1.0
SEEDS = (1, 2, 3, 4, 5)
LENGTH = 10_000


@dataclass(frozen=True, slots=True)
class Utterance:
    """A request's text and what it asks for; the same intent means the same answer serves."""

    text: str
    intent: str


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests in the order of their arrival.

    Args:
        texts: of the requests.
        answers: what answers each; no two requests out of scope share one.
    """

    texts: tuple[str, ...]
    answers: NDArray[np.int32]


def read_clinc(data: Path) -> list[Utterance]:
    """Read CLINC150, all splits together, without the four texts that have two intents there."""
    splits = read_json(data / "cache" / "clinc150_data_full.json")
    intents: dict[str, set[str]] = {}
    for rows in splits.values():
        for text, intent in rows:
            intents.setdefault(text, set()).add(intent)
    return [Utterance(text, *names) for text, names in intents.items() if len(names) == 1]


def halves(utterances: Sequence[Utterance], seed: int) -> tuple[list[Utterance], list[Utterance]]:
    """Split into calibration and test: no text in both, every intent half in each."""
    intents: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        intents.setdefault(utterance.intent, []).append(utterance)
    generator = np.random.default_rng(seed)
    calibration: list[Utterance] = []
    test: list[Utterance] = []
    for _, members in sorted(intents.items()):
        order = generator.permutation(len(members))
        middle = len(members) // 2
        calibration += [members[at] for at in order[:middle]]
        test += [members[at] for at in order[middle:]]
    return calibration, test


def stream(utterances: Sequence[Utterance], length: int, seed: int) -> Stream:
    """Draw a stream: intents by Zipf's law in an order of the seed, each utterance once at most.

    An intent whose utterances are all gone arrives no more, so a repeat is always in other words.

    Args:
        utterances: of all intents and out of scope.
        length: requests; there are fewer if utterances run out.
        seed: of the order of intents, utterances and arrivals.
    """
    generator = np.random.default_rng(seed)
    intents = sorted({one.intent for one in utterances} - {OUT_OF_SCOPE})
    waiting = {
        intent: [one.text for one in utterances if one.intent == intent]
        for intent in [*intents, OUT_OF_SCOPE]
    }
    for left in waiting.values():
        generator.shuffle(left)
    weights = 1 / (generator.permutation(len(intents)) + 1) ** ZIPF
    texts: list[str] = []
    answers: list[int] = []
    while len(texts) < length and weights.any():
        if waiting[OUT_OF_SCOPE] and generator.random() < OUT_OF_SCOPE_SHARE:
            answers.append(len(intents) + len(texts))
            texts.append(waiting[OUT_OF_SCOPE].pop())
            continue
        chosen = int(generator.choice(len(intents), p=weights / weights.sum()))
        texts.append(waiting[intents[chosen]].pop())
        answers.append(chosen)
        if not waiting[intents[chosen]]:
            weights[chosen] = 0
    return Stream(tuple(texts), np.asarray(answers, np.int32))


def clinc_streams(data: Path) -> tuple[list[Stream], list[Stream]]:
    """Return the calibration streams and the test streams of CLINC150, one a seed."""
    calibration, test = halves(read_clinc(data), seed=0)
    return (
        [stream(calibration, LENGTH, seed) for seed in SEEDS],
        [stream(test, LENGTH, seed) for seed in SEEDS],
    )


def full_streams(data: Path) -> list[Stream]:
    """Return streams of all of CLINC150, one a seed: denser, nothing is left to calibrate on."""
    utterances = read_clinc(data)
    return [stream(utterances, LENGTH, seed) for seed in SEEDS]
