"""Canonical chunks as Anthropic's stream: blocks one after the other, each opened and closed."""

from __future__ import annotations

from typing import Any

import orjson

from plugins.translate.canonical import Json
from plugins.translate.clients.messages_answer import (
    all_citations,
    service_tier,
    thinking_block,
)
from plugins.translate.upstreams.anthropic_words import (
    anthropic_usage,
    as_object,
    stop_reason,
    tool_input,
)

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


class MessageEncoder:
    """Writes one stream.

    Canonical chunks may mix the pieces of several tool calls; Anthropic's blocks follow each other.
    The first call streams as it comes; what comes of others waits until it is complete.

    Args:
        model: the model asked for, where the chunks name none.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._out: list[bytes] = []
        self._has_started = False
        self._index = -1
        self._open: tuple[str, Any] | None = None  # what the open block is, and which of its kind
        self._arguments: list[str] = []  # of the call that streams
        self._waiting: dict[Any, Json] = {}  # calls that wait, by index
        self._choice: Json = {}
        self._usage: Json | None = None
        self._tier: Json = {}
        self._ids: dict[Any, Any] = {}  # of calls, by index
        self._begun: set[Any] = set()  # calls whose block has been opened
        self._refuses = False

    def chunk(self, chunk: Json) -> bytes:
        """Return the frames that a chunk becomes, perhaps none."""
        if not self._has_started:
            self._start(chunk)
        if chunk.get("usage"):
            self._usage = chunk["usage"]
        if "service_tier" in chunk:
            self._tier = service_tier(chunk)
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                self._take(choice)
        return self._written()

    def end(self) -> bytes:
        """Return the frames that end the message."""
        if not self._has_started:
            self._start({})
        self._flush_calls()
        self._close()
        why = stop_reason(self._choice, calls_tools=bool(self._begun), refuses=self._refuses)
        delta = {"stop_reason": why, "stop_sequence": self._choice.get("stop_sequence")}
        usage = {**anthropic_usage(self._usage), **self._tier}
        self._emit("message_delta", {"delta": delta, "usage": usage})
        self._emit("message_stop", {})
        return self._written()

    def fault(self, document: Json, status: int) -> bytes:  # noqa: ARG002 - its type tells
        """Return the event that ends the stream in an error."""
        self._emit("error", {"error": document["error"]})
        return self._written()

    def _start(self, chunk: Json) -> None:
        self._has_started = True
        message: Json = {
            "id": chunk.get("id") or "msg_unknown",
            "type": "message",
            "role": "assistant",
            "model": chunk.get("model") or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": anthropic_usage(chunk.get("usage")),
        }
        self._emit("message_start", {"message": message})

    def _take(self, choice: Json) -> None:
        delta = choice.get("delta")
        if delta:
            # The order of Anthropic's blocks, where one chunk has several.
            self._think(delta)
            for name in ("content", "refusal"):
                if text := delta.get(name):
                    self._refuses = self._refuses or name == "refusal"
                    self._say(text)
            if "annotations" in delta or "citations" in delta:
                self._cite(all_citations(delta))
            for piece in delta.get("tool_calls") or ():
                self._call(piece)
        if choice.get("finish_reason") is not None:
            self._choice = choice
            self._flush_calls()
            self._close()

    # --- blocks
    def _think(self, delta: Json) -> None:
        pieces = delta.get("thinking_blocks")
        for piece in pieces or ():
            if piece.get("type") == "redacted_thinking":
                self._begin("redacted_thinking", piece.get("index"), thinking_block(piece))
                self._close()
                continue
            block = thinking_block(piece)
            self._thinking(piece.get("index", 0))
            if block["thinking"]:
                self._delta({"type": "thinking_delta", "thinking": block["thinking"]})
            if block["signature"]:
                self._delta({"type": "signature_delta", "signature": block["signature"]})
        told = delta.get("reasoning_content")
        if told and not pieces:
            self._thinking("told")
            self._delta({"type": "thinking_delta", "thinking": told})

    def _thinking(self, which: Any) -> None:
        self._begin("thinking", which, {"type": "thinking", "thinking": "", "signature": ""})

    def _say(self, text: str) -> None:
        self._begin("text", None, {"type": "text", "text": ""})
        self._delta({"type": "text_delta", "text": text})

    def _cite(self, citations: list[Json]) -> None:
        for cited in citations:
            self._begin("text", None, {"type": "text", "text": "", "citations": []})
            self._delta({"type": "citations_delta", "citation": cited})

    def _call(self, piece: Json) -> None:
        which = self._which_call(piece)
        if self._open == ("tool_use", which):
            self._add(as_object(piece.get("function")).get("arguments"))
        elif which in self._begun:
            return  # its block is closed: what was whole needs no more
        elif which in self._waiting or not self._may_begin_call():
            self._wait(which, piece)
        else:
            self._begin_call(which, piece)

    def _which_call(self, piece: Json) -> Any:
        """Return what tells a call from others: its index, unless a server says 0 for all."""
        index, call_id = piece.get("index", 0), piece.get("id")
        known = self._ids.setdefault(index, call_id)
        if call_id and known and call_id != known:
            self._ids[index] = call_id
        return index, self._ids[index]

    def _may_begin_call(self) -> bool:
        """Say whether the open block can be closed: a call only once its arguments are whole."""
        if self._open is None or self._open[0] != "tool_use":
            return True
        return not self._waiting and bool(self._arguments) and self._is_whole()

    def _is_whole(self) -> bool:
        # An object is no beginning of a longer one: what can be read is complete.
        return tool_input("".join(self._arguments)) is not None

    def _begin_call(self, index: Any, piece: Json) -> None:
        function = as_object(piece.get("function"))
        block = {
            "type": "tool_use",
            "id": piece.get("id") or "",
            "name": function.get("name") or "",
        }
        self._begun.add(index)
        self._arguments = []
        self._begin("tool_use", index, {**block, "input": {}})
        self._add(function.get("arguments"))

    def _add(self, arguments: Any) -> None:
        if arguments:
            self._arguments.append(arguments)
            self._delta({"type": "input_json_delta", "partial_json": arguments})

    def _wait(self, index: Any, piece: Json) -> None:
        function = as_object(piece.get("function"))
        call = self._waiting.setdefault(index, {"id": "", "name": "", "pieces": []})
        call["id"] = call["id"] or piece.get("id")
        call["name"] = call["name"] or function.get("name")
        if function.get("arguments"):
            call["pieces"].append(function["arguments"])

    def _flush_calls(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for index, call in waiting.items():
            function = {"name": call["name"], "arguments": "".join(call["pieces"])}
            self._begin_call(index, {"id": call["id"], "function": function})

    # --- events
    def _begin(self, kind: str, which: Any, block: Json) -> None:
        """Open a block, unless it is open."""
        if self._open == (kind, which):
            return
        if kind != "tool_use":
            self._flush_calls()
        self._close()
        self._index += 1
        self._open = (kind, which)
        self._emit("content_block_start", {"index": self._index, "content_block": block})
        if self._index == 0:
            self._out.append(_PING)

    def _delta(self, delta: Json) -> None:
        self._emit("content_block_delta", {"index": self._index, "delta": delta})

    def _close(self) -> None:
        if self._open is not None:
            self._open = None
            self._emit("content_block_stop", {"index": self._index})

    def _emit(self, name: str, event: Json) -> None:
        document = orjson.dumps({"type": name, **event})
        self._out.append(b"event: %b\ndata: %b\n\n" % (name.encode(), document))

    def _written(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)
