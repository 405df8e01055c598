"""What happened in an exchange, hook by hook, and the words it is reported in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeline.api.decisions import Continue, Decision, Refuse, Reply
from pipeline.api.outcome import Step

_KINDS: dict[type, str] = {Continue: "continue", Refuse: "refuse", Reply: "reply"}


class Ledger:
    """The steps of one exchange, and the time spent in the host.

    Args:
        clock: monotonic seconds.
    """

    __slots__ = ("_entered_s", "_event_steps", "_spent_s", "clock", "started_s", "steps")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.started_s = self._entered_s = clock()
        self._spent_s = 0.0
        self.steps: list[Step] = []
        self._event_steps: dict[tuple[str, str, bool], int] = {}

    def enter(self) -> float:
        """Note that the host begins to work on a message; return the time."""
        self._entered_s = self.clock()
        return self._entered_s

    def leave(self) -> None:
        """Note that it is done with the message."""
        self._spent_s += self.clock() - self._entered_s

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
    ) -> None:
        """Add a step that ended now."""
        kind = _KINDS.get(type(decision), "rewrite")
        reason = decision.reason or (decision.code if isinstance(decision, Refuse) else "")
        self._add(instance, hook, kind, reason, started_s, applied)

    def note_error(
        self, instance: str, hook: str, kind: str, started_s: float, *, applied: bool
    ) -> None:
        """Add a step that failed now."""
        self._add(instance, hook, "error", kind, started_s, applied)

    def _add(
        self, instance: str, hook: str, kind: Any, reason: str, started_s: float, applied: bool
    ) -> None:
        duration_s = self.clock() - started_s
        if hook == "on_response_event":
            # A stream may have any number of events: one step for all of an instance's that
            # were decided alike.
            place = self._event_steps.setdefault((instance, kind, applied), len(self.steps))
            if place < len(self.steps):
                before = self.steps[place]
                self.steps[place] = replace(before, duration_s=before.duration_s + duration_s)
                return
        self.steps.append(Step(instance, hook, kind, reason, started_s, duration_s, applied))

    def report(self) -> dict[str, str]:
        """Word the steps for the response headers.

        Returns:
            `plugins`: `name=decision` in order of entry, the strongest decision of each;
            `overhead_ms`; `server_timing`: RFC draft form, one metric per instance.
        """
        overhead_ms = f"{self.overhead_s * 1000:.2f}"
        report = {"overhead_ms": overhead_ms, "server_timing": f"dragoman;dur={overhead_ms}"}
        if not self.steps:
            return report
        words: dict[str, str] = {}
        spent_s: dict[str, float] = {}
        for step in self.steps:
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
