"""Gemini's candidates as canonical choices, whole or piece by piece."""

from __future__ import annotations

import hashlib
from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.upstreams.anthropic_words import as_object, objects, tool_arguments
from plugins.translate.upstreams.gemini_grounding import url_citations
from plugins.translate.upstreams.gemini_signatures import extra_content, packed
from plugins.translate.upstreams.gemini_words import blocked, ending, is_filtered, usage_of

_NO_ANSWER = "the answer has no candidates"
_KNOWN = ("candidates", "promptFeedback", "usageMetadata")


def canonical_answer(document: Any, *, model: str, created_s: int) -> Json:
    """Return the canonical answer for a `GenerateContentResponse`.

    Args:
        document: the response.
        model: the model asked for, where the response names none.
        created_s: what the answer says about when it was made, in Unix seconds.

    Raises:
        ValueError: it is no such response.
    """
    if isinstance(document, list):  # what a stream that was not asked for as SSE is
        document = document[0] if document else None
    if not isinstance(document, dict) or not any(name in document for name in _KNOWN):
        raise ValueError(_NO_ANSWER)
    response_id = str(document.get("responseId") or "")
    given = document.get("candidates")
    choices = [
        _choice(Candidate(_index(one, place), response_id), one)
        for place, one in enumerate(given if isinstance(given, list) else ())
        if isinstance(one, dict)
    ]
    if not choices:
        message: Json = {"role": "assistant", "content": "", "refusal": None}
        choice: Json = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        if why := blocked(document.get("promptFeedback")):
            message["refusal"] = why[1]
            choice.update(finish_reason="content_filter", native_finish_reason=why[0])
        choices = [choice]
    return {
        "id": response_id,
        "object": "chat.completion",
        "created": created_s,
        "model": str(document.get("modelVersion") or model),
        "choices": choices,
        **usage_of(document.get("usageMetadata")),
    }


def _choice(reader: Candidate, candidate: Json) -> Json:
    delta = reader.read(candidate)
    last = reader.last()
    message: Json = {"role": "assistant", "content": delta.get("content", ""), "refusal": None}
    if "tool_calls" in delta and not message["content"]:
        message["content"] = None
    if "thinking_blocks" in delta:
        message["thinking_blocks"] = _joined(delta["thinking_blocks"])
    for name in ("reasoning_content", "images"):
        if name in delta:
            message[name] = delta[name]
    if "tool_calls" in delta:
        message["tool_calls"] = [
            {name: value for name, value in call.items() if name != "index"}
            for call in delta["tool_calls"]
        ]
    message.update(last["delta"])
    logprobs = logprobs_of(candidate)
    return {"index": reader.index, "message": message, "logprobs": logprobs, **last["ending"]}


def _joined(pieces: list[Json]) -> list[Json]:
    blocks: list[Json] = []
    for piece in pieces:
        if piece["index"] == len(blocks):
            blocks.append({name: value for name, value in piece.items() if name != "index"})
            continue
        block = blocks[piece["index"]]
        block["thinking"] += piece.get("thinking", "")
        block["signature"] += piece.get("signature", "")
    return blocks


class Candidate:
    """Reads one candidate; pieces of thoughts and calls carry canonical indices.

    Args:
        index: the choice's.
        response_id: makes ids of calls that Gemini gave none, the same each time they are read.
    """

    def __init__(self, index: int, response_id: str) -> None:
        self.index = index
        self.reason: Any = None
        self._response_id = response_id
        self._blocks = self._calls = -1  # the number of the last one
        self._is_thinking = False
        self._texts: list[str] = []
        self._why: Any = None
        self._grounding: Any = None
        self._citations: Any = None

    def read(self, candidate: Json) -> Json:
        """Return what a candidate, or a piece of one, adds to the message."""
        if candidate.get("finishReason"):
            self.reason = candidate["finishReason"]
            self._why = candidate.get("finishMessage")
        self._grounding = candidate.get("groundingMetadata") or self._grounding
        self._citations = candidate.get("citationMetadata") or self._citations
        delta: Json = {}
        given = as_object(candidate.get("content")).get("parts")
        for part in given if isinstance(given, list) else ():
            if isinstance(part, dict):
                self._part(part, delta)
        return delta

    def last(self) -> Json:
        """Return what is known at the end only: a `delta`, and the choice's `ending`."""
        delta: Json = {}
        if self._grounding or self._citations:
            found = url_citations("".join(self._texts), self._grounding, self._citations)
            if found:
                delta["annotations"] = found
        if is_filtered(self.reason) and self._why:
            delta["refusal"] = str(self._why)
        return {"delta": delta, "ending": ending(self.reason, calls_tools=self._calls >= 0)}

    def _part(self, part: Json, delta: Json) -> None:
        signature, text = part.get("thoughtSignature"), part.get("text")
        if part.get("thought") is True:
            if text or signature:
                self._think(str(text or ""), delta)
            if signature:
                self._sign("thought", str(signature), delta)
                self._is_thinking = False
        elif isinstance(call := part.get("functionCall"), dict):
            self._calls += 1
            if signature:
                self._sign(f"call{self._calls}", str(signature), delta)
            self._is_thinking = False
            signed = extra_content(str(signature)) if signature else {}
            delta.setdefault("tool_calls", []).append({**self._call(call), **signed})
        elif isinstance(text, str):
            if text:
                self._is_thinking = False
                self._texts.append(text)
                delta["content"] = delta.get("content", "") + text
            if signature:
                self._is_thinking = False  # in a stream it comes after the text
                self._sign("text", str(signature), delta)
        elif isinstance(blob := part.get("inlineData"), dict):
            _show(blob, delta)

    def _think(self, text: str, delta: Json) -> None:
        pieces = delta.setdefault("thinking_blocks", [])
        if self._is_thinking:
            pieces.append({"index": self._blocks, "type": "thinking", "thinking": text})
        else:
            self._is_thinking = True
            pieces.append(self._opened(text, ""))
        delta["reasoning_content"] = delta.get("reasoning_content", "") + text

    def _sign(self, place: str, signature: str, delta: Json) -> None:
        pieces = delta.setdefault("thinking_blocks", [])
        whole = packed(place, signature)
        if self._is_thinking:
            self._is_thinking = False
            pieces.append({"index": self._blocks, "type": "thinking", "signature": whole})
        else:
            pieces.append(self._opened("", whole))

    def _opened(self, text: str, signature: str) -> Json:
        self._blocks += 1
        block = {"index": self._blocks, "type": "thinking"}
        return {**block, "thinking": text, "signature": signature}

    def _call(self, call: Json) -> Json:
        name, arguments = str(call.get("name") or ""), tool_arguments(call.get("args"))
        made = f"{self._response_id}/{self.index}/{self._calls}/{name}/{arguments}"
        digest = hashlib.blake2b(made.encode(), digest_size=12).hexdigest
        return {
            "index": self._calls,
            "id": str(call.get("id") or f"call_{digest()}"),
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }


def logprobs_of(candidate: Json) -> Json | None:
    """Return a choice's `logprobs` for a candidate's `logprobsResult`."""
    result = as_object(candidate.get("logprobsResult"))
    chosen, top = result.get("chosenCandidates"), result.get("topCandidates")
    if not isinstance(chosen, list):
        return None
    others = top if isinstance(top, list) else []
    content = []
    for place, one in enumerate(chosen):
        beside = as_object(others[place]).get("candidates") if place < len(others) else ()
        told = [_token(other) for other in objects(beside)]
        content.append({**_token(as_object(one)), "top_logprobs": told})
    return {"content": content, "refusal": None}


def _token(one: Json) -> Json:
    token = str(one.get("token") or "")
    logprob = one.get("logProbability") or 0.0
    return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}


def _index(candidate: Json, place: int) -> int:
    index = candidate.get("index")
    return index if isinstance(index, int) else place


def _show(blob: Json, delta: Json) -> None:
    media_type, data = str(blob.get("mimeType") or ""), blob.get("data")
    if media_type.startswith("image/") and isinstance(data, str):
        url = f"data:{media_type};base64,{data}"
        one = {"type": "image_url", "image_url": {"url": url}}
        delta.setdefault("images", []).append(one)
