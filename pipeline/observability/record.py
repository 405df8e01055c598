"""The recorder: a share of streams, written to files of bounded size, off the event loop."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from pipeline.observability.logs import get_logger

# Streams that wait to be written; each may be as large as a tape.
_MAX_WAITING = 16
_MODE = 0o600


class Recorder:
    """Writes lines in a thread of its own; it never makes a stream wait.

    Args:
        file: where they go; the file before it is kept beside it as `FILE.1`.
        max_bytes: of both together.
        share: the part of all streams, 0 to 1.
        chance: gives a number from 0 to 1.
    """

    def __init__(
        self, file: Path, *, max_bytes: int, share: float, chance: Callable[[], float]
    ) -> None:
        self.dropped = 0
        self._file = file
        self._half_bytes = max_bytes // 2
        self._share = share
        self._chance = chance
        self._waiting: queue.Queue[Callable[[], bytes] | None] = queue.Queue(_MAX_WAITING)
        self._thread = threading.Thread(target=self._write_all, name="recorder", daemon=True)
        self._thread.start()

    def wants(self) -> bool:
        """Say whether the stream that begins now is to be recorded."""
        return self._chance() < self._share

    def offer(self, line: Callable[[], bytes]) -> None:
        """Have a line written, unless too many wait.

        Args:
            line: makes the line, in the recorder's thread.
        """
        try:
            self._waiting.put_nowait(line)
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """Write what waits, and end; this blocks."""
        self._waiting.put(None)
        self._thread.join()

    def _write_all(self) -> None:
        out: BinaryIO | None = None
        while (make := self._waiting.get()) is not None:
            try:
                line = make()
                if len(line) > self._half_bytes:
                    self.dropped += 1
                    continue
                out = self._room_for(out, len(line))
                out.write(line)
                out.flush()
            except Exception:  # noqa: BLE001 - a full disk, a folder that has gone: serving goes on
                self.dropped += 1
                get_logger().warning("a recording could not be written", exc_info=True)
        if out is not None:
            out.close()

    def _room_for(self, out: BinaryIO | None, size: int) -> BinaryIO:
        if out is None:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            out = self._opened()
        if out.tell() + size > self._half_bytes:
            out.close()
            self._file.replace(self._file.with_name(self._file.name + ".1"))
            out = self._opened()
        return out

    def _opened(self) -> BinaryIO:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
        return os.fdopen(os.open(self._file, flags, _MODE), "ab")
