"""Cohere's stream of events as canonical chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.formats import Fault
from plugins.translate.upstreams.anthropic_words import as_object
from plugins.translate.upstreams.cohere_answer import (
    FAILURES,
    Citations,
    ending,
    logprobs_of,
    usage_of,
)
from plugins.translate.upstreams.event_stream import EventDecoder


class ChatDecoder(EventDecoder):
    """Reads one stream; what it does not know it passes over.

    Args:
        model: the model asked for; Cohere names none.
        created_s: Unix seconds for the chunks.
    """

    def __init__(self, *, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s)
        self._thoughts = self._calls = -1  # the number of the last one
        self._has_arguments = True
        self._citations = Citations()
        self._citations.opened()
        self._readers = {
            "message-start": self._start,
            "content-start": self._open,
            "content-delta": self._delta,
            "tool-plan-delta": self._plan,
            "tool-call-start": self._call,
            "tool-call-delta": self._arguments,
            "tool-call-end": self._call_end,
            "citation-start": self._cite,
            "message-end": self._end,
            "stream-error": self._error,
            "error": self._error,
        }

    def event(self, name: str, data: str) -> Sequence[Json | Fault]:
        """Take one event and return canonical chunks."""
        return () if data == "[DONE]" else super().event(name, data)

    def _read(self, name: str, document: Json) -> Sequence[Json | Fault]:
        # An error's body may stand where events were to come.
        is_error = not (document.get("type") or name) and "message" in document
        return super()._read("error" if is_error else name, document)

    def _start(self, event: Json) -> Sequence[Json]:
        self._id = str(event.get("id") or "")
        return (self._chunk({"role": "assistant", "content": ""}),)

    def _open(self, event: Json) -> Sequence[Json]:
        content = as_object(_message(event).get("content"))
        self._citations.opened()
        if content.get("type") == "thinking":
            self._thoughts += 1
            return (self._think(str(content.get("thinking") or ""), signature=""),)
        return self._said(content.get("text"), event)

    def _delta(self, event: Json) -> Sequence[Json]:
        content = as_object(_message(event).get("content"))
        if thought := content.get("thinking"):
            return (self._think(str(thought)),)
        return self._said(content.get("text"), event)

    def _said(self, text: Any, event: Json) -> Sequence[Json]:
        if not text or not isinstance(text, str):
            return ()
        self._citations.grew(len(text))
        if "logprobs" in event and (held := event["logprobs"]):
            return (self._chunk({"content": text}, logprobs=logprobs_of([held])),)
        return (self._chunk({"content": text}),)

    def _think(self, text: str, **beside: str) -> Json:
        index = max(0, self._thoughts)
        piece = {"index": index, "type": "thinking", "thinking": text, **beside}
        told = {"reasoning_content": text} if text else {}
        return self._chunk({"thinking_blocks": [piece], **told})

    def _plan(self, event: Json) -> Sequence[Json]:
        return self._said(_message(event).get("tool_plan"), {})

    def _call(self, event: Json) -> Sequence[Json]:
        self._calls += 1
        call = _call_of(event)
        function = as_object(call.get("function"))
        arguments = str(function.get("arguments") or "")
        self._has_arguments = bool(arguments)
        made = {"name": str(function.get("name") or ""), "arguments": arguments}
        whole = {"id": str(call.get("id") or ""), "type": "function", "function": made}
        return (self._chunk({"tool_calls": [{"index": self._calls, **whole}]}),)

    def _arguments(self, event: Json) -> Sequence[Json]:
        piece = as_object(_call_of(event).get("function")).get("arguments")
        return self._more(piece) if piece else ()

    def _call_end(self, _: Json) -> Sequence[Json]:
        return () if self._has_arguments else self._more("{}")

    def _more(self, arguments: Any) -> Sequence[Json]:
        self._has_arguments = True
        call = {"index": max(0, self._calls), "function": {"arguments": arguments}}
        return (self._chunk({"tool_calls": [call]}),)

    def _cite(self, event: Json) -> Sequence[Json]:
        citation = _message(event).get("citations")
        if not isinstance(citation, dict):
            return ()
        return (self._chunk(dict(self._citations.read(citation))),)

    def _end(self, event: Json) -> Sequence[Json | Fault]:
        if self._has_ended:
            return ()
        self._has_ended = True
        delta = as_object(event.get("delta"))
        reason = delta.get("finish_reason")
        if str(reason) in FAILURES or delta.get("error"):
            status = 504 if reason == "TIMEOUT" else 502
            why = delta.get("error") or "the provider could not finish its answer"
            return (Fault(status, str(reason or "ERROR"), str(why)),)
        return ({**self._chunk({}, **ending(reason)), **usage_of(delta.get("usage"))},)

    def _error(self, event: Json) -> Sequence[Fault]:
        self._has_ended = True
        return (Fault(502, "ERROR", str(event.get("message") or "the provider failed")),)


def _message(event: Json) -> Json:
    return as_object(as_object(event.get("delta")).get("message"))


def _call_of(event: Json) -> Json:
    return as_object(_message(event).get("tool_calls"))
