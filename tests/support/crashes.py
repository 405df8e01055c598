"""Envoys that crash by themselves: 1.36 and 1.37 do now and then when clients leave.

What a test then sees says nothing about Dragoman; `docs/explanation/envoy-versions.md` tells what
is known of it. From 1.38 on a crash is a failure like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.envoy.process import EnvoyProcess

SOUND_FROM = (1, 38)
_WORD = "Caught Segmentation fault"


class Crashes:
    """Counts the Envoys that crashed."""

    def __init__(self) -> None:
        self._running: set[EnvoyProcess] = set()
        self.ended = 0
        """How many have crashed and are gone."""

    def since(self, ended: int) -> bool:
        """Say whether one has crashed since so many had, or still lies where tests reach it."""
        return self.ended > ended or any(map(_has_crashed, self._running))

    @contextmanager
    def watched(self, envoy: EnvoyProcess) -> Iterator[None]:
        """Watch an Envoy for the time of the block; its log must outlive that."""
        self._running.add(envoy)
        try:
            yield
        finally:
            self._running.discard(envoy)
            self.ended += _has_crashed(envoy)


CRASHES = Crashes()
"""Of this process."""


def _has_crashed(envoy: EnvoyProcess) -> bool:
    try:
        return _WORD in envoy.log_file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
