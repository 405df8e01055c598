"""Content encodings: what comes out is what went in or an error, and bombs end at the bound."""

from __future__ import annotations

import zlib

from pipeline.dialects.encoding import Inflater, decoded
from pipeline.errors import InvalidCall
from tests.fuzz.reader import Choices, cut

TOKENS = (b"\x1f\x8b\x08", b"\x78\x9c", b"\x03\x00", b"\x00\x00\xff\xff")
_ENCODINGS = ("gzip", "deflate", "x-gzip", " GZIP", "br", "identity", "")
_BOUND = 4096


def check(data: bytes) -> None:
    choices = Choices(data)
    encoding, seed, packs = choices.pick(_ENCODINGS), choices.byte(), choices.byte() % 2
    body = choices.rest()
    if packs:
        body = _packed(body * (1 + seed), encoding)
    whole, code = _outcome(body, encoding)
    if code is None:
        assert encoding in {"", "identity"} or len(whole) <= _BOUND
    else:
        assert code in {"invalid_encoding", "body_too_large", "unsupported_encoding"}
    if encoding.strip().lower() in {"gzip", "x-gzip", "deflate"}:
        assert _pieces(cut(body, seed), encoding) == (whole if code is None else code)


def _packed(body: bytes, encoding: str) -> bytes:
    bits = 15 if encoding == "deflate" else 31
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    return packer.compress(body) + packer.flush()


def _outcome(body: bytes, encoding: str) -> tuple[bytes, str | None]:
    try:
        return decoded(body, encoding, _BOUND), None
    except InvalidCall as error:
        return b"", error.code


def _pieces(pieces: list[bytes], encoding: str) -> bytes | str:
    inflater = Inflater(encoding, _BOUND)
    out = b""
    try:
        for piece in pieces:
            out += inflater.feed(piece)
            assert len(out) <= _BOUND
    except InvalidCall as error:
        return error.code
    return out if inflater.is_complete else "invalid_encoding"
