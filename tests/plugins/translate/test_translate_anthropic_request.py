"""Canonical calls as Anthropic requests, each held against Anthropic's own types and rules."""

from __future__ import annotations

import pytest

from pipeline.api import InvalidCall, ModelEntry
from pipeline.api.catalog import Reasoning
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.upstreams import anthropic_request
from plugins.translate.upstreams.anthropic import AnthropicOptions, AnthropicUpstream
from tests.support.canonical_calls import CACHED, HI, PDF, PNG, WEATHER, called, results
from tests.support.providers.anthropic_rules import check

CALLED = called(None, "weather", "weather")
RESULTS = results("no such city")


def entry(**given):
    return ModelEntry(name="claude-test", vendor="anthropic", match=(), **given)


BUDGET = entry(max_output_tokens=64000, reasoning=Reasoning(budget=True))
ADAPTIVE = entry(
    max_output_tokens=64000,
    sampling=False,
    reasoning=Reasoning(efforts=("none", "low", "medium", "high", "max"), adaptive=True),
)
UNASKED = entry(
    max_output_tokens=64000,
    sampling=False,
    prefill=False,
    reasoning=Reasoning(efforts=("low", "high"), adaptive=True, unasked=True),
)
ALWAYS = entry(reasoning=Reasoning(efforts=("low", "high"), adaptive=True, always=True))
LEVELS = entry(reasoning=Reasoning(efforts=("low", "high")))
OLD = entry(max_output_tokens=8192, json_schema=False)
MODELS = {"budget": BUDGET, "adaptive": ADAPTIVE, "unasked": UNASKED}


@pytest.fixture
def request_of(monkeypatch):
    """Translate a document for a model; what comes out must be valid."""

    def translate(document, *, model=None, operation="chat", stream=False, is_odd=False):
        monkeypatch.setattr(anthropic_request, "find_model", lambda _: model)
        loss = Loss()
        call = CanonicalCall(operation, {"messages": HI, **document}, "claude-test", stream)
        outgoing = AnthropicUpstream(AnthropicOptions()).request(call, loss)
        if not is_odd:
            check(outgoing.document, counts=operation == "count_tokens")
        return outgoing, list(loss.names)

    return translate


def body_of(result):
    return result[0].document


# --- the envelope
def test_a_call_goes_to_messages_with_a_version(request_of):
    outgoing, lost = request_of({"model": "x", "stream_options": {"include_usage": True}})

    assert (outgoing.path, outgoing.method) == ("/messages", "POST")
    assert outgoing.headers == {"anthropic-version": "2023-06-01"}
    assert outgoing.document == {"model": "claude-test", "max_tokens": 4096, "messages": HI}
    assert lost == []


def test_beta_features_of_the_backend_are_asked_for():
    options = AnthropicOptions(anthropic_beta=("context-1m", "other"))
    call = CanonicalCall("chat", {"messages": HI}, "claude-test")

    headers = AnthropicUpstream(options).request(call, Loss()).headers

    assert headers["anthropic-beta"] == "context-1m,other"


def test_a_stream_is_asked_for(request_of):
    assert body_of(request_of({}, stream=True))["stream"] is True


@pytest.mark.parametrize(
    ("asked", "model", "sent", "lost"),
    [
        ({}, None, 4096, []),
        ({}, BUDGET, 64000, []),
        ({"max_completion_tokens": 7}, BUDGET, 7, []),
        ({"max_completion_tokens": 99999}, BUDGET, 64000, ["max_completion_tokens"]),
        ({"max_completion_tokens": 99999}, None, 99999, []),
    ],
)
def test_the_limit_is_the_clients_else_the_models(request_of, asked, model, sent, lost):
    result = request_of(asked, model=model)

    assert body_of(result)["max_tokens"] == sent
    assert result[1] == lost


def test_what_anthropic_has_no_place_for_is_reported(request_of):
    result = request_of(
        {
            "n": 2,
            "seed": 1,
            "logprobs": True,
            "top_logprobs": 3,
            "frequency_penalty": 0.5,
            "presence_penalty": -1,
            "logit_bias": {"1": 2},
            "metadata": {"a": "b"},
            "store": True,
            "some_vendor_field": 1,
        }
    )

    assert body_of(result).keys() == {"model", "max_tokens", "messages"}
    assert set(result[1]) == {
        "n",
        "seed",
        "logprobs",
        "top_logprobs",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "metadata",
        "store",
        "some_vendor_field",
    }


def test_values_that_ask_for_nothing_are_no_loss(request_of):
    neutral = {"n": 1, "logprobs": False, "frequency_penalty": 0, "store": False, "seed": None}

    assert request_of(neutral)[1] == []


def test_stop_user_and_tier_have_names_of_their_own(request_of):
    result = request_of(
        {"stop": ["END", "\n"], "user": "u", "safety_identifier": "s", "service_tier": "default"}
    )

    body = body_of(result)
    assert body["stop_sequences"] == ["END"]
    assert body["metadata"] == {"user_id": "s"}
    assert body["service_tier"] == "standard_only"
    assert set(result[1]) == {"stop", "user"}


@pytest.mark.parametrize(
    ("asked", "model", "sent", "lost"),
    [
        ({"temperature": 0.3, "top_k": 5}, None, {"temperature": 0.3, "top_k": 5}, []),
        ({"temperature": 1.7}, None, {"temperature": 1}, ["temperature"]),
        ({"top_p": 0.5}, None, {"top_p": 0.5}, []),
        ({"temperature": 0, "top_p": 0.5}, None, {"temperature": 0}, ["top_p"]),
        ({"temperature": 0, "top_p": 1}, None, {"temperature": 0}, []),
        ({"top_p": 0.5, "reasoning": {"effort": "low"}}, BUDGET, {}, ["top_p"]),
        ({"temperature": 0, "top_k": 1}, ADAPTIVE, {}, ["temperature", "top_k"]),
        ({"temperature": 1, "top_p": 1}, ADAPTIVE, {}, []),
    ],
)
def test_sampling_goes_as_far_as_the_model_takes_it(request_of, asked, model, sent, lost):
    result = request_of(asked, model=model)

    given = {k: v for k, v in body_of(result).items() if k in ("temperature", "top_p", "top_k")}
    assert given == sent
    assert result[1] == lost


# --- messages
def test_system_and_developer_messages_become_the_system_prompt(request_of):
    marked = {"type": "text", "text": "Two.", "cache_control": CACHED}
    messages = [
        {"role": "system", "content": "One."},
        {"role": "developer", "content": [marked]},
        *HI,
        {"role": "system", "content": "Three."},
    ]

    body = body_of(request_of({"messages": messages}))

    assert [block["text"] for block in body["system"]] == ["One.", "Two.", "Three."]
    assert body["system"][1]["cache_control"] == CACHED
    assert body["messages"] == HI


def test_instructions_alone_are_the_question(request_of):
    result = request_of({"messages": [{"role": "system", "content": "Say hi."}]})

    assert body_of(result)["messages"] == [{"role": "user", "content": "Say hi."}]
    assert result[1] == ["messages.role"]


def test_turns_alternate_and_begin_with_the_user(request_of):
    messages = [
        {"role": "assistant", "content": "Welcome."},
        {"role": "user", "content": "One."},
        {"role": "user", "content": [{"type": "text", "text": "Two."}]},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "Three."},
        {"role": "assistant", "content": "It is "},
    ]

    sent = body_of(request_of({"messages": messages}))["messages"]

    assert [turn["role"] for turn in sent] == ["user", "assistant", "user", "assistant"]
    assert [block["text"] for block in sent[2]["content"]] == ["One.", "Two.", "Three."]
    assert sent[3]["content"] == "It is"


def test_a_prefilled_answer_of_several_blocks_ends_without_white_space(request_of):
    marked = {"type": "text", "text": "One.", "cache_control": {"type": "ephemeral"}}
    said = {"role": "assistant", "content": [marked, {"type": "text", "text": "It is "}]}

    sent = body_of(request_of({"messages": [*HI, said]}))["messages"]

    assert sent[1]["content"][1]["text"] == "It is"


def test_a_message_may_carry_the_cache_marker(request_of):
    messages = [{"role": "user", "content": "hi", "cache_control": {"type": "ephemeral"}}]

    block = body_of(request_of({"messages": messages}))["messages"][0]["content"][0]

    assert block["cache_control"] == {"type": "ephemeral"}


def test_tool_results_share_a_turn_with_what_the_user_says_next(request_of):
    messages = [*HI, CALLED, *RESULTS, {"role": "user", "content": "And?"}]

    sent = body_of(request_of({"messages": messages, "tools": [WEATHER]}))["messages"]

    assert sent[1]["content"] == [
        {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": 1}},
        {"type": "tool_use", "id": "b", "name": "weather", "input": {}},
    ]
    assert sent[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "sun"},
        {"type": "tool_result", "tool_use_id": "b", "content": "no such city", "is_error": True},
        {"type": "text", "text": "And?"},
    ]


def test_a_tool_result_may_hold_an_image_or_nothing(request_of):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    results = [
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "see"}, image]},
        {"role": "tool", "tool_call_id": "b", "content": ""},
    ]

    turn = body_of(request_of({"messages": [*HI, CALLED, *results], "tools": [WEATHER]}))
    seen, empty = turn["messages"][2]["content"]

    assert [block["type"] for block in seen["content"]] == ["text", "image"]
    assert "content" not in empty


def test_calls_of_the_past_declare_their_tools(request_of):
    body = body_of(request_of({"messages": [*HI, CALLED, *RESULTS]}))

    assert [tool["name"] for tool in body["tools"]] == ["weather"]
    assert body["tool_choice"] == {"type": "none"}


def test_ids_of_other_providers_are_made_fit(request_of):
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        *HI,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "functions.f:0", "content": "x"},
    ]

    sent = body_of(request_of({"messages": messages}))["messages"]

    assert sent[1]["content"][0]["id"] == sent[2]["content"][0]["tool_use_id"] == "functions_f_0"


@pytest.mark.parametrize("arguments", ['{"x": 1', '{"x": NaN}', "[1]", 5])
def test_arguments_that_are_no_object_are_reported(request_of, arguments):
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}
    messages = [*HI, {"role": "assistant", "tool_calls": [call]}, RESULTS[0]]

    result = request_of({"messages": messages})

    assert body_of(result)["messages"][1]["content"][0]["input"] == {}
    assert result[1] == ["messages.tool_calls.function.arguments"]


def test_thoughts_are_replayed_in_order_and_others_left_out(request_of):
    message = {
        "role": "assistant",
        "content": "Done.",
        "reasoning_content": "Hm.",
        "refusal": None,
        "annotations": [{"type": "url_citation"}],
        "thinking_blocks": [
            {"type": "thinking", "thinking": "Hm.", "signature": "sig-1"},
            {"type": "redacted_thinking", "data": "xyz"},
            {"type": "thinking", "thinking": "Unsigned.", "signature": ""},
        ],
    }

    result = request_of({"messages": [*HI, message, *HI]})

    assert body_of(result)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig-1"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "Done."},
    ]
    assert result[1] == ["messages.thinking_blocks"]


def test_thoughts_of_models_that_do_not_sign_are_reported(request_of):
    message = {"role": "assistant", "content": "Done.", "reasoning_content": "Hm."}

    assert request_of({"messages": [*HI, message, *HI]})[1] == ["messages.reasoning_content"]


# --- content
@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PNG},
            },
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        ),
        (
            {
                "type": "file",
                "file": {
                    "filename": "a.pdf",
                    "file_data": f"data:application/pdf;base64,{PDF}",
                    "context": "Old.",
                    "citations": {"enabled": True},
                },
                "cache_control": CACHED,
            },
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "a.pdf",
                "context": "Old.",
                "citations": {"enabled": True},
                "cache_control": CACHED,
            },
        ),
        (
            {"type": "file", "file": {"file_data": PDF, "filename": "bare.pdf", "title": "T"}},
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                "title": "T",
            },
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/csv,a%2Cb"}},
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "a,b"},
            },
        ),
        (
            {"type": "file", "file": {"file_data": f"data:image/png;base64,{PNG}"}},
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": PNG},
            },
        ),
        (
            {"type": "file", "file": {"file_url": "https://example.com/a.pdf"}},
            {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        ),
        (
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}},
        ),
    ],
)
def test_images_and_files_become_blocks(request_of, part, block):
    result = request_of({"messages": [{"role": "user", "content": [part]}]})

    assert body_of(result)["messages"][0]["content"] == [block]
    assert result[1] == []


def test_an_images_detail_is_reported(request_of):
    image = {"url": "https://example.com/a.png", "detail": "low"}
    messages = [{"role": "user", "content": [{"type": "image_url", "image_url": image}]}]

    assert request_of({"messages": messages})[1] == ["messages.content.image_url.detail"]


@pytest.mark.parametrize(
    ("part", "code", "param"),
    [
        (
            {"type": "input_audio", "input_audio": {"data": "x", "format": "wav"}},
            "unsupported_by_backend",
            "messages.content.input_audio",
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}},
            "unsupported_by_backend",
            "messages.content.image_url.url",
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/zip;base64,AA=="}},
            "unsupported_by_backend",
            "messages.content.file.file_data",
        ),
        (
            {"type": "file", "file": {"file_data": "data:text/plain;base64,/w=="}},
            "invalid_value",
            "messages.content.file.file_data",
        ),
        ({"type": "file", "file": {}}, "invalid_value", "messages.content.file"),
        ({"type": "image_url"}, "invalid_value", "messages.content.image_url.url"),
        (
            {"type": "image_url", "image_url": "data:image/png"},
            "invalid_value",
            "messages.content.image_url.url",
        ),
        ({"type": "hologram"}, "unsupported_by_backend", "messages.content.type"),
    ],
)
def test_content_that_cannot_be_carried_is_refused(request_of, part, code, param):
    with pytest.raises(InvalidCall) as refused:
        request_of({"messages": [{"role": "user", "content": [part]}]})

    assert (refused.value.code, refused.value.param) == (code, param)


# --- tools
def test_tools_keep_description_strictness_and_marker(request_of):
    strict = {"type": "object", "properties": {}, "additionalProperties": False}
    tools = [
        {**WEATHER, "cache_control": CACHED},
        {"type": "function", "function": {"name": "bare"}},
        {"type": "function", "function": {"name": "s", "strict": True, "parameters": strict}},
    ]

    sent = body_of(request_of({"tools": tools}))["tools"]

    assert sent[0] == {
        "name": "weather",
        "description": "The weather.",
        "input_schema": WEATHER["function"]["parameters"],
        "cache_control": CACHED,
    }
    assert sent[1] == {"name": "bare", "input_schema": {"type": "object"}}
    assert sent[2]["strict"] is True


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "weather"}}},
            {"type": "tool", "name": "weather"},
        ),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_the_choice_of_a_tool_is_carried(request_of, asked, sent):
    result = request_of({"tools": [WEATHER], **asked})

    assert body_of(result).get("tool_choice") == sent
    assert result[1] == []


def test_a_model_without_schemas_takes_no_strict_tool(request_of):
    tool = {"type": "function", "function": {"name": "f", "strict": True}}

    result = request_of({"tools": [tool]}, model=OLD)

    assert body_of(result)["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert result[1] == ["tools.function.strict"]


def test_web_search_may_leave_domains_out(request_of):
    tool = {"type": "web_search", "web_search": {"blocked_domains": ["b.com"]}}

    result = request_of({"tools": [tool]})

    assert body_of(result)["tools"][0]["blocked_domains"] == ["b.com"]
    assert result[1] == []


def test_allowed_tools_leave_the_others_out(request_of):
    other = {"type": "function", "function": {"name": "other"}}
    limits = {"mode": "required", "tools": [{"type": "function", "function": {"name": "other"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": limits}

    body = body_of(request_of({"tools": [WEATHER, other], "tool_choice": choice}))

    assert [tool["name"] for tool in body["tools"]] == ["other"]
    assert body["tool_choice"] == {"type": "any"}


def test_a_choice_without_tools_is_left_out(request_of):
    assert "tool_choice" not in body_of(request_of({"tool_choice": "auto"}))


def test_web_search_is_anthropics_own_tool(request_of):
    search = {
        "allowed_domains": ["a.com"],
        "blocked_domains": ["b.com"],
        "max_uses": 3,
        "user_location": {"city": "Paris", "country": "FR"},
        "search_context_size": "low",
    }

    result = request_of({"tools": [{"type": "web_search", "web_search": search}]})

    assert body_of(result)["tools"] == [
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "allowed_domains": ["a.com"],
            "max_uses": 3,
            "user_location": {"type": "approximate", "city": "Paris", "country": "FR"},
        }
    ]
    assert result[1] == ["tools.web_search.blocked_domains", "tools.web_search.search_context_size"]


def test_anthropics_own_tools_pass_and_those_of_others_are_reported(request_of):
    own = {"type": "bash_20250124", "name": "bash"}

    result = request_of({"tools": [own, {"type": "code_interpreter"}, {"type": "custom"}]})

    assert body_of(result)["tools"] == [own]
    assert result[1] == ["tools.type", "tools.custom"]


# --- formats
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "age": {"type": "integer", "minimum": 0, "description": "Years."},
        "name": {"type": ["string", "null"], "maxLength": 9},
        "kind": {"oneOf": [{"const": "a"}, {"$ref": "#/$defs/k"}]},
        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "size": {"type": ["string", "null"], "enum": ["s", None]},
    },
    "$defs": {"k": {"type": "object", "properties": {}}},
    "required": ["age"],
}


def test_a_json_schema_is_the_outputs_format_as_far_as_it_is_enforced(request_of):
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}

    result = request_of({"response_format": wanted})

    schema = body_of(result)["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["age"] == {
        "type": "integer",
        "description": "Years.\n\n{minimum: 0}",
    }
    assert [one["type"] for one in schema["properties"]["name"]["anyOf"]] == ["string", "null"]
    assert schema["properties"]["kind"]["anyOf"] == [{"const": "a"}, {"$ref": "#/$defs/k"}]
    assert schema["properties"]["size"] == {"enum": ["s", None]}
    assert schema["$defs"]["k"]["additionalProperties"] is False
    path = "response_format.json_schema.schema"
    assert result[1] == [f"{path}.minimum", f"{path}.maxLength"]


def test_vllms_guided_json_is_a_schema_too(request_of):
    result = request_of({"guided_json": '{"type": "object", "properties": {}}'})

    assert body_of(result)["output_config"]["format"]["type"] == "json_schema"
    assert result[1] == []


def test_a_model_without_schemas_is_told_what_to_write(request_of):
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}

    result = request_of({"response_format": wanted}, model=OLD)

    assert '{"type":"object"}' in body_of(result)["system"]
    assert result[1] == ["response_format.json_schema"]


def test_json_without_a_schema_is_an_instruction(request_of):
    result = request_of({"response_format": {"type": "json_object"}})

    assert "JSON" in body_of(result)["system"]
    assert result[1] == ["response_format"]


# --- reasoning
@pytest.mark.parametrize(
    ("asked", "model", "thinking", "effort", "lost"),
    [
        ({"effort": "medium"}, BUDGET, {"type": "enabled", "budget_tokens": 5000}, None, []),
        ({"budget_tokens": 2000}, BUDGET, {"type": "enabled", "budget_tokens": 2000}, None, []),
        ({"budget_tokens": 99999}, BUDGET, {"type": "enabled", "budget_tokens": 9999}, None, []),
        ({"budget_tokens": 100}, BUDGET, None, None, ["reasoning"]),
        ({"effort": "none"}, BUDGET, None, None, []),
        ({"effort": "high"}, ADAPTIVE, {"type": "adaptive"}, "high", []),
        ({"effort": "xhigh"}, ADAPTIVE, {"type": "adaptive"}, "high", []),
        ({"effort": "minimal"}, ADAPTIVE, {"type": "adaptive"}, "low", []),
        ({"budget_tokens": 9000}, ADAPTIVE, {"type": "adaptive"}, "high", []),
        ({"effort": "none"}, ADAPTIVE, None, None, []),
        ({"effort": "none"}, UNASKED, {"type": "disabled"}, None, []),
        ({"effort": "none"}, ALWAYS, None, None, ["reasoning.effort"]),
        ({"effort": "low"}, OLD, None, None, ["reasoning"]),
        ({"effort": "none"}, OLD, None, None, []),
        ({"effort": "high"}, None, {"type": "adaptive"}, "high", []),
        ({"budget_tokens": 2000}, None, {"type": "enabled", "budget_tokens": 2000}, None, []),
        (
            {"effort": "low", "summary": "auto"},
            ADAPTIVE,
            {"type": "adaptive", "display": "summarized"},
            "low",
            [],
        ),
        ({"effort": "huge"}, ADAPTIVE, None, None, ["reasoning.effort"]),
        ({"effort": "max"}, LEVELS, None, "high", []),
    ],
)
def test_reasoning_is_what_the_model_takes(request_of, asked, model, thinking, effort, lost):
    limit = min(10000, (model and model.max_output_tokens) or 10000)
    result = request_of({"reasoning": asked, "max_completion_tokens": limit}, model=model)

    body = body_of(result)
    assert body.get("thinking") == thinking
    assert body.get("output_config", {}).get("effort") == effort
    assert result[1] == lost


def test_sampling_gives_way_to_thinking(request_of):
    asked = {"reasoning": {"effort": "low"}, "temperature": 0.2, "top_k": 3, "top_p": 0.97}

    result = request_of(asked, model=BUDGET)

    assert body_of(result)["top_p"] == 0.97
    assert result[1] == ["temperature", "top_k"]


def test_a_forced_tool_comes_before_thinking(request_of):
    asked = {"reasoning": {"effort": "low"}, "tools": [WEATHER], "tool_choice": "required"}

    sent = {name: request_of(asked, model=model) for name, model in MODELS.items()}

    assert {name: body_of(one).get("thinking") for name, one in sent.items()} == {
        "budget": None,
        "adaptive": None,
        "unasked": {"type": "disabled"},
    }
    assert all(one[1] == ["reasoning"] for one in sent.values())


def test_a_model_that_does_not_go_on_from_an_answer_is_asked_to(request_of):
    turn = {"role": "assistant", "content": "Well, "}

    result = request_of({"messages": [*HI, turn]}, model=UNASKED)

    roles = [one["role"] for one in body_of(result)["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert result[1] == ["messages.role"]


def test_a_model_that_always_thinks_cannot_be_forced(request_of):
    result = request_of({"tools": [WEATHER], "tool_choice": "required"}, model=ALWAYS)

    assert body_of(result)["tool_choice"] == {"type": "auto"}
    assert result[1] == ["tool_choice"]


def test_a_loop_of_calls_without_thoughts_goes_on_without(request_of):
    asked = {
        "messages": [*HI, CALLED, *RESULTS],
        "tools": [WEATHER],
        "reasoning": {"effort": "low"},
    }

    manual, adaptive = request_of(asked, model=BUDGET), request_of(asked, model=ADAPTIVE)

    assert "thinking" not in body_of(manual)
    assert manual[1] == ["reasoning"]
    assert body_of(adaptive)["thinking"] == {"type": "adaptive"}


def test_a_loop_of_calls_with_thoughts_thinks_on(request_of):
    thoughts = [{"type": "thinking", "thinking": "Hm.", "signature": "sig-1"}]
    asked = {
        "messages": [*HI, {**CALLED, "thinking_blocks": thoughts}, *RESULTS],
        "tools": [WEATHER],
        "reasoning": {"effort": "low"},
    }

    assert body_of(request_of(asked, model=BUDGET))["thinking"]["type"] == "enabled"


# --- counting
def test_tokens_are_counted_of_what_has_some(request_of):
    asked = {
        "messages": [{"role": "system", "content": "Be brief."}, *HI],
        "tools": [WEATHER],
        "temperature": 0.2,
        "max_completion_tokens": 5,
    }

    result = request_of(asked, operation="count_tokens", stream=True)

    assert result[0].path == "/messages/count_tokens"
    assert body_of(result).keys() == {"model", "messages", "system", "tools"}
    assert result[1] == []


# --- odd calls
@pytest.mark.parametrize(
    "odd",
    [
        {"tools": [{"type": "function", "function": "x"}]},
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": []}, "tools": [WEATHER]},
        {"tool_choice": {"type": "custom"}, "tools": [WEATHER]},
        {"response_format": {"type": "json_schema"}},
        {"response_format": "json"},
        {"reasoning": "high"},
        {"guided_json": "{"},
        {"messages": [*HI, {"role": "narrator", "content": "x"}]},
        {"messages": [*HI, {"role": "assistant", "content": None}]},
        {"messages": [{"role": "user", "content": ["text", None]}]},
        {"messages": [*HI, CALLED]},
        {
            "reasoning": {"budget_tokens": 2000},
            "messages": [*HI, {"role": "assistant", "content": "x"}],
        },
        {"response_format": {"type": "json_schema", "json_schema": {"schema": True}}},
        {"messages": [*HI, {"role": "assistant", "tool_calls": [{"type": "custom", "id": "c"}]}]},
    ],
)
def test_odd_calls_still_make_requests(request_of, odd):
    assert body_of(request_of(odd, is_odd=True))["messages"][0]["role"] == "user"


def test_what_a_client_says_in_anthropics_own_words_is_anthropics(request_of):
    asked = {"inference_geo": "eu", "speed": "fast", "context_management": {"edits": []}}

    body, lost = request_of(asked, is_odd=True)

    assert {name: body.document[name] for name in asked} == asked
    assert lost == []
