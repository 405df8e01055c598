"""The upstream level of one stream: one attempt at the backend whose host Envoy picked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from pipeline.api.call import Call
from pipeline.api.dialect import Dialect
from pipeline.api.exchange import Request
from pipeline.api.headers import NO_EDITS, HeaderEdits
from pipeline.api.sse import Frame
from pipeline.errors import InvalidCall
from pipeline.host import reading, replies
from pipeline.host.backends import Link
from pipeline.host.names import (
    BACKEND_KEY,
    DROPPED_KEY,
    HOST_METADATA,
    KEYED_KEY,
    METADATA_NAMESPACE,
    metadata_attribute,
)
from pipeline.host.origin import is_origin_known, lost, origin_report, original, restored
from pipeline.host.preparing import dropped_words, prepared
from pipeline.host.runtime import Observer, Route, Runtime
from pipeline.host.tenancy import CREDENTIAL_HEADERS
from pipeline.host.translating import TranslatedResponse
from pipeline.host.verdicts import PROCEED, Emit, Finish, Pairs, Proceed, Verdict

_KEYED = metadata_attribute(KEYED_KEY)
_YES = "yes"
# Wherever some provider takes a key.
_CREDENTIALS = CREDENTIAL_HEADERS | {"x-goog-api-key", "proxy-authorization"}

# Envoy sends the metadata as protobuf text in one string: read the one flat key, nothing else.
_BACKEND = re.compile(
    rf'key:\s*"{METADATA_NAMESPACE}"\s*value\s*\{{\s*fields\s*\{{\s*key:\s*"{BACKEND_KEY}"'
    r'\s*value\s*\{\s*string_value:\s*"([a-z][a-z0-9_-]{0,62})"'
)


class AttemptSession:
    """Prepares one attempt and translates what is answered to it; it keeps no state beyond.

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
        self._link: Link | None = None
        self._has_others_key = False
        self._report: dict[str, str] = {}
        self._lost = NO_EDITS
        self._response: TranslatedResponse | None = None

    async def request_headers(
        self, pairs: Pairs, *, ends: bool, attributes: Mapping[str, str]
    ) -> Verdict:
        """Find the backend, and prepare the attempt unless that takes the body."""
        if self._is_folded() and is_origin_known(attributes):
            # The router level has done it all; an Envoy whose configuration lags behind still asks.
            return Proceed(hides_answer=True)
        request, _ = reading.read_request(original(pairs, attributes))
        self._lost = lost(request, pairs)
        self._dialect = self._dialect_of(request)
        link = self._link = self._linked(attributes)
        if link is None:
            message = "the attempt's host belongs to no backend of its route"
            return self.fault(status=503, code="unknown_backend", message=message)
        if not is_origin_known(attributes):
            self._report = origin_report(request, None)
        self._has_others_key = attributes.get(_KEYED) == _YES
        if self._has_others_key:
            request = replace(request, headers=request.headers.edited(_NO_CREDENTIALS))
        self._request = request
        is_call = reading.is_call(request, self._dialect)
        asked = self._dialect.name if is_call and self._dialect is not None else None
        if is_call and not ends and not link.connection.passes(asked):
            if not self._is_sent_bodies():
                message = "the route is not prepared for calls of this API"
                return self.fault(status=503, code="provider_error", message=message)
            return Proceed(wish="whole", hides_answer=self._hides_answer(link, asked))
        may_translate = ends and not self._hides_answer(link, asked)
        verdict = await self._prepared(link, request, None, may_translate=may_translate)
        if isinstance(verdict, Proceed) and self._response is None:
            # Seen of Envoy 1.40: an answer that comes before its request has ended, and is held
            # back for us, ends it in a segmentation fault. What is held here has ended.
            verdict.hides_answer = self._is_sent_answers()
        return verdict

    async def request_body(self, body: bytes) -> Verdict:
        """Prepare the attempt with the call."""
        request, dialect, link = self._request, self._dialect, self._link
        assert request is not None  # noqa: S101 - a body is wanted after headers alone
        assert dialect is not None  # noqa: S101
        assert link is not None  # noqa: S101
        try:
            max_bytes = self._runtime.config.limits.request_body
            call = reading.read_call(body, request, dialect, max_bytes)
        except InvalidCall as error:
            return self.fault(status=error.status, code=error.code, message=error.message)
        may_translate = not self._hides_answer(link, dialect.name)
        return await self._prepared(link, request, call, may_translate=may_translate)

    async def response_headers(
        self, pairs: Pairs, *, ends: bool, attributes: Mapping[str, str]
    ) -> Verdict:
        """See the response's headers, and say how its body is wanted."""
        del attributes
        if self._response is None:
            return PROCEED
        return self._response.headers(pairs, ends=ends)

    async def response_body(self, body: bytes) -> Verdict:
        """Translate a whole answer, or an error."""
        return PROCEED if self._response is None else self._response.body(body)

    async def response_events(self, frames: list[Frame], *, ended: bool) -> Emit:
        """Leave the events as they are: at this level streams are bytes."""
        del ended
        return Emit(b"".join(frame.raw for frame in frames), is_original=True)

    async def response_bytes(self, data: bytes, *, ended: bool) -> Emit:
        """Translate a piece of a stream."""
        if self._response is None:
            return Emit(data, is_original=True)
        return self._response.piece(data, ended=ended)

    def fault(self, *, status: int, code: str, message: str) -> Finish:
        """Word a fault of the attempt."""
        self._observer.violation(code)
        return replies.refusal(self._dialect, status=status, code=code, message=message)

    def fault_in_stream(self, *, status: int, code: str, message: str) -> Emit:
        """Word a fault of a stream as the event that ends it."""
        self._observer.violation(code)
        if self._response is not None:
            return self._response.fault(status=status, code=code, message=message)
        return Emit(b"", is_original=False, end=True)

    async def complete(self, *, cancelled: bool) -> None:
        """End the attempt; the exchange is the router level's."""

    def _is_folded(self) -> bool:
        return self._route is not None and self._route.folded is not None

    def _dialect_of(self, request: Request) -> Dialect | None:
        named = self._route.config.dialect if self._route is not None else None
        dialects = self._runtime.dialects
        return dialects.by_name(named) if named else dialects.for_path(request.path)

    def _linked(self, attributes: Mapping[str, str]) -> Link | None:
        if self._route is None:
            return None
        name = backend_named(attributes)
        return next((link for link in self._route.links if link.backend.name == name), None)

    def _is_sent_answers(self) -> bool:
        return self._route is not None and self._route.plan.attempt_answer

    def _hides_answer(self, link: Link, asked: str | None) -> bool:
        return self._is_sent_answers() and link.connection.keeps_answers(asked)

    def _is_sent_bodies(self) -> bool:
        return self._route is not None and self._route.plan.attempt_body

    async def _prepared(
        self, link: Link, request: Request, call: Call | None, *, may_translate: bool
    ) -> Verdict:
        made = await prepared(
            link,
            request,
            call,
            self._dialect,
            self._observer,
            may_translate=may_translate and self._is_sent_answers(),
        )
        if isinstance(made, Finish):
            return made
        edits = self._lost.then(made.headers)
        is_keyed = not _CREDENTIALS.isdisjoint(edits.set)
        if self._has_others_key:
            # The backend before left its own: this one must not get it.
            edits = HeaderEdits(remove=_CREDENTIALS - edits.set.keys()).then(edits)
        if made.translation is not None:
            limits = self._runtime.config.limits
            self._response = TranslatedResponse(
                made.translation, self._dialect, limits.response_body, self._observer
            )
        # Said at every attempt: what the one before it left out is not this one's.
        report = {**self._report, DROPPED_KEY: dropped_words(made.dropped)}
        if is_keyed:
            report[KEYED_KEY] = _YES
        if made.body is not None:
            plain = HeaderEdits(remove=frozenset({"content-encoding"}))
            return Proceed(edits=plain.then(edits), body=made.body, report=report)
        # An attempt before this one may have sent another body.
        return Proceed(edits=restored(request).then(edits), report=report)


_NO_CREDENTIALS = HeaderEdits(remove=_CREDENTIALS)


def backend_named(attributes: Mapping[str, str]) -> str:
    """Return the backend of the host that Envoy picked, empty where it is none of ours."""
    match = _BACKEND.search(attributes.get(HOST_METADATA, ""))
    return match[1] if match is not None else ""
