"""One response on its way back: out of the provider's format, into the client's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Protocol

import orjson

from pipeline.api import (
    Call,
    FrameDecoder,
    FrameTooLong,
    HeaderEdits,
    Headers,
    encode_frame,
)
from pipeline.api.headers import NO_EDITS
from pipeline.api.provider import Begun, Translated
from plugins.translate.canonical import CanonicalCall, Json
from plugins.translate.chunks import chunks_of
from plugins.translate.encoding import dumps
from plugins.translate.formats import (
    CUT_OFF,
    Client,
    Fault,
    Framing,
    StreamDecoder,
    StreamEncoder,
    Upstream,
)

MAX_EVENT_BYTES = 8 * 2**20
_JSON = HeaderEdits(set={"content-type": "application/json"})
_SSE = HeaderEdits(set={"content-type": "text/event-stream", "cache-control": "no-cache"})
_FIRST_ERROR = 400
_STREAMS = frozenset({"text/event-stream", "application/vnd.amazon.eventstream"})
# Only Anthropic's own format comes in AWS frames: what ends a stream of it.
_LAST = frozenset({"message_stop", "error"})


class Cut(Protocol):
    """Cuts a stream's bytes into events of (name, data)."""

    def feed(self, data: bytes) -> Iterable[tuple[str, str]]:
        """Take bytes and return the events that they complete.

        Raises:
            ValueError: they are no such stream.
        """


class SseCut:
    """Server-sent events; comments and events without data are left out."""

    def __init__(self) -> None:
        self._frames = FrameDecoder(MAX_EVENT_BYTES)

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """Take bytes and return the events that they complete."""
        try:
            frames = self._frames.feed(data)
        except FrameTooLong as error:
            raise ValueError(str(error)) from None
        return [(frame.name, frame.data) for frame in frames if frame.data is not None]


def make_cut(framing: Framing) -> Cut:
    """Return what cuts a stream of that framing."""
    if framing == "sse":
        return SseCut()
    from plugins.translate.aws_frames import AwsCut  # noqa: PLC0415 - needs `dragoman[bedrock]`

    return AwsCut(MAX_EVENT_BYTES)


class AnswerTranslation:
    """Translates one response.

    Args:
        client: the client's adapter.
        upstream: the provider's format.
        call: the client's call.
        canonical: the call as the provider got it.
        tokens_in: the header that counts its tokens, where an answer's body does not.
    """

    def __init__(
        self,
        client: Client,
        upstream: Upstream,
        call: Call,
        canonical: CanonicalCall,
        tokens_in: str = "",
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._call = call
        self._document: Json = dict(call.document)
        self._canonical = canonical
        self._tokens_in = tokens_in
        self._status = 0
        self._headers = Headers()
        self._cut: Cut | None = None
        self._decoder: StreamDecoder | None = None
        self._encoder: StreamEncoder | None = None
        self._has_ended = False

    def begin(self, status: int, headers: Headers) -> Begun:
        """Choose by status and type: an error or an answer is read whole, a stream as it comes."""
        self._status, self._headers = status, headers
        if status >= _FIRST_ERROR or not _is_stream(headers):
            streamed = status < _FIRST_ERROR and self._canonical.stream
            return Begun(headers=_SSE if streamed else _JSON, body="whole")
        self._cut = make_cut(self._upstream.framing)
        self._decoder = self._upstream.decoder(self._canonical)
        self._encoder = self._client.encoder(self._document)
        return Begun(headers=_SSE, body="stream")

    def whole(self, body: bytes) -> Translated:
        """Turn an answer, or an error, into the client's."""
        if self._status >= _FIRST_ERROR:
            return self._error(self._upstream.fault(self._status, self._headers, body))
        try:
            document = orjson.loads(body)
            answer = self._upstream.answer(document, self._canonical)
            _count(answer, self._headers.get(self._tokens_in))
            if self._canonical.stream:
                return Translated(self._as_stream(answer))
            return Translated(dumps(self._client.answer(answer, self._document)))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return self._error(_NO_ANSWER)

    def feed(self, data: bytes) -> bytes:
        """Turn a piece of a stream into the client's events."""
        assert self._cut is not None  # noqa: S101 - `begin` said that it is a stream
        if self._has_ended:
            return b""
        try:
            return b"".join(self._event(name, text) for name, text in self._cut.feed(data))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return self._ended(_NO_ANSWER)

    def end(self) -> bytes:
        """Return the stream's last events."""
        assert self._decoder is not None  # noqa: S101
        assert self._encoder is not None  # noqa: S101
        if self._has_ended:
            return b""
        out = self._written(self._decoder.end())
        return out if self._has_ended else out + self._encoder.end()

    def fault(self, *, status: int, code: str, message: str) -> bytes:
        """End the stream with an error."""
        return self._ended(Fault(status, code, message))

    def _event(self, name: str, data: str) -> bytes:
        assert self._decoder is not None  # noqa: S101
        return b"" if self._has_ended else self._written(self._decoder.event(name, data))

    def _written(self, chunks: Sequence[Json | Fault]) -> bytes:
        assert self._encoder is not None  # noqa: S101
        out = b""
        for chunk in chunks:
            if isinstance(chunk, Fault):
                return out + self._ended(chunk)
            out += self._encoder.chunk(chunk)
        return out

    def _ended(self, fault: Fault) -> bytes:
        if self._has_ended or self._encoder is None:
            return b""
        self._has_ended = True
        return self._encoder.fault(error_document(self._call, fault), fault.status)

    def _as_stream(self, answer: Json) -> bytes:
        encoder = self._client.encoder(self._document)
        return b"".join(encoder.chunk(chunk) for chunk in chunks_of(answer)) + encoder.end()

    def _error(self, fault: Fault) -> Translated:
        return error_answer(self._call, fault)


def _count(answer: Json, tokens: str) -> None:
    """Put into an answer the tokens that a header counts, where its body has counted none."""
    usage = answer.get("usage")
    if tokens.isdecimal() and isinstance(usage, dict) and not usage.get("prompt_tokens"):
        usage.update(prompt_tokens=int(tokens), total_tokens=int(tokens))


class NativeTranslation:
    """Passes answers in the client's own format, and unwraps their streams from AWS frames.

    Args:
        upstream: the provider's format.
        call: the client's call.
    """

    def __init__(self, upstream: Upstream, call: Call) -> None:
        self._upstream = upstream
        self._call = call
        self._status = 0
        self._headers = Headers()
        self._cut: Cut | None = None
        self._has_ended = False

    def begin(self, status: int, headers: Headers) -> Begun:
        """Keep what the client can read already."""
        self._status, self._headers = status, headers
        if status >= _FIRST_ERROR:
            return Begun(headers=_JSON, body="whole")
        if _is_stream(headers) and self._upstream.framing == "aws":
            self._cut = make_cut("aws")
            return Begun(headers=_SSE, body="stream")
        return Begun()

    def whole(self, body: bytes) -> Translated:
        """Give an error the client's shape."""
        fault = self._upstream.fault(self._status, self._headers, body)
        return error_answer(self._call, fault)

    def feed(self, data: bytes) -> bytes:
        """Unwrap the events."""
        assert self._cut is not None  # noqa: S101 - `begin` said that it is a stream
        if self._has_ended:
            return b""
        try:
            return b"".join(self._frame(name, text) for name, text in self._cut.feed(data))
        except ValueError:
            return self._ended(_NO_ANSWER)

    def end(self) -> bytes:
        """Return an error's event where the provider's own last event did not come."""
        return b"" if self._has_ended else self._ended(CUT_OFF)

    def fault(self, *, status: int, code: str, message: str) -> bytes:
        """End the stream with an error."""
        return b"" if self._has_ended else self._ended(Fault(status, code, message))

    def _frame(self, name: str, data: str) -> bytes:
        if self._has_ended:
            return b""
        if name.lower().endswith("exception"):
            return self._ended(self._fault_of(name, data))
        self._has_ended = name in _LAST
        return encode_frame(name, data)

    def _fault_of(self, name: str, data: str) -> Fault:
        decoder = self._upstream.decoder(CanonicalCall("chat", {}, self._call.model, stream=True))
        read = decoder.event(name, data)
        return next((chunk for chunk in read if isinstance(chunk, Fault)), _NO_ANSWER)

    def _ended(self, fault: Fault) -> bytes:
        self._has_ended = True
        events = self._call.dialect.error_events(
            status=fault.status, code=fault.code, message=fault.message
        )
        return b"".join(event.raw for event in events)


def error_document(call: Call, fault: Fault) -> Json:
    """Return a fault in the words of the client's dialect."""
    return call.dialect.error(
        status=fault.status, code=fault.code, message=fault.message, param=fault.param
    )


def error_answer(call: Call, fault: Fault) -> Translated:
    """Return a fault as an answer in the client's format.

    Where the provider says in the body when to try again, the client finds it in `Retry-After`.
    """
    edits = NO_EDITS
    if fault.retry_after_s is not None:
        edits = HeaderEdits(set={"retry-after": str(math.ceil(fault.retry_after_s))})
    return Translated(dumps(error_document(call, fault)), fault.status, edits)


def _is_stream(headers: Headers) -> bool:
    return headers.get("content-type").partition(";")[0].strip().lower() in _STREAMS


_NO_ANSWER = Fault(502, "bad_upstream_answer", "the provider's answer could not be understood")
