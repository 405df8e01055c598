"""What happened in an exchange, hook by hook, and the words it is reported in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pipeline.api.decisions import Continue, Decision, Refuse, Reply
from pipeline.api.outcome import Step
from pipeline.host.names import DROPPED_KEY

_KINDS: dict[type, str] = {Continue: "continue", Refuse: "refuse", Reply: "reply"}
EVENT_HOOK = "on_response_event"
HELD_S = 0.05
"""A plain hook that takes longer than this kept every other exchange waiting for too long."""


class _Tally:
    """Events of one stream that one instance decided alike."""

    __slots__ = ("duration_s", "reason", "started_s")

    def __init__(self, reason: str, started_s: float) -> None:
        self.reason = reason
        self.started_s = started_s
        self.duration_s = 0.0


class Ledger:
    """The steps of one exchange, and the time spent in the host.

    Args:
        clock: monotonic seconds.

    Attributes:
        dropped: names of fields that the backend was not sent, in one line; empty for none.
        held: instance and hook to the longest that a call of it held the event loop, in s, where
            that was longer than `HELD_S`.
    """

    __slots__ = (
        "_entered_s",
        "_spent_s",
        "_steps",
        "_tallies",
        "clock",
        "dropped",
        "held",
        "started_s",
    )

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.started_s = self._entered_s = clock()
        self._spent_s = 0.0
        self._steps: list[Step] = []
        self._tallies: dict[tuple[str, str, bool], _Tally] = {}
        self.dropped = ""
        self.held: dict[tuple[str, str], float] = {}

    def enter(self) -> float:
        """Note that the host begins to work on a message; return the time."""
        self._entered_s = self.clock()
        return self._entered_s

    def leave(self) -> None:
        """Note that it is done with the message."""
        self._spent_s += self.clock() - self._entered_s

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every hook that ran; of a stream's events one step for all that were decided alike."""
        if not self._tallies:
            return tuple(self._steps)
        events = (
            Step(name, EVENT_HOOK, kind, t.reason, t.started_s, t.duration_s, applied)  # type: ignore[arg-type]
            for (name, kind, applied), t in self._tallies.items()
        )
        return (*self._steps, *events)

    def note_continue(self, instance: str, started_s: float) -> None:
        """Add an event that a plain hook let pass, which is what becomes of nearly all of them."""
        tally = self._tallies.get((instance, "continue", True))
        if tally is None:
            tally = self._tallies[instance, "continue", True] = _Tally("", started_s)
        duration_s = self.clock() - started_s
        tally.duration_s += duration_s
        if duration_s > HELD_S:
            self.note_held(instance, EVENT_HOOK, duration_s)

    def note_held(self, instance: str, hook: str, held_s: float) -> None:
        """Note that a hook held the event loop for so long."""
        self.held[instance, hook] = max(held_s, self.held.get((instance, hook), 0.0))

    @property
    def overhead_s(self) -> float:
        """Time spent so far, the message at hand included."""
        return self._spent_s + self.clock() - self._entered_s

    @property
    def total_s(self) -> float:
        """Time since the exchange began."""
        return self.clock() - self.started_s

    @property
    def spent_s(self) -> float:
        """Time spent on the messages that are done."""
        return self._spent_s

    def note(
        self, instance: str, hook: str, decision: Decision, started_s: float, *, applied: bool
    ) -> float:
        """Add a step that ended now, and return how long it took, in s."""
        kind = _KINDS.get(type(decision), "rewrite")
        reason = decision.reason or (decision.code if isinstance(decision, Refuse) else "")
        return self._add(instance, hook, kind, reason, started_s, applied)

    def note_error(
        self, instance: str, hook: str, kind: str, started_s: float, *, applied: bool
    ) -> float:
        """Add a step that failed now, and return how long it took, in s."""
        return self._add(instance, hook, "error", kind, started_s, applied)

    def _add(
        self, instance: str, hook: str, kind: Any, reason: str, started_s: float, applied: bool
    ) -> float:
        duration_s = self.clock() - started_s
        if hook != EVENT_HOOK:
            self._steps.append(Step(instance, hook, kind, reason, started_s, duration_s, applied))
            return duration_s
        tally = self._tallies.get((instance, kind, applied))
        if tally is None:
            tally = self._tallies[instance, kind, applied] = _Tally(reason, started_s)
        tally.duration_s += duration_s
        return duration_s

    def report(self) -> dict[str, str]:
        """Word the steps for the response headers.

        Returns:
            `plugins`: `name=decision` in order of entry, the strongest decision of each, or
            `none`;
            `overhead_ms`; `server_timing`: RFC draft form, one metric per instance; `dropped`,
            where there is anything.
        """
        overhead_ms = f"{self.overhead_s * 1000:.2f}"
        report = {
            "plugins": "none",
            "overhead_ms": overhead_ms,
            "server_timing": f"dragoman;dur={overhead_ms}",
        }
        if self.dropped:
            report[DROPPED_KEY] = self.dropped
        steps = self.steps
        if not steps:
            return report
        words: dict[str, str] = {}
        spent_s: dict[str, float] = {}
        for step in steps:
            name = step.instance
            spent_s[name] = spent_s.get(name, 0.0) + step.duration_s
            word = step.decision if step.applied else f"shadow-{step.decision}"
            if words.get(name, "continue") in {"continue", "shadow-continue"}:
                words[name] = word
        report["plugins"] = ", ".join(f"{name}={word}" for name, word in words.items())
        report["server_timing"] += "".join(
            f", {name};dur={seconds * 1000:.2f}" for name, seconds in spent_s.items()
        )
        return report
