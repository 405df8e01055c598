"""The origin of attempts: the request as the router level let it go on.

Envoy has one set of headers for all attempts, which keeps what each of them changed. What must not
be another attempt's is therefore left in dynamic metadata, which every attempt is sent.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.api.exchange import Request
from pipeline.api.headers import HeaderEdits
from pipeline.host.names import (
    ORIGIN_ENCODING_KEY,
    ORIGIN_LENGTH_KEY,
    ORIGIN_PATH_KEY,
    metadata_attribute,
)
from pipeline.host.verdicts import Pairs

_PATH = metadata_attribute(ORIGIN_PATH_KEY)
_FRAMING = {
    "content-encoding": metadata_attribute(ORIGIN_ENCODING_KEY),
    "content-length": metadata_attribute(ORIGIN_LENGTH_KEY),
}
ORIGIN_ATTRIBUTES = (_PATH, *_FRAMING.values())
"""What an attempt must be sent."""


def origin_report(request: Request, body: bytes | None) -> dict[str, str]:
    """Return what attempts start from, as dynamic metadata.

    Args:
        request: as it goes on.
        body: the new body, None where the client's goes on.
    """
    headers = request.headers
    origin = {
        ORIGIN_PATH_KEY: f"{request.path}?{request.query}" if request.query else request.path,
        ORIGIN_ENCODING_KEY: headers.get("content-encoding") if body is None else "",
        ORIGIN_LENGTH_KEY: headers.get("content-length") if body is None else str(len(body)),
    }
    # Metadata is Unicode; what a client sends need not be.
    return {k: v.encode("utf-8", "surrogateescape").decode("latin-1") for k, v in origin.items()}


def is_origin_known(attributes: Mapping[str, str]) -> bool:
    """Say whether somebody left it; not so where Envoy went on without the router level."""
    return _PATH in attributes


def original(pairs: Pairs, attributes: Mapping[str, str]) -> Pairs:
    """Return the headers as the router level let them go on."""
    path = attributes.get(_PATH)
    if path is None:
        return pairs
    kept = tuple(pair for pair in pairs if pair[0] != ":path" and pair[0] not in _FRAMING)
    stated = tuple(
        (name, attributes[attribute].encode("latin-1"))
        for name, attribute in _FRAMING.items()
        if attributes.get(attribute)
    )
    return ((":path", path.encode("latin-1")), *kept, *stated)


def restored(request: Request) -> HeaderEdits:
    """Return the edits that frame the original body again, after an attempt with another."""
    stated = {name: request.headers.get(name) for name in _FRAMING if name in request.headers}
    return HeaderEdits(set=stated, remove=frozenset(_FRAMING) - stated.keys())
