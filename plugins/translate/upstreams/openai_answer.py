"""Answers and chunks of OpenAI-compatible servers: nearly canonical as they come."""

from __future__ import annotations

import json
from typing import Any

import orjson

from plugins.translate.canonical import Json
from plugins.translate.formats import CUT_OFF, Fault
from plugins.translate.upstreams.openai_errors import error_fault
from plugins.translate.upstreams.quirks import Quirks

_THINKING = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_FINISH_REASONS = {
    "eos": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "tool_use": "tool_calls",
    "safety": "content_filter",
}


def canonical_answer(document: Json, quirks: Quirks) -> Json:
    """Return the canonical answer.

    Raises:
        ValueError: it is no answer.
    """
    choices = document.get("choices")
    if not isinstance(choices, list):
        raise ValueError("no choices")  # noqa: TRY004 - what the wire says is no type of ours
    sources = _citations(document)
    answered = [_choice(choice, quirks, sources) for choice in choices if isinstance(choice, dict)]
    answer = {**document, "choices": answered}
    usage = usage_of(document)
    if usage is None:
        answer.pop("usage", None)
    else:
        answer["usage"] = usage
    return answer


def usage_of(document: Json) -> Json | None:
    """Return the usage that an answer or chunk states, with the places where others put it."""
    usage: Any = document.get("usage")
    if not isinstance(usage, dict):
        groq = document.get("x_groq")
        usage = groq.get("usage") if isinstance(groq, dict) else None
    if not isinstance(usage, dict):
        return None
    hits = usage.get("prompt_cache_hit_tokens")  # DeepSeek
    if hits is None:
        hits = usage.get("cached_tokens", usage.get("num_cached_tokens"))  # Together; Mistral
    details: Json = usage.get("prompt_tokens_details") or {}
    if not isinstance(hits, int) or details.get("cached_tokens"):
        return dict(usage)
    return {**usage, "prompt_tokens_details": {**details, "cached_tokens": hits}}


class ChunkDecoder:
    """Reads one stream of chat or completion chunks.

    Args:
        quirks: the server's.
    """

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self._has_ended = False
        self._call_ids: dict[tuple[int, Any], int] = {}

    def event(self, name: str, data: str) -> list[Json | Fault]:
        """Take one event; one that says nothing becomes nothing."""
        if data.startswith("[DONE]"):
            self._has_ended = True
            return []
        chunk = orjson.loads(data)
        return self.chunk(name, chunk) if isinstance(chunk, dict) else []

    def chunk(self, name: str, chunk: Json) -> list[Json | Fault]:
        """Take one event's document; it may be written to."""
        if name == "error" or chunk.get("error"):
            return [error_fault(502, chunk)]
        choices = chunk.get("choices")
        if not choices:
            usage = usage_of(chunk)
            return [] if usage is None else [{**chunk, "choices": [], "usage": usage}]
        for at, choice in enumerate(choices):
            if not self._is_plain(choice):
                choices[at] = self._choice(choice)
        if "usage" in chunk or "x_groq" in chunk:
            usage = usage_of(chunk)
            if usage is None:
                chunk.pop("usage", None)
            else:
                chunk["usage"] = usage
        if "citations" in chunk or "search_results" in chunk:
            _cite(chunk, choices)
        return [chunk]

    def end(self) -> list[Json | Fault]:
        """Return a fault when nothing said that the answer was complete."""
        return [] if self._has_ended else [CUT_OFF]

    def _is_plain(self, choice: Any) -> bool:
        """Say whether a choice is canonical as it is, as nearly all are."""
        if not isinstance(choice, dict) or choice.get("finish_reason"):
            return False
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return "text" in choice
        return (
            not any(name in delta for name in _THINKING)
            and "tool_calls" not in delta
            and not isinstance(delta.get("content"), list)
        )

    def _choice(self, given: Any) -> Json:
        if not isinstance(given, dict):
            return {"index": 0, "delta": {}, "finish_reason": None}
        choice = _with_finish(given, self._quirks)
        if choice.get("finish_reason"):
            self._has_ended = True
        if "text" in choice:
            return choice
        delta = choice.get("delta") or choice.get("message")
        delta = delta if isinstance(delta, dict) else {}
        delta = _with_thinking(delta, in_stream=True)
        if delta.get("tool_calls"):
            number = choice.get("index", 0)
            calls = delta["tool_calls"]
            delta["tool_calls"] = [
                self._call(number, call) for call in calls if isinstance(call, dict)
            ]
        elif "tool_calls" in delta:
            del delta["tool_calls"]
        return {**choice, "delta": delta}

    def _call(self, choice: Any, call: Json) -> Json:
        """Say what a piece of a tool call may leave out: its number, and at first its type."""
        index = call.get("index")
        if not isinstance(index, int):
            known = self._call_ids
            is_more = call.get("id") is None and known
            place = max(known.values()) if is_more else len(known)
            index = place if is_more else known.setdefault((choice, call.get("id")), place)
        typed = {"type": "function"} if call.get("id") and "function" in call else {}
        return {**typed, **call, "index": index}


def _choice(choice: Json, quirks: Quirks, sources: list[Json]) -> Json:
    choice = _with_finish(choice, quirks)
    if "text" in choice and "message" not in choice:
        return choice
    message = choice.get("message")
    message = _with_thinking(message if isinstance(message, dict) else {}, in_stream=False)
    message.setdefault("role", "assistant")
    calls = message.get("tool_calls")
    if calls:
        message["tool_calls"] = [
            _tool_call(call, at) for at, call in enumerate(calls) if isinstance(call, dict)
        ]
    elif "tool_calls" in message:
        del message["tool_calls"]
    if sources and not message.get("annotations"):
        message["annotations"] = sources
    # Some never say why they stopped: an answer that came whole did stop.
    reason = choice.get("finish_reason") or ("tool_calls" if calls else "stop")
    return {"index": 0, **choice, "message": message, "finish_reason": reason}


def _tool_call(call: Json, at: int) -> Json:
    function = call.get("function")
    if not isinstance(function, dict):
        return call if call.get("id") else {**call, "id": f"call_{at}"}
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        function = {**function, "arguments": json.dumps({} if arguments is None else arguments)}
    return {**call, "id": call.get("id") or f"call_{at}", "type": "function", "function": function}


def _with_finish(choice: Json, quirks: Quirks) -> Json:
    reason = choice.get("finish_reason")
    stop = choice.get("stop_reason")
    if reason is not None:
        known = quirks.finish_reasons.get(reason) or _FINISH_REASONS.get(reason)
        if known:
            choice = {**choice, "finish_reason": known, "native_finish_reason": reason}
    if isinstance(stop, str):  # vLLM: the sequence; a number is a token
        choice = {**choice, "stop_sequence": stop}
    return choice


def _with_thinking(message: Json, *, in_stream: bool) -> Json:
    """Return a message or delta whose thinking is where the canonical form has it; a copy."""
    said = {k: v for k, v in message.items() if k not in _THINKING}
    details = message.get("reasoning_details")
    text = next(
        (message[name] for name in _THINKING[:3] if isinstance(message.get(name), str)), None
    )
    blocks = [_block(one) for one in details if isinstance(one, dict)] if details else []
    if not blocks and text:
        blocks = [{"type": "thinking", "thinking": text}]
    if text is not None:
        said["reasoning_content"] = text
    if blocks and in_stream:
        said["thinking_blocks"] = [
            {"index": _place(details, at), **block} for at, block in enumerate(blocks)
        ]
    elif blocks:
        said["thinking_blocks"] = blocks
    return said


def _place(details: Any, at: int) -> int:
    stated = details[at].get("index") if details else 0
    return stated if isinstance(stated, int) else 0


def _block(detail: Json) -> Json:
    """Return OpenRouter's `reasoning_details` item as a block of thinking."""
    if detail.get("type") == "reasoning.encrypted":
        return {"type": "redacted_thinking", "data": detail.get("data") or ""}
    text = detail.get("text") or detail.get("summary") or ""
    block = {"type": "thinking", "thinking": text}
    if detail.get("signature"):
        block["signature"] = detail["signature"]
    return block


def _cite(chunk: Json, choices: list[Json]) -> None:
    """Put a search's sources on the chunk that ends the answer: every chunk repeats them."""
    for choice in choices:
        delta = choice.get("delta")
        if choice.get("finish_reason") and isinstance(delta, dict):
            sources = _citations(chunk)
            if sources and not delta.get("annotations"):
                choice["delta"] = {**delta, "annotations": sources}


def _citations(document: Json) -> list[Json]:
    """Return the sources of Perplexity's and xAI's answers as annotations."""
    found = document.get("search_results") or document.get("citations")
    cited = []
    for one in found if isinstance(found, list) else ():
        source = {"url": one} if isinstance(one, str) else one
        if isinstance(source, dict) and isinstance(source.get("url"), str):
            title = str(source.get("title") or source["url"])
            place = {"start_index": 0, "end_index": 0}
            cited.append(
                {
                    "type": "url_citation",
                    "url_citation": {"url": source["url"], "title": title, **place},
                }
            )
    return cited
