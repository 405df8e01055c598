"""Admission: how many exchanges one process takes on at once, and how many bytes of bodies."""

from __future__ import annotations

from typing import Protocol

from pipeline.config.schema import LimitsConfig


class Meter(Protocol):
    """Counts what is held, and what was too much."""

    def held(self, held_bytes: int) -> None:
        """See how many bytes are held now."""

    def overload(self, limit: str, answer: str) -> None:
        """See an exchange that was `refused`, or `passed` on without plugins."""


class Admission:
    """What one process has taken on.

    Args:
        limits: `exchanges` and `process_bytes`.
        meter: counts.
    """

    def __init__(self, limits: LimitsConfig, meter: Meter | None = None) -> None:
        self._max_exchanges = limits.exchanges
        self._max_bytes = limits.process_bytes
        self._meter = meter
        self._exchanges = 0
        self._held_bytes = 0

    def limit(self, limits: LimitsConfig) -> None:
        """Take on more or less from now on; what was taken on stays."""
        self._max_exchanges = limits.exchanges
        self._max_bytes = limits.process_bytes

    def enter(self) -> bool:
        """Take an exchange on; False when it is one too many, which is still to be left."""
        self._exchanges += 1
        return self._exchanges <= self._max_exchanges

    def leave(self) -> None:
        """See the end of an exchange that was entered."""
        self._exchanges -= 1

    def over_exchanges(self, passed: bool) -> None:
        """Count an exchange that was one too many; `passed` when it went on without plugins."""
        if self._meter is not None:
            self._meter.overload("exchanges", "passed" if passed else "refused")

    def hold(self, before: int, now: int) -> bool:
        """Let a stream hold `now` bytes instead of `before`; False, and no change, if too many.

        A stream that alone holds anything may: its own limits bound it.
        """
        others = self._held_bytes - before
        if now > before and others and others + now > self._max_bytes:
            if self._meter is not None:
                self._meter.overload("process_bytes", "refused")
            return False
        self._held_bytes = others + now
        if self._meter is not None and now != before:
            self._meter.held(self._held_bytes)
        return True
