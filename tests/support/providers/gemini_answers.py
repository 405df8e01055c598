"""What the simulated Gemini answers, whole and cut into a stream, valid by google-genai's types."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from google.genai import types

from tests.support.providers.gemini_rules import SIGNATURE

Json = dict[str, Any]

_PIECE = 7
_FINISH = {"refuse": "SAFETY", "recite": "RECITATION", "long": "MAX_TOKENS"}
_FINISH |= {"malformed": "MALFORMED_FUNCTION_CALL"}
GROUNDED = "Paris is big. It is très belle. Yes."


def question(body: Json) -> str:
    """Return the last words that a user said."""
    for content in reversed(body["contents"]):
        texts = [part["text"] for part in content["parts"] if "text" in part]
        if content["role"] == "user" and texts:
            return " ".join(texts)
        if any("functionResponse" in part for part in content["parts"]):
            return "function result"
    return ""


def response(body: Json, model: str) -> Json:
    """Return the whole response to a valid body."""
    asked = question(body)
    answer: Json = {
        "responseId": "resp-1",
        "modelVersion": model,
        "usageMetadata": {
            "promptTokenCount": 20,
            "cachedContentTokenCount": 8,
            "candidatesTokenCount": 10,
            "thoughtsTokenCount": 5,
            "toolUsePromptTokenCount": 3,
            "totalTokenCount": 38,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
        },
    }
    if "block" in asked:
        answer["promptFeedback"] = {"blockReason": "PROHIBITED_CONTENT"}
    else:
        count = body.get("generationConfig", {}).get("candidateCount", 1)
        answer["candidates"] = [_candidate(body, asked, index, model) for index in range(count)]
    return _valid(answer)


def _candidate(body: Json, asked: str, index: int, model: str) -> Json:
    parts = list(_parts(body, asked, model))
    finish = next((reason for word, reason in _FINISH.items() if word in asked), "STOP")
    candidate: Json = {
        "index": index,
        "content": {"role": "model", "parts": parts},
        "finishReason": finish,
    }
    if finish == "SAFETY":
        candidate["finishMessage"] = "Against the policy."
    if "googleSearch" in str(body.get("tools")):
        candidate["groundingMetadata"] = _grounding()
    if body.get("generationConfig", {}).get("responseLogprobs"):
        one = {"token": "You", "logProbability": -0.5, "tokenId": 1}
        top = [{"candidates": [one]}]
        candidate["logprobsResult"] = {"chosenCandidates": [one], "topCandidates": top}
    return candidate


def _parts(body: Json, asked: str, model: str) -> Iterator[Json]:
    is_new = "gemini-3" in model
    config = body.get("generationConfig", {})
    if config.get("thinkingConfig", {}).get("includeThoughts"):
        yield {"thought": True, "text": "Let me think about it."}
    names = [
        one["name"]
        for tool in body.get("tools", ())
        for one in tool.get("functionDeclarations", ())
    ]
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    must = calling.get("mode") == "ANY"
    if names and calling.get("mode") != "NONE" and ("tool" in asked or must):
        yield {"text": "I will look."}
        for number, name in enumerate(calling.get("allowedFunctionNames") or names[:2]):
            args = {} if "empty" in asked else {"city": "Paris", "at": number}
            call = {"name": name, "args": args}
            if "named" in asked:
                call["id"] = f"fc-{number}"
            signed = {"thoughtSignature": f"{SIGNATURE}Y2Fs"} if is_new and number == 0 else {}
            yield {"functionCall": call, **signed}
        return
    if "malformed" in asked:
        return
    signed = {"thoughtSignature": f"{SIGNATURE}dGV4"} if is_new else {}
    if "googleSearch" in str(body.get("tools")):
        yield {"text": GROUNDED, **signed}
        return
    if config.get("responseMimeType") == "application/json":
        yield {"text": json.dumps({"answer": 42}), **signed}
        return
    images = str(body["contents"]).count("'mimeType': 'image/")
    yield {"text": f"You said {asked!r} with {images} images. ✓", **signed}


def _grounding() -> Json:
    web = [
        {"web": {"uri": "https://example.com/paris", "title": "Paris"}},
        {"web": {"uri": "https://example.com/belle", "title": "Belle"}},
    ]
    text = GROUNDED.encode()
    second = "It is très belle."
    start = text.index(second.encode())
    segments = [
        {"startIndex": 0, "endIndex": 13, "text": "Paris is big."},
        {"startIndex": start, "endIndex": start + len(second.encode()), "text": second},
    ]
    supports = [
        {"segment": segment, "groundingChunkIndices": [index]}
        for index, segment in enumerate(segments)
    ]
    return {"webSearchQueries": ["paris"], "groundingChunks": web, "groundingSupports": supports}


def events(answer: Json) -> Iterator[Json]:
    """Yield a response as a stream has it, each piece valid by google-genai's types."""
    head = {name: answer[name] for name in ("responseId", "modelVersion")}
    usage = answer["usageMetadata"]
    early = {"promptTokenCount": usage["promptTokenCount"], "totalTokenCount": 20}
    if "candidates" not in answer:
        yield _valid({**head, "promptFeedback": answer["promptFeedback"], "usageMetadata": usage})
        return
    for candidate in answer["candidates"]:
        ending = {name: one for name, one in candidate.items() if name != "content"}
        for part in candidate["content"].get("parts", ()):
            for piece in _split(part):
                content = {"role": "model", "parts": [piece]}
                one = {"index": candidate["index"], "content": content}
                yield _valid({**head, "candidates": [one], "usageMetadata": early})
        yield _valid({**head, "candidates": [ending], "usageMetadata": usage})


def _split(part: Json) -> Iterator[Json]:
    if "text" not in part:
        yield part
        return
    rest = {name: one for name, one in part.items() if name not in ("text", "thoughtSignature")}
    for at in range(0, len(part["text"]), _PIECE):
        yield {**rest, "text": part["text"][at : at + _PIECE]}
    if "thoughtSignature" in part:
        yield {**rest, "text": "", "thoughtSignature": part["thoughtSignature"]}


def _valid(answer: Json) -> Json:
    types.GenerateContentResponse.model_validate_json(
        json.dumps(answer), by_alias=True, by_name=False
    )
    return answer
