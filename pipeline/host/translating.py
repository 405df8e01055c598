"""A response on its way through what its provider made to translate it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from pipeline.api.dialect import Dialect
from pipeline.api.headers import HeaderEdits, Headers
from pipeline.api.provider import Begun, Translation
from pipeline.dialects.encoding import Inflater, decoded
from pipeline.errors import InvalidCall
from pipeline.host import replies
from pipeline.host.runtime import Observer
from pipeline.host.verdicts import Emit, Finish, Pairs, Proceed, Verdict

_LOGGER = logging.getLogger(__name__)
_PLAIN = HeaderEdits(remove=frozenset({"content-encoding", "content-length"}))
T = TypeVar("T")


class TranslatedResponse:
    """Runs one response through its translation; whatever that does, the client gets an answer.

    Args:
        translation: the provider's.
        dialect: the client's API format, for errors.
        max_bytes: the longest answer that is held or inflated.
        observer: sees faults.
    """

    def __init__(
        self,
        translation: Translation,
        dialect: Dialect | None,
        max_bytes: int,
        observer: Observer,
    ) -> None:
        self._translation = translation
        self._dialect = dialect
        self._max_bytes = max_bytes
        self._observer = observer
        self.status = 0
        self._encoding = ""
        self._is_stream = False
        self._has_ended = False

    def headers(self, pairs: Pairs, *, ends: bool) -> Verdict:
        """Decide on the response's headers, and how its body is wanted."""
        status = self.status = next((int(v) for name, v in pairs if name == ":status"), 0)
        headers = Headers(pair for pair in pairs if pair[0][:1] != ":")
        begun = self._tried(lambda: self._translation.begin(status, headers))
        if begun is None:
            return self._failure()
        self.status = begun.status or status
        edits = _edits(begun)
        if begun.body == "keep":
            return Proceed(edits=edits)
        if ends:
            return self._empty(begun, edits)
        encoding = headers.get("content-encoding").strip().lower()
        self._encoding = "" if encoding == "identity" else encoding
        if self._encoding:
            try:
                Inflater(self._encoding, self._max_bytes)
            except InvalidCall:
                self._observer.violation("unreadable_answer")
                return self._refusal("unreadable_answer", _UNREADABLE)
        edits = edits.then(_PLAIN)
        if begun.body == "whole":
            return Proceed(edits=edits, wish="whole")
        self._is_stream = True
        return Proceed(edits=edits, wish="bytes", encoding=self._encoding)

    def body(self, body: bytes) -> Proceed:
        """Translate a whole body, a stream's that somebody wants to see at once too."""
        try:
            plain = decoded(body, self._encoding, self._max_bytes)
        except InvalidCall:
            self._observer.violation("unreadable_answer")
            return _replaced(self._refusal("unreadable_answer", _UNREADABLE))
        if self._is_stream:
            return Proceed(body=self.piece(plain, ended=True).data)
        made = self._tried(lambda: self._translation.whole(plain))
        if made is None:
            return _replaced(self._failure())
        edits = made.headers
        if made.status is not None:
            self.status = made.status
            edits = edits.then(HeaderEdits(set={":status": str(made.status)}))
        return Proceed(edits=edits, body=made.body)

    def piece(self, data: bytes, *, ended: bool) -> Emit:
        """Translate a piece of a stream."""
        if self._has_ended:
            return Emit(b"", is_original=False, end=True)
        out = self._tried(lambda: self._translation.feed(data) if data else b"")
        if out is not None and ended:
            last = self._tried(self._translation.end)
            out = None if last is None else out + last
        if out is None:
            return self.fault(status=502, code="provider_error", message=_FAILED)
        return Emit(out, is_original=False)

    def fault(self, *, status: int, code: str, message: str) -> Emit:
        """End the stream with an error."""
        self._has_ended = True
        out = self._tried(
            lambda: self._translation.fault(status=status, code=code, message=message)
        )
        if out is None:
            events = (
                self._dialect.error_events(status=status, code=code, message=message)
                if self._dialect is not None
                else []
            )
            out = b"".join(event.raw for event in events)
        return Emit(out, is_original=False, end=True)

    def _empty(self, begun: Begun, edits: HeaderEdits) -> Verdict:
        if begun.body == "whole":
            verdict = self.body(b"")
            return Proceed(edits=edits.then(_PLAIN).then(verdict.edits), body=verdict.body)
        return Proceed(edits=edits.then(_PLAIN), body=self.piece(b"", ended=True).data)

    def _tried(self, step: Callable[[], T]) -> T | None:
        try:
            return step()
        except Exception:
            _LOGGER.exception("a provider could not translate a response")
            self._observer.violation("provider_error")
            return None

    def _failure(self) -> Finish:
        return self._refusal("provider_error", _FAILED)

    def _refusal(self, code: str, message: str) -> Finish:
        return replies.refusal(self._dialect, status=502, code=code, message=message)


_FAILED = "the provider's answer could not be translated"
_UNREADABLE = "the provider's answer cannot be decoded"


def _edits(begun: Begun) -> HeaderEdits:
    if begun.status is None:
        return begun.headers
    return begun.headers.then(HeaderEdits(set={":status": str(begun.status)}))


def _replaced(finish: Finish) -> Proceed:
    """Put an error in the place of a body whose headers are still held back."""
    edits = HeaderEdits(set={**finish.headers, ":status": str(finish.status)})
    return Proceed(edits=edits, body=finish.body)
