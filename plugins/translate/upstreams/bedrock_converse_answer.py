"""Converse's answer as a canonical one."""

from __future__ import annotations

from typing import Any, TypeGuard

from plugins.translate.canonical import Json
from plugins.translate.upstreams.anthropic_answer import Citations
from plugins.translate.upstreams.anthropic_words import as_object, count, tool_arguments
from plugins.translate.upstreams.bedrock_converse_tools import JSON_TOOL
from plugins.translate.upstreams.bedrock_converse_turns import tool_name

_FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_PLAIN = frozenset({"end_turn", "stop_sequence", "tool_use", "max_tokens"})
_SERVER_TOOL = "server_tool_use"


class ToolNames:
    """Which of a call's tools an answer means.

    Args:
        document: the canonical call.
    """

    __slots__ = ("_originals", "_wraps_json")

    def __init__(self, document: Json) -> None:
        self._originals: dict[str, str] = {}
        for tool in document.get("tools") or ():
            name = as_object(as_object(tool).get("function")).get("name")
            if isinstance(name, str) and (sent := tool_name(name)) != name:
                self._originals[sent] = name
        asks_json = document.get("response_format") or document.get("guided_json") is not None
        self._wraps_json = bool(asks_json) and not document.get("tools")

    def original(self, name: Any) -> str:
        """Return the client's own name of a tool."""
        return self._originals.get(str(name or ""), str(name or ""))

    def is_answer(self, use: Json) -> bool:
        """Say whether a tool's input is the answer: the model was made to call it for that."""
        return self._wraps_json and use.get("name") == JSON_TOOL


def is_call(use: Any) -> TypeGuard[Json]:
    """Say whether a tool use is for the client, rather than for Bedrock itself."""
    return isinstance(use, dict) and use.get("type") != _SERVER_TOOL


def canonical_answer(
    document: Json, names: ToolNames, *, answer_id: str, model: str, created_s: int
) -> Json:
    """Return the canonical answer for Converse's, whatever else than its content is missing.

    Raises:
        ValueError: it is no answer of Converse.
    """
    message = as_object(as_object(document.get("output")).get("message"))
    content = message.get("content")
    if not isinstance(content, list) and "stopReason" not in document:
        raise ValueError("the answer is none of Converse")
    told = _Told(names)
    for block in content or ():
        if isinstance(block, dict):
            told.add(block)
    ends = ending(document, is_wrapped=told.is_wrapped)
    return {
        "id": answer_id,
        "object": "chat.completion",
        "created": created_s,
        "model": model,
        "choices": [{"index": 0, "message": told.message(), "logprobs": None, **ends}],
        **usage_of(document),
    }


class _Told:
    """Collects an answer's blocks."""

    def __init__(self, names: ToolNames) -> None:
        self._names = names
        self._texts: list[str] = []
        self._thoughts: list[Json] = []
        self._calls: list[Json] = []
        self._citations = Citations()
        self.is_wrapped = False

    def add(self, block: Json) -> None:
        use = block.get("toolUse")
        if is_call(use) and self._names.is_answer(use):
            self.is_wrapped = True
            self._texts.append(tool_arguments(use.get("input")))
        elif is_call(use):
            self._calls.append(_call(use, self._names))
        elif (thought := _thought(block.get("reasoningContent"))) is not None:
            self._thoughts.append(thought)
        else:
            self._texts.append(_text(block, self._citations))

    def message(self) -> Json:
        answer: Json = {"role": "assistant", "content": "".join(self._texts), "refusal": None}
        if self._calls and not answer["content"]:
            answer["content"] = None
        answer.update(self._citations.found)
        if self._thoughts:
            answer["thinking_blocks"] = self._thoughts
            if told := "".join(thought.get("thinking", "") for thought in self._thoughts):
                answer["reasoning_content"] = told
        if self._calls:
            answer["tool_calls"] = self._calls
        return answer


def ending(document: Json, *, is_wrapped: bool) -> Json:
    """Return how a choice ends, from whatever holds `stopReason`."""
    reason = document.get("stopReason")
    finish = _FINISH_REASONS.get(str(reason), "stop")
    result: Json = {"finish_reason": "stop" if is_wrapped and finish == "tool_calls" else finish}
    extra = as_object(document.get("additionalModelResponseFields"))
    stopped_by = extra.get("stop_sequence") or as_object(extra.get("delta")).get("stop_sequence")
    if stopped_by is not None:
        result["stop_sequence"] = stopped_by
    if isinstance(reason, str) and reason not in _PLAIN:
        result["native_finish_reason"] = reason
    return result


def usage_of(document: Json) -> Json:
    """Return `usage` and `service_tier` for what states them, nothing where it does not."""
    usage = document.get("usage")
    result: Json = {}
    if isinstance(usage, dict) and usage:
        read, written = count(usage, "cacheReadInputTokens"), count(usage, "cacheWriteInputTokens")
        # Converse's input leaves out what was cached.
        prompt = count(usage, "inputTokens") + read + written
        completion = count(usage, "outputTokens")
        result["usage"] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        }
    tier = as_object(document.get("serviceTier")).get("type")
    if tier in ("default", "flex", "priority"):
        result["service_tier"] = tier
    return result


def citation_of(citation: Any) -> Json | None:
    """Return a citation in Anthropic's words, None for what is none."""
    given = as_object(citation)
    if not given:
        return None
    sources = [one for one in given.get("sourceContent") or () if isinstance(one, dict)]
    cited = "".join(str(one.get("text") or "") for one in sources)
    title, location = given.get("title"), as_object(given.get("location"))
    if web := as_object(location.get("web")):
        url = web.get("url") or given.get("source") or ""
        kind = {"type": "web_search_result_location", "url": url, "title": title}
        return {**kind, "cited_text": cited}
    place = next((name for name in _PLACES if isinstance(location.get(name), dict)), "")
    if not place:
        return {"type": "char_location", "cited_text": cited, "document_title": title}
    kind_name, index, start, end = _PLACES[place]
    at = location[place]
    result: Json = {"type": kind_name, "cited_text": cited}
    result["title" if place == "searchResultLocation" else "document_title"] = title
    own_index = "searchResultIndex" if place == "searchResultLocation" else "documentIndex"
    named = {index: at.get(own_index), start: at.get("start"), end: at.get("end")}
    if place == "searchResultLocation":
        named["source"] = given.get("source")
    return {**result, **named}


_PLACES = {
    "documentChar": ("char_location", "document_index", "start_char_index", "end_char_index"),
    "documentPage": ("page_location", "document_index", "start_page_number", "end_page_number"),
    "documentChunk": (
        "content_block_location",
        "document_index",
        "start_block_index",
        "end_block_index",
    ),
    "searchResultLocation": (
        "search_result_location",
        "search_result_index",
        "start_block_index",
        "end_block_index",
    ),
}


def _text(block: Json, citations: Citations) -> str:
    cited = as_object(block.get("citationsContent"))
    pieces = cited.get("content") if cited else [block]
    text = "".join(str(one.get("text") or "") for one in pieces or () if isinstance(one, dict))
    for citation in cited.get("citations") or ():
        citations.add(citation_of(citation))
    citations.close(len(text))
    return text


def _thought(reasoning: Any) -> Json | None:
    if not isinstance(reasoning, dict):
        return None
    if (data := reasoning.get("redactedContent")) is not None:
        return {"type": "redacted_thinking", "data": str(data)}
    text = as_object(reasoning.get("reasoningText"))
    thought: Json = {"type": "thinking", "thinking": str(text.get("text") or "")}
    if signature := text.get("signature"):
        thought["signature"] = signature
    return thought


def _call(use: Json, names: ToolNames) -> Json:
    arguments = tool_arguments(use.get("input"))
    function = {"name": names.original(use.get("name")), "arguments": arguments}
    return {"id": str(use.get("toolUseId") or ""), "type": "function", "function": function}
