"""One labelled text, and a set of them: deduplicated, contradictions resolved."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pipeline.inference.normalise import normalise

Part = Literal["train", "calibration", "test"]
_NOT_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Example:
    """A text and what it is.

    Args:
        text: as a client would send it.
        source: the file or generator it comes from.
        jailbreak: whether it tries to free the model of its rules; None where nobody knows.
        injection: whether it tries to replace the application's instructions, likewise.
        trigger: a harmless text that holds words which attacks are made of.
        evasion: how it was disguised; empty if it was not.
    """

    text: str
    source: str
    jailbreak: bool | None = None
    injection: bool | None = None
    trigger: bool = False
    evasion: str = ""

    @property
    def attack(self) -> bool:
        """Whether it is an attack of any kind."""
        return bool(self.jailbreak or self.injection)

    @property
    def benign(self) -> bool:
        """Whether it is known to be no attack of either kind."""
        return self.jailbreak is False and self.injection is False


def benign(text: str, source: str, *, trigger: bool = False) -> Example:
    """Return an example that is no attack of either kind."""
    return Example(text, source, jailbreak=False, injection=False, trigger=trigger)


@lru_cache(2**17)
def key(text: str) -> str:
    """Return what near-copies of a text share: its letters and digits once disguises are undone."""
    return _NOT_WORDS.sub("", normalise(text[:4000]).casefold())[:600]


def share(text: str, salt: str = "") -> float:
    """Return a number from 0 to 1 that depends on the text alone: splits stay as they are."""
    digest = hashlib.sha256((salt + text).encode(errors="replace")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def deduplicate(examples: Iterable[Example]) -> list[Example]:
    """Return one example of each text, without texts that sources contradict each other on.

    A text that one source calls an attack and another harmless is left out, with all its copies;
    of the others the first stays, with the labels that any copy knows.
    """
    kept: dict[str, Example] = {}
    refused: set[str] = set()
    for example in examples:
        if not (name := key(example.text)):
            continue
        if (first := kept.get(name)) is None:
            kept[name] = example
            continue
        if (first.benign and example.attack) or (first.attack and example.benign):
            refused.add(name)
            continue
        kept[name] = Example(
            first.text,
            first.source,
            _either(first.jailbreak, example.jailbreak),
            _either(first.injection, example.injection),
            first.trigger or example.trigger,
            first.evasion,
        )
    return [example for name, example in kept.items() if name not in refused]


def _either(first: bool | None, second: bool | None) -> bool | None:
    """Return the label of two copies: an attack if either says so, else what one knows."""
    if first or second:
        return True
    return first if second is None else second
