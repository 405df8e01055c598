"""Anthropic's stream of events as canonical chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.formats import Fault
from plugins.translate.upstreams.anthropic_answer import Citations, ending, refusal, usage_of
from plugins.translate.upstreams.anthropic_errors import event_fault
from plugins.translate.upstreams.anthropic_words import as_object, tool_arguments
from plugins.translate.upstreams.event_stream import EventDecoder


class MessageDecoder(EventDecoder):
    """Reads one stream; what it does not know it passes over.

    Args:
        model: the model asked for, until the stream names one.
        created_s: Unix seconds for the chunks.
    """

    def __init__(self, *, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s)
        self._usage: Json = {}
        self._block = ""  # the type of the block that is open
        self._calls = self._thoughts = -1  # the number of the last one
        self._needs_arguments = False
        self._input: Any = None
        self._length = 0
        self._citations = Citations()
        self._readers = {
            "message_start": self._start,
            "content_block_start": self._open,
            "content_block_delta": self._delta,
            "content_block_stop": self._close,
            "message_delta": self._end,
            "error": self._error,
        }

    def _start(self, event: Json) -> Sequence[Json]:
        message = as_object(event.get("message"))
        self._id = str(message.get("id") or "")
        self._model = str(message.get("model") or self._model)
        self._usage = dict(as_object(message.get("usage")))
        return (self._chunk({"role": "assistant", "content": ""}),)

    def _open(self, event: Json) -> Sequence[Json]:
        block = as_object(event.get("content_block"))
        kind = self._block = block.get("type") or ""
        if kind == "text":
            self._length = 0
            for citation in block.get("citations") or ():
                self._citations.add(citation)
            return self._text(block.get("text"))
        if kind == "thinking":
            self._thoughts += 1
            pieces = (*self._thought(block.get("thinking")), *self._sign(block.get("signature")))
            # A block whose thoughts are not shown is a block all the same.
            return pieces or (self._thinking({"thinking": ""}),)
        if kind == "redacted_thinking":
            self._thoughts += 1
            piece = {"index": self._thoughts, "type": kind, "data": block.get("data") or ""}
            return (self._chunk({"thinking_blocks": [piece]}),)
        if kind == "tool_use":
            self._calls += 1
            self._needs_arguments, self._input = True, block.get("input")
            function = {"name": block.get("name") or "", "arguments": ""}
            call = {"index": self._calls, "id": block.get("id") or "", "type": "function"}
            return (self._chunk({"tool_calls": [{**call, "function": function}]}),)
        return ()

    def _delta(self, event: Json) -> Sequence[Json]:
        delta = as_object(event.get("delta"))
        kind = delta.get("type")
        if kind == "text_delta":
            return self._text(delta.get("text"))
        if kind == "input_json_delta":
            return self._arguments(delta.get("partial_json"))
        if kind == "thinking_delta":
            return self._thought(delta.get("thinking"))
        if kind == "signature_delta":
            return self._sign(delta.get("signature"))
        if kind == "citations_delta":
            self._citations.add(delta.get("citation"))
        return ()

    def _text(self, text: Any) -> Sequence[Json]:
        if not text:
            return ()
        self._length += len(text)
        return (self._chunk({"content": text}),)

    def _arguments(self, piece: Any) -> Sequence[Json]:
        # Anthropic runs its own tools itself: their input is no call of the client's.
        if not piece or self._block != "tool_use":
            return ()
        self._needs_arguments = False
        call = {"index": self._calls, "function": {"arguments": piece}}
        return (self._chunk({"tool_calls": [call]}),)

    def _thought(self, text: Any) -> Sequence[Json]:
        return (self._thinking({"thinking": text}, reasoning_content=text),) if text else ()

    def _sign(self, signature: Any) -> Sequence[Json]:
        return (self._thinking({"signature": signature}),) if signature else ()

    def _thinking(self, piece: Json, **beside: Any) -> Json:
        block = {"index": self._thoughts, "type": "thinking", **piece}
        return self._chunk({"thinking_blocks": [block], **beside})

    def _close(self, _: Json) -> Sequence[Json]:
        kind, self._block = self._block, ""
        if kind == "tool_use" and self._needs_arguments:
            call = {"index": self._calls, "function": {"arguments": tool_arguments(self._input)}}
            return (self._chunk({"tool_calls": [call]}),)
        if kind == "text":
            added = self._citations.close(self._length)
            return (self._chunk(added),) if added else ()
        return ()

    def _end(self, event: Json) -> Sequence[Json]:
        usage = as_object(event.get("usage"))
        self._usage.update({name: value for name, value in usage.items() if value is not None})
        delta = as_object(event.get("delta"))
        if delta.get("stop_reason") is None or self._has_ended:
            return ()
        self._has_ended = True
        why = refusal(delta)
        chunk = self._chunk({"refusal": why} if why else {}, **ending(delta))
        chunk.update(usage_of({"usage": self._usage}))
        return (chunk,)

    def _error(self, event: Json) -> Sequence[Fault]:
        self._has_ended = True
        return (event_fault(event),)
