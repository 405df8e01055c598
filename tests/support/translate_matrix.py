"""Every provider as a connection, what clients ask of it, and what it might answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from pipeline.api import Backend, Call, FrameDecoder, Headers, Request
from pipeline.api.provider import Attempt
from pipeline.dialects.registry import builtin
from plugins.translate.clients import CLIENTS
from plugins.translate.connection import ProviderConnection
from plugins.translate.credentials.contract import Signed, Unsigned
from plugins.translate.formats import ProviderSpec
from tests.support.providers.aws_frames import event as aws_event

Json = dict[str, Any]

DIALECTS = {name: dialect for name in builtin().names if (dialect := builtin().by_name(name))}
CHATS = ("openai.chat", "anthropic.messages", "openai.responses")
JSON = Headers([("content-type", b"application/json")])
SSE = Headers([("content-type", b"text/event-stream; charset=utf-8")])
AWS = Headers([("content-type", b"application/vnd.amazon.eventstream")])

_SITES = {"project": "p", "location": "us-east5", "region": "us-east-1", "resource": "r"}


@dataclass
class Key:
    """A credential that needs no network."""

    names: frozenset[str] = frozenset({"authorization"})
    covers_body: bool = False
    signed: list[Unsigned] = field(default_factory=list)

    async def start(self) -> None:
        """Need nothing."""

    async def close(self) -> None:
        """Hold nothing."""

    def sign(self, request: Unsigned) -> Signed:
        """Sign with a constant."""
        self.signed.append(request)
        return Signed({"authorization": "Bearer k"})


def connection(spec: ProviderSpec, *, strict: bool = False) -> ProviderConnection:
    """Return a backend's connection, its credential replaced."""
    given = {k: v for k, v in _SITES.items() if k in spec.options.model_fields}
    options = spec.options.model_validate(given)
    url = urlsplit(spec.default_url(options) or "https://backend.example/v1")
    backend = Backend("b", spec.name, url, api_key="k", options=options, strict=strict)
    return ProviderConnection(backend, replace(spec, credential=lambda _: Key()), CLIENTS)


def attempted(made: ProviderConnection, dialect: str, document: Json) -> Attempt:
    """Prepare a client's call, as the host does."""
    spoken = DIALECTS[dialect]
    request = Request("POST", spoken.paths[0], "", "gateway", Headers([]))
    spoken.check(document)
    attempt = made.prepare(request, Call(spoken, document, json.dumps(document).encode()))
    assert isinstance(attempt, Attempt)
    return attempt


def folded(dialect: str, raw: bytes) -> Json:
    """Return the answer that a client's stream adds up to."""
    spoken = DIALECTS[dialect]
    frames = FrameDecoder(2**20).feed(raw)
    assert b"".join(frame.raw for frame in frames) == raw
    return spoken.fold(spoken.decode_event(one.raw, one.name, one.data) for one in frames)


# --- what providers answer
_CHAT_HEAD = {"id": "c", "created": 1, "model": "m"}
_USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
_CLAUDE_USAGE = {"input_tokens": 3, "output_tokens": 2}
_CLAUDE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": _CLAUDE_USAGE,
}
_COHERE_USAGE = {"tokens": {"input_tokens": 3, "output_tokens": 2}}
_CONVERSE_USAGE = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}
_GEMINI_USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}


def _chat_choice(kind: str, said: Json, finish: str | None) -> Json:
    choice = {"index": 0, kind: {"role": "assistant", **said}, "finish_reason": finish}
    return {**_CHAT_HEAD, "choices": [choice]}


def _gemini(text: str, **end: Any) -> Json:
    candidate = {"index": 0, "content": {"role": "model", "parts": [{"text": text}]}, **end}
    used = {"usageMetadata": _GEMINI_USAGE} if end else {}
    return {"candidates": [candidate], "modelVersion": "m", "responseId": "r", **used}


def _claude_events() -> list[Json]:
    text = {"type": "text_delta", "text": "Hello"}
    start = {**_CLAUDE, "content": [], "stop_reason": None}
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": text},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": _CLAUDE_USAGE,
        },
        {"type": "message_stop"},
    ]


def _cohere_events() -> list[Json]:
    said = {"message": {"content": {"text": "Hello"}}}
    return [
        {
            "type": "message-start",
            "id": "c",
            "delta": {"message": {"role": "assistant", "content": []}},
        },
        {
            "type": "content-start",
            "index": 0,
            "delta": {"message": {"content": {"type": "text", "text": ""}}},
        },
        {"type": "content-delta", "index": 0, "delta": said},
        {"type": "content-end", "index": 0},
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": _COHERE_USAGE}},
    ]


def _converse_events() -> list[tuple[str, Json]]:
    return [
        ("messageStart", {"role": "assistant"}),
        ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hello"}}),
        ("contentBlockStop", {"contentBlockIndex": 0}),
        ("messageStop", {"stopReason": "end_turn"}),
        ("metadata", {"usage": _CONVERSE_USAGE, "metrics": {"latencyMs": 1}}),
    ]


def _sse(*documents: Json, named: bool = False, done: bool = False) -> bytes:
    frames = b""
    for document in documents:
        name = f"event: {document['type']}\n".encode() if named else b""
        frames += name + b"data: " + json.dumps(document).encode() + b"\n\n"
    return frames + (b"data: [DONE]\n\n" if done else b"")


def _wrapped(document: Json) -> bytes:
    return aws_event("chunk", {"bytes": base64.b64encode(json.dumps(document).encode()).decode()})


_WHOLE: Mapping[str, Json] = {
    "chat": {
        **_chat_choice("message", {"content": "Hello"}, "stop"),
        "object": "chat.completion",
        "usage": _USAGE,
    },
    "claude": _CLAUDE,
    "converse": {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
        "stopReason": "end_turn",
        "usage": _CONVERSE_USAGE,
        "metrics": {"latencyMs": 1},
    },
    "gemini": _gemini("Hello", finishReason="STOP"),
    "cohere": {
        "id": "c",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
        "usage": _COHERE_USAGE,
    },
}
_STREAMS: Mapping[str, bytes] = {
    "chat": _sse(
        _chat_choice("delta", {"content": "Hel"}, None),
        _chat_choice("delta", {"content": "lo"}, "stop"),
        {**_CHAT_HEAD, "choices": [], "usage": _USAGE},
        done=True,
    ),
    "claude": _sse(*_claude_events(), named=True),
    "invoke": b"".join(map(_wrapped, _claude_events())),
    "converse": b"".join(aws_event(name, said) for name, said in _converse_events()),
    "gemini": _sse(_gemini("Hel"), _gemini("lo", finishReason="STOP")),
    "cohere": _sse(*_cohere_events(), named=True),
}
_FAMILIES = {
    "anthropic": ("claude", "claude"),
    "vertex_claude": ("claude", "claude"),
    "aws_bedrock_invoke": ("claude", "invoke"),
    "aws_bedrock": ("converse", "converse"),
    "gemini": ("gemini", "gemini"),
    "vertex_gemini": ("gemini", "gemini"),
    "cohere": ("cohere", "cohere"),
}


def hello(spec: ProviderSpec) -> bytes:
    """Return a provider's whole answer of one word."""
    return json.dumps(_WHOLE[_FAMILIES.get(spec.name, ("chat", ""))[0]]).encode()


def hello_stream(spec: ProviderSpec) -> tuple[Headers, bytes]:
    """Return the same as a stream, with its headers."""
    family = _FAMILIES.get(spec.name, ("", "chat"))[1]
    return AWS if family in ("invoke", "converse") else SSE, _STREAMS[family]
