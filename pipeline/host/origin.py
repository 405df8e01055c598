"""The origin of attempts: the request as the router level let it go on.

Envoy has one set of headers for all attempts, which keeps what each of them changed. What must not
be another attempt's is therefore left in dynamic metadata, which every attempt is sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pipeline.api.exchange import Request
from pipeline.api.headers import HeaderEdits
from pipeline.host.names import (
    ORIGIN_API_KEY,
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
_API = metadata_attribute(ORIGIN_API_KEY)
# Which API, which account of it: an attempt in another format takes them away.
_OF_API = ("anthropic-", "openai-")
ORIGIN_ATTRIBUTES = (_PATH, *_FRAMING.values(), _API)
"""What an attempt must be sent."""


def path_report(request: Request) -> dict[str, str]:
    """Return the client's path, for Envoy to word its own errors by; its query is nobody's."""
    return {ORIGIN_PATH_KEY: _told(request.path)}


def origin_report(request: Request, body: bytes | None) -> dict[str, str]:
    """Return what attempts start from, as dynamic metadata.

    Args:
        request: as it goes on.
        body: the new body, None where the client's goes on.
    """
    headers = request.headers
    path = f"{request.path}?{request.query}" if request.query else request.path
    encoding = headers.get("content-encoding") if body is None else ""
    length = headers.get("content-length") if body is None else str(len(body))
    return {
        ORIGIN_PATH_KEY: _told(path),
        ORIGIN_ENCODING_KEY: _told(encoding),
        ORIGIN_LENGTH_KEY: _told(length),
        ORIGIN_API_KEY: _api_headers(request),
    }


def is_origin_known(attributes: Mapping[str, str]) -> bool:
    """Say whether somebody left it; not so where Envoy went on without the router level."""
    return _PATH in attributes


def original(pairs: Pairs, attributes: Mapping[str, str]) -> Pairs:
    """Return the headers as the router level let them go on."""
    path = attributes.get(_PATH)
    if path is None:
        return pairs
    of_api = _read_api_headers(attributes)
    replaced = {":path", *_FRAMING, *(name for name, _ in of_api)}
    kept = tuple(pair for pair in pairs if pair[0] not in replaced)
    stated = tuple(
        (name, attributes[attribute].encode("latin-1"))
        for name, attribute in _FRAMING.items()
        if attributes.get(attribute)
    )
    return ((":path", path.encode("latin-1")), *kept, *of_api, *stated)


def lost(request: Request, pairs: Pairs) -> HeaderEdits:
    """Return the edits that bring back what an earlier attempt took away of the client's API.

    Args:
        request: the original.
        pairs: the headers that Envoy has now.
    """
    names = {name for name in request.headers if name.startswith(_OF_API)}
    gone = names - {name for name, _ in pairs}
    return HeaderEdits(set={name: ", ".join(request.headers.get_all(name)) for name in gone})


def restored(request: Request) -> HeaderEdits:
    """Return the edits that frame the original body again, after an attempt with another."""
    stated = {name: request.headers.get(name) for name in _FRAMING if name in request.headers}
    return HeaderEdits(set=stated, remove=frozenset(_FRAMING) - stated.keys())


def _api_headers(request: Request) -> str:
    found = [
        (name, value.decode("ascii"))
        for name, value in request.headers.pairs
        if name.startswith(_OF_API) and value.isascii()
    ]
    return json.dumps(found) if found else ""


def _read_api_headers(attributes: Mapping[str, str]) -> Pairs:
    found = json.loads(attributes.get(_API) or "[]")
    return tuple((name, value.encode("ascii")) for name, value in found)


def _told(value: str) -> str:
    # Metadata is Unicode; what a client sends need not be.
    return value.encode("utf-8", "surrogateescape").decode("latin-1")
