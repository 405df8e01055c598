"""Canonical messages as Cohere's.

Cohere's models say what they are about to do in a `tool_plan` beside their calls: canonically that
is the message's content, which is how every other provider has it, and it goes back as a plan.
"""

from __future__ import annotations

from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_words import (
    as_object,
    objects,
    tool_arguments,
)
from plugins.translate.upstreams.cohere_parts import contents, plain, text_of
from plugins.translate.upstreams.turns import PATH, read_tool_call


class Messages:
    """Builds messages one after the other.

    Args:
        loss: takes what cannot be carried.
    """

    __slots__ = ("_loss", "_messages", "_system", "documents")

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._system: list[str] = []
        self._messages: list[Json] = []
        self.documents: list[Json] = []

    def add(self, message: Json) -> None:
        """Take the next message."""
        fields = Fields(message, self._loss, PATH)
        role = fields.take("role")
        if role in ("system", "developer"):
            if text := text_of(self._content(fields)):
                self._system.append(text)
        elif role == "assistant":
            self._messages += self._assistant(fields)
        elif role == "tool":
            self._messages.append(self._result(fields))
        else:
            if role != "user":
                fields.lose("role")
            given = self._content(fields)
            self._messages.append({"role": "user", "content": plain(given) or ""})
        # Cohere has no cache that one could ask for a part of the prompt.
        fields.finish()

    def messages(self) -> list[Json]:
        """Return the messages; the system's is the first, and instructions alone the question."""
        if not self._system:
            return self._messages
        system = "\n\n".join(self._system)
        if not self._messages:
            self._loss.add(f"{PATH}.role")
            return [{"role": "user", "content": system}]
        return [{"role": "system", "content": system}, *self._messages]

    def _content(self, fields: Fields) -> list[Json]:
        return contents(fields.take("content"), self._loss, PATH, self.documents)

    def _assistant(self, fields: Fields) -> list[Json]:
        thoughts = self._thoughts(fields)
        said = self._content(fields)
        said += contents(fields.take("refusal"), self._loss, PATH, self.documents)
        made = [self._call(one) for one in objects(fields.take("tool_calls"))]
        calls = [call for call in made if call is not None]
        fields.ignore("annotations", "citations", "reasoning", "reasoning_details", "name")
        if calls:
            plan = text_of(said)
            message: Json = {"role": "assistant", "tool_calls": calls}
            if plan:
                message["tool_plan"] = plan
            if thoughts:
                message["content"] = thoughts
            return [message]
        if not said and not thoughts:
            return []
        return [{"role": "assistant", "content": [*thoughts, *said] if thoughts else plain(said)}]

    def _thoughts(self, fields: Fields) -> list[Json]:
        blocks, told = fields.take("thinking_blocks"), fields.take("reasoning_content")
        if not isinstance(blocks, list):
            return [{"type": "thinking", "thinking": told}] if isinstance(told, str) else []
        found = []
        for block in blocks:
            block = as_object(block)  # noqa: PLW2901 - whatever it was
            thought = block.get("thinking")
            if block.get("signature") or not isinstance(thought, str):
                # Another model's thoughts; Cohere signs nothing.
                fields.lose("thinking_blocks")
            elif thought:
                found.append({"type": "thinking", "thinking": thought})
        return found

    def _call(self, call: Json) -> Json | None:
        if (use := read_tool_call(call, self._loss)) is None:
            return None
        if use.marker is not None:
            self._loss.add(f"{PATH}.tool_calls.cache_control")
        spelled = use.spelled if isinstance(use.spelled, str) else None
        arguments = spelled if use.input and spelled else tool_arguments(use.input)
        made = {"name": str(use.name or ""), "arguments": arguments}
        return {"id": str(use.id or ""), "type": "function", "function": made}

    def _result(self, fields: Fields) -> Json:
        call_id = str(fields.take("tool_call_id", ""))
        fields.ignore("name")
        given = self._content(fields)
        if any(item["type"] != "text" for item in given):
            fields.lose("content.image_url")
        text = text_of(given)
        if fields.take("is_error") is True:
            document = {"type": "document", "document": {"data": {"error": text}}}
            return {"role": "tool", "tool_call_id": call_id, "content": [document]}
        return {"role": "tool", "tool_call_id": call_id, "content": text}
