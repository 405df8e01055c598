"""Entries as JSON, to move them from one cache to another."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from plugins.semantic_cache.records import Body, Meta, Record

_HASH = r"^[0-9a-f]{32}$"
_MOST_CHARACTERS = 2**22
_UNIT_TOLERANCE = 0.01


class Portable(BaseModel):
    """An entry, whole, as a line of an export."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(pattern=r"^[0-9a-f]{16}$")
    partition: str = Field(pattern=_HASH)
    exact: str = Field(pattern=_HASH)
    route: str
    tenant: str
    model: str
    tags: list[str] = Field(max_length=16)
    vector: str | None = Field(None, max_length=2**16)
    embedder: str = Field("", max_length=256)
    created_s: float = Field(allow_inf_nan=False)
    fresh_s: float = Field(allow_inf_nan=False)
    expires_s: float = Field(allow_inf_nan=False)
    saves_s: float = Field(0.0, ge=0, allow_inf_nan=False)
    saves_usd: float = Field(0.0, ge=0, allow_inf_nan=False)
    question: str = Field(max_length=_MOST_CHARACTERS)
    dialect: str
    answer: str = Field(max_length=_MOST_CHARACTERS)


def exported(meta: Meta, body: Body) -> dict[str, Any]:
    """Return an entry as JSON; its vector as little-endian float16 in base64."""
    vector = None
    if meta.vector is not None:
        vector = base64.b64encode(np.asarray(meta.vector, "<f2").tobytes()).decode()
    return Portable(
        id=meta.id,
        partition=meta.partition.hex(),
        exact=meta.exact.hex(),
        route=meta.route,
        tenant=meta.tenant,
        model=meta.model,
        tags=list(meta.tags),
        vector=vector,
        embedder=meta.embedder,
        created_s=meta.created_s,
        fresh_s=meta.fresh_s,
        expires_s=meta.expires_s,
        saves_s=meta.saves_s,
        saves_usd=meta.saves_usd,
        question=body.question,
        dialect=body.dialect,
        answer=body.answer.decode("utf-8", "replace"),
    ).model_dump()


def imported(document: Any, now_s: float) -> Record | None:
    """Read an entry; None for what is none, or has expired.

    Args:
        document: as `exported` gives it.
        now_s: since the epoch.
    """
    try:
        one = Portable.model_validate(document)
        vector = _vector(one.vector)
    except (ValidationError, ValueError, binascii.Error):
        return None
    if one.expires_s <= now_s:
        return None
    body = Body(one.question, one.dialect, one.answer.encode("utf-8", "replace"))
    size = len(body.answer) + len(body.question.encode("utf-8", "surrogatepass"))
    return Record(
        Meta(
            id=one.id,
            partition=bytes.fromhex(one.partition),
            exact=bytes.fromhex(one.exact),
            route=one.route,
            tenant=one.tenant,
            model=one.model,
            tags=tuple(one.tags),
            vector=vector,
            embedder=one.embedder if vector is not None else "",
            created_s=one.created_s,
            fresh_s=one.fresh_s,
            expires_s=one.expires_s,
            body_bytes=size,
            saves_s=one.saves_s,
            saves_usd=one.saves_usd,
        ),
        body,
    )


def _vector(text: str | None) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    if text is None:
        return None
    vector = np.frombuffer(base64.b64decode(text, validate=True), "<f2").astype(np.float32)
    # Not finite is not near either.
    if not abs(float(np.linalg.norm(vector)) - 1) < _UNIT_TOLERANCE:
        raise ValueError("a vector is of unit length")
    return vector
