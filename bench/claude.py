"""A cheap provider of Anthropic's format, beside the cheap one of OpenAI's: the same text, as fast.

`python -m bench.claude` prints its port and serves both until ended.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import uvloop

from bench.upstream import Upstream

_EVENTS = re.compile(rb"\r\nx-bench-events: (\d+)\r\n", re.IGNORECASE)
_PACE = re.compile(rb"\r\nx-bench-pace-ms: (\d+)\r\n", re.IGNORECASE)
_MESSAGE: dict[str, Any] = {
    "id": "msg_bench",
    "type": "message",
    "role": "assistant",
    "model": "bench-1",
    "content": [{"type": "text", "text": "Forty-two."}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 400, "output_tokens": 4},
}
_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
# What OpenAI's client gets beside one chunk per word: the role, the end, and the usage if asked.
_OTHERS = 2
# As in `bench.upstream`: so that the streams' events do not come in bursts.
_SPREAD = 0.618034


def event(document: dict[str, Any]) -> bytes:
    """Return an event of Anthropic's stream."""
    return f"event: {document['type']}\ndata: {json.dumps(document)}\n\n".encode()


def _chunk(*frames: bytes) -> bytes:
    data = b"".join(frames)
    return b"%x\r\n%s\r\n" % (len(data), data)


HEAD = (
    event({"type": "message_start", "message": {**_MESSAGE, "content": [], "stop_reason": None}}),
    event(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    ),
)
WORD = event(
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": " word"},
    }
)
TAIL = (
    event({"type": "content_block_stop", "index": 0}),
    event(
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 4},
        }
    ),
    event({"type": "message_stop"}),
)
_ANSWER = json.dumps(_MESSAGE).encode()
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(_ANSWER),
    _ANSWER,
)
_FIRST, _WORD, _LAST = _chunk(*HEAD, WORD), _chunk(WORD), _chunk(*TAIL) + b"0\r\n\r\n"


class Claude(Upstream):
    """One keep-alive connection; what is not asked for as a message is OpenAI's."""

    def _answer(self, head: bytes) -> None:
        if not head.startswith(b"POST /v1/messages "):
            super()._answer(head)
            return
        assert self._transport is not None
        events, pace = _EVENTS.search(head), _PACE.search(head)
        if events is None or pace is None:
            self._transport.write(_WHOLE)
            return
        pace_s = int(pace[1]) / 1000
        Upstream.streams += 1
        self._transport.write(_STREAM + _FIRST)
        due_s = asyncio.get_running_loop().time() + pace_s * (1 + Upstream.streams * _SPREAD % 1)
        self._say(due_s, pace_s, int(events[1]) - _OTHERS - 1)

    def _say(self, due_s: float, pace_s: float, left: int) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(due_s, self._said, due_s, pace_s, left)

    def _said(self, due_s: float, pace_s: float, left: int) -> None:
        if self._transport is None:
            return
        self._transport.write(_WORD if left else _LAST)
        if left:
            self._say(due_s + pace_s, pace_s, left - 1)


async def serve() -> None:
    """Serve on a free port, printed as a line, until ended."""
    server = await asyncio.get_running_loop().create_server(Claude, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
