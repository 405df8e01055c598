"""Where a reader stands in a numbered log of what came and went.

A log keeps the insertion of every entry that is there, in the order that they came, and the last
of the deletions. So reading it from the beginning gives what is there, and nothing is lost to who
stood anywhere in it unless deletions that he had not read were dropped.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass

MAX_CHANGES = 250
"""That one reading of a log gives, at most."""

_FORM = re.compile(r"([0-9a-f]{16})\.(\d{1,18})\.(\d{1,18})")


def fresh_log_id() -> str:
    """Return a name for a log that begins."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A position taken apart.

    Args:
        log_id: which log it is of: a log that begins anew has another.
        seq: number of the last change that was read.
        knows: the reader began when the log was here: he never saw what was deleted before.
    """

    log_id: str
    seq: int
    knows: int

    @classmethod
    def parse(cls, position: str) -> Cursor | None:
        """Read a position; None if it is none."""
        match = _FORM.fullmatch(position)
        return None if match is None else cls(match[1], int(match[2]), int(match[3]))

    def __str__(self) -> str:
        """Write the position."""
        return f"{self.log_id}.{self.seq}.{self.knows}"

    def reaches(self, log_id: str, forgotten: int) -> bool:
        """Say whether the log still tells all that happened after.

        Args:
            log_id: of the log as it is.
            forgotten: number of the last deletion that it dropped.
        """
        return self.log_id == log_id and max(self.seq, self.knows) >= forgotten
