"""Canonical chunks as the stream of a Response: items, each opened and closed, then the whole."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.clients.responses_answer import finished, last_status, started
from plugins.translate.clients.responses_output import ItemIds, annotation, called_tool, logprobs
from plugins.translate.clients.responses_writers import (
    CallWriter,
    Events,
    MessageWriter,
    ThoughtWriter,
    write_block,
)

_Writer = ThoughtWriter | MessageWriter | CallWriter


class ResponseEncoder:
    """Writes one stream.

    A thought or a message is closed when something else begins. Calls stay open till the end: their
    pieces may come mixed. Signatures that come late, as Gemini signs its texts and calls, wait till
    the end: they are thoughts without a text, which must not cut a message in two.

    Args:
        call: the client's call document.
    """

    def __init__(self, call: Json) -> None:
        self._call = call
        self._events = Events()
        self._head: Json | None = None
        self._ids = ItemIds({})
        self._output: list[Json] = []  # an item that is still open has its place
        self._open: dict[int, _Writer] = {}  # by place
        self._current: tuple[Any, int] | None = None  # which thought or message is open, and where
        self._calls: dict[Any, tuple[Any, CallWriter]] = {}  # by index: the id given, the writer
        self._late: dict[Any, str] = {}  # signatures, by index of their block
        self._has_said = False
        self._finish: Any = None
        self._usage: Any = None
        self._tier: Any = None

    def chunk(self, chunk: Json) -> bytes:
        """Return the frames that a chunk becomes, perhaps none."""
        if self._head is None:
            self._start(chunk)
        if chunk.get("usage"):
            self._usage = chunk["usage"]
        if chunk.get("service_tier"):
            self._tier = chunk["service_tier"]
        for choice in chunk.get("choices") or ():
            if choice.get("index", 0) == 0:
                self._take(choice)
        return self._events.taken()

    def end(self) -> bytes:
        """Return the frames that end the response."""
        head = self._start({}) if self._head is None else self._head
        last = len(self._output) - 1
        for place in sorted(self._open):
            self._close(place, last_status(self._finish) if place == last else "completed")
        for signature in self._late.values():
            thought = ThoughtWriter(self._events, len(self._output), self._ids.next("rs"))
            thought.add("", signature)
            self._output.append(thought.close())
        response = finished(head, self._output, self._finish, self._usage, self._tier)
        self._events.emit(f"response.{response['status']}", {"response": response})
        return self._events.taken()

    def fault(self, document: Json, status: int) -> bytes:
        """Return the frames that end the stream in an error.

        Some clients look for `response.failed`; OpenAI's own SDKs raise on `error`.
        """
        said = document["error"]
        if self._head is not None:
            word = "rate_limit_exceeded" if status == 429 else "server_error"
            error = {"code": word, "message": said["message"]}
            failed = {**self._head, "status": "failed", "error": error}
            self._events.emit("response.failed", {"response": failed})
        self._events.emit("error", {**said, "type": "error", "error": said})
        return self._events.taken()

    def _start(self, chunk: Json) -> Json:
        self._head = head = started(chunk, self._call)
        self._ids = ItemIds(chunk)
        self._events.emit("response.created", {"response": head})
        self._events.emit("response.in_progress", {"response": head})
        return head

    def _take(self, choice: Json) -> None:
        if choice.get("finish_reason") is not None:
            self._finish = choice["finish_reason"]
        delta = choice.get("delta") or {}
        self._think(delta)
        text, tokens = delta.get("content") or "", logprobs(choice) if "logprobs" in choice else []
        if text or tokens:
            self._message().text(text, tokens)
        for given in delta.get("annotations") or ():
            if cited := annotation(given):
                self._message().cite(cited)
        if refusal := delta.get("refusal"):
            self._message().refusal(refusal)
        for piece in delta.get("tool_calls") or ():
            self._add_to_call(piece)

    def _think(self, delta: Json) -> None:
        pieces = delta.get("thinking_blocks")
        for piece in pieces or ():
            if piece.get("type") == "thinking":
                index, signature = piece.get("index", 0), piece.get("signature") or ""
                self._think_on(index, piece.get("thinking") or "", signature)
            else:
                self._close_current()
                place = len(self._output)
                item = write_block(self._events, place, self._ids.next("rs"), piece)
                self._output.append(item)
        told = delta.get("reasoning_content")
        if told and not pieces:
            self._thought("told").add(told, "")

    def _think_on(self, index: Any, thought: str, signature: str) -> None:
        is_open = self._current is not None and self._current[0] == ("thought", index)
        if thought or is_open or not self._has_said:
            self._thought(index).add(thought, signature)
        elif signature:
            self._late[index] = self._late.get(index, "") + signature

    def _thought(self, which: Any) -> ThoughtWriter:
        writer = self._continued(("thought", which))
        if isinstance(writer, ThoughtWriter):
            return writer
        place = len(self._output)
        thought = ThoughtWriter(self._events, place, self._ids.next("rs"))
        self._begin(thought)
        self._current = (("thought", which), place)
        return thought

    def _message(self) -> MessageWriter:
        writer = self._continued("message")
        if isinstance(writer, MessageWriter):
            return writer
        self._has_said = True
        place = len(self._output)
        message = MessageWriter(self._events, place, self._ids.next("msg"))
        self._begin(message)
        self._current = ("message", place)
        return message

    def _add_to_call(self, piece: Json) -> None:
        index, given, called = piece.get("index", 0), piece.get("id"), called_tool(piece)
        known, writer = self._calls.get(index, (None, None))
        # Some servers say index 0 for every call: another id is another call.
        if writer is None or (given and known and given != known):
            self._has_said = True
            self._close_current()
            item_id, call_id = self._ids.next("fc"), self._ids.call_id(given)
            writer = CallWriter(self._events, len(self._output), item_id, call_id, called)
            self._begin(writer)
            self._calls[index] = given, writer
        writer.add(called["arguments"])

    # --- items
    def _continued(self, which: Any) -> _Writer | None:
        """Return the writer of what is open, or close it where it is something else."""
        if self._current is not None and self._current[0] == which:
            return self._open[self._current[1]]
        self._close_current()
        return None

    def _begin(self, writer: _Writer) -> None:
        self._open[len(self._output)] = writer
        self._output.append({})

    def _close_current(self) -> None:
        if self._current is not None:
            self._close(self._current[1], "completed")
            self._current = None

    def _close(self, place: int, status: str) -> None:
        self._output[place] = self._open.pop(place).close(status)
