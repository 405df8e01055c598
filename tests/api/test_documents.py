"""Edits: what changes a value is an edit, even where Python calls the two values equal."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api import Answer, Call
from pipeline.api.documents import is_same
from pipeline.dialects import strict_json
from pipeline.dialects.anthropic_messages import AnthropicMessages
from pipeline.dialects.openai_chat import OpenAIChat

JSON = st.recursive(
    st.none() | st.booleans() | st.sampled_from([0, 1, 0.0, 1.0]) | st.sampled_from(["", "a"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=6,
)
EQUAL = [(0, False), (1, True), (1, 1.0), ({"strict": 1}, {"strict": True}), ([[0]], [[0.0]])]


@given(JSON, JSON)
def test_two_values_are_the_same_when_they_are_written_the_same(one, other):
    assert is_same(one, other) == (written(one) == written(other))


@pytest.mark.parametrize(("sent", "wanted"), [*EQUAL, *((b, a) for a, b in EQUAL)])
def test_a_parameter_is_set_to_a_value_that_python_calls_equal(sent, wanted):
    document = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "store": sent}
    call = Call(OpenAIChat(), document, b"raw")

    assert (
        b'"store":' + strict_json.dumps(wanted)
        in call.replace(set_params={"store": wanted}).encode()
    )
    assert call.replace(set_params={"store": sent}) is call


def test_a_call_that_says_1_for_its_stream_can_be_made_to_stream():
    call = Call(OpenAIChat(), {"model": "m", "messages": [], "stream": 1}, b"raw")

    assert call.replace(stream=True).stream


def test_a_tools_argument_is_rewritten_to_one_that_python_calls_equal():
    block = {"type": "tool_use", "id": "t", "name": "n", "input": {"force": 1}}
    answer = Answer(AnthropicMessages(), {"content": [block]}, b"raw")
    [segment] = answer.segments

    rewritten = answer.replace(segments=[replace(segment, text='{"force":true}')])

    assert rewritten.segments[0].text == '{"force":true}'
    assert answer.replace(segments=[replace(segment, text='{ "force": 1 }')]) is answer


def written(value):
    if isinstance(value, dict):
        return {key: written(value[key]) for key in sorted(value)}.__repr__()
    if isinstance(value, list):
        return [written(inner) for inner in value].__repr__()
    return repr(value)
