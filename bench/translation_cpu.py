"""What translation costs in one thread: a streamed event, and a stream's bytes as it grows."""

from __future__ import annotations

import base64
import gzip
import json
import random
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from urllib.parse import urlsplit
from zlib import crc32

import brotli
import zstandard

from bench.claude import HEAD, TAIL, WORD
from bench.effort import Effort
from bench.measure import Estimate, mean, ratio
from bench.report import Row
from pipeline.api import Backend, Call, Headers, Request
from pipeline.api.provider import Attempt, Translation
from pipeline.dialects.encoding import Inflater
from pipeline.dialects.registry import builtin
from plugins.translate.clients import CLIENTS
from plugins.translate.connection import ProviderConnection
from plugins.translate.translation import make_cut
from plugins.translate.upstreams import SPECS

EVENT_GOAL_US = 60.0
STREAM_BYTES = 10_000_000
_PIECE_BYTES = 16_384
_EVENTS = 2_000
# A cost that grew with what came before would be three times as high in the last quarter as in
# the second; a busy machine alone makes some tens of percent.
_GROWTH_GOAL = 1.3
_SEED = 7


def rows(effort: Effort) -> list[Row]:
    """Measure both."""
    return [event_row(effort.rounds), *decoder_rows(effort.rounds)]


def event_row(rounds: int) -> Row:
    """Return what one event of Anthropic's costs on its way to a client of OpenAI's chat."""
    _event_us()
    found = mean([_event_us() for _ in range(rounds)])
    return Row("translation.event", found.value, "µs", EVENT_GOAL_US, found)


def decoder_rows(rounds: int) -> list[Row]:
    """Return what a byte costs with each decoder, and what it costs late over early."""
    made = []
    for name, (feed_of, data) in _decoders().items():
        quarters = [_quarters_s(feed_of(), data) for _ in range(rounds)]
        per_byte = mean([sum(one) / STREAM_BYTES * 1e9 for one in quarters])
        growth: Estimate = ratio([one[3] for one in quarters], [one[0] for one in quarters])
        made += [
            Row(f"translation.{name}.per_byte", per_byte.value, "ns", estimate=per_byte),
            Row(f"translation.{name}.late_over_early", growth.value, "ratio", _GROWTH_GOAL, growth),
        ]
    return made


def _event_us() -> float:
    translation = _begun()
    translation.feed(b"".join(HEAD))
    start_s = time.thread_time()
    for _ in range(_EVENTS):
        translation.feed(WORD)
    used_s = time.thread_time() - start_s
    if b"[DONE]" not in translation.feed(b"".join(TAIL)) + translation.end():
        raise RuntimeError("the stream of the benchmark did not end")
    return used_s / _EVENTS * 1e6


def _begun() -> Translation:
    [spec] = [one for one in SPECS if one.name == "anthropic"]
    url = urlsplit("https://api.example/v1")
    backend = Backend("b", spec.name, url, api_key="k", options=spec.options())
    dialect = builtin().by_name("openai.chat")
    if dialect is None:
        raise RuntimeError("there is no dialect openai.chat")
    document = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    request = Request("POST", "/v1/chat/completions", "", "h", Headers([]))
    call = Call(dialect, document, json.dumps(document).encode())
    attempt = ProviderConnection(backend, spec, CLIENTS).prepare(request, call)
    if not isinstance(attempt, Attempt) or attempt.translation is None:
        raise RuntimeError("the call of the benchmark is translated")
    attempt.translation.begin(200, Headers([("content-type", b"text/event-stream")]))
    return attempt.translation


Feed = Callable[[bytes], object]


def _decoders() -> Mapping[str, tuple[Callable[[], Feed], bytes]]:
    text = b"".join(_words(STREAM_BYTES))
    packed = {
        "gzip": gzip.compress(text, 6),
        "br": brotli.compress(text, quality=4),
        "zstd": zstandard.compress(text),
    }
    frames = b"".join(_aws_frame(part) for part in _cut(text, 150))[:STREAM_BYTES]
    made: dict[str, tuple[Callable[[], Feed], bytes]] = {
        "sse": (lambda: make_cut("sse").feed, text),
        "aws": (lambda: make_cut("aws").feed, frames),
    }
    return made | {name: (partial(_inflater, name), data) for name, data in packed.items()}


def _inflater(name: str) -> Feed:
    return Inflater(name, 2 * STREAM_BYTES).feed


def _words(size: int) -> Iterator[bytes]:
    """Yield a stream of events with words of chance, so that it packs as an answer would."""
    chance = random.Random(_SEED)
    made = 0
    while made < size:
        delta = {"type": "text_delta", "text": f" {chance.randrange(16**6):x}"}
        document = {"type": "content_block_delta", "index": 0, "delta": delta}
        frame = f"event: content_block_delta\ndata: {json.dumps(document)}\n\n".encode()
        made += len(frame)
        yield frame


def _aws_frame(payload: bytes) -> bytes:
    body = json.dumps({"bytes": base64.b64encode(payload).decode()}).encode()
    headers = b"".join(
        bytes([len(name)]) + name + b"\x07" + struct.pack("!H", len(value)) + value
        for name, value in ((b":event-type", b"delta"), (b":message-type", b"event"))
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(body), len(headers))
    head = prelude + struct.pack("!I", crc32(prelude)) + headers + body
    return head + struct.pack("!I", crc32(head))


def _quarters_s(feed: Feed, data: bytes) -> list[float]:
    """Return the CPU seconds of each quarter of a stream, fed in pieces."""
    spent = []
    for quarter in _cut(data, -(-len(data) // 4)):
        start_s = time.thread_time()
        for piece in _cut(quarter, _PIECE_BYTES):
            feed(piece)
        spent.append(time.thread_time() - start_s)
    return spent


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
