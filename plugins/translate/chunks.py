"""A whole canonical answer as the chunks of a stream, for providers that answer streams whole."""

from __future__ import annotations

from collections.abc import Iterator

from plugins.translate.canonical import Json

_OF_CHUNK = ("id", "created", "model", "system_fingerprint", "service_tier")
_INDEXED = ("thinking_blocks", "tool_calls")


def chunks_of(answer: Json) -> Iterator[Json]:
    """Return chunks that fold to the answer: each choice's message, its end, then the usage."""
    head = {name: answer[name] for name in _OF_CHUNK if name in answer}
    head["object"] = "chat.completion.chunk"
    for choice in answer.get("choices") or []:
        message = choice.get("message") or {}
        delta = {k: v for k, v in message.items() if k not in _INDEXED and v is not None}
        for name in _INDEXED:
            pieces = message.get(name) or []
            if pieces:
                delta[name] = [{"index": at, **piece} for at, piece in enumerate(pieces)]
        place = {"index": choice.get("index", 0)}
        last = {k: v for k, v in choice.items() if k not in {"message", "index", "logprobs"}}
        first = {**place, "delta": delta, "finish_reason": None}
        if choice.get("logprobs") is not None:
            first["logprobs"] = choice["logprobs"]
        yield {**head, "choices": [first]}
        yield {**head, "choices": [{**place, "delta": {}, **last}]}
    if answer.get("usage") is not None:
        yield {**head, "choices": [], "usage": answer["usage"]}
