"""Tapping streams: which are recorded, and what becomes of their tapes."""

from __future__ import annotations

import random
import re
from pathlib import Path

from pipeline.config.schema import Config
from pipeline.host.names import LEVEL_METADATA, ROUTE_METADATA
from pipeline.observability.record import Recorder
from pipeline.wire.recording import Redactor, Tape, encode, redactor

# A stream that says more is not recorded: masking it would cost the host too much.
_MAX_STREAM_BYTES = 2 * 2**20


class Tap:
    """Records a share of streams.

    Args:
        recorder: writes them.
        redact: masks them first.
        max_stream_bytes: of the messages of one stream.
    """

    def __init__(
        self, recorder: Recorder, redact: Redactor, max_stream_bytes: int = _MAX_STREAM_BYTES
    ) -> None:
        self._recorder = recorder
        self._redact = redact
        self._max_stream_bytes = max_stream_bytes

    def follow(self, config: Config) -> None:
        """Mask as another config says, which must want the same recorded."""
        wanted = config.telemetry.record
        if wanted is not None:
            self._redact = redactor(config, with_bodies=wanted.bodies == "full")

    def begin(self, level: str, named: str | None) -> Tape | None:
        """Return a tape for a stream that begins, None for one that is not recorded.

        Args:
            level: as its gRPC metadata has it; empty for none.
            named: the routes in its gRPC metadata; None for none.
        """
        if not self._recorder.wants():
            return None
        given = ((LEVEL_METADATA, level or None), (ROUTE_METADATA, named))
        metadata = tuple((key, value) for key, value in given if value is not None)
        return Tape(metadata, self._max_stream_bytes)

    def end(self, tape: Tape) -> None:
        """Hand over the tape of a stream that ended."""
        if tape.is_whole:
            self._recorder.offer(lambda: encode(self._redact(tape)))

    def close(self) -> None:
        """Write what waits; this blocks."""
        self._recorder.close()


def make_tap(config: Config, address: str) -> Tap | None:
    """Return the tap that a config asks for, None where it asks for none.

    Args:
        config: its `telemetry.record`.
        address: of the process; each has a file of its own.
    """
    wanted = config.telemetry.record
    if wanted is None:
        return None
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", address.rpartition("/")[2])
    recorder = Recorder(
        Path(wanted.folder) / f"{name}.jsonl",
        max_bytes=wanted.max_bytes,
        share=wanted.share_of_all,
        chance=random.random,
    )
    return Tap(recorder, redactor(config, with_bodies=wanted.bodies == "full"))
