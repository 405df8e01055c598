"""When a worker that ended is started again: at once, then ever later while it keeps ending."""

from __future__ import annotations

from collections.abc import Callable


class RestartPolicy:
    """Gives the pauses before the restarts of one worker.

    The pause doubles with every life that was short, and is spread at random over its upper half,
    so that workers which fall together do not rise together.

    Args:
        clock: monotonic seconds.
        random: a number from 0 up to 1.
        first_s: the first pause.
        most_s: the longest.
        settled_s: a life as long as this begins anew at the first pause.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        random: Callable[[], float],
        *,
        first_s: float = 0.1,
        most_s: float = 30.0,
        settled_s: float = 60.0,
    ) -> None:
        self._clock = clock
        self._random = random
        self._first_s = first_s
        self._most_s = most_s
        self._settled_s = settled_s
        self._started_s = clock()
        self._next_s = first_s

    def started(self) -> None:
        """Note that the worker was started."""
        self._started_s = self._clock()

    def ended(self) -> float:
        """Note that it ended, and return how long to wait before it is started again, in s."""
        if self._clock() - self._started_s >= self._settled_s:
            self._next_s = self._first_s
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, self._most_s)
        return pause_s * (1 + self._random()) / 2
