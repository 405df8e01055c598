"""A rule of the conformance suite: a name, a sentence, and a check that can fail."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from pipeline.testing.conformance.subject import Subject

Check = Callable[[Subject], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule.

    Args:
        name: stable, for reports and for `skip`.
        sentence: what holds of a plugin that keeps it.
        why: what goes wrong with one that does not.
        check: raises Violation, or NotApplicable.
    """

    name: str
    sentence: str
    why: str
    check: Check

    @classmethod
    def of(cls, check: Check) -> Self:
        """Make a rule of a check: its name, and its docstring in two paragraphs."""
        sentence, _, why = (inspect.getdoc(check) or "").partition("\n\n")
        name = getattr(check, "__name__", "")
        return cls(name, " ".join(sentence.split()), " ".join(why.split()), check)
