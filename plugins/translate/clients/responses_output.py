"""The output items of a Response, out of what a canonical answer says."""

from __future__ import annotations

import re
from typing import Any

from plugins.translate.canonical import Json
from plugins.translate.clients.responses_thoughts import reasoning_item
from plugins.translate.upstreams.anthropic_words import as_object, count

_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_KEY = 48


class ItemIds:
    """Ids of one answer's items: the same for the answer whole and streamed.

    Args:
        answer: the canonical answer, or a chunk of it.
    """

    __slots__ = ("_counts", "_key", "_told")

    def __init__(self, answer: Json) -> None:
        # As OpenAI takes ids back: of these characters, and of 64 at most.
        self._key = _NOT_IN_IDS.sub("_", str(answer.get("id") or "unknown"))[:_MAX_KEY]
        self._counts: dict[str, int] = {}
        self._told: set[Any] = set()

    def next(self, kind: str) -> str:
        """Return the id of the next item of a kind (`msg`, `rs`, `fc`)."""
        number = self._counts.get(kind, 0)
        self._counts[kind] = number + 1
        return f"{kind}_{self._key}_{number}"

    def call_id(self, given: Any) -> str:
        """Return the id by which a call's result will be known: clients need one for each."""
        told = given if given and given not in self._told else self.next("call")
        self._told.add(told)
        return str(told)


def message_item(item_id: str, parts: list[Json], status: str) -> Json:
    """Return the item of what a model said."""
    return {
        "id": item_id,
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": parts,
    }


def text_part(text: str, annotations: list[Json], logprobs: list[Json]) -> Json:
    """Return a part of a message."""
    return {
        "type": "output_text",
        "text": text,
        "annotations": annotations,
        "logprobs": logprobs,
    }


def call_item(item_id: str, call_id: str, called: Json, status: str) -> Json:
    """Return the item of a call of the client's tool.

    Args:
        item_id: its id.
        call_id: the id that its result will have.
        called: `type`, `name` and `arguments` of the call.
        status: how complete it is; a custom tool's call has none.
    """
    item = {"id": item_id, "call_id": call_id, "name": called["name"]}
    if called["type"] == "custom":
        return {**item, "type": "custom_tool_call", "input": called["arguments"]}
    return {**item, "type": "function_call", "status": status, "arguments": called["arguments"]}


def called_tool(call: Any) -> Json:
    """Return `type`, `name` and `arguments` of a canonical tool call, or of a piece of one."""
    call = as_object(call)
    if isinstance(custom := call.get("custom"), dict):
        return _called("custom", custom.get("name"), custom.get("input"))
    function = as_object(call.get("function"))
    return _called("function", function.get("name"), function.get("arguments"))


def annotation(given: Any) -> Json | None:
    """Return a canonical annotation in Responses' flat form, None for one without a URL."""
    cited = as_object(as_object(given).get("url_citation"))
    if not cited.get("url"):
        return None
    return {
        "type": "url_citation",
        "url": cited["url"],
        "title": cited.get("title") or "",
        "start_index": count(cited, "start_index"),
        "end_index": count(cited, "end_index"),
    }


def logprobs(choice: Json) -> list[Json]:
    """Return the log probabilities of a choice's tokens."""
    found = as_object(choice.get("logprobs")).get("content") or ()
    return [_logprob({"top_logprobs": [], **one}) for one in found if isinstance(one, dict)]


def output_items(choice: Json, ids: ItemIds, status: str) -> list[Json]:
    """Return the items of a canonical choice: thoughts, what was said, then calls.

    Args:
        choice: the canonical choice.
        ids: gives the items their ids.
        status: the status of the last one.
    """
    message = as_object(choice.get("message"))
    output = _thoughts(message, ids)
    text, refusal = message.get("content") or "", message.get("refusal")
    cited = [one for given in message.get("annotations") or () if (one := annotation(given))]
    tokens = logprobs(choice)
    parts = [text_part(text, cited, tokens)] if text or cited or tokens else []
    if refusal:
        parts.append({"type": "refusal", "refusal": refusal})
    if parts:
        output.append(message_item(ids.next("msg"), parts, "completed"))
    for call in message.get("tool_calls") or ():
        item_id, call_id = ids.next("fc"), ids.call_id(as_object(call).get("id"))
        output.append(call_item(item_id, call_id, called_tool(call), "completed"))
    if output and "status" in output[-1]:
        output[-1]["status"] = status
    return output


def _thoughts(message: Json, ids: ItemIds) -> list[Json]:
    blocks = message.get("thinking_blocks")
    if not blocks:
        told = message.get("reasoning_content")
        blocks = [{"type": "thinking", "thinking": told}] if told else []
    return [reasoning_item(block, ids.next("rs")) for block in blocks]


def _logprob(given: Json) -> Json:
    """Return one token's log probability; Responses always has its bytes."""
    token = {"token": given.get("token") or "", "logprob": given.get("logprob") or 0.0}
    token["bytes"] = given.get("bytes") or []
    if "top_logprobs" not in given:
        return token
    return {**token, "top_logprobs": [_logprob(one) for one in given["top_logprobs"] or ()]}


def _called(kind: str, name: Any, arguments: Any) -> Json:
    return {"type": kind, "name": name or "", "arguments": arguments or ""}
