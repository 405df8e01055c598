"""OpenAI's Responses API on the client's side: calls into canonical form."""

from __future__ import annotations

import json

import pytest
from openai.types.responses.response_create_params import ResponseCreateParamsNonStreaming
from pydantic import TypeAdapter

from pipeline.api import InvalidCall
from plugins.translate.canonical import Loss
from plugins.translate.clients.responses import ResponsesClient

CLIENT = ResponsesClient()
CALL = {"model": "m", "input": "hi"}
HI = [{"role": "user", "content": "hi"}]
ASKED = {"type": "message", "role": "user", "content": "hi"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
CACHED = {"cache_control": {"type": "ephemeral"}}
VALID = TypeAdapter(ResponseCreateParamsNonStreaming)


def canonical(**document):
    loss = Loss()
    return CLIENT.canonical({**CALL, **document}, loss), list(loss.names)


def valid(**document):
    """Return the canonical call of a document that OpenAI's own types accept."""
    checked = VALID.validate_python({**CALL, **document})
    list(checked.get("tools", ()))
    return canonical(**document)


def said(*items):
    """Return the canonical messages of an input, and what was lost."""
    call, lost = valid(input=list(items))
    return call["messages"], lost


def call_item(name, **more):
    return {"type": "function_call", "call_id": name, "name": name, "arguments": "{}", **more}


def result_item(call_id, output="ok"):
    return {"type": "function_call_output", "call_id": call_id, "output": output}


def spoken(text, **more):
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
    return {**message, "content": [part], **more}


def thought(secret, *texts):
    summary = [{"type": "summary_text", "text": text} for text in texts]
    return {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": secret}


def called(*names):
    function = {"arguments": "{}"}
    return [{"id": n, "type": "function", "function": {"name": n, **function}} for n in names]


# --- settings
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"max_output_tokens": 5}, {"max_completion_tokens": 5}),
        ({"temperature": 0.0, "top_p": 0.5}, {"temperature": 0.0, "top_p": 0.5}),
        ({"metadata": {"a": "b"}}, {"metadata": {"a": "b"}}),
        ({"user": "u", "safety_identifier": "s"}, {"user": "u", "safety_identifier": "s"}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k"}),
        ({"prompt_cache_retention": "24h"}, {"prompt_cache_retention": "24h"}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"store": False, "truncation": "disabled", "background": False}, {}),
        ({"include": ["reasoning.encrypted_content"]}, {}),
        ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
        (
            {"include": ["message.output_text.logprobs"], "top_logprobs": 3},
            {"logprobs": True, "top_logprobs": 3},
        ),
        ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
        ({"top_logprobs": 0}, {}),
        ({"reasoning": {"effort": "low"}}, {"reasoning": {"effort": "low"}}),
        (
            {"reasoning": {"effort": None, "summary": "auto", "context": "auto"}},
            {"reasoning": {"summary": "auto"}},
        ),
        (
            {"reasoning": {"generate_summary": "concise"}},
            {"reasoning": {"summary": "concise"}},
        ),
        ({"text": {"format": {"type": "text"}, "verbosity": "low"}}, {"verbosity": "low"}),
        (
            {"text": {"format": {"type": "json_object"}}},
            {"response_format": {"type": "json_object"}},
        ),
        (
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "n",
                        "schema": SCHEMA,
                        "strict": True,
                    }
                }
            },
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "schema": SCHEMA, "strict": True},
                }
            },
        ),
        (
            {"previous_response_id": None, "conversation": None, "prompt": None, "tools": []},
            {},
        ),
    ],
)
def test_settings_become_canonical(given, expected):
    assert valid(**given) == ({"model": "m", "messages": HI, **expected}, [])


def test_what_other_servers_take_beside_openais_fields_goes_on():
    given = {"top_k": 3, "seed": 1, "guided_json": SCHEMA, "presence_penalty": 0.5}

    assert canonical(stop="END", **given) == (
        {"model": "m", "messages": HI, "stop": ["END"], **given},
        [],
    )


def test_a_stream_wants_its_usage():
    call, lost = canonical(stream=True, stream_options={"include_obfuscation": False})

    assert call["stream"] is True
    assert call["stream_options"] == {"include_usage": True}
    assert lost == []


def test_instructions_are_the_system_prompt():
    call, lost = valid(instructions="Be brief.")

    assert call["messages"] == [{"role": "system", "content": "Be brief."}, *HI]
    assert lost == []


def test_what_cannot_be_kept_or_has_no_place_is_reported():
    _, lost = canonical(
        store=True,
        truncation="auto",
        max_tool_calls=2,
        moderation={"model": "x"},
        include=["file_search_call.results"],
        reasoning={"mode": "pro", "context": "all_turns", "vendor": 1},
        text={"format": {"type": "grammar"}, "vendor": 1},
        vendor={"a": 1},
    )

    assert lost == [
        "max_tool_calls",
        "text.format",
        "text.vendor",
        "reasoning.context",
        "reasoning.mode",
        "reasoning.vendor",
        "include",
        "store",
        "truncation",
        "moderation",
        "vendor",
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("previous_response_id", "resp_1"),
        ("conversation", {"id": "conv_1"}),
        ("prompt", {"id": "pmpt_1"}),
        ("background", True),
        ("input", [{"type": "item_reference", "id": "msg_1"}]),
        ("input", [{"id": "msg_1"}]),
    ],
)
def test_what_only_openai_has_stored_is_refused(field, value):
    with pytest.raises(InvalidCall) as refused:
        valid(**{field: value})

    assert refused.value.param == field
    assert refused.value.code == "unsupported_by_backend"
    assert refused.value.status == 400
    assert "_1" not in refused.value.message


def test_the_clients_document_stays_as_it_is():
    tools = [{"type": "web_search"}, {"type": "function", "name": "f", "parameters": SCHEMA}]
    items = [ASKED, thought("x", "Hm."), call_item("a"), result_item("a"), spoken("Hi")]
    document = {**CALL, "input": items, "tools": tools, "max_tool_calls": 3, "stop": "x"}
    before = json.dumps(document)

    CLIENT.canonical(document, Loss())

    assert json.dumps(document) == before


# --- messages and their parts
@pytest.mark.parametrize("role", ["user", "system", "developer", "assistant"])
def test_messages_keep_their_role(role):
    assert said({"role": role, "content": "x"}) == ([{"role": role, "content": "x"}], [])


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"},
            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
            {
                "type": "image_url",
                "image_url": {"url": "data:image/png;base64,AA", "detail": "low"},
            },
        ),
        (
            {"type": "input_image", "file_id": "file-1", "detail": "auto"},
            {"type": "file", "file": {"file_id": "file-1"}},
        ),
        (
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,AA",
            },
            {
                "type": "file",
                "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
            },
        ),
        (
            {"type": "input_file", "filename": "a.csv", "file_data": "AA"},
            {
                "type": "file",
                "file": {"filename": "a.csv", "file_data": "data:text/csv;base64,AA"},
            },
        ),
        (
            {"type": "input_file", "file_data": "AA"},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}},
        ),
        (
            {"type": "input_file", "file_url": "https://x/a.pdf"},
            {"type": "file", "file": {"file_url": "https://x/a.pdf"}},
        ),
        (
            {"type": "input_file", "file_id": "file-1"},
            {"type": "file", "file": {"file_id": "file-1"}},
        ),
        (
            {
                "type": "input_text",
                "text": "long",
                "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"},
            },
            {
                "type": "text",
                "text": "long",
                "cache_control": {"type": "ephemeral", "ttl": "1h"},
            },
        ),
        (
            {"type": "input_text", "text": "long", **CACHED},
            {"type": "text", "text": "long", **CACHED},
        ),
    ],
)
def test_parts_become_canonical(part, expected):
    text = {"type": "input_text", "text": "see"}

    assert said({"role": "user", "content": [text, part]}) == (
        [{"role": "user", "content": [{"type": "text", "text": "see"}, expected]}],
        [],
    )


def test_audio_is_carried():
    audio = {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}

    call, lost = canonical(input=[{"role": "user", "content": [audio]}])

    assert call["messages"] == [{"role": "user", "content": [audio]}]
    assert lost == []


def test_a_text_alone_is_a_text():
    message = {"role": "user", "content": [{"type": "input_text", "text": "hi"}]}

    assert said(message) == (HI, [])


@pytest.mark.parametrize(
    ("item", "lost"),
    [
        (
            {"role": "user", "content": [{"type": "input_video", "url": "x"}]},
            "input.content.input_video",
        ),
        ({"role": "user", "content": [{"type": "Mr Smith"}]}, "input.content.type"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input.content.input_image"),
        (
            {"role": "user", "content": [{"type": "input_text", "text": "x", "lang": "y"}]},
            "input.content.lang",
        ),
        ({"role": "assistant", "content": "x", "phase": "commentary"}, "input.phase"),
        (
            {"type": "web_search_call", "id": "ws_1", "action": {"type": "search"}},
            "input.web_search_call",
        ),
        ({"type": "computer_call", "id": "c"}, "input.computer_call"),
        (result_item("a", [{"type": "input_video"}]), "input.output.input_video"),
    ],
)
def test_items_and_parts_without_a_place_are_reported_by_type(item, lost):
    assert canonical(input=[ASKED, item])[1] == [lost]


# --- what the model said
def test_one_turn_of_a_model_is_one_message():
    messages, lost = said(
        ASKED,
        thought("dragoman:thinking:sig", "Hm."),
        spoken("Let me see."),
        call_item("a"),
        call_item("b"),
        result_item("a"),
        result_item("b", [{"type": "input_text", "text": "two"}]),
        spoken("Done."),
    )

    assert messages == [
        *HI,
        {
            "role": "assistant",
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "sig"}],
            "content": "Let me see.",
            "tool_calls": called("a", "b"),
        },
        {"role": "tool", "tool_call_id": "a", "content": "ok"},
        {"role": "tool", "tool_call_id": "b", "content": "two"},
        {"role": "assistant", "content": "Done."},
    ]
    assert lost == []


def test_calls_alone_have_no_content():
    messages, _ = said(call_item("a"), result_item("a"))

    assert messages[0] == {"role": "assistant", "content": None, "tool_calls": called("a")}


def test_calls_answered_one_by_one_are_turns_of_their_own():
    messages, _ = said(call_item("a"), result_item("a"), call_item("b"), result_item("b"))

    assert [m["role"] for m in messages] == ["assistant", "tool", "assistant", "tool"]


def test_results_stand_right_behind_their_calls():
    messages, _ = said(call_item("a"), {"role": "user", "content": "wait"}, result_item("a"))

    assert [m["role"] for m in messages] == ["assistant", "tool", "user"]


def test_what_stands_between_calls_and_results_joins_the_calls():
    messages, _ = said(
        spoken("One."),
        call_item("a"),
        thought("dragoman:thinking:s", "Hm."),
        spoken("Two."),
        call_item("b"),
        result_item("a"),
        result_item("b"),
    )

    assert [m["role"] for m in messages] == ["assistant", "tool", "tool"]
    assert messages[0]["content"] == [
        {"type": "text", "text": "One."},
        {"type": "text", "text": "Two."},
    ]
    assert messages[0]["tool_calls"] == called("a", "b")
    assert len(messages[0]["thinking_blocks"]) == 1


def test_a_thought_behind_a_text_begins_a_message():
    messages, _ = said(spoken("One."), thought("dragoman:thinking:s", "Hm."), spoken("Two."))

    assert [m["content"] for m in messages] == ["One.", "Two."]
    assert "thinking_blocks" not in messages[0]
    assert "thinking_blocks" in messages[1]


def test_a_result_whose_call_is_gone_stays_in_its_place():
    messages, _ = said(ASKED, result_item("gone"), ASKED)

    assert [m["role"] for m in messages] == ["user", "tool", "user"]


def test_results_may_have_pictures_and_files():
    parts = [
        {"type": "input_image", "image_url": "https://x/y.png"},
        {"type": "input_file", "file_url": "https://x/a.pdf"},
    ]

    messages, lost = said(call_item("a"), result_item("a", parts))

    assert messages[1]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "file", "file": {"file_url": "https://x/a.pdf"}},
    ]
    assert lost == []


def test_a_refusal_has_its_own_field():
    parts = [{"type": "refusal", "refusal": "No."}]

    messages, lost = said(ASKED, {**spoken(""), "content": parts})

    assert messages[1] == {"role": "assistant", "refusal": "No.", "content": None}
    assert lost == []


def test_calls_of_custom_tools_are_carried():
    messages, lost = said(
        {"type": "custom_tool_call", "call_id": "a", "name": "sh", "input": "ls"},
        {"type": "custom_tool_call_output", "call_id": "a", "output": "x"},
    )

    call = {"id": "a", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    assert messages == [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": "x"},
    ]
    assert lost == []


# --- thoughts
@pytest.mark.parametrize(
    ("item", "block"),
    [
        (
            thought("dragoman:thinking:a:b==", "Hm."),
            {"type": "thinking", "thinking": "Hm.", "signature": "a:b=="},
        ),
        (
            thought("dragoman:thinking:sig"),
            {"type": "thinking", "thinking": "", "signature": "sig"},
        ),
        (
            thought("dragoman:redacted_thinking:data"),
            {"type": "redacted_thinking", "data": "data"},
        ),
        (
            thought("gAAAA", "Hm."),
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Hm."}],
                "encrypted_content": "gAAAA",
            },
        ),
    ],
)
def test_thoughts_come_back_as_the_blocks_that_they_were(item, block):
    messages, lost = said(item, spoken("Hi"))

    assert messages[0]["thinking_blocks"] == [block]
    assert lost == []


def test_a_thought_without_its_answer_is_left_out_and_reported():
    assert said(thought("x"), ASKED) == (HI, ["input.reasoning"])


# --- tools
def test_tools_become_canonical():
    call, lost = valid(
        tools=[
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": SCHEMA,
                "strict": True,
            },
            {"type": "function", "name": "g", "parameters": None, "strict": None},
            {
                "type": "web_search",
                "filters": {"allowed_domains": ["x.org"]},
                "search_context_size": "low",
                "user_location": {"type": "approximate", "city": "Paris"},
            },
            {"type": "custom", "name": "c", "format": {"type": "text"}},
            {
                "type": "custom",
                "name": "d",
                "format": {"type": "grammar", "syntax": "lark", "definition": "s"},
            },
            {"type": "file_search", "vector_store_ids": ["v"]},
            {"type": "code_interpreter", "container": {"type": "auto"}},
        ],
        max_tool_calls=4,
    )

    empty = {"type": "object", "properties": {}}
    grammar = {"syntax": "lark", "definition": "s"}
    assert call["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True},
        },
        {"type": "function", "function": {"name": "g", "parameters": empty}},
        {
            "type": "web_search",
            "web_search": {
                "allowed_domains": ["x.org"],
                "search_context_size": "low",
                "user_location": {"city": "Paris"},
                "max_uses": 4,
            },
        },
        {"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}},
        {
            "type": "custom",
            "custom": {"name": "d", "format": {"type": "grammar", "grammar": grammar}},
        },
        {"type": "file_search", "vector_store_ids": ["v"]},
        {"type": "code_interpreter", "container": {"type": "auto"}},
    ]
    assert lost == []


def test_what_a_tool_has_beyond_the_canonical_form_is_reported():
    _, lost = canonical(
        tools=[
            {"type": "function", "name": "f", "defer_loading": True},
            {
                "type": "web_search_preview",
                "external_web_access": False,
                "search_content_types": ["image"],
                "filters": {"language": "fr"},
            },
        ]
    )

    assert lost == [
        "tools.defer_loading",
        "tools.filters.language",
        "tools.external_web_access",
        "tools.search_content_types",
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ({"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ({"type": "custom", "name": "f"}, {"type": "custom", "custom": {"name": "f"}}),
    ],
)
def test_the_choice_of_a_tool_is_carried(choice, expected):
    call, lost = valid(tool_choice=choice)

    assert call["tool_choice"] == expected
    assert lost == []


def test_only_allowed_tools_are_offered():
    tools = [
        {"type": "function", "name": "f", "parameters": SCHEMA, "strict": True},
        {"type": "function", "name": "g", "parameters": SCHEMA, "strict": True},
        {"type": "web_search"},
        {"type": "mcp", "server_label": "one", "server_url": "https://x"},
        {"type": "mcp", "server_label": "two", "server_url": "https://x"},
    ]
    allowed = [
        {"type": "function", "name": "g"},
        {"type": "web_search_preview"},
        {"type": "mcp", "server_label": "two"},
    ]
    choice = {"type": "allowed_tools", "mode": "required", "tools": allowed}

    call, lost = valid(tools=tools, tool_choice=choice)

    told = [t.get("server_label") or t.get("function", {}).get("name") for t in call["tools"]]
    assert told == ["g", None, "two"]
    assert call["tool_choice"] == "required"
    assert lost == []


def test_the_choice_of_a_hosted_tool_is_reported():
    call, lost = valid(tool_choice={"type": "file_search"})

    assert "tool_choice" not in call
    assert lost == ["tool_choice"]


@pytest.mark.parametrize(
    "document",
    [
        {"input": None},
        {"input": [None, 3, "x"]},
        {"input": [{"role": "user"}]},
        {"input": [{"role": "user", "content": None}]},
        {"input": [{"role": "user", "content": [None, {"type": None}]}]},
        {"input": [{"type": "reasoning", "summary": None}, spoken("x")]},
        {"input": [{"type": "reasoning", "summary": [None], "encrypted_content": "dragoman:x"}]},
        {"input": [{"type": "function_call"}, {"type": "function_call_output", "output": None}]},
        {"tools": [None, {}, {"type": "web_search", "filters": 3}], "tool_choice": {}},
        {"tool_choice": {"type": "allowed_tools", "tools": [None]}},
        {"text": [], "reasoning": "high", "include": "x", "max_tool_calls": 1},
    ],
)
def test_odd_documents_are_survived(document):
    canonical(**document)
