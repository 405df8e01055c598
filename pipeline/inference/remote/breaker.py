"""A circuit breaker: when a node is left alone, and when it is asked again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

State = Literal["open", "probing", "closed"]


class Breaker:
    """Judges one node by what became of its calls.

        open --pause over--> probing --answers--> closed --failures in a window--> open
          ^------------------- fails

    It begins open with no pause: nothing is known of the node. A pause doubles with every probe
    that fails, and is spread at random over its upper half, so that clients which lost a node
    together do not come back together.

    Args:
        clock: monotonic seconds.
        random: a number from 0 up to 1.
        failures: as many within the window open it.
        window_s: the window.
        first_s: the pause after it opened.
        most_s: the longest pause.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        random: Callable[[], float],
        *,
        failures: int = 3,
        window_s: float = 10.0,
        first_s: float = 0.1,
        most_s: float = 10.0,
    ) -> None:
        self.state: State = "open"
        self._clock = clock
        self._random = random
        self._window_s = window_s
        self._first_s = first_s
        self._most_s = most_s
        self._failed_s: deque[float] = deque(maxlen=failures)
        self._next_s = first_s
        self._due_s = clock()

    @property
    def due_in_s(self) -> float:
        """How long until a probe may go; 0 from then on."""
        return max(0.0, self._due_s - self._clock())

    def failed(self) -> None:
        """Note that a call failed; one that began before it opened says nothing new."""
        if self.state != "closed":
            return
        now_s = self._clock()
        self._failed_s.append(now_s)
        is_full = len(self._failed_s) == self._failed_s.maxlen
        if is_full and now_s - self._failed_s[0] <= self._window_s:
            self._open()

    def trip(self) -> None:
        """Open at once: the node itself said that it is no use."""
        if self.state == "closed":
            self._open()

    def probe(self) -> bool:
        """Take the one probe; False while its pause lasts, or another is under way."""
        if self.state != "open" or self.due_in_s > 0:
            return False
        self.state = "probing"
        return True

    def probed(self, *, answers: bool) -> None:
        """Note what came of the probe."""
        if self.state != "probing":
            return
        if answers:
            self.state = "closed"
            self._next_s = self._first_s
            self._failed_s.clear()
        else:
            self._open()

    def _open(self) -> None:
        self.state = "open"
        self._due_s = self._clock() + self._next_s * (1 + self._random()) / 2
        self._next_s = min(2 * self._next_s, self._most_s)
