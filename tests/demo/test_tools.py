"""The demo's tool calls: when it makes one, of which tool, with which arguments."""

from __future__ import annotations

import jsonschema
import pytest

from pipeline.demo.answers import Question
from pipeline.demo.tools import arguments, wanted_call

_SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1},
        "where": {
            "type": "object",
            "properties": {"exact": {"type": "boolean"}, "note": {"type": "string"}},
            "required": ["exact"],
        },
        "tags": {"type": "array", "items": {"type": "string"}},
        "limit": {"anyOf": [{"type": "number"}, {"type": "null"}]},
        "until": {"type": ["null", "string"]},
        "unasked": {"type": "string"},
    },
    "required": ["city", "unit", "days", "where", "tags", "limit", "until"],
}
_TIME = {"type": "function", "function": {"name": "time"}}
_CHAT = {"type": "function", "function": {"name": "weather", "parameters": _SCHEMA}}
_RESPONSES = {"type": "function", "name": "weather", "parameters": _SCHEMA}
_MESSAGES = {"name": "weather", "input_schema": _SCHEMA}


def test_arguments_are_what_the_schema_requires_and_no_more():
    made = arguments(_SCHEMA)

    jsonschema.validate(made, _SCHEMA)
    assert list(made) == _SCHEMA["required"]
    assert made["where"] == {"exact": False}


@pytest.mark.parametrize("schema", [None, 7, {}, {"type": "string"}, {"properties": 3}])
def test_a_schema_that_describes_no_object_gives_no_arguments(schema):
    assert arguments(schema) == {}


@pytest.mark.parametrize(
    ("tool", "choice"),
    [
        (_CHAT, {"type": "function", "function": {"name": "weather"}}),
        (_RESPONSES, {"type": "function", "name": "weather"}),
        (_MESSAGES, {"type": "tool", "name": "weather"}),
    ],
)
def test_the_tool_that_is_named_is_called(tool, choice):
    called = wanted_call({"tools": [_TIME, tool], "tool_choice": choice}, Question("hi"))

    assert called == ("weather", arguments(_SCHEMA))


@pytest.mark.parametrize("choice", ["required", {"type": "any"}])
def test_the_first_tool_is_called_when_one_is_required(choice):
    called = wanted_call({"tools": [_TIME, _CHAT], "tool_choice": choice}, Question("hi"))

    assert called == ("time", {})


def test_the_user_can_ask_for_the_tool_until_it_has_answered():
    offer = {"tools": [_CHAT]}

    assert wanted_call(offer, Question("please use the tool")) is not None
    assert wanted_call(offer, Question("please use the tool", tool_result="sunny")) is None
    assert wanted_call(offer | {"tool_choice": "none"}, Question("use the tool")) is None
    assert wanted_call(offer | {"tool_choice": "auto"}, Question("hi")) is None
