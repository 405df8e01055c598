"""Canonical tools and tool choice as Converse's."""

from __future__ import annotations

from typing import Any

from pipeline.api import ModelEntry
from plugins.translate.canonical import Fields, Json, Loss
from plugins.translate.upstreams.anthropic_schema import output_schema
from plugins.translate.upstreams.anthropic_tools import allowed
from plugins.translate.upstreams.anthropic_words import as_object
from plugins.translate.upstreams.bedrock_converse_turns import Turns, tool_name
from plugins.translate.upstreams.bedrock_models import Vendor

JSON_TOOL = "json_tool_call"
"""The tool that a model without structured output is made to call for JSON."""

_SPEC = "tools.function"
_GROUNDING: Json = {"systemTool": {"name": "nova_grounding"}}


class ToolChoices:
    """What a call says about tools, for one model.

    Args:
        fields: the call's fields; takes those about tools.
        turns: the conversation: tools that were called must be declared.
        vendor: what the model's vendor takes.
        entry: what is known of the model.
        loss: takes what cannot be carried.
    """

    __slots__ = ("_loss", "_parallel", "_vendor", "choice", "extra", "tools")

    def __init__(
        self, fields: Fields, turns: Turns, vendor: Vendor, entry: ModelEntry | None, loss: Loss
    ) -> None:
        self._loss = loss
        self._vendor = vendor
        asked = fields.take("tool_choice")
        self._parallel = fields.take("parallel_tool_calls")
        self.tools: list[Json] = []
        self.choice: Json = {}
        self.extra: Json = {}
        """Claude's own `tool_choice`, for what Converse has no word for."""
        given = allowed(fields.take("tools"), asked)
        if asked != "none" or turns.tool_names:
            self.tools = _tools(given, turns, vendor, entry, loss)
        if not self.tools:
            self.tools = [_declared(name) for name in turns.tool_names]
            asked = "none"
        if self.tools:
            self._choose(asked)

    @property
    def forces(self) -> bool:
        """Whether the model must call a tool."""
        return bool(self.choice.keys() & {"any", "tool"}) or self.extra.get("type") in (
            "any",
            "tool",
        )

    def force_json(self, schema: Any) -> None:
        """Make the model call the tool whose input is the answer."""
        spec = {"name": JSON_TOOL, "inputSchema": {"json": _typed(schema)}}
        spec["description"] = "Give the answer as this tool's input."
        self.tools = [*self.tools, {"toolSpec": spec}]
        self.choice = {"tool": {"name": JSON_TOOL}} if "tool" in self._vendor.choices else {}
        if not self.choice and "any" in self._vendor.choices:
            self.choice = {"any": {}}
        self.extra = {}

    def relax(self) -> None:
        """Leave the choice to the model, which cannot be forced while it thinks."""
        self._loss.add("tool_choice")
        self.choice, self.extra = {}, {}

    def config(self) -> Json | None:
        """Return Converse's `toolConfig`, None without tools."""
        if not self.tools:
            return None
        return {"tools": self.tools, **({"toolChoice": self.choice} if self.choice else {})}

    def _choose(self, asked: Any) -> None:
        kind, name = self._kind(asked)
        is_single = self._parallel is False and kind != "none"
        if self._vendor.name == "anthropic" and (is_single or kind == "none"):
            # Converse refuses a field that is there twice: all of the choice goes here.
            self.extra = {"type": kind, **({"name": name} if name else {})}
            if is_single:
                self.extra["disable_parallel_tool_use"] = True
            return
        if is_single:
            self._loss.add("parallel_tool_calls")
        if kind == "none":
            # The tools stay, for the calls of the past: nothing keeps the model from new ones.
            self._loss.add("tool_choice")
        elif kind == "tool":
            self.choice = {"tool": {"name": name}}
        elif kind == "any" or asked == "auto":
            self.choice = {kind: {}}

    def _kind(self, asked: Any) -> tuple[str, str]:
        name = ""
        if isinstance(asked, dict):
            name = as_object(asked.get("function")).get("name") or ""
            limits = as_object(asked.get("allowed_tools"))
            asked = "named" if name else limits.get("mode")
            if asked is None:
                self._loss.add("tool_choice")
        kinds = {"required": "any", "named": "tool", "none": "none"}
        kind = kinds.get(asked, "auto") if isinstance(asked, str) else "auto"
        taken = self._vendor.choices
        if kind == "tool" and kind not in taken and "any" in taken:
            self._loss.add("tool_choice")
            return "any", ""
        if kind in ("any", "tool") and kind not in taken:
            self._loss.add("tool_choice")
            return "auto", ""
        return kind, tool_name(name) if kind == "tool" else ""


def _tools(
    given: Any, turns: Turns, vendor: Vendor, entry: ModelEntry | None, loss: Loss
) -> list[Json]:
    found: list[Json] = []
    for tool in given or ():
        if not isinstance(tool, dict):
            continue
        kind = tool.get("type", "function")
        if kind == "function":
            outer = Fields(tool, loss, "tools")
            outer.ignore("type")
            marker = outer.take("cache_control")
            found.append({"toolSpec": _function(outer.take("function"), entry, loss)})
            found += turns.cache_point(marker, "tools", "tools.cache_control")
            outer.finish()
        elif kind == "web_search" and vendor.name == "amazon":
            if as_object(tool.get("web_search")):
                loss.add("tools.web_search")
            found.append(_GROUNDING)
        else:
            loss.add(f"tools.{kind}" if kind in ("web_search", "custom") else "tools.type")
    if found:
        declared = {as_object(tool.get("toolSpec")).get("name") for tool in found}
        found += [_declared(name) for name in turns.tool_names if name not in declared]
    return found


def _declared(name: str) -> Json:
    return {"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}}


def _function(function: Any, entry: ModelEntry | None, loss: Loss) -> Json:
    fields = Fields(as_object(function), loss, _SPEC)
    schema = fields.take("parameters", {})
    spec: Json = {"name": tool_name(fields.take("name"))}
    if isinstance(about := fields.take("description"), str) and about.strip():
        spec["description"] = about
    if fields.take("strict") is True:
        if entry is None or entry.json_schema:
            spec["strict"] = True
            schema = output_schema(schema, loss, f"{_SPEC}.parameters")
        else:
            fields.lose("strict")
    spec["inputSchema"] = {"json": _typed(schema)}
    fields.finish()
    return spec


def _typed(schema: Any) -> Json:
    return {"type": "object", **schema} if isinstance(schema, dict) else {"type": "object"}
