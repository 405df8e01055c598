"""Content encodings that can be undone within a bound: gzip and deflate."""

from __future__ import annotations

import zlib

from pipeline.errors import InvalidCall

# zlib's window bits: 31 reads a gzip header, 15 a zlib one (RFC 9110 calls that `deflate`).
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


class Inflater:
    """Decodes one body as its bytes come; never makes more than it may.

    Args:
        encoding: the `content-encoding`.
        max_bytes: bound on all that comes out; a bomb ends there.

    Raises:
        InvalidCall: `unsupported_encoding` (415).
    """

    def __init__(self, encoding: str, max_bytes: int) -> None:
        bits = _WINDOW_BITS.get(encoding.strip().lower())
        if bits is None:
            raise InvalidCall(
                "the body's content-encoding is neither gzip nor deflate",
                code="unsupported_encoding",
                status=415,
            )
        self._bits = bits
        self._zlib = zlib.decompressobj(bits)
        self._left_bytes = max_bytes

    def feed(self, data: bytes) -> bytes:
        """Decode the next bytes.

        Raises:
            InvalidCall: `invalid_encoding` (400) or `body_too_large` (413).
        """
        out: list[bytes] = []
        while data:
            if self._zlib.eof:
                # RFC 1952 §2.2: a gzip file is any number of members.
                self._zlib = zlib.decompressobj(self._bits)
            try:
                piece = self._zlib.decompress(data, self._left_bytes + 1)
            except zlib.error as error:
                raise InvalidCall(
                    "the body is not encoded as its content-encoding says", code="invalid_encoding"
                ) from error
            self._left_bytes -= len(piece)
            if self._left_bytes < 0:
                raise InvalidCall(
                    "the decoded body is too large", code="body_too_large", status=413
                )
            out.append(piece)
            data = self._zlib.unconsumed_tail or self._zlib.unused_data
        return b"".join(out)

    @property
    def is_complete(self) -> bool:
        """Whether the encoding's own end was seen."""
        return self._zlib.eof


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
