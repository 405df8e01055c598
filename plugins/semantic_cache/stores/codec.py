"""Records as bytes: framed, versioned, checksummed.

A frame is `magic · version · kind · length · checksum · payload`; a payload is a list of parts with
their lengths. What reads them takes nothing on trust: whatever is not exactly what was written by
this version gives None.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from plugins.semantic_cache.records import (
    Body,
    Change,
    Deleted,
    Flushed,
    Inserted,
    Meta,
    Record,
    Vector,
)

_MAGIC = b"dC"
_VERSION = 1
_HEAD = struct.Struct("<2sBBI8s")
_LENGTH = struct.Struct("<I")
_NUMBERS = struct.Struct("<dddQdd?")

_META = 1
_BODY = 2
_DELETED = 3
_FLUSHED = 4


@dataclass(frozen=True, slots=True)
class Packed:
    """A record as bytes, ready to be written.

    Args:
        record: that it is.
        meta: a frame.
        body: a frame.
    """

    record: Record
    meta: bytes
    body: bytes


def pack(record: Record) -> Packed:
    """Write a record.

    Raises:
        ValueError: if a time or a number of the vector is none that could be read back.
    """
    meta = encode_meta(record.meta)
    if decode_meta(meta) is None:
        raise ValueError("an entry's numbers must be finite")
    return Packed(record, meta, encode_body(record.meta.id, record.body))


def encode_meta(meta: Meta) -> bytes:
    """Write what every process knows; a vector's numbers as halves, 2^-11 exact of each."""
    numbers = _NUMBERS.pack(
        meta.created_s,
        meta.fresh_s,
        meta.expires_s,
        meta.body_bytes,
        meta.saves_s,
        meta.saves_usd,
        meta.vector is not None,
    )
    vector = b"" if meta.vector is None else meta.vector.astype("<f2").tobytes()
    words = (meta.id, meta.route, meta.tenant, meta.model, meta.embedder, *meta.tags)
    return _frame(_META, [numbers, meta.partition, meta.exact, vector, *map(_to_utf8, words)])


def decode_meta(data: bytes) -> Meta | None:
    """Read what `encode_meta` wrote; None if it is anything else."""
    parts = _parts(_META, data)
    if parts is None or len(parts) < 9 or len(parts[0]) != _NUMBERS.size:
        return None
    words = [_from_utf8(part) for part in parts[4:]]
    *numbers, has_vector = _NUMBERS.unpack(parts[0])
    vector = _vector(parts[3]) if has_vector else None
    is_sound = all(map(math.isfinite, numbers)) and None not in words
    if not is_sound or (vector is None and (has_vector or parts[3])):
        return None
    id_, route, tenant, model, embedder, *tags = (word or "" for word in words)
    created_s, fresh_s, expires_s, body_bytes, saves_s, saves_usd = numbers
    return Meta(
        id=id_,
        partition=parts[1],
        exact=parts[2],
        route=route,
        tenant=tenant,
        model=model,
        tags=tuple(tags),
        vector=vector,
        embedder=embedder,
        created_s=created_s,
        fresh_s=fresh_s,
        expires_s=expires_s,
        body_bytes=body_bytes,
        saves_s=saves_s,
        saves_usd=saves_usd,
    )


def encode_body(id_: str, body: Body) -> bytes:
    """Write what is fetched on a hit, and whose it is."""
    words = (id_, body.dialect, body.question)
    return _frame(_BODY, [*map(_to_utf8, words), body.answer])


def decode_body(id_: str, data: bytes) -> Body | None:
    """Read the body of an entry; None if it is anything else, such as another entry's body."""
    parts = _parts(_BODY, data)
    if parts is None or len(parts) != 4 or parts[0] != _to_utf8(id_):
        return None
    dialect, question = _from_utf8(parts[1]), _from_utf8(parts[2])
    if dialect is None or question is None:
        return None
    return Body(question=question, dialect=dialect, answer=parts[3])


def encode_change(change: Change) -> bytes:
    """Write a line of a log."""
    match change:
        case Inserted(meta):
            return encode_meta(meta)
        case Deleted(ids):
            return _frame(_DELETED, [_to_utf8(id_) for id_ in ids])
        case Flushed():
            return _frame(_FLUSHED, [])


def decode_change(data: bytes) -> Change | None:
    """Read a line of a log; None if it is anything else."""
    if (meta := decode_meta(data)) is not None:
        return Inserted(meta)
    if (parts := _parts(_DELETED, data)) is not None:
        ids = [_from_utf8(part) for part in parts]
        return None if None in ids else Deleted(tuple(id_ or "" for id_ in ids))
    return Flushed() if _parts(_FLUSHED, data) == [] else None


def first_frame_bytes(data: bytes) -> int:
    """Return how long the frame that data begins with says that it is; 0 if it is none.

    Several frames may be kept in one value; what it says is proven when it is decoded.
    """
    if len(data) < _HEAD.size:
        return 0
    magic, _, _, length, _ = _HEAD.unpack_from(data)
    return _HEAD.size + length if magic == _MAGIC else 0


def _frame(kind: int, parts: list[bytes]) -> bytes:
    payload = b"".join(piece for part in parts for piece in (_LENGTH.pack(len(part)), part))
    checksum = _checksum(kind, payload)
    return _HEAD.pack(_MAGIC, _VERSION, kind, len(payload), checksum) + payload


def _parts(kind: int, data: bytes) -> list[bytes] | None:
    """Return the parts of a frame; None unless it is whole, of this version and of this kind."""
    if len(data) < _HEAD.size:
        return None
    magic, version, its_kind, length, checksum = _HEAD.unpack_from(data)
    if (magic, version, its_kind, length) != (_MAGIC, _VERSION, kind, len(data) - _HEAD.size):
        return None
    payload = data[_HEAD.size :]
    if _checksum(kind, payload) != checksum:
        return None
    parts: list[bytes] = []
    at = 0
    while at < length:
        if length - at < _LENGTH.size:
            return None
        (size,) = _LENGTH.unpack_from(payload, at)
        at += _LENGTH.size + size
        if at > length:
            return None
        parts.append(payload[at - size : at])
    return parts


def _checksum(kind: int, payload: bytes) -> bytes:
    return blake2b(payload, digest_size=8, key=bytes((_VERSION, kind)), person=_MAGIC).digest()


def _vector(data: bytes) -> Vector | None:
    if not data or len(data) % 2:
        return None
    vector = np.frombuffer(data, dtype="<f2").astype(np.float32)
    return vector if np.isfinite(vector).all() else None


# A client's text may hold halves of surrogate pairs, which strict UTF-8 has no form for.
def _to_utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _from_utf8(data: bytes) -> str | None:
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return None
