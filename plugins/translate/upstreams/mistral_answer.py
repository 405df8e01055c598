"""Mistral's answers and chunks as canonical ones: content in parts becomes text and thinking."""

from __future__ import annotations

from typing import Any

import orjson

from plugins.translate.canonical import Json
from plugins.translate.formats import Fault
from plugins.translate.upstreams.mistral_request import QUIRKS
from plugins.translate.upstreams.openai_answer import ChunkDecoder, canonical_answer
from plugins.translate.upstreams.openai_errors import error_fault

_FAILED = Fault(502, "upstream_error", "the model failed while it was answering")


def mistral_answer(document: Json) -> Json:
    """Return the canonical answer.

    Raises:
        ValueError: it is no answer, or the model failed.
    """
    for choice in document.get("choices") or ():
        if choice.get("finish_reason") == "error":
            raise ValueError("the model failed")
    choices = [_unparted(choice, "message") for choice in document.get("choices") or ()]
    return canonical_answer({**document, "choices": choices}, QUIRKS)


def completion_answer(document: Json) -> Json:
    """Return the canonical legacy completion for a fill in the middle.

    Raises:
        ValueError: it is no answer.
    """
    answer = mistral_answer(document)
    choices = [
        {
            "index": choice["index"],
            "text": choice["message"].get("content") or "",
            "logprobs": None,
            "finish_reason": choice["finish_reason"],
        }
        for choice in answer["choices"]
    ]
    return {**answer, "object": "text_completion", "choices": choices}


class MistralDecoder:
    """Reads one stream.

    Args:
        is_completion: whether the client wants legacy completions.
    """

    def __init__(self, *, is_completion: bool = False) -> None:
        self._chunks = ChunkDecoder(QUIRKS)
        self._is_completion = is_completion

    def event(self, name: str, data: str) -> list[Json | Fault]:
        """Take one event."""
        if data.startswith("[DONE]"):
            return self._chunks.event(name, data)
        chunk = orjson.loads(data)
        if isinstance(chunk, dict) and chunk.get("object") == "error":
            return [error_fault(502, chunk)]
        if not isinstance(chunk, dict) or not chunk.get("choices"):
            return self._chunks.event(name, data)
        choices = chunk["choices"]
        if any(choice.get("finish_reason") == "error" for choice in choices):
            return [_FAILED]
        chunk["choices"] = [_unparted(choice, "delta") for choice in choices]
        return [
            _as_completion(one) if self._is_completion and not isinstance(one, Fault) else one
            for one in self._chunks.chunk(name, chunk)
        ]

    def end(self) -> list[Json | Fault]:
        """Return a fault when nothing said that the answer was complete."""
        return self._chunks.end()


def _unparted(choice: Json, field: str) -> Json:
    said = choice.get(field)
    content = said.get("content") if isinstance(said, dict) else None
    if not isinstance(content, list):
        return choice
    texts, thoughts = [], []
    for part in content:
        if not isinstance(part, dict):
            continue
        if part.get("type") == "thinking":
            thoughts.append(_thought(part.get("thinking")))
        elif part.get("type") == "text":
            texts.append(str(part.get("text") or ""))
    rest = {k: v for k, v in (said or {}).items() if k != "content"}
    if texts or not thoughts:
        rest["content"] = "".join(texts)
    if thoughts:
        rest["reasoning_content"] = "".join(thoughts)
    return {**choice, field: rest}


def _thought(pieces: Any) -> str:
    if isinstance(pieces, str):
        return pieces
    return "".join(
        str(piece.get("text") or "") for piece in pieces or () if isinstance(piece, dict)
    )


def _as_completion(chunk: Json) -> Json:
    choices = [
        {
            "index": choice.get("index", 0),
            "text": (choice.get("delta") or {}).get("content") or "",
            "logprobs": None,
            "finish_reason": choice.get("finish_reason"),
        }
        for choice in chunk.get("choices") or ()
    ]
    return {**chunk, "object": "text_completion", "choices": choices}
