"""What the simulated Bedrock answers, by the words of the last question."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from tests.support.providers.aws_frames import event, exception

Json = dict[str, Any]

SIGNATURE = "c2lnbmVk"
REDACTED = base64.b64encode(b"hidden thoughts").decode()
CITATION: Json = {
    "title": "Report",
    "sourceContent": [{"text": "It rains."}],
    "location": {"documentPage": {"documentIndex": 0, "start": 1, "end": 2}},
}
WEB: Json = {
    "title": "Weather",
    "location": {"web": {"url": "https://weather.example/", "domain": "weather.example"}},
}
COUNTED = 42
_REASONS = {
    "guardrail": "guardrail_intervened",
    "filtered": "content_filtered",
    "too long": "max_tokens",
    "stop here": "stop_sequence",
    "context": "model_context_window_exceeded",
    "malformed": "malformed_model_output",
}


def question(params: Json) -> str:
    """Return the text of the last user message."""
    content = params["messages"][-1]["content"]
    return " ".join(block["text"] for block in content if "text" in block)


def answer(params: Json) -> Json:
    """Return Converse's answer for validated parameters."""
    asked = question(params)
    content = list(_thoughts(asked)) + list(_content(params, asked))
    calls = any("toolUse" in block for block in content)
    reason = next((why for word, why in _REASONS.items() if word in asked), "")
    result: Json = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": reason or ("tool_use" if calls else "end_turn"),
        "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
        "metrics": {"latencyMs": 7},
    }
    if "cached" in asked:
        result["usage"] |= {"cacheReadInputTokens": 100, "cacheWriteInputTokens": 20}
        result["usage"]["totalTokens"] = 135
    if tier := params.get("serviceTier"):
        result["serviceTier"] = tier
    if reason == "stop_sequence" and "additionalModelResponseFieldPaths" in params:
        stops = params["inferenceConfig"]["stopSequences"]
        result["additionalModelResponseFields"] = {"stop_sequence": stops[0]}
    return result


def _thoughts(asked: str) -> Iterator[Json]:
    if "think" in asked:
        text = {"text": "Let me see. It is so.", "signature": SIGNATURE}
        yield {"reasoningContent": {"reasoningText": text}}
    if "redacted" in asked:
        yield {"reasoningContent": {"redactedContent": REDACTED}}


def _content(params: Json, asked: str) -> Iterator[Json]:
    tools = [
        tool["toolSpec"]["name"]
        for tool in params.get("toolConfig", {}).get("tools", ())
        if "toolSpec" in tool
    ]
    forced = params.get("toolConfig", {}).get("toolChoice", {}).get("tool", {}).get("name")
    if forced:
        yield _use("tooluse_1", forced, {"city": "Bern"})
    elif "tool" in asked and tools:
        yield {"text": "I shall look."}
        yield _use("tooluse_1", tools[0], {} if "empty" in asked else {"city": "Bern"})
        if "twice" in asked:
            yield _use("tooluse_2", tools[0], {"city": "Genève"})
    elif "cite" in asked:
        yield {"text": "See: "}
        cited = [CITATION, WEB]
        yield {"citationsContent": {"content": [{"text": "it rains"}], "citations": cited}}
    elif "count parts" in asked:
        blocks = [block for one in params["messages"] for block in one["content"]]
        kinds = ("image", "document", "video", "audio")
        yield {"text": " ".join(f"{k}={sum(k in block for block in blocks)}" for k in kinds)}
    else:
        yield {"text": f"You said: {asked}"}


def _use(use_id: str, name: str, given: Json) -> Json:
    return {"toolUse": {"toolUseId": use_id, "name": name, "input": given}}


def frames(params: Json) -> Iterator[bytes]:
    """Yield the same answer as a stream's frames."""
    asked = question(params)
    whole = answer(params)
    yield event("messageStart", {"role": "assistant"})
    for at, block in enumerate(whole["output"]["message"]["content"]):
        if "toolUse" in block:
            start = {k: v for k, v in block["toolUse"].items() if k != "input"}
            yield event("contentBlockStart", {"contentBlockIndex": at, "start": {"toolUse": start}})
        for delta in _deltas(block):
            yield event("contentBlockDelta", {"contentBlockIndex": at, "delta": delta})
            if named := re.search(r"exception (\w+)", asked):
                yield exception(named[1], "as you asked")
                return
            if "cut" in asked:
                return
        yield event("contentBlockStop", {"contentBlockIndex": at})
    stop = {k: whole[k] for k in ("stopReason", "additionalModelResponseFields") if k in whole}
    yield event("messageStop", stop)
    told = {k: whole[k] for k in ("usage", "metrics", "serviceTier") if k in whole}
    yield event("metadata", told)


def _deltas(block: Json) -> Iterator[Json]:
    if "text" in block:
        yield from ({"text": piece} for piece in _pieces(block["text"]))
    elif "toolUse" in block:
        if given := block["toolUse"]["input"]:
            text = "{" + ", ".join(f'"{k}": "{v}"' for k, v in given.items()) + "}"
            yield from ({"toolUse": {"input": piece}} for piece in _pieces(text))
    elif "citationsContent" in block:
        for piece in block["citationsContent"]["content"]:
            yield {"text": piece["text"]}
        for citation in block["citationsContent"]["citations"]:
            yield {"citation": citation}
    else:
        reasoning = block["reasoningContent"]
        if "redactedContent" in reasoning:
            yield {"reasoningContent": reasoning}
        else:
            text = reasoning["reasoningText"]
            yield from ({"reasoningContent": {"text": one}} for one in _pieces(text["text"]))
            yield {"reasoningContent": {"signature": text["signature"]}}


def _pieces(text: str) -> list[str]:
    return [text[at : at + 7] for at in range(0, len(text), 7)]


def model_answer(model: str, body: Json) -> Json:
    """Return what an embedding or reranking model answers through InvokeModel."""
    if "rerank" in model:
        count = body.get("top_n", len(body["documents"]))
        results = [{"index": at, "relevance_score": 1 / (at + 1)} for at in range(count)]
        return {"results": results}
    if "titan" in model:
        vector = [0.5] * body.get("dimensions", 4)
        return {"embedding": vector, "inputTextTokenCount": len(body["inputText"].split())}
    vectors = [[0.25] * body.get("output_dimension", 4) for _ in body["texts"]]
    by_type = {"float": vectors} if "embedding_types" in body else vectors
    return {"id": "e", "response_type": "embeddings_by_type", "texts": [], "embeddings": by_type}
