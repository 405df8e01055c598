"""A finding: one fault of a live set-up, and its cure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault.

    Args:
        rule: the rule's stable name.
        severity: `error` for what fails requests or lets them pass unseen, `warning` for what
            will hurt some day, `info` for what one should know.
        what: what is wrong, and what comes of it.
        where: the listener, route, filter or cluster.
        fix: what to do, in words.
        yaml: what to put there; empty where words are enough.
    """

    rule: str
    severity: Severity
    what: str
    where: str
    fix: str
    yaml: str = ""
