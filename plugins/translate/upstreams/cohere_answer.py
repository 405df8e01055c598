"""Cohere's answers in canonical form: chats, embeddings and rankings."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.upstreams.anthropic_words import as_object

_FINISH = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
}
FAILURES = frozenset({"ERROR", "TIMEOUT"})
"""Finish reasons of answers that are none."""


def canonical_answer(document: Any, *, model: str, created_s: int) -> Json:
    """Return the canonical answer for a chat.

    Raises:
        ValueError: it is no answer, or one that failed before it said anything.
    """
    document = as_object(document)
    given = document.get("message")
    if not isinstance(given, dict):
        raise ValueError("the answer has no message")  # noqa: TRY004 - of what was sent
    items = [as_object(one) for one in _list(given.get("content"))]
    thoughts = [str(one.get("thinking") or "") for one in items if one.get("type") == "thinking"]
    plan = str(given.get("tool_plan") or "")
    said = [str(one.get("text") or "") for one in items if one.get("type") == "text"]
    if isinstance(given.get("content"), str):
        said = [given["content"]]
    calls = [_call(as_object(one)) for one in _list(given.get("tool_calls"))]
    text = plan + "".join(said)
    if not text and not calls and str(document.get("finish_reason")) in FAILURES:
        raise ValueError("the answer failed")
    message: Json = {"role": "assistant", "content": text or (None if calls else "")}
    message["refusal"] = None
    if thoughts:
        blocks = [{"type": "thinking", "thinking": one, "signature": ""} for one in thoughts]
        message["thinking_blocks"] = blocks
        message["reasoning_content"] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    citations = Citations()
    for length in (len(plan), *_lengths(items)):
        citations.opened(length)
    found: dict[str, list[Json]] = {}
    for one in _list(given.get("citations")):
        for name, cited in citations.read(as_object(one)).items():
            found.setdefault(name, []).extend(cited)
    message.update(found)
    choice = {"index": 0, "message": message, **ending(document.get("finish_reason"))}
    choice["logprobs"] = logprobs_of(_list(document.get("logprobs")))
    return {
        "id": str(document.get("id") or ""),
        "object": "chat.completion",
        "created": created_s,
        "model": model,
        "choices": [choice],
        **usage_of(document.get("usage")),
    }


def ending(reason: Any) -> Json:
    """Return how a choice ends."""
    finish = _FINISH.get(str(reason))
    if finish or reason is None:
        return {"finish_reason": finish or "stop"}
    return {"finish_reason": "stop", "native_finish_reason": str(reason)}


def usage_of(usage: Any) -> Json:
    """Return `usage`, in tokens rather than what is billed, where both are told."""
    usage = as_object(usage)
    counted = as_object(usage.get("tokens")) or as_object(usage.get("billed_units"))
    if not counted:
        return {}
    prompt, completion = (_count(counted, name) for name in ("input_tokens", "output_tokens"))
    return {
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": _count(usage, "cached_tokens")},
        }
    }


def logprobs_of(items: list[Any]) -> Json | None:
    """Return `logprobs` for Cohere's; a piece of several tokens has the sum of theirs."""
    content = []
    for item in items:
        held = as_object(item)
        token, given = str(held.get("text") or ""), _list(held.get("logprobs"))
        total = float(sum(one for one in given if isinstance(one, int | float)))
        spelled = list(token.encode("utf-8", "replace"))
        content.append({"token": token, "logprob": total, "bytes": spelled, "top_logprobs": []})
    return {"content": content, "refusal": None} if content else None


class Citations:
    """Places citations, which count within one content item, in the whole text.

    The plan of tool calls, if there is one, stands before the content.
    """

    __slots__ = ("_starts", "_total")

    def __init__(self) -> None:
        self._starts: list[int] = []  # of the plan, then of each item
        self._total = 0

    def opened(self, length: int = 0) -> None:
        """Note the next item, as far as its visible length is known."""
        self._starts.append(self._total)
        self._total += length

    def grew(self, length: int) -> None:
        """Note that the item that is open grew."""
        self._total += length

    def read(self, citation: Json) -> dict[str, list[Json]]:
        """Return what a citation adds to a message.

        Sources with a URL are OpenAI's annotations. The others (documents that the client sent, and
        results of its tools), for which OpenAI has no word, stay what they are under `citations`.
        """
        at = citation.get("content_index")
        which = 0 if citation.get("type") == "PLAN" else (at if isinstance(at, int) else 0) + 1
        start = self._starts[which] if 0 <= which < len(self._starts) else 0
        place = {
            "start_index": start + _count(citation, "start"),
            "end_index": start + _count(citation, "end"),
        }
        found: list[Json] = []
        if citation.get("type") == "THINKING_CONTENT":
            return {"citations": [citation]}
        for source in _list(citation.get("sources")):
            held = as_object(source)
            about = as_object(held.get("document") or held.get("tool_output"))
            if isinstance(url := about.get("url"), str) and url:
                told = {**place, "title": str(about.get("title") or ""), "url": url}
                found.append({"type": "url_citation", "url_citation": told})
        return {"annotations": found} if found else {"citations": [citation]}


def canonical_embeddings(document: Any, model: str) -> Json:
    """Return the canonical answer for embeddings.

    Raises:
        ValueError: it has none.
    """
    document = as_object(document)
    held = document.get("embeddings")
    found = held if isinstance(held, list) else None
    for vectors in as_object(held).values():
        if found is None and isinstance(vectors, list):
            found = vectors
    if found is None:
        raise ValueError("the answer has no embeddings")
    data = [
        {"object": "embedding", "index": index, "embedding": vector}
        for index, vector in enumerate(found)
    ]
    meta = as_object(document.get("meta"))
    billed = as_object(meta.get("billed_units"))
    tokens = _count(billed, "input_tokens") or _count(billed, "image_tokens")
    counted = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": counted}


def canonical_ranking(document: Any) -> Json:
    """Return the canonical answer for a ranking, which is Cohere's own.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(as_object(document).get("results"), list):
        raise ValueError("the answer has no results")  # noqa: TRY004 - of what was sent
    ranking: Json = document
    return ranking


def _lengths(items: list[Json]) -> list[int]:
    shown = [one.get("text") if one.get("type") == "text" else "" for one in items]
    return [len(str(text or "")) for text in shown]


def _call(call: Json) -> Json:
    function = as_object(call.get("function"))
    return {
        "id": str(call.get("id") or ""),
        "type": "function",
        "function": {
            "name": str(function.get("name") or ""),
            "arguments": str(function.get("arguments") or "{}"),
        },
    }


def _count(document: Json, name: str) -> int:
    value = document.get(name)
    return int(value) if isinstance(value, int | float) and value > 0 else 0


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
