"""The upstream level of one stream: one attempt at the backend whose host Envoy picked."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.api.call import Call
from pipeline.api.dialect import Dialect
from pipeline.api.exchange import Request
from pipeline.api.headers import NO_EDITS, HeaderEdits
from pipeline.api.provider import Backend, Provider
from pipeline.dialects.sse import Frame
from pipeline.errors import InvalidCall
from pipeline.host import reading, replies
from pipeline.host.names import (
    BACKEND_KEY,
    HOST_METADATA,
    METADATA_NAMESPACE,
    ORIGIN_ENCODING_KEY,
    ORIGIN_PATH_KEY,
    metadata_attribute,
)
from pipeline.host.runtime import Observer, Route, Runtime
from pipeline.host.verdicts import PROCEED, Emit, Finish, Pairs, Proceed, Verdict

_ORIGIN_PATH = metadata_attribute(ORIGIN_PATH_KEY)
_ORIGIN_ENCODING = metadata_attribute(ORIGIN_ENCODING_KEY)

# Envoy sends the metadata as protobuf text in one string: read the one flat key, nothing else.
_BACKEND = re.compile(
    rf'key:\s*"{METADATA_NAMESPACE}"\s*value\s*\{{\s*fields\s*\{{\s*key:\s*"{BACKEND_KEY}"'
    r'\s*value\s*\{\s*string_value:\s*"([a-z][a-z0-9_-]{0,62})"'
)


class AttemptSession:
    """Prepares one attempt: path, credential and body for its backend. It keeps no state.

    Args:
        runtime: the compiled config.
        route: the route whose cluster the attempt is in.
        observer: sees faults.
    """

    def __init__(self, runtime: Runtime, route: Route | None, observer: Observer) -> None:
        self._runtime = runtime
        self._route = route
        self._observer = observer
        self._request: Request | None = None
        self._dialect: Dialect | None = None
        self._used: tuple[Backend, Provider] | None = None

    async def request_headers(
        self, pairs: Pairs, *, ends: bool, attributes: Mapping[str, str]
    ) -> Verdict:
        """Find the backend, and prepare the attempt unless that takes the body."""
        request, _ = reading.read_request(_original(pairs, attributes))
        self._request = request
        self._dialect = self._dialect_of(request)
        used = self._used = self._backend(attributes)
        if used is None:
            message = "the attempt's host belongs to no backend of its route"
            return self.fault(status=503, code="unknown_backend", message=message)
        backend, provider = used
        is_call = reading.is_call(request, self._dialect)
        if is_call and not ends and provider.reads_body(backend):
            return Proceed(wish="whole")
        return self._prepared(used, request, None)

    async def request_body(self, body: bytes) -> Verdict:
        """Prepare the attempt with the call."""
        request, dialect, used = self._request, self._dialect, self._used
        assert request is not None  # noqa: S101 - a body is wanted after headers alone
        assert dialect is not None  # noqa: S101
        assert used is not None  # noqa: S101
        try:
            max_bytes = self._runtime.config.limits.request_body
            call = reading.read_call(body, request, dialect, max_bytes)
        except InvalidCall as error:
            return self.fault(status=error.status, code=error.code, message=error.message)
        return self._prepared(used, request, call)

    async def response_headers(
        self, pairs: Pairs, *, ends: bool, attributes: Mapping[str, str]
    ) -> Verdict:
        """Leave the response as it is."""
        del pairs, ends, attributes
        return PROCEED

    async def response_body(self, body: bytes) -> Verdict:
        """Leave the response as it is."""
        del body
        return PROCEED

    async def response_events(self, frames: list[Frame], *, ended: bool) -> Emit:
        """Leave the response as it is."""
        del ended
        return Emit(b"".join(frame.raw for frame in frames), is_original=True)

    def fault(self, *, status: int, code: str, message: str) -> Finish:
        """Word a fault of the attempt."""
        self._observer.violation(code)
        return replies.refusal(self._dialect, status=status, code=code, message=message)

    def fault_in_stream(self, *, status: int, code: str, message: str) -> Emit:
        """Word a fault of an answer: none is read at this level."""
        del status, message
        self._observer.violation(code)
        return Emit(b"", is_original=False, end=True)

    async def complete(self, *, cancelled: bool) -> None:
        """End the attempt; the exchange is the router level's."""

    def _dialect_of(self, request: Request) -> Dialect | None:
        named = self._route.config.dialect if self._route is not None else None
        dialects = self._runtime.dialects
        return dialects.by_name(named) if named else dialects.for_path(request.path)

    def _backend(self, attributes: Mapping[str, str]) -> tuple[Backend, Provider] | None:
        if self._route is None:
            return None
        match = _BACKEND.search(attributes.get(HOST_METADATA, ""))
        name = match[1] if match is not None else ""
        return next((used for used in self._route.backends if used[0].name == name), None)

    def _prepared(
        self, used: tuple[Backend, Provider], request: Request, call: Call | None
    ) -> Proceed:
        backend, provider = used
        attempt = provider.prepare(backend, request, call)
        if attempt.call is not None:
            plain = HeaderEdits(remove=frozenset({"content-encoding"}))
            return Proceed(edits=plain.then(attempt.headers), body=attempt.call.encode())
        # An attempt before this one may have sent a plain body.
        encoding = request.headers.get("content-encoding")
        stated = HeaderEdits(set={"content-encoding": encoding}) if encoding else NO_EDITS
        return Proceed(edits=stated.then(attempt.headers))


def _original(pairs: Pairs, attributes: Mapping[str, str]) -> Pairs:
    """Return the headers as the router level let them go on.

    Envoy has one set of headers for all attempts, which keeps what each of them changed.
    """
    path = attributes.get(_ORIGIN_PATH)
    if path is None:
        return pairs  # Envoy went on without the router level
    kept = tuple(pair for pair in pairs if pair[0] not in {":path", "content-encoding"})
    original: Pairs = ((":path", path.encode("latin-1")), *kept)
    encoding = attributes.get(_ORIGIN_ENCODING)
    return (*original, ("content-encoding", encoding.encode("latin-1"))) if encoding else original
