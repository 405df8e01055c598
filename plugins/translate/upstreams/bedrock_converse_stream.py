"""ConverseStream's events as canonical chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.formats import Fault
from plugins.translate.upstreams.anthropic_answer import Citations
from plugins.translate.upstreams.anthropic_words import as_object
from plugins.translate.upstreams.bedrock_converse_answer import (
    ToolNames,
    citation_of,
    ending,
    is_call,
    usage_of,
)
from plugins.translate.upstreams.bedrock_errors import exception_fault
from plugins.translate.upstreams.event_stream import EventDecoder


class ConverseDecoder(EventDecoder):
    """Reads one stream; what it does not know it passes over.

    Args:
        names: the call's tools.
        answer_id: id for the chunks.
        model: the model asked for.
        created_s: Unix seconds for the chunks.
    """

    def __init__(self, names: ToolNames, *, answer_id: str, model: str, created_s: int) -> None:
        super().__init__(model=model, created_s=created_s, answer_id=answer_id)
        self._names = names
        self._calls = self._thoughts = -1  # the number of the last one
        self._thought_at: Any = None  # the block whose thoughts come
        self._open = ""  # what the open block is: a call, the wrapped answer, or something else
        self._needs_arguments = False
        self._is_wrapped = False
        self._length = 0
        self._citations = Citations()
        self._readers = {
            "messageStart": self._begin,
            "contentBlockStart": self._start,
            "contentBlockDelta": self._delta,
            "contentBlockStop": self._stop,
            "messageStop": self._end,
            "metadata": self._metadata,
        }

    def event(self, name: str, data: str) -> Sequence[Json | Fault]:
        """Take one event and return canonical chunks."""
        return super().event(name, data or "{}")

    def _read(self, name: str, document: Json) -> Sequence[Json | Fault]:
        if name.endswith(("Exception", "Error", "Failure")):
            self._has_ended = True
            return (exception_fault(name, document),)
        read = self._readers.get(name)  # what an event says of itself is not its kind
        return read(document) if read else ()

    def _begin(self, _: Json) -> Sequence[Json]:
        return (self._chunk({"role": "assistant", "content": ""}),)

    def _start(self, event: Json) -> Sequence[Json]:
        use = as_object(event.get("start")).get("toolUse")
        self._open = ""
        if not is_call(use):
            self._open = "server" if isinstance(use, dict) else ""
            return ()
        self._needs_arguments = True
        if self._names.is_answer(use):
            self._open, self._is_wrapped = "answer", True
            return ()
        self._calls += 1
        self._open = "call"
        function = {"name": self._names.original(use.get("name")), "arguments": ""}
        call = {"index": self._calls, "id": str(use.get("toolUseId") or ""), "type": "function"}
        return (self._chunk({"tool_calls": [{**call, "function": function}]}),)

    def _delta(self, event: Json) -> Sequence[Json]:
        delta = event.get("delta")
        if not isinstance(delta, dict):
            return ()
        if text := delta.get("text"):
            self._length += len(text)
            return (self._chunk({"content": text}),)
        if "toolUse" in delta:
            return self._input(as_object(delta["toolUse"]).get("input"))
        if "reasoningContent" in delta:
            at = event.get("contentBlockIndex")
            return self._thought(as_object(delta["reasoningContent"]), at)
        if "citation" in delta:
            self._citations.add(citation_of(delta["citation"]))
        return ()

    def _input(self, piece: Any) -> Sequence[Json]:
        if not piece:
            return ()
        self._needs_arguments = False
        if self._open == "answer":
            return (self._chunk({"content": piece}),)
        if self._open != "call":
            return ()
        call = {"index": self._calls, "function": {"arguments": piece}}
        return (self._chunk({"tool_calls": [call]}),)

    def _thought(self, reasoning: Json, at: Any) -> Sequence[Json]:
        if self._thought_at is None or self._thought_at != at:
            self._thoughts += 1
            self._thought_at = at
        if (data := reasoning.get("redactedContent")) is not None:
            block = {"index": self._thoughts, "type": "redacted_thinking", "data": str(data)}
            return (self._chunk({"thinking_blocks": [block]}),)
        block = {"index": self._thoughts, "type": "thinking"}
        if signature := reasoning.get("signature"):
            return (self._chunk({"thinking_blocks": [{**block, "signature": signature}]}),)
        text = reasoning.get("text")
        if not text:
            return ()
        told = {"thinking_blocks": [{**block, "thinking": text}], "reasoning_content": text}
        return (self._chunk(told),)

    def _stop(self, _: Json) -> Sequence[Json]:
        kind, self._open = self._open, ""
        if kind in ("call", "answer") and self._needs_arguments:
            self._open = kind
            return self._input("{}")
        self._thought_at = None
        added = self._citations.close(self._length)
        self._length = 0
        return (self._chunk(added),) if added else ()

    def _end(self, event: Json) -> Sequence[Json]:
        if self._has_ended:
            return ()
        self._has_ended = True
        return (self._chunk({}, **ending(event, is_wrapped=self._is_wrapped)),)

    def _metadata(self, event: Json) -> Sequence[Json]:
        told = usage_of(event)
        return ({**self._head(), "choices": [], **told},) if "usage" in told else ()
