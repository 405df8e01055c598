"""Canonical messages as Converse's system prompt and alternating turns."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.bedrock_converse_parts import Names, blocks
from plugins.translate.upstreams.bedrock_models import Vendor
from plugins.translate.upstreams.turns import PATH, TurnBuilder, read_tool_call

_MAX_ID = _MAX_NAME = 64
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_.:-]")
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
# A conversation must begin with the user.
_OPENING: Json = {"text": "Please continue."}
# A document must not stand alone.
_BESIDE_DOCUMENT: Json = {"text": "(see the document)"}
_NO_OUTPUT: Json = {"text": "(no output)"}


class Turns(TurnBuilder):
    """Builds turns out of messages, one after the other.

    Args:
        loss: takes what cannot be carried.
        vendor: what the model's vendor takes.
    """

    __slots__ = ("_names", "_vendor")

    def __init__(self, loss: Loss, vendor: Vendor) -> None:
        super().__init__(loss)
        self._vendor = vendor
        self._names = Names()

    def extend(self, messages: Any) -> None:
        """Take a call's messages, in order."""
        for message in messages if isinstance(messages, list) else ():
            if isinstance(message, dict):
                self._add(message)

    def messages(self, *, prefills: bool = True) -> list[Json]:
        """Return the turns; roles alternate, and the first is the user's.

        Args:
            prefills: whether the model goes on from an answer that the turns end with.
        """
        merged = self._merged()
        self._ended(merged, _OPENING, prefills=prefills)
        if merged and merged[0][0] == "assistant":
            merged.insert(0, ("user", [_OPENING]))
        if merged and merged[-1][0] == "assistant" and "text" in merged[-1][1][-1]:
            # Claude refuses to go on from white space.
            merged[-1][1][-1] = {"text": merged[-1][1][-1]["text"].rstrip()}
        return [{"role": role, "content": _with_text(content)} for role, content in merged]

    def last_call_thinks(self) -> bool:
        """Say whether thinking with a budget may go on: not behind a call without thoughts."""
        if (last := self._last_calls()) is None:
            return True
        said, answer = last
        answered = any("toolResult" in block for block in answer)
        return not answered or any("reasoningContent" in block for block in said)

    def cache_point(self, marker: Any, place: str, name: str) -> list[Json]:
        """Return the cache point for a `cache_control`, none where the model takes none there."""
        if not isinstance(marker, dict):
            return []
        if place not in self._vendor.cache_points:
            self._loss.add(name)
            return []
        point = {"type": "default"}
        if marker.get("ttl") == "1h" and self._vendor.name != "amazon":
            point["ttl"] = "1h"
        return [{"cachePoint": point}]

    def _add(self, message: Json) -> None:
        fields = Fields(message, self._loss, PATH)
        role = fields.take("role")
        marker = fields.take("cache_control")
        place = "messages"
        if role in ("system", "developer"):
            into, place = self.system, "system"
            content = self._content(fields, place)
        elif role == "assistant":
            into, content = self._turn("assistant"), self._assistant(fields)
        elif role == "tool":
            into, content = self._turn("user"), self._result(fields)
        else:
            if role != "user":
                fields.lose("role")
            into, content = self._turn("user"), self._content(fields, place)
        fields.ignore("name")
        into += content
        if marker and content and "reasoningContent" not in content[-1]:
            into += self.cache_point(marker, place, f"{PATH}.cache_control")
        fields.finish()

    def _content(self, fields: Fields, place: str) -> list[Json]:
        content: list[Json] = []
        for block, marker in blocks(fields.take("content"), self._loss, self._names, PATH):
            if place == "system" and "text" not in block:
                self._loss.add(f"{PATH}.content")
                continue
            content.append(block)
            content += self.cache_point(marker, place, f"{PATH}.content.cache_control")
        return content

    def _assistant(self, fields: Fields) -> list[Json]:
        content = self._thoughts(fields)
        content += self._content(fields, "messages")
        if isinstance(refusal := fields.take("refusal"), str) and refusal.strip():
            content.append({"text": refusal})
        for call in fields.take("tool_calls", ()):
            if isinstance(call, dict):
                content += self._call(call)
        fields.ignore("annotations", "citations", "reasoning", "reasoning_details")
        return content

    def _thoughts(self, fields: Fields) -> list[Json]:
        thoughts: list[Json] = []
        given = fields.take("thinking_blocks")
        for block in given if isinstance(given, list) else ():
            thought = self._thought(block) if isinstance(block, dict) else None
            if thought is None:
                fields.lose("thinking_blocks")
            else:
                thoughts.append({"reasoningContent": thought})
        if given:
            fields.ignore("reasoning_content")
        return thoughts

    def _thought(self, block: Json) -> Json | None:
        """Return a thought as the model takes it back: only its own, so only signed ones."""
        kind, policy = block.get("type"), self._vendor.thoughts
        if kind == "redacted_thinking" and policy == "signed" and _is_base64(block.get("data")):
            return {"redactedContent": block["data"]}
        if kind != "thinking" or not policy:
            return None
        text, signature = block.get("thinking") or "", block.get("signature")
        if signature and ":" in signature:
            return None  # another provider's, which names itself before the colon
        if policy == "plain":
            return {"reasoningText": {"text": text}} if text and not signature else None
        return {"reasoningText": {"text": text, "signature": signature}} if signature else None

    def _call(self, call: Json) -> list[Json]:
        if (use := read_tool_call(call, self._loss)) is None:
            return []
        name = tool_name(use.name)
        self.tool_names[name] = None
        made = {"toolUseId": tool_id(use.id), "name": name, "input": use.input or {}}
        point = self.cache_point(use.marker, "messages", f"{PATH}.tool_calls.cache_control")
        return [{"toolUse": made}, *point]

    def _result(self, fields: Fields) -> list[Json]:
        content = self._content(fields, "messages")
        # A cache point inside a result would be none: it goes after it.
        points = [block for block in content if "cachePoint" in block]
        result: Json = {
            "toolUseId": tool_id(fields.take("tool_call_id")),
            "content": [block for block in content if "cachePoint" not in block] or [_NO_OUTPUT],
        }
        if fields.take("is_error") is True:
            if self._vendor.result_status:
                result["status"] = "error"
            else:
                fields.lose("is_error")
        return [{"toolResult": result}, *points[-1:]]


def tool_id(given: Any) -> str:
    """Return a call's id in Converse's alphabet; the same one for the same id."""
    text = str(given or "call")
    plain = _NOT_IN_IDS.sub("_", text)
    if plain == text and len(text) <= _MAX_ID:
        return text
    # Shortened or replaced characters could make two ids one.
    return f"{plain[:40]}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def tool_name(given: Any) -> str:
    """Return a tool's name in Converse's alphabet."""
    return _NOT_IN_NAMES.sub("_", str(given or "tool"))[:_MAX_NAME]


def _with_text(content: list[Json]) -> list[Json]:
    alone = any("document" in block for block in content) and not any(
        "text" in block for block in content
    )
    return [*content, _BESIDE_DOCUMENT] if alone else content


def _is_base64(data: Any) -> bool:
    try:
        return bool(data) and bool(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError, TypeError):
        return False
