"""Canonical messages as Gemini's system instruction and contents."""

from __future__ import annotations

from typing import Any

from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_words import as_object
from plugins.translate.upstreams.gemini_parts import parts
from plugins.translate.upstreams.gemini_signatures import (
    NOT_SIGNED,
    block_signature,
    block_text,
    extra_signature,
    unpacked,
)
from plugins.translate.upstreams.turns import PATH, read_tool_call

_MEDIA = ("inlineData", "fileData")


class Contents:
    """Builds contents out of messages, one after the other.

    Args:
        loss: takes what cannot be carried.
        is_signed: whether the model wants a signature on what it called (Gemini 3 and later); such
            a model takes images within a function's response too.
    """

    __slots__ = ("_contents", "_is_signed", "_loss", "_names", "system")

    def __init__(self, loss: Loss, *, is_signed: bool) -> None:
        self._loss = loss
        self._is_signed = is_signed
        self._contents: list[tuple[str, str, list[Json]]] = []  # role, kind, parts
        self._names: dict[str, str] = {}  # of functions, by the id of the call
        self.system: list[Json] = []

    def add(self, message: Json) -> None:
        """Take the next message."""
        fields = Fields(message, self._loss, PATH)
        role = fields.take("role")
        fields.ignore("cache_control")
        if role in ("system", "developer"):
            self.system += parts(fields.take("content"), self._loss, PATH)
        elif role == "assistant":
            self._content("model", "said").extend(self._assistant(fields))
        elif role == "tool":
            self._content("user", "results").extend(self._result(fields))
        else:
            if role != "user":
                fields.lose("role")
            given = parts(fields.take("content"), self._loss, PATH)
            self._content("user", "asked").extend(given)
        fields.finish()

    def contents(self) -> list[Json]:
        """Return the contents; instructions alone are the question."""
        if not any(found for _, _, found in self._contents) and self.system:
            self._loss.add(f"{PATH}.role")
            self._content("user", "asked").extend(self.system)
            self.system = []
        result = []
        for role, _, found in self._contents:
            if found:
                if role == "model" and self._is_signed:
                    _sign_first_call(found)
                result.append({"role": role, "parts": found})
        return result

    def _content(self, role: str, kind: str) -> list[Json]:
        # What was called in one turn must be answered in one.
        if not self._contents or self._contents[-1][:2] != (role, kind):
            self._contents.append((role, kind, []))
        return self._contents[-1][2]

    def _assistant(self, fields: Fields) -> list[Json]:
        found, signatures = self._thoughts(fields)
        said = list(parts(fields.take("content"), self._loss, PATH))
        said += parts(fields.take("refusal"), self._loss, PATH)
        if signature := signatures.get("text"):
            if not said or "text" not in said[-1]:
                said.append({"text": ""})
            said[-1]["thoughtSignature"] = signature
        found += said
        calls = fields.take("tool_calls")
        for number, call in enumerate(calls if isinstance(calls, list) else ()):
            if isinstance(call, dict):
                signature = signatures.get(f"call{number}") or extra_signature(call)
                found += self._call(call, signature)
        fields.ignore("annotations", "citations", "reasoning", "reasoning_details")
        return found

    def _thoughts(self, fields: Fields) -> tuple[list[Json], dict[str, str]]:
        """Return the thoughts as parts, and the signatures by the place that they belong to."""
        found: list[Json] = []
        signatures: dict[str, str] = {}
        blocks, told = fields.take("thinking_blocks"), fields.take("reasoning_content")
        if not isinstance(blocks, list):
            return ([{"text": told, "thought": True}] if isinstance(told, str) else []), {}
        for block in blocks:
            packed = block_signature(as_object(block))
            own = unpacked(packed)
            if packed and own is None:
                # Another model's thoughts: Gemini takes back only what it has signed.
                fields.lose("thinking_blocks")
                continue
            part: Json = {"text": block_text(as_object(block)), "thought": True}
            if own is not None and own[0] == "thought":
                part["thoughtSignature"] = own[1]
            elif own is not None:
                signatures[own[0]] = own[1]
            if part["text"] or "thoughtSignature" in part:
                found.append(part)
        return found, signatures

    def _call(self, call: Json, signature: str) -> list[Json]:
        use = read_tool_call(call, self._loss, "extra_content", "cache_control")
        if use is None:
            return []
        call_id, name = str(use.id or ""), str(use.name or "")
        self._names[call_id] = name
        made: Json = {"name": name, "args": use.input or {}}
        if call_id:
            made["id"] = call_id
        signed = {"thoughtSignature": signature} if signature else {}
        return [{"functionCall": made, **signed}]

    def _result(self, fields: Fields) -> list[Json]:
        call_id = str(fields.take("tool_call_id", ""))
        named = fields.take("name")
        given = list(parts(fields.take("content"), self._loss, PATH))
        texts = [part["text"] for part in given if "text" in part]
        media: list[Json] = [part for part in given if any(kind in part for kind in _MEDIA)]
        kind = "error" if fields.take("is_error") is True else "output"
        made: Json = {
            "name": self._names.get(call_id) or str(named or call_id),
            "response": {kind: "\n".join(texts)},
        }
        if call_id:
            made["id"] = call_id
        if media and self._is_signed:
            made["parts"] = media
            return [{"functionResponse": made}]
        return [{"functionResponse": made}, *media]


def _sign_first_call(found: list[Json]) -> None:
    first = next((part for part in found if "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", NOT_SIGNED)


def name_of(tool: Any) -> str:
    """Return the name of a canonical tool's function, empty where it has none."""
    name = as_object(as_object(tool).get("function")).get("name")
    return name if isinstance(name, str) else ""
