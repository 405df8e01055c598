"""Alternating turns out of canonical messages: what the providers that demand them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_words import tool_input

PATH = "messages"
"""Dotted name of the messages, for what is lost of them."""


class TurnBuilder:
    """Collects the content of turns; each provider adds messages in its own words.

    Args:
        loss: takes what cannot be carried.
    """

    __slots__ = ("_loss", "_turns", "system", "tool_names")

    def __init__(self, loss: Loss) -> None:
        self._loss = loss
        self._turns: list[tuple[str, list[Json]]] = []
        self.system: list[Json] = []
        self.tool_names: dict[str, None] = {}

    def _turn(self, role: str) -> list[Json]:
        """Return the content of the role's turn: the last one, or a new one behind another's."""
        if not self._turns or self._turns[-1][0] != role:
            self._turns.append((role, []))
        return self._turns[-1][1]

    def _merged(self) -> list[tuple[str, list[Json]]]:
        """Return the turns that say something; roles alternate, and one is the user's."""
        if not any(content for _, content in self._turns) and self.system:
            # Only turns are answered: instructions alone are the question.
            self._loss.add(f"{PATH}.role")
            self._turn("user").extend(self.system)
            self.system = []
        merged: list[tuple[str, list[Json]]] = []
        for role, content in self._turns:
            if content and merged and merged[-1][0] == role:
                merged[-1][1].extend(content)
            elif content:
                merged.append((role, content))
        return merged

    def _ended(self, merged: list[tuple[str, list[Json]]], go_on: Json, *, prefills: bool) -> None:
        """End the turns with the user's, for a model that does not go on from its own."""
        if merged and merged[-1][0] == "assistant" and not prefills:
            self._loss.add(f"{PATH}.role")
            merged.append(("user", [go_on]))

    def _last_calls(self) -> tuple[list[Json], list[Json]] | None:
        """Return what the model said last and what the user answered; None where he has not."""
        if not self._turns or self._turns[-1][0] != "user":
            return None
        said = next((c for role, c in reversed(self._turns) if role == "assistant" and c), [])
        return said, self._turns[-1][1]


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call of a tool in an earlier turn.

    Args:
        id: as the call has it.
        name: of the tool.
        input: its arguments; None where they spell no object.
        spelled: the arguments as the call has them.
        marker: its `cache_control`, where it was asked for.
    """

    id: Any
    name: Any
    input: Json | None
    spelled: Any
    marker: Any


def read_tool_call(call: Json, loss: Loss, *says_nothing: str) -> ToolUse | None:
    """Return a canonical tool call; None for one of a kind that is no function.

    Args:
        call: the call.
        loss: takes what is not read of it.
        says_nothing: fields that say nothing to the provider. A `cache_control` that is none of
            them is returned.
    """
    fields = Fields(call, loss, f"{PATH}.tool_calls")
    function = fields.take("function")
    if not isinstance(function, dict):
        fields.lose("type")
        return None
    call_id = fields.take("id")
    fields.ignore("type", "index", *says_nothing)
    marker = fields.take("cache_control")
    fields.finish()
    parts = Fields(function, loss, f"{PATH}.tool_calls.function")
    name, spelled = parts.take("name"), parts.take("arguments")
    given = tool_input(spelled)
    if given is None:
        parts.lose("arguments")
    parts.finish()
    return ToolUse(call_id, name, given, spelled, marker)
