"""Content encodings that can be undone within a bound: gzip, deflate, br, zstd."""

from __future__ import annotations

import zlib
from typing import Any, Protocol

from pipeline.errors import InvalidCall

# zlib's window bits: 31 reads a gzip header, 15 a zlib one (RFC 9110 calls that `deflate`).
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
# As much as brotli's decoder gives in one step; a bomb is noticed after that much.
_STEP_BYTES = 64 * 1024
# RFC 9659: a `zstd` content-encoding needs a window of 8 MiB at most.
_ZSTD_WINDOW_BYTES = 8 * 2**20


class _Decoder(Protocol):
    """Decodes one body as its bytes come."""

    @property
    def is_complete(self) -> bool:
        """Whether the encoding's own end was seen."""

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        """Decode the next bytes; where more than `max_bytes` come out, at least one more is given.

        Raises:
            Exception: they are not of the encoding.
        """


class Inflater:
    """Decodes one body as its bytes come; never makes more than it may.

    Args:
        encoding: the `content-encoding`.
        max_bytes: bound on all that comes out; a bomb ends there.

    Raises:
        InvalidCall: `unsupported_encoding` (415).
    """

    def __init__(self, encoding: str, max_bytes: int) -> None:
        decoder = _made(encoding.strip().lower())
        if decoder is None:
            raise InvalidCall(
                "the body's content-encoding is none that can be undone here",
                code="unsupported_encoding",
                status=415,
            )
        self._decoder = decoder
        self._left_bytes = max_bytes

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes.

        Raises:
            InvalidCall: `invalid_encoding` (400) or `body_too_large` (413).
        """
        if not data:
            return b""
        try:
            out = self._decoder.feed(data, self._left_bytes)
        except Exception as error:  # each library has errors of its own
            raise InvalidCall(
                "the body is not encoded as its content-encoding says", code="invalid_encoding"
            ) from error
        self._left_bytes -= len(out)
        if self._left_bytes < 0:
            raise InvalidCall("the decoded body is too large", code="body_too_large", status=413)
        return out

    @property
    def is_complete(self) -> bool:
        """Whether the encoding's own end was seen."""
        return self._decoder.is_complete


class _Zlib:
    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._zlib = zlib.decompressobj(bits)

    @property
    def is_complete(self) -> bool:
        return self._zlib.eof

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        out: list[bytes] = []
        left_bytes = max_bytes
        while data:
            if self._zlib.eof:
                # RFC 1952 §2.2: a gzip file is any number of members.
                self._zlib = zlib.decompressobj(self._bits)
            piece = self._zlib.decompress(data, left_bytes + 1)
            out.append(piece)
            left_bytes -= len(piece)
            if left_bytes < 0:
                break
            data = self._zlib.unconsumed_tail or self._zlib.unused_data
        return b"".join(out)


class _Brotli:
    def __init__(self, brotli: Any) -> None:
        self._brotli = brotli.Decompressor()

    @property
    def is_complete(self) -> bool:
        return bool(self._brotli.is_finished())

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        if self.is_complete:
            raise ValueError("bytes after the end")
        out = [self._brotli.process(data, output_buffer_limit=_STEP_BYTES)]
        made = len(out[0])
        # Not `can_accept_more_data`: it says yes while some output is still to come.
        while made <= max_bytes and out[-1] and not self.is_complete:
            out.append(self._brotli.process(b"", output_buffer_limit=_STEP_BYTES))
            made += len(out[-1])
        return b"".join(out)


class _Zstd:
    def __init__(self, zstandard: Any) -> None:
        self._make = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES).decompressobj
        self._frame = self._make()

    @property
    def is_complete(self) -> bool:
        return bool(self._frame.eof)

    def feed(self, data: bytes, max_bytes: int) -> bytes:
        out: list[bytes] = []
        made = 0
        view = memoryview(data)
        while view and made <= max_bytes:
            if self._frame.eof:
                self._frame = self._make()  # RFC 8878 §3: any number of frames
            # It gives all that its input makes, a block of 128 KiB for a few bytes: small steps.
            step, view = bytes(view[:_ZSTD_STEP_BYTES]), view[_ZSTD_STEP_BYTES:]
            piece = self._frame.decompress(step)
            out.append(piece)
            made += len(piece)
            if self._frame.unused_data:
                view = memoryview(self._frame.unused_data + bytes(view))
        return b"".join(out)


# A few bytes can make a block of 128 KiB: 256 make some 8 MiB, which is noticed after them.
_ZSTD_STEP_BYTES = 256


def _made(encoding: str) -> _Decoder | None:
    bits = _WINDOW_BITS.get(encoding)
    if bits is not None:
        return _Zlib(bits)
    try:
        if encoding == "br":
            import brotli  # noqa: PLC0415 - of the extra `encodings`

            return _Brotli(brotli)
        if encoding == "zstd":
            import zstandard  # noqa: PLC0415

            return _Zstd(zstandard)
    except ImportError:
        return None
    return None


def decoded(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Decode a whole body; see `Inflater`.

    Raises:
        InvalidCall: it is not, or not wholly, of that encoding, or too large.
    """
    if encoding in {"", "identity"}:
        return body
    inflater = Inflater(encoding, max_bytes)
    out = inflater.feed(body)
    if not inflater.is_complete:
        raise InvalidCall("the encoded body is cut off", code="invalid_encoding")
    return out
