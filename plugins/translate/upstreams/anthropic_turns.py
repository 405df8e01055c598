"""Canonical messages as Anthropic's system prompt and alternating turns."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_native import call_id, is_signed
from plugins.translate.upstreams.anthropic_parts import Platform, blocks, cache_marker
from plugins.translate.upstreams.anthropic_words import objects
from plugins.translate.upstreams.turns import PATH, TurnBuilder, read_tool_call

# A conversation must begin with the user.
_OPENING: Json = {"role": "user", "content": "Please continue."}


class Turns(TurnBuilder):
    """Builds turns out of messages, one after the other.

    Args:
        loss: takes what cannot be carried.
        platform: what the host takes.
    """

    __slots__ = ("_platform",)

    def __init__(self, loss: Loss, platform: Platform) -> None:
        super().__init__(loss)
        self._platform = platform

    def add(self, message: Json) -> None:
        """Take the next message."""
        fields = Fields(message, self._loss, PATH)
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

    def messages(self, *, prefills: bool = True) -> list[Json]:
        """Return the turns; roles alternate, and the first is the user's.

        Args:
            prefills: whether the model goes on from an answer that the turns end with.
        """
        merged = self._merged()
        self._ended(merged, {"type": "text", "text": _OPENING["content"]}, prefills=prefills)
        found = [{"role": role, "content": plain(content)} for role, content in merged]
        if found and found[-1]["role"] == "assistant":
            _strip_end(found[-1])
        if found and found[0]["role"] == "assistant":
            found.insert(0, _OPENING)
        return found

    def last_call_thinks(self) -> bool:
        """Say whether thinking with a budget may go on: not behind a call without thoughts."""
        if (last := self._last_calls()) is None:
            return True
        said, answer = ({block["type"] for block in content} for content in last)
        return "tool_result" not in answer or bool(said & {"thinking", "redacted_thinking"})

    def _content(self, fields: Fields) -> list[Json]:
        return list(blocks(fields.take("content"), self._loss, self._platform, PATH))

    def _assistant(self, fields: Fields) -> list[Json]:
        content = self._thoughts(fields)
        content += self._content(fields)
        content += blocks(fields.take("refusal"), self._loss, self._platform, PATH)
        for call in objects(fields.take("tool_calls")):
            content += self._call(call)
        fields.ignore("annotations", "citations")
        return content

    def _thoughts(self, fields: Fields) -> list[Json]:
        thoughts: list[Json] = []
        given = fields.take("thinking_blocks")
        for block in given if isinstance(given, list) else ():
            kind = block.get("type") if isinstance(block, dict) else None
            if kind == "redacted_thinking" and is_signed(block.get("data")):
                thoughts.append({"type": kind, "data": block["data"]})
            elif kind == "thinking" and is_signed(block.get("signature")):
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
        if (use := read_tool_call(call, self._loss)) is None:
            return []
        name = str(use.name or "")
        self.tool_names[name] = None
        block = {"type": "tool_use", "id": call_id(use.id), "name": name, "input": use.input or {}}
        return [{**block, **cache_marker(use.marker)}]

    def _result(self, fields: Fields) -> Json:
        block: Json = {"type": "tool_result", "tool_use_id": call_id(fields.take("tool_call_id"))}
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
