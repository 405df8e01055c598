"""Recordings: a line is a stream that can be replayed and written again, or NotARecording."""

from __future__ import annotations

import asyncio

from pipeline.wire.recording import NotARecording, decode, encode, redactor
from pipeline.wire.replaying import replay
from tests.fuzz.host import fuzzed_host

_PROSE = (
    "version redacted metadata entries from envoy host message request_headers response_headers"
    " request_body response_body request_trailers response_trailers headers key raw_value value"
    " body end_of_stream immediate_response status code details response body_mutation clear_body"
    " streamed_response header_mutation set_headers remove_headers header mode_override"
    " dynamic_metadata protocol_config request_body_mode response_body_mode BUFFERED STREAMED"
    " FULL_DUPLEX_STREAMED attributes metadata_context OnBhdGg= L3YxL21lc3NhZ2Vz"
)
WORDS = tuple(_PROSE.split())
TOKENS = tuple(word.encode() for word in WORDS)


def check(data: bytes) -> None:
    try:
        tape = decode(data.decode("utf-8", "replace"))
    except NotARecording:
        return
    host = fuzzed_host()
    asyncio.run(replay(host.runtime, tape))
    redacted = redactor(host.runtime.config, with_bodies=False)(tape)
    again = decode(encode(redacted).decode())
    assert again.entries == redacted.entries
