"""What lookups find, and what they looked at on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plugins.semantic_cache.entries import Entry
    from plugins.semantic_cache.records import Body


@dataclass(frozen=True, slots=True)
class Found:
    """An entry that answers.

    Args:
        entry: what is known of it.
        body: the answer.
        kind: `exact` or `semantic`.
        cosine: of the two questions; 1 for the same call.
        probability: that its answer serves; 1 for the same call.
    """

    entry: Entry
    body: Body
    kind: str
    cosine: float = 1.0
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Examined:
    """A near entry, and what the verifier says of it.

    Args:
        entry: what is known of it.
        cosine: of the two questions.
        probability: that its answer serves.
        differences: of the two questions, in fixed words.
    """

    entry: Entry
    cosine: float
    probability: float
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Search:
    """What a search among near questions came to.

    Args:
        found: the entry that answers, if one does.
        reason: why none does, in a fixed word.
        examined: the near ones, nearest first.
        threshold: the probability that was asked for.
        best: the most probable of the near ones, whether it answers or not.
    """

    found: Found | None
    reason: str = ""
    examined: tuple[Examined, ...] = field(default=())
    threshold: float = 1.0
    best: Found | None = None
