"""Server-sent events: whole frames out of bytes however they are cut, and frames as bytes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pipeline.errors import DragomanError

_BOM = b"\xef\xbb\xbf"
_LF, _CR = b"\n"[0], b"\r"[0]
# A line's end, then an empty line. A `\r` that is the last byte seen does not count yet: the `\n`
# that would belong to it may be on its way. `?+` never gives back: `\r\n` is not two line ends.
_BLANK_LINE = re.compile(rb"\n(?:\n|\r\n|\r(?!\Z))|\r\n?+(?:\n|\r\n|\r(?!\Z))")
_LINE_END = re.compile(r"\r\n|\r|\n")


class FrameTooLong(DragomanError):
    """Raised when a frame is longer than a decoder may hold."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a stream.

    Args:
        raw: its bytes as received, the blank line included.
        name: the `event:` field, else empty.
        data: the `data:` fields joined by line feeds; None when there is none.
    """

    raw: bytes = field(repr=False)
    name: str
    data: str | None = field(repr=False)


class FrameDecoder:
    """Cuts a stream into frames; what they hold and `pending` add up to every byte fed.

    Args:
        max_frame_bytes: the longest frame to accept; bounds what is held back.
    """

    __slots__ = ("_buffer", "_has_cr", "_is_at_start", "_max_frame_bytes", "_scanned")

    def __init__(self, max_frame_bytes: int) -> None:
        self._max_frame_bytes = max_frame_bytes
        self._buffer = bytearray()
        self._scanned = 0  # no frame ends before this place in the buffer
        self._is_at_start = True
        self._has_cr = False  # most streams have none: one search for two line feeds will do

    @property
    def pending(self) -> bytes:
        """The bytes of the frame that is not complete yet."""
        return bytes(self._buffer)

    def feed(self, chunk: bytes) -> list[Frame]:
        """Take bytes of the stream and return the frames that they complete.

        Raises:
            FrameTooLong: the next frame is too long. Frames before it in the same chunk are
                returned first; then every further call raises, and `pending` has the bytes.
        """
        if not self._buffer and len(chunk) <= self._max_frame_bytes and _is_one_data_line(chunk):
            self._is_at_start = False
            return [Frame(chunk, "", chunk[6:-2].decode("utf-8", "replace"))]
        self._buffer += chunk
        self._has_cr = self._has_cr or b"\r" in chunk
        frames: list[Frame] = []
        start = 0
        while end := self._end_of_frame(start):
            if end - start > self._max_frame_bytes:
                break
            frames.append(self._frame(bytes(self._buffer[start:end])))
            start = self._scanned = end
        if start:
            del self._buffer[:start]
        # An end that comes later may begin with the last three bytes: `\r\n\r`.
        self._scanned = max(0, len(self._buffer) - 3)
        if not frames:
            self._refuse_too_long()
        return frames

    def finish(self) -> list[Frame]:
        """Return what is left as a last frame: many streams end without a blank line.

        Raises:
            FrameTooLong: it is too long.
        """
        self._refuse_too_long()
        raw, self._buffer, self._scanned = bytes(self._buffer), bytearray(), 0
        return [self._frame(raw)] if raw else []

    def _refuse_too_long(self) -> None:
        if len(self._buffer) > self._max_frame_bytes:
            raise FrameTooLong(f"a streamed event is longer than {self._max_frame_bytes} bytes")

    def _end_of_frame(self, start: int) -> int:
        """Return where the frame that begins at `start` ends, or 0 when it is not complete."""
        buffer = self._buffer
        content = start
        if self._is_at_start and buffer.startswith(_BOM):
            content += len(_BOM)
        if content >= len(buffer):
            return 0
        if buffer[content] == _LF:
            return content + 1
        if buffer[content] == _CR:
            if content + 1 == len(buffer):
                return 0
            return content + (2 if buffer[content + 1] == _LF else 1)
        scan = max(start, self._scanned)
        if not self._has_cr:
            blank = buffer.find(b"\n\n", scan)
            return 0 if blank < 0 else blank + 2
        match = _BLANK_LINE.search(buffer, scan)
        return match.end() if match else 0

    def _frame(self, raw: bytes) -> Frame:
        text = raw
        if self._is_at_start:
            text = raw.removeprefix(_BOM)
            self._is_at_start = False
        if _is_one_data_line(text):
            return Frame(raw, "", text[6:-2].decode("utf-8", "replace"))
        name = b""
        data: list[bytes] = []
        for line in text.splitlines():
            field, _, value = line.partition(b":")
            if field == b"data":
                data.append(value.removeprefix(b" "))
            elif field == b"event":
                name = value.removeprefix(b" ")
        joined = b"\n".join(data).decode("utf-8", "replace") if data else None
        return Frame(raw, name.decode("utf-8", "replace"), joined)


def encode_frame(name: str, data: str) -> bytes:
    """Return the bytes of one frame, its blank line included."""
    event = f"event: {name}\n" if name else ""
    if "\n" in data or "\r" in data:
        data = "\ndata: ".join(_LINE_END.split(data))
    return f"{event}data: {data}\n\n".encode()


def _is_one_data_line(raw: bytes) -> bool:
    # Nearly every frame of nearly every provider: worth not taking apart by lines.
    return (
        raw.startswith(b"data: ")
        and raw.endswith(b"\n\n")
        and raw.find(b"\n") == len(raw) - 2
        and b"\r" not in raw
    )
