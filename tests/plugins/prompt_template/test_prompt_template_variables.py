"""Placeholders and typed variables: pure functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from plugins.prompt_template.placeholders import fill, placeholders
from plugins.prompt_template.variables import Variable

# Pieces that a second pass would take for more than text.
_HOSTILE = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(["{{a}}", "{{b}}", "{{", "}}", "{template://t}", "\\1", "\n", "é", "\x00"]),
    ),
    max_size=6,
).map("".join)


@given(a=_HOSTILE, b=_HOSTILE)
def test_values_stand_verbatim_where_their_placeholders_stood(a, b):
    filled = fill("x{{a}}y{{ b }}z{{a}}", {"a": a, "b": b})

    assert filled == f"x{a}y{b}z{a}"


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_placeholders_stays(text):
    assert placeholders(text) == frozenset()
    assert fill(text, {}) == text


def test_placeholders_are_found_with_and_without_spaces():
    assert placeholders('{{a}} {"json": {"b": {{ b_2 }}}}') == {"a", "b_2"}


@pytest.mark.parametrize("text", ["{{", "{{}}", "{{a", "{{a b}}", "{{1}}", "{{{{a}}}}", "{{a}} {{"])
def test_what_opens_no_placeholder_is_an_error(text):
    with pytest.raises(ValueError, match="must open a placeholder"):
        placeholders(text)


@pytest.mark.parametrize(
    ("declared", "value", "text"),
    [
        ({"type": "string"}, "a\n{{b}}", "a\n{{b}}"),
        ({"type": "string", "max_length": 2}, "éé", "éé"),
        ({"type": "integer"}, -7, "-7"),
        ({"type": "integer"}, 10**30, "1" + "0" * 30),
        ({"type": "number"}, 2.5, "2.5"),
        ({"type": "number"}, 3, "3"),
        ({"type": "boolean"}, False, "false"),
        ({"type": "enum", "values": ["x", "y"]}, "y", "y"),
    ],
)
def test_a_value_of_its_type_becomes_text(declared, value, text):
    assert Variable.model_validate(declared).text_of(value) == text


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ({"type": "string"}, 1),
        ({"type": "string"}, None),
        ({"type": "string", "max_length": 2}, "éée"),
        ({"type": "integer"}, True),
        ({"type": "integer"}, 1.0),
        ({"type": "integer"}, "1"),
        ({"type": "number"}, False),
        ({"type": "number"}, "2.5"),
        ({"type": "boolean"}, 1),
        ({"type": "boolean"}, "true"),
        ({"type": "enum", "values": ["x", "y"]}, "z"),
        ({"type": "enum", "values": ["x", "y"]}, ["x"]),
    ],
)
def test_a_value_of_another_type_is_refused(declared, value):
    with pytest.raises(ValueError, match="must be"):
        Variable.model_validate(declared).text_of(value)


@given(st.text(min_size=12))
def test_a_refused_value_is_not_quoted(value):
    with pytest.raises(ValueError, match="at most 1 characters") as caught:
        Variable(type="string", max_length=1).text_of(value)

    assert value not in str(caught.value)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"type": "enum"}, "which needs them"),
        ({"type": "string", "values": ["x"]}, "for an `enum`"),
        ({"type": "integer", "max_length": 3}, "for a `string`"),
        ({"type": "integer", "default": "3"}, "the default must be a JSON integer"),
        ({"type": "string", "default": True}, "the default must be a JSON string"),
        ({"type": "enum", "values": ["x"], "default": "y"}, "the default must be one of: x"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_an_error(declared, message):
    with pytest.raises(ValidationError, match=message):
        Variable.model_validate(declared)
