"""What simulated providers have in common: they note requests, and fail where they are asked to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

SLOW_S = 5.0
"""How long a question with `slow` in it waits for the first byte."""

_ERROR = re.compile(r"error (\d{3})")


@dataclass(frozen=True)
class Seen:
    """One request that came in."""

    path: str
    headers: dict[str, str]
    body: Json


class Simulator:
    """Holds the only key that is taken, empty for any, and what came in."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.seen: list[Seen] = []


def asked_error(question: str) -> int:
    """Return the status that a question's `error 429` asks for, 0 where it asks for none."""
    found = _ERROR.search(question)
    return int(found[1]) if found else 0
