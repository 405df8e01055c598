"""What the simulated Claude says to the last question, checked by Anthropic's own types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from tests.support.providers.anthropic_rules import SIGNED

Json = dict[str, Any]

_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_PIECE = 7  # characters of a streamed delta


def question(body: Json) -> str:
    """Return the last text that the user wrote."""
    texts = [""]
    for turn in body["messages"]:
        if turn["role"] == "user":
            content = turn["content"]
            blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
            texts += [block["text"] for block in blocks if block["type"] == "text"]
    return texts[-1]


def message(body: Json) -> Json:
    """Return the answer to a body that was found valid."""
    asked = question(body)
    content = list(_content(body, asked))
    calls = any(block["type"] == "tool_use" for block in content)
    reason = "tool_use" if calls else "end_turn"
    for word, other in (("refuse", "refusal"), ("pause", "pause_turn"), ("long", "max_tokens")):
        reason = other if word in asked else reason
    stopped = body.get("stop_sequences", [None])[0] if "stop" in asked else None
    answer: Json = {
        "id": "msg_01Sim",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content,
        "stop_reason": "stop_sequence" if stopped else reason,
        "stop_sequence": stopped,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 5,
            "cache_read_input_tokens": 20,
            "output_tokens": 30,
            "output_tokens_details": {"thinking_tokens": 12},
            "service_tier": "priority",
        },
    }
    if reason == "refusal":
        answer["stop_details"] = {
            "type": "refusal",
            "category": "cyber",
            "explanation": "That is against the policy.",
        }
    Message.model_validate(answer, strict=True)
    return answer


def _content(body: Json, asked: str) -> Iterator[Json]:
    if body.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        yield {"type": "thinking", "thinking": "Let me think about it.", "signature": f"{SIGNED}1"}
        if "redacted" in asked:
            yield {"type": "redacted_thinking", "data": "c2VjcmV0"}
    if "search" in asked:
        yield from _searched()
        return
    tools = [tool["name"] for tool in body.get("tools", ()) if "input_schema" in tool]
    choice = body.get("tool_choice", {"type": "auto"})
    wants = "tool" in asked and "result" not in asked
    if choice["type"] != "none" and tools and (wants or choice["type"] in ("any", "tool")):
        yield {"type": "text", "text": "I will look."}
        single = choice.get("disable_parallel_tool_use") or choice["type"] == "tool"
        named = [choice["name"]] if choice["type"] == "tool" else tools[: 1 if single else 2]
        for number, name in enumerate(named):
            given = {} if "empty" in asked else {"city": "Paris", "at": number}
            yield {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": given}
        return
    if "format" in body.get("output_config", {}):
        yield {"type": "text", "text": json.dumps({"answer": 42})}
        return
    images = str(body["messages"]).count("'type': 'image'")
    files = str(body["messages"]).count("'type': 'document'")
    yield {"type": "text", "text": f"You said {asked!r} with {images} images and {files} files. ✓"}


def _searched() -> Iterator[Json]:
    found = {"title": "Paris", "url": "https://example.com/paris", "type": "web_search_result"}
    cited = {
        "type": "web_search_result_location",
        "url": found["url"],
        "title": "Paris",
        "cited_text": "Paris is",
        "encrypted_index": "enc",
    }
    passage = {
        "type": "char_location",
        "cited_text": "the grass",
        "document_index": 0,
        "document_title": "Nature",
        "start_char_index": 0,
        "end_char_index": 9,
    }
    yield {"type": "text", "text": "I search. "}
    yield {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "q"}}
    results = [{**found, "encrypted_content": "enc"}]
    yield {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": results}
    yield {"type": "text", "text": "Paris is big.", "citations": [cited]}
    yield {"type": "text", "text": " Grass is green.", "citations": [passage]}


def events(answer: Json) -> Iterator[Json]:
    """Yield the answer as the events of a stream, each valid by Anthropic's types."""
    for event in _events(answer):
        if event["type"] != "ping":
            _EVENT.validate_python(event, strict=True)
        yield event


def _events(answer: Json) -> Iterator[Json]:
    usage = {**answer["usage"], "output_tokens": 1}
    usage.pop("output_tokens_details")
    opening = {**answer, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    opening.pop("stop_details", None)
    yield {"type": "message_start", "message": opening}
    for index, block in enumerate(answer["content"]):
        empty, deltas = _split(block)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        if index == 0:
            yield {"type": "ping"}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {k: answer[k] for k in ("stop_reason", "stop_sequence", "stop_details") if k in answer}
    spent = {k: answer["usage"][k] for k in ("output_tokens", "output_tokens_details")}
    yield {"type": "message_delta", "delta": ending, "usage": spent}
    yield {"type": "message_stop"}


def _split(block: Json) -> tuple[Json, list[Json]]:
    kind = block["type"]
    if kind == "text":
        deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        cited = [{"type": "citations_delta", "citation": c} for c in block.get("citations") or ()]
        return {"type": "text", "text": ""}, [*deltas, *cited]
    if kind == "thinking":
        thought = [{"type": "thinking_delta", "thinking": p} for p in _pieces(block["thinking"])]
        signed = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, [*thought, signed]
    if kind in ("tool_use", "server_tool_use"):
        spelled = json.dumps(block["input"]) if block["input"] else ""
        pieces = [{"type": "input_json_delta", "partial_json": p} for p in _pieces(spelled)]
        return {**block, "input": {}}, pieces
    return block, []


def _pieces(text: str) -> list[str]:
    return [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
