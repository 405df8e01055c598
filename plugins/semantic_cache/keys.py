"""Keys: what must be equal for a stored answer to serve, as hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import dropwhile
from typing import Any

import orjson

from pipeline.api import Call, Segment

# They do not change what a model answers: how the answer comes, who asks, how it is billed.
# Whatever else a call says, and whatever a provider may invent, counts.
_INSIGNIFICANT = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "user",
    }
)
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Keys:
    """The hashes of a call.

    Args:
        partition: of all that must be equal for a semantic hit: tenant, route, dialect, model,
            instructions, earlier turns, tools, format, sampling, attachments by their content.
        exact: of all that and the question.
        question: what the user said last, which alone may differ; empty where no user speaks.
    """

    partition: bytes
    exact: bytes
    question: str = field(repr=False)


def keys_of(call: Call, *, route: str, tenant: str) -> Keys:
    """Hash a call.

    Args:
        call: as the cache sees it, after the plugins before it.
        route: name of the route.
        tenant: whose it is; empty where all share.
    """
    spoken = question_segments(call)
    question = "\n".join(segment.text or "" for segment in spoken)
    rest = call
    if spoken:
        blank = {segment.at for segment in spoken}
        rest = call.replace(
            segments=[
                replace(segment, text="") if segment.at in blank else segment
                for segment in call.segments
            ]
        )
    document = {k: v for k, v in rest.document.items() if k not in _INSIGNIFICANT}
    partition = _digest(tenant, route, call.dialect.name, _canonical(document))
    # One hash of the texts apart and not of their join: ["a\nb"] is not ["a", "b"].
    exact = _digest(partition, *(segment.text or "" for segment in spoken))
    return Keys(partition, exact, question)


def question_segments(call: Call) -> tuple[Segment, ...]:
    """Return the texts of the last run of user messages, in order; see `last_user_text`."""
    behind = dropwhile(lambda segment: segment.role != "user", reversed(call.segments))
    turn = []
    for segment in behind:
        if segment.role != "user":
            break
        if segment.kind == "text" and segment.text and segment.at is not None:
            turn.append(segment)
    return tuple(reversed(turn))


def user_turns(call: Call) -> int:
    """Count the runs of user messages."""
    roles = [segment.role for segment in call.segments]
    return sum(
        role == "user" and (at == 0 or roles[at - 1] != "user") for at, role in enumerate(roles)
    )


def _canonical(document: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    except (TypeError, orjson.JSONEncodeError):
        # Integers of more than 64 bits.
        return json.dumps(document, sort_keys=True, ensure_ascii=True).encode()


def _digest(*parts: str | bytes) -> bytes:
    hashed = blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        # With its length, so that no two lists of parts read the same.
        hashed.update(len(data).to_bytes(8, "big"))
        hashed.update(data)
    return hashed.digest()
