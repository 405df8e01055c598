"""Canonical messages as Anthropic's system prompt and alternating turns."""

from __future__ import annotations

import re
from typing import Any

from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_parts import Platform, blocks, cache_marker
from plugins.translate.upstreams.anthropic_words import objects, tool_input

_PATH = "messages"
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
# A conversation must begin with the user.
_OPENING: Json = {"role": "user", "content": "Please continue."}


class Turns:
    """Builds turns out of messages, one after the other.

    Args:
        loss: takes what cannot be carried.
        platform: what the host takes.
    """

    __slots__ = ("_loss", "_platform", "_turns", "system", "tool_names")

    def __init__(self, loss: Loss, platform: Platform) -> None:
        self._loss = loss
        self._platform = platform
        self._turns: list[tuple[str, list[Json]]] = []
        self.system: list[Json] = []
        self.tool_names: dict[str, None] = {}

    def add(self, message: Json) -> None:
        """Take the next message."""
        fields = Fields(message, self._loss, _PATH)
        role = fields.take("role")
        marker = cache_marker(fields.take("cache_control"))
        if role in ("system", "developer"):
            into, content = self.system, self._content(fields)
        elif role == "assistant":
            into, content = self._turn("assistant"), self._assistant(fields)
        elif role == "tool":
            into, content = self._turn("user"), [self._result(fields)]
        else:
            if role != "user":
                fields.lose("role")
            into, content = self._turn("user"), self._content(fields)
        if marker and content and content[-1]["type"] not in ("thinking", "redacted_thinking"):
            content[-1].update(marker)
        into += content
        fields.finish()

    def messages(self) -> list[Json]:
        """Return the turns; roles alternate, and the first is the user's."""
        if not any(content for _, content in self._turns) and self.system:
            # Anthropic answers turns only: instructions alone are the question.
            self._loss.add(f"{_PATH}.role")
            self._turn("user").extend(self.system)
            self.system = []
        merged: list[tuple[str, list[Json]]] = []
        for role, content in self._turns:
            if content and merged and merged[-1][0] == role:
                merged[-1][1].extend(content)
            elif content:
                merged.append((role, content))
        found = [{"role": role, "content": plain(content)} for role, content in merged]
        if found and found[-1]["role"] == "assistant":
            _strip_end(found[-1])
        if found and found[0]["role"] == "assistant":
            found.insert(0, _OPENING)
        return found

    def last_call_thinks(self) -> bool:
        """Say whether thinking with a budget may go on: not behind a call without thoughts."""
        if not self._turns or self._turns[-1][0] != "user":
            return True
        content = next((c for role, c in reversed(self._turns) if role == "assistant" and c), ())
        answered = any(block["type"] == "tool_result" for block in self._turns[-1][1])
        kinds = {block["type"] for block in content}
        return not answered or bool(kinds & {"thinking", "redacted_thinking"})

    def _turn(self, role: str) -> list[Json]:
        if not self._turns or self._turns[-1][0] != role:
            self._turns.append((role, []))
        return self._turns[-1][1]

    def _content(self, fields: Fields) -> list[Json]:
        return list(blocks(fields.take("content"), self._loss, self._platform, _PATH))

    def _assistant(self, fields: Fields) -> list[Json]:
        content = self._thoughts(fields)
        content += self._content(fields)
        content += blocks(fields.take("refusal"), self._loss, self._platform, _PATH)
        for call in objects(fields.take("tool_calls")):
            content += self._call(call)
        fields.ignore("annotations", "citations")
        return content

    def _thoughts(self, fields: Fields) -> list[Json]:
        thoughts: list[Json] = []
        given = fields.take("thinking_blocks")
        for block in given if isinstance(given, list) else ():
            kind = block.get("type") if isinstance(block, dict) else None
            if kind == "redacted_thinking" and block.get("data"):
                thoughts.append({"type": kind, "data": block["data"]})
            elif kind == "thinking" and _is_own(block.get("signature")):
                thought = block.get("thinking") or ""
                thoughts.append(
                    {"type": kind, "thinking": thought, "signature": block["signature"]}
                )
            else:
                # Another model's thoughts: Anthropic takes back only what it has signed.
                fields.lose("thinking_blocks")
        if given:
            fields.ignore("reasoning_content")
        fields.ignore("reasoning", "reasoning_details")
        return thoughts

    def _call(self, call: Json) -> list[Json]:
        fields = Fields(call, self._loss, f"{_PATH}.tool_calls")
        function = fields.take("function")
        if not isinstance(function, dict):
            fields.lose("type")
            return []
        marker = cache_marker(fields.take("cache_control"))
        call_id = _id(fields.take("id"))
        fields.ignore("type", "index")
        fields.finish()
        parts = Fields(function, self._loss, f"{_PATH}.tool_calls.function")
        name = str(parts.take("name", ""))
        given = tool_input(parts.take("arguments"))
        if given is None:
            parts.lose("arguments")
        parts.finish()
        self.tool_names[name] = None
        return [{"type": "tool_use", "id": call_id, "name": name, "input": given or {}, **marker}]

    def _result(self, fields: Fields) -> Json:
        block: Json = {"type": "tool_result", "tool_use_id": _id(fields.take("tool_call_id"))}
        fields.ignore("name")
        content = self._content(fields)
        if content:
            block["content"] = plain(content)
        if fields.take("is_error") is True:
            block["is_error"] = True
        return block


def plain(content: list[Json]) -> Any:
    """Return a text alone as a string, as Anthropic's own examples write it."""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        return content[0]["text"]
    return content


def _strip_end(message: Json) -> None:
    """Cut white space off a prefilled answer, which Anthropic refuses to go on from."""
    content = message["content"]
    if isinstance(content, str):
        message["content"] = content.rstrip()
    elif content[-1]["type"] == "text":
        content[-1]["text"] = content[-1]["text"].rstrip()


def _id(given: Any) -> str:
    return _NOT_IN_IDS.sub("_", str(given or "call"))


def _is_own(signature: object) -> bool:
    # Other providers' signatures name them before a colon, which base64 has not.
    return isinstance(signature, str) and bool(signature) and ":" not in signature
