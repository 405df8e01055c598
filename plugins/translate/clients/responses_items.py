"""The input of Responses, a list of items, as canonical messages."""

from __future__ import annotations

from typing import Any

from pipeline.api import InvalidCall
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.clients.responses_parts import cache_marker, content, lose_kind
from plugins.translate.clients.responses_thoughts import thinking_block
from plugins.translate.upstreams.anthropic_words import as_object

_PATH = "input"
_CALLS = {"function_call": ("function", "arguments"), "custom_tool_call": ("custom", "input")}
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})


def messages(given: Any, loss: Loss) -> list[Json]:
    """Return the canonical messages for an input.

    Raises:
        InvalidCall: it refers to an item that only OpenAI has.
    """
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    conversation = Conversation(loss)
    for item in given if isinstance(given, list) else ():
        if isinstance(item, dict):
            conversation.add(item)
    return conversation.messages()


class Conversation:
    """Puts items together to messages: what a model said in one turn is one message.

    Results of tools stand right behind the message with their calls, wherever the items have them:
    most providers take them nowhere else.

    Args:
        loss: takes what cannot be carried.
    """

    __slots__ = ("_loss", "_results_of", "_turns")

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._turns: list[tuple[Json, list[Json]]] = []  # a message, the results of its calls
        self._results_of: dict[Any, list[Json]] = {}  # by call id

    def add(self, item: Json) -> None:
        """Take the next item."""
        fields = Fields(item, self._loss, _PATH)
        kind = fields.take("type") or ("message" if "role" in item else "item_reference")
        fields.ignore("id", "status")
        if kind == "message":
            self._message(fields)
        elif kind == "reasoning":
            block = thinking_block(item)
            self._turn("content", "refusal").setdefault("thinking_blocks", []).append(block)
            return
        elif kind in _CALLS:
            self._call(*_CALLS[kind], fields)
        elif kind in _OUTPUTS:
            self._result(fields)
        elif kind == "item_reference":
            message = "the input refers to an item by id, which only the provider that made it has"
            raise InvalidCall(message, code="unsupported_by_backend", param=_PATH)
        else:
            lose_kind(kind, self._loss, _PATH)
            return
        fields.finish()

    def messages(self) -> list[Json]:
        """Return the messages."""
        found: list[Json] = []
        for message, results in self._turns:
            if message.keys() == {"role", "thinking_blocks"}:
                if found and found[-1]["role"] == "assistant":  # signatures that came late
                    found[-1].setdefault("thinking_blocks", []).extend(message["thinking_blocks"])
                else:
                    self._loss.add(f"{_PATH}.reasoning")  # the answer that it led to is not there
                continue
            if message["role"] == "assistant":
                message.setdefault("content", None)
            found += [message, *results]
        return found

    def _message(self, fields: Fields) -> None:
        role, given = fields.take("role", "user"), fields.take("content", "")
        marker = cache_marker(fields)
        if role != "assistant":
            said = content(given, self._loss, f"{_PATH}.content")
            self._turns.append(({"role": role, "content": said, **marker}, []))
            return
        refusals, said = _refusals(given)
        message = self._turn("content", "refusal")
        message.update(marker)
        if said := content(said, self._loss, f"{_PATH}.content"):
            before = message.get("content")
            message["content"] = said if before is None else _joined(before, said)
        if refusals:
            message["refusal"] = message.get("refusal", "") + refusals
        if not said and not refusals:
            message.setdefault("content", "")

    def _call(self, kind: str, text: str, fields: Fields) -> None:
        call_id = fields.take("call_id", "")
        called = {"name": fields.take("name", ""), text: fields.take(text, "")}
        fields.ignore("caller")
        message = self._turn()
        call = {"id": call_id, "type": kind, kind: called, **cache_marker(fields)}
        message.setdefault("tool_calls", []).append(call)
        self._results_of[call_id] = self._turns[-1][1]

    def _result(self, fields: Fields) -> None:
        call_id = fields.take("call_id", "")
        said = content(fields.take("output", ""), self._loss, f"{_PATH}.output")
        fields.ignore("caller", "name", "namespace")
        result = {"role": "tool", "tool_call_id": call_id, "content": said, **cache_marker(fields)}
        results = self._results_of.get(call_id)
        if results is None:
            self._turns.append((result, []))
        else:
            results.append(result)

    def _turn(self, *unless: str) -> Json:
        """Return the model's message that an item belongs to.

        It is a new one behind another's turn, and where it has one of the fields already that the
        item must stand before; but calls that wait for their results stay together.
        """
        if self._turns:
            message, results = self._turns[-1]
            if message["role"] == "assistant" and not results:
                waits = "tool_calls" in message
                if waits or not any(name in message for name in unless):
                    return message
        message = {"role": "assistant"}
        self._turns.append((message, []))
        return message


def _refusals(given: Any) -> tuple[str, Any]:
    """Split an answer's refusals, which have a field of their own, from its other parts."""
    if not isinstance(given, list):
        return "", given
    refused = [part for part in given if as_object(part).get("type") == "refusal"]
    said = [part for part in given if as_object(part).get("type") != "refusal"]
    return "".join(str(part.get("refusal") or "") for part in refused), said


def _joined(before: Any, after: Any) -> list[Json]:
    return [
        part
        for one in (before, after)
        for part in ([{"type": "text", "text": one}] if isinstance(one, str) else one)
    ]
