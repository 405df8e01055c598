"""Calls and answers of any shape on Bedrock: refused or survived, never a crash."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api import InvalidCall
from plugins.translate.call_types import check_types
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.formats import Fault
from plugins.translate.upstreams.bedrock_converse import BedrockUpstream
from plugins.translate.upstreams.bedrock_converse_request import BedrockOptions

UPSTREAM = BedrockUpstream(BedrockOptions())
MODELS = ["anthropic.c", "amazon.nova", "meta.l", "openai.gpt-oss", "deepseek.v3", "qwen.q", "x"]
ASKED = [
    "messages",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "guided_json",
    "reasoning",
    "stop",
    "temperature",
    "top_p",
    "top_k",
    "max_completion_tokens",
    "service_tier",
    "metadata",
    "user",
    "n",
    "seed",
    "modalities",
]
IN_CALLS = [
    "type",
    "function",
    "name",
    "text",
    "role",
    "content",
    "tool_calls",
    "thinking_blocks",
    "effort",
    "budget_tokens",
    "json_schema",
    "schema",
    "url",
    "image_url",
    "file",
    "file_data",
    "cache_control",
    "arguments",
    "id",
    "allowed_tools",
    "mode",
    "tools",
    "parameters",
    "strict",
    "data",
    "signature",
    "input_audio",
    "filename",
    "is_error",
    "tool_call_id",
    "refusal",
]
IN_ANSWERS = [
    "output",
    "message",
    "content",
    "text",
    "toolUse",
    "name",
    "input",
    "toolUseId",
    "reasoningContent",
    "reasoningText",
    "signature",
    "redactedContent",
    "citationsContent",
    "citations",
    "citation",
    "location",
    "web",
    "url",
    "sourceContent",
    "documentPage",
    "stopReason",
    "usage",
    "inputTokens",
    "serviceTier",
    "type",
    "delta",
    "start",
    "contentBlockIndex",
    "additionalModelResponseFields",
]
EVENTS = [
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
]
WORDS = ["auto", "none", "function", "text", "json_schema", "image_url", "thinking", "user", "tool"]


def json_with(keys):
    """Draw JSON whose objects have keys that mean something."""
    leaves = st.one_of(
        st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=4), st.sampled_from(WORDS)
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(keys), inner, max_size=4),
        ),
        max_leaves=10,
    )


ANSWERS = st.dictionaries(st.sampled_from(IN_ANSWERS), json_with(IN_ANSWERS), max_size=4)


@given(
    st.dictionaries(st.sampled_from(ASKED), json_with(IN_CALLS), max_size=4),
    st.sampled_from(MODELS),
)
def test_any_call_is_carried_or_refused(document, model):
    asked = {"messages": [{"role": "user", "content": "hi"}], **document}

    with contextlib.suppress(InvalidCall):
        check_types(asked)
        json.dumps(UPSTREAM.request(CanonicalCall("chat", asked, model), Loss()).document)


@given(ANSWERS)
def test_any_answer_is_read_or_a_value_error(document):
    with contextlib.suppress(ValueError):
        answer = UPSTREAM.answer(document, CanonicalCall("chat", {}, "m"))
        assert answer["choices"][0]["finish_reason"]


@given(st.lists(st.tuples(st.sampled_from(EVENTS), ANSWERS), max_size=6))
def test_any_events_are_read(events):
    decoder = UPSTREAM.decoder(CanonicalCall("chat", {}, "m"))
    for name, document in events:
        decoder.event(name, json.dumps(document))

    ended = any(name == "messageStop" for name, _ in events)
    assert any(isinstance(one, Fault) for one in decoder.end()) is not ended


@pytest.mark.parametrize(
    ("field", "value"),
    [("temperature", "high"), ("tools", {}), ("n", True), ("stop", 1), ("messages", "hi")],
)
def test_a_field_of_the_wrong_type_is_named(field, value):
    asked = {"messages": [{"role": "user", "content": "hi"}], field: value}

    with pytest.raises(InvalidCall) as raised:
        check_types(asked)
    assert (raised.value.code, raised.value.param) == ("invalid_value", field)
