"""Canonical calls as Bedrock's requests, each held against botocore's model of the service."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api import InvalidCall, ModelEntry
from pipeline.api.catalog import Reasoning
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.upstreams import bedrock_converse_request
from plugins.translate.upstreams.bedrock_converse import BedrockUpstream
from plugins.translate.upstreams.bedrock_converse_request import BedrockOptions
from plugins.translate.upstreams.bedrock_models import base_model, vendor_of
from tests.support.canonical_calls import CACHED, HI, PDF, PNG, WEATHER, called, results
from tests.support.providers.bedrock_rules import check_path_and_body

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "us.amazon.nova-2-lite-v1:0"
LLAMA = "meta.llama3-1-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
GPT_OSS = "openai.gpt-oss-120b-1:0"
QWEN = "qwen.qwen3-32b-v1:0"
DEEPSEEK = "deepseek.v3-v1:0"
PROFILE = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc123"
SPEC = {
    "name": "weather",
    "description": "The weather.",
    "inputSchema": {"json": WEATHER["function"]["parameters"]},
}
CALLED = called(None, "weather", "weather")
RESULTS = results("no such city")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
JSON_SCHEMA = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}


def entry(**given):
    return ModelEntry(name="test", vendor=given.pop("vendor", "anthropic"), match=(), **given)


BUDGET = entry(max_output_tokens=64000, reasoning=Reasoning(budget=True))
ADAPTIVE = entry(
    max_output_tokens=64000,
    sampling=False,
    reasoning=Reasoning(efforts=("none", "low", "medium", "high", "max"), adaptive=True),
)
UNASKED = entry(
    max_output_tokens=64000,
    prefill=False,
    reasoning=Reasoning(efforts=("low", "high"), adaptive=True, unasked=True),
)
OLD = entry(max_output_tokens=8192, json_schema=False)
MUTE = entry(max_output_tokens=8192, json_schema=False, tools=False)


@pytest.fixture
def translate(monkeypatch):
    """Translate a document for a model; what comes out must be valid, and as botocore writes it."""

    def translated(document, *, model=CLAUDE, known=None, stream=False, options=None, **more):
        monkeypatch.setattr(bedrock_converse_request, "find_model", lambda _: known)
        loss = Loss()
        operation = more.pop("operation", "chat")
        call = CanonicalCall(operation, {"messages": HI, **document}, model, stream)
        outgoing = BedrockUpstream(options or BedrockOptions()).request(call, loss)
        check_path_and_body(outgoing.path, outgoing.document)
        return outgoing, list(loss.names)

    return translated


@pytest.fixture
def body_of(translate):
    def translated(document, **given):
        return translate(document, **given)[0].document

    return translated


def messages(*contents):
    return {"messages": [{"role": "user", "content": list(contents)}]}


# --- the envelope
@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        (CLAUDE, False, f"/model/{CLAUDE[:-2]}%3A0/converse"),
        (CLAUDE, True, f"/model/{CLAUDE[:-2]}%3A0/converse-stream"),
        (
            PROFILE,
            False,
            f"/model/{quote(PROFILE, safe='')}/converse",
        ),
    ],
)
def test_the_model_is_in_the_path_as_aws_encodes_it(translate, model, stream, path):
    outgoing, lost = translate({"model": "x"}, model=model, stream=stream)

    assert (outgoing.path, outgoing.method, outgoing.headers) == (path, "POST", {})
    assert outgoing.document == {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
    assert lost == []


def test_what_bedrock_has_no_place_for_is_reported(translate):
    _, lost = translate(
        {
            "n": 2,
            "seed": 1,
            "logprobs": True,
            "presence_penalty": 1,
            "frequency_penalty": 0,
            "unknown": 1,
            "empty": [],
            "verbosity": "low",
        }
    )

    assert sorted(lost) == ["logprobs", "n", "presence_penalty", "seed", "unknown", "verbosity"]


@pytest.mark.parametrize(
    ("asked", "known", "sent", "lost"),
    [
        ({}, None, None, []),
        ({"max_completion_tokens": 7}, None, {"maxTokens": 7}, []),
        ({"max_completion_tokens": 7}, BUDGET, {"maxTokens": 7}, []),
        ({"max_completion_tokens": 99999}, BUDGET, {"maxTokens": 64000}, ["max_completion_tokens"]),
        ({"temperature": 0.5}, None, {"temperature": 0.5}, []),
        ({"temperature": 1.7}, None, {"temperature": 1}, ["temperature"]),
        ({"temperature": 0.5, "top_p": 0.9}, None, {"temperature": 0.5}, ["top_p"]),
        ({"top_p": 0.9}, None, {"topP": 0.9}, []),
        ({"temperature": 1, "top_p": 0.2}, ADAPTIVE, None, ["top_p"]),
        ({"stop": ["END"]}, None, {"stopSequences": ["END"]}, []),
        ({"stop": "END"}, None, {"stopSequences": ["END"]}, []),
        ({"stop": [" ", "END"]}, None, {"stopSequences": ["END"]}, ["stop"]),
    ],
)
def test_inference(translate, asked, known, sent, lost):
    outgoing, reported = translate(asked, known=known)

    assert outgoing.document.get("inferenceConfig") == sent
    assert reported == lost


def test_a_claude_says_which_stop_sequence_it_met(body_of):
    asked = {"stop": ["END"]}

    assert body_of(asked)["additionalModelResponseFieldPaths"][0] == "/stop_sequence"
    assert "additionalModelResponseFieldPaths" not in body_of(asked, model=NOVA)


@pytest.mark.parametrize(
    ("model", "asked", "sent", "lost"),
    [
        (CLAUDE, {"top_k": 5}, {"top_k": 5}, []),
        (NOVA, {"top_k": 5}, {"inferenceConfig": {"topK": 5}}, []),
        (MISTRAL, {"top_k": 5}, {"top_k": 5}, []),
        (LLAMA, {"top_k": 5}, None, ["top_k"]),
        (GPT_OSS, {"seed": 1, "presence_penalty": 1}, {"presence_penalty": 1, "seed": 1}, []),
        (GPT_OSS, {"presence_penalty": 0}, None, []),
        ("cohere.command-r-v1:0", {"top_k": 5, "seed": 1}, {"k": 5, "seed": 1}, []),
    ],
)
def test_fields_of_the_models_own(translate, model, asked, sent, lost):
    outgoing, reported = translate(asked, model=model)

    assert outgoing.document.get("additionalModelRequestFields") == sent
    assert reported == lost


def test_the_backends_options_are_in_every_call(body_of):
    options = BedrockOptions(
        guardrail_id="abc123",
        guardrail_version="2",
        guardrail_trace="enabled",
        guardrail_stream_mode="async",
        latency="optimized",
        anthropic_beta=("context-1m",),
    )
    guardrail = {"guardrailIdentifier": "abc123", "guardrailVersion": "2", "trace": "enabled"}

    whole, streamed = body_of({}, options=options), body_of({}, options=options, stream=True)

    assert whole["guardrailConfig"] == guardrail
    assert streamed["guardrailConfig"] == {**guardrail, "streamProcessingMode": "async"}
    assert whole["performanceConfig"] == {"latency": "optimized"}
    assert whole["additionalModelRequestFields"] == {"anthropic_beta": ["context-1m"]}


@pytest.mark.parametrize(
    ("asked", "sent", "lost"),
    [
        ({"service_tier": "flex"}, {"serviceTier": {"type": "flex"}}, []),
        ({"service_tier": "auto"}, {}, []),
        ({"service_tier": "scale"}, {}, ["service_tier"]),
        ({"user": "me"}, {"requestMetadata": {"user": "me"}}, []),
        ({"safety_identifier": "me", "user": "me"}, {"requestMetadata": {"user": "me"}}, []),
        ({"user": "{me}"}, {}, ["user"]),
        ({"metadata": {"a": "1", "b": "é"}}, {"requestMetadata": {"a": "1"}}, ["metadata"]),
    ],
)
def test_tiers_and_metadata(translate, asked, sent, lost):
    outgoing, reported = translate(asked)

    assert {k: v for k, v in outgoing.document.items() if k != "messages"} == sent
    assert reported == lost


def test_more_metadata_than_bedrock_takes_is_cut_and_reported(translate):
    outgoing, lost = translate({"metadata": {f"k{at}": "v" for at in range(20)}})

    assert len(outgoing.document["requestMetadata"]) == 16
    assert lost == ["metadata"]


# --- messages
def test_system_and_developer_prompts_are_the_system(body_of):
    body = body_of(
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
                {"role": "user", "content": "hi"},
            ]
        }
    )

    assert body["system"] == [{"text": "Be kind."}, {"text": "Be brief."}]
    assert body["messages"] == [{"role": "user", "content": [{"text": "hi"}]}]


def test_roles_alternate_and_the_user_begins(body_of):
    body = body_of(
        {
            "messages": [
                {"role": "assistant", "content": "Hello."},
                {"role": "user", "content": "a", "name": "Ann"},
                {"role": "user", "content": "b"},
                {"role": "assistant", "content": "c "},
            ]
        }
    )

    assert [one["role"] for one in body["messages"]] == ["user", "assistant", "user", "assistant"]
    assert body["messages"][2]["content"] == [{"text": "a"}, {"text": "b"}]
    assert body["messages"][3]["content"] == [{"text": "c"}]


def test_instructions_alone_become_the_question(translate):
    outgoing, lost = translate({"messages": [{"role": "system", "content": "Say hi."}]})

    assert outgoing.document == {"messages": [{"role": "user", "content": [{"text": "Say hi."}]}]}
    assert lost == ["messages.role"]


def test_blank_texts_are_left_out(body_of):
    body = body_of({"messages": [{"role": "user", "content": [" ", {"text": "x"}, {"text": ""}]}]})

    assert body["messages"][0]["content"] == [{"text": "x"}]


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        (f"data:image/png;base64,{PNG}", {"format": "png", "source": {"bytes": PNG}}),
        (f"data:image/jpg;base64,{PNG}", {"format": "jpeg", "source": {"bytes": PNG}}),
        (
            "s3://bucket-of-mine/a/cat.JPG",
            {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket-of-mine/a/cat.JPG"}}},
        ),
    ],
)
def test_images(body_of, url, sent):
    part = {"type": "image_url", "image_url": {"url": url, "detail": "auto"}}

    assert body_of(messages(part))["messages"][0]["content"] == [{"image": sent}]


def test_videos_and_sounds(body_of):
    video = {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{PNG}"}}
    sound = {"type": "input_audio", "input_audio": {"data": PNG, "format": "mp3"}}

    assert body_of(messages(video, sound))["messages"][0]["content"] == [
        {"video": {"format": "mp4", "source": {"bytes": PNG}}},
        {"audio": {"format": "mp3", "source": {"bytes": PNG}}},
    ]


def test_documents_have_names_that_bedrock_takes_each_once(body_of):
    def file(name, media_type="application/pdf", **more):
        data = f"data:{media_type};base64,{PDF}"
        return {"type": "file", "file": {"filename": name, "file_data": data, **more}}

    body = body_of(
        messages(
            file("Q1_report  (final).pdf", citations=True, context="finance"),
            file("Q1_report  (final).pdf"),
            file("", "text/csv"),
            file("notes.json", "application/json"),
            "What is it?",
        )
    )
    documents = [one["document"] for one in body["messages"][0]["content"][:4]]

    assert [(one["name"], one["format"]) for one in documents] == [
        ("Q1 report (final)", "pdf"),
        ("Q1 report (final) 2", "pdf"),
        ("document", "csv"),
        ("notes json", "txt"),
    ]
    assert documents[0]["citations"] == {"enabled": True}
    assert documents[0]["context"] == "finance"


@pytest.mark.parametrize(
    ("file", "form"),
    [
        ({"file_data": PDF}, "pdf"),
        ({"file_data": PDF, "filename": "a.md"}, "md"),
        ({"file_data": f"data:text/x-python;base64,{PDF}"}, "txt"),
        (
            {"file_data": f"data:application/octet-stream;base64,{PDF}", "filename": "a.docx"},
            "docx",
        ),
        ({"file_url": "s3://bucket-of-mine/a.xlsx"}, "xlsx"),
    ],
)
def test_the_format_of_a_document(body_of, file, form):
    content = body_of(messages({"type": "file", "file": file}))["messages"][0]["content"]

    assert content[0]["document"]["format"] == form
    assert content[1] == {"text": "(see the document)"}


def test_files_that_are_images_or_videos_are_sent_as_such(body_of):
    image = {"type": "file", "file": {"file_data": f"data:image/png;base64,{PNG}"}}
    video = {"type": "file", "file": {"file_data": f"data:video/webm;base64,{PNG}"}}

    content = body_of(messages(image, video))["messages"][0]["content"]

    assert [next(iter(block)) for block in content] == ["image", "video"]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "image_url", "image_url": {"url": "https://x/cat.png"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:nonsense"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "s3://bucket/cat"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}, "image_url.url"),
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "midi"}}, "format"),
        ({"type": "input_audio", "input_audio": {}}, "data"),
        ({"type": "file", "file": {"file_id": "f"}}, "file_id"),
        ({"type": "file", "file": {}}, "file"),
        ({"type": "file", "file": {"file_url": "https://x/a.pdf"}}, "file_url"),
        ({"type": "file", "file": {"file_url": "s3://bucket/a"}}, "file_url"),
        ({"type": "file", "file": {"file_data": "data:application/zip;base64,AA"}}, "file_data"),
        ({"type": "hologram"}, "type"),
    ],
)
def test_content_that_cannot_be_carried_is_refused(translate, part, param):
    with pytest.raises(InvalidCall) as raised:
        translate(messages(part))

    assert raised.value.param.endswith(param)
    assert raised.value.status == 400


# --- tools
def test_tools_calls_and_results(translate):
    outgoing, lost = translate({"tools": [WEATHER], "messages": [*HI, CALLED, *RESULTS]})
    body = outgoing.document

    assert body["toolConfig"] == {"tools": [{"toolSpec": SPEC}]}
    assert body["messages"][1]["content"] == [
        {"toolUse": {"toolUseId": "a", "name": "weather", "input": {"city": 1}}},
        {"toolUse": {"toolUseId": "b", "name": "weather", "input": {}}},
    ]
    assert body["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "a", "content": [{"text": "sun"}]}},
        {
            "toolResult": {
                "toolUseId": "b",
                "content": [{"text": "no such city"}],
                "status": "error",
            }
        },
    ]
    assert lost == []


def test_a_model_that_knows_no_failed_results_is_told_the_text(translate):
    outgoing, lost = translate(
        {"tools": [WEATHER], "messages": [*HI, CALLED, *RESULTS]}, model=LLAMA
    )

    assert "status" not in outgoing.document["messages"][2]["content"][1]["toolResult"]
    assert lost == ["messages.is_error"]


def test_results_with_images_and_without_output(body_of):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    results = [
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "x"}, image]},
        {"role": "tool", "tool_call_id": "b", "content": ""},
    ]
    content = body_of({"tools": [WEATHER], "messages": [*HI, CALLED, *results]})["messages"][2]

    assert [one["toolResult"]["content"] for one in content["content"]] == [
        [{"text": "x"}, {"image": {"format": "png", "source": {"bytes": PNG}}}],
        [{"text": "(no output)"}],
    ]


def test_ids_and_names_that_bedrock_refuses_are_changed_alike(body_of):
    long_id = "call/" + "x" * 80
    call = {"id": long_id, "function": {"name": "mcp.weather", "arguments": "{}"}}
    tool = {"type": "function", "function": {"name": "mcp.weather"}}
    body = body_of(
        {
            "tools": [tool],
            "messages": [
                *HI,
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": long_id, "content": "sun"},
            ],
        }
    )
    use = body["messages"][1]["content"][0]["toolUse"]

    assert use["name"] == body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "mcp_weather"
    assert use["toolUseId"] == body["messages"][2]["content"][0]["toolResult"]["toolUseId"]


def test_tools_of_the_past_are_declared(translate):
    outgoing, lost = translate({"messages": [*HI, CALLED, *RESULTS]})

    assert outgoing.document["toolConfig"] == {
        "tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}]
    }
    assert outgoing.document["additionalModelRequestFields"] == {"tool_choice": {"type": "none"}}
    assert lost == []


NAMED = {"type": "function", "function": {"name": "weather"}}
SINGLE = {"disable_parallel_tool_use": True}


@pytest.mark.parametrize(
    ("model", "asked", "choice", "extra", "lost"),
    [
        (CLAUDE, {}, None, None, []),
        (CLAUDE, {"tool_choice": "auto"}, {"auto": {}}, None, []),
        (CLAUDE, {"tool_choice": "required"}, {"any": {}}, None, []),
        (CLAUDE, {"tool_choice": NAMED}, {"tool": {"name": "weather"}}, None, []),
        (CLAUDE, {"parallel_tool_calls": False}, None, {"type": "auto", **SINGLE}, []),
        (
            CLAUDE,
            {"parallel_tool_calls": False, "tool_choice": NAMED},
            None,
            {"type": "tool", "name": "weather", **SINGLE},
            [],
        ),
        (NOVA, {"parallel_tool_calls": False}, None, None, ["parallel_tool_calls"]),
        (NOVA, {"tool_choice": NAMED}, {"tool": {"name": "weather"}}, None, []),
        (MISTRAL, {"tool_choice": NAMED}, {"any": {}}, None, ["tool_choice"]),
        (GPT_OSS, {"tool_choice": NAMED}, {"tool": {"name": "weather"}}, None, []),
        (QWEN, {"tool_choice": "required"}, {"any": {}}, None, []),
        (LLAMA, {"tool_choice": "required"}, None, None, ["tool_choice"]),
        (CLAUDE, {"tool_choice": {"type": "odd"}}, None, None, ["tool_choice"]),
    ],
)
def test_the_choice_of_tools(translate, model, asked, choice, extra, lost):
    outgoing, reported = translate({"tools": [WEATHER], **asked}, model=model)
    body = outgoing.document

    assert body["toolConfig"].get("toolChoice") == choice
    assert body.get("additionalModelRequestFields") == ({"tool_choice": extra} if extra else None)
    assert reported == lost


@pytest.mark.parametrize(("model", "lost"), [(CLAUDE, []), (NOVA, ["tool_choice"])])
def test_tools_that_must_not_be_called_stay_only_for_the_past(translate, model, lost):
    asked = {"tools": [WEATHER], "tool_choice": "none"}
    fresh, nothing = translate(asked, model=model)
    later, reported = translate({**asked, "messages": [*HI, CALLED, *RESULTS]}, model=model)

    assert "toolConfig" not in fresh.document
    assert nothing == []
    assert "toolConfig" in later.document
    assert reported == lost


def test_allowed_tools_are_the_only_ones(body_of):
    other = {"type": "function", "function": {"name": "other"}}
    choice = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [NAMED]},
    }
    config = body_of({"tools": [WEATHER, other], "tool_choice": choice})["toolConfig"]

    assert config == {"tools": [{"toolSpec": SPEC}], "toolChoice": {"any": {}}}


@pytest.mark.parametrize(("known", "strict", "lost"), [(None, True, []), (OLD, None, ["strict"])])
def test_strict_tools(translate, known, strict, lost):
    tool = {**WEATHER, "function": {**WEATHER["function"], "strict": True}}
    outgoing, reported = translate({"tools": [tool]}, known=known)

    assert outgoing.document["toolConfig"]["tools"][0]["toolSpec"].get("strict") is strict
    assert reported == [f"tools.function.{name}" for name in lost]


def test_other_tools(translate):
    search = {"type": "web_search", "web_search": {}}
    grounded, nothing = translate({"tools": [search]}, model=NOVA)
    dropped, lost = translate({"tools": [search, {"type": "computer"}, WEATHER]})

    assert grounded.document["toolConfig"]["tools"] == [{"systemTool": {"name": "nova_grounding"}}]
    assert nothing == []
    assert dropped.document["toolConfig"]["tools"] == [{"toolSpec": SPEC}]
    assert lost == ["tools.web_search", "tools.type"]


def test_arguments_that_are_no_object_are_reported(translate):
    call = {"id": "a", "function": {"name": "weather", "arguments": "{broken"}}
    turn = {"role": "assistant", "tool_calls": [call]}
    _, lost = translate({"tools": [WEATHER], "messages": [*HI, turn, RESULTS[0]]})

    assert lost == ["messages.tool_calls.function.arguments"]


# --- structured output
def test_a_schema_is_the_output_format(translate):
    outgoing, lost = translate({"response_format": JSON_SCHEMA})
    form = outgoing.document["outputConfig"]["textFormat"]

    assert form["type"] == "json_schema"
    assert form["structure"]["jsonSchema"]["name"] == "place"
    assert json.loads(form["structure"]["jsonSchema"]["schema"]) == {
        **SCHEMA,
        "additionalProperties": False,
    }
    assert lost == []


def test_guided_json_is_a_schema_too(body_of):
    form = body_of({"guided_json": json.dumps(SCHEMA)})["outputConfig"]["textFormat"]

    assert json.loads(form["structure"]["jsonSchema"]["schema"])["required"] == ["city"]


def test_a_model_without_structured_output_is_made_to_call_a_tool(translate):
    outgoing, lost = translate({"response_format": JSON_SCHEMA}, known=OLD)
    config = outgoing.document["toolConfig"]

    assert config["tools"][0]["toolSpec"]["name"] == "json_tool_call"
    assert config["tools"][0]["toolSpec"]["inputSchema"] == {"json": SCHEMA}
    assert config["toolChoice"] == {"tool": {"name": "json_tool_call"}}
    assert lost == []


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ({"response_format": {"type": "json_object"}}, None),
        ({"response_format": JSON_SCHEMA}, MUTE),
        ({"response_format": JSON_SCHEMA, "tools": [WEATHER]}, OLD),
    ],
)
def test_json_is_asked_for_in_words_where_nothing_enforces_it(translate, asked, known):
    outgoing, lost = translate(asked, known=known)

    assert "JSON" in outgoing.document["system"][0]["text"]
    assert lost[0].startswith("response_format")


# --- reasoning
@pytest.mark.parametrize(
    ("model", "known", "asked", "extra", "effort", "lost"),
    [
        (
            CLAUDE,
            BUDGET,
            {"reasoning": {"budget_tokens": 2000}},
            {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            None,
            [],
        ),
        (
            CLAUDE,
            BUDGET,
            {"reasoning": {"effort": "high"}, "max_completion_tokens": 10000},
            {"thinking": {"type": "enabled", "budget_tokens": 8000}},
            None,
            [],
        ),
        (
            CLAUDE,
            ADAPTIVE,
            {"reasoning": {"effort": "medium"}},
            {"thinking": {"type": "adaptive"}},
            "medium",
            [],
        ),
        (
            CLAUDE,
            UNASKED,
            {"reasoning": {"effort": "none"}},
            {"thinking": {"type": "disabled"}},
            None,
            [],
        ),
        (CLAUDE, OLD, {"reasoning": {"effort": "low"}}, None, None, ["reasoning"]),
        (GPT_OSS, None, {"reasoning": {"effort": "xhigh"}}, {"reasoning_effort": "high"}, None, []),
        (
            GPT_OSS,
            None,
            {"reasoning": {"effort": "none"}},
            {"reasoning_effort": "low"},
            None,
            ["reasoning.effort"],
        ),
        (
            NOVA,
            None,
            {"reasoning": {"effort": "minimal"}},
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
            None,
            [],
        ),
        (
            NOVA,
            None,
            {"reasoning": {"effort": "none"}},
            {"reasoningConfig": {"type": "disabled"}},
            None,
            [],
        ),
        (
            NOVA,
            None,
            {
                "reasoning": {"budget_tokens": 3300},
                "temperature": 0.2,
                "max_completion_tokens": 4000,
            },
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}},
            None,
            ["temperature", "max_completion_tokens"],
        ),
        (LLAMA, None, {"reasoning": {"effort": "low"}}, None, None, ["reasoning"]),
        (QWEN, None, {"reasoning": {"effort": "low"}}, None, None, ["reasoning"]),
        (DEEPSEEK, None, {"reasoning": {"effort": "max"}}, {"reasoning_effort": "high"}, None, []),
        (DEEPSEEK, None, {"reasoning": {"effort": "none"}}, None, None, []),
        (
            GPT_OSS,
            entry(vendor="openai", reasoning=Reasoning(efforts=("none", "low", "xhigh"))),
            {"reasoning": {"effort": "none"}},
            {"reasoning_effort": "none"},
            None,
            [],
        ),
        (LLAMA, None, {"reasoning": {"effort": "none"}}, None, None, []),
        (LLAMA, None, {"reasoning": {"summary": "auto"}}, None, None, []),
    ],
)
def test_reasoning_in_each_vendors_words(translate, model, known, asked, extra, effort, lost):
    outgoing, reported = translate(asked, model=model, known=known)

    assert outgoing.document.get("additionalModelRequestFields") == extra
    assert outgoing.document.get("outputConfig", {}).get("effort") == effort
    assert reported == lost


def test_a_budget_comes_with_a_limit(body_of):
    body = body_of({"reasoning": {"budget_tokens": 2000}}, known=BUDGET)

    assert body["inferenceConfig"] == {"maxTokens": 64000}


def test_a_forced_tool_ends_the_thinking(translate):
    asked = {"tools": [WEATHER], "tool_choice": "required", "reasoning": {"budget_tokens": 2000}}
    outgoing, lost = translate(asked, known=BUDGET)

    assert "additionalModelRequestFields" not in outgoing.document
    assert lost == ["reasoning"]


def test_a_model_that_always_thinks_chooses_itself(translate):
    always = entry(reasoning=Reasoning(efforts=("low",), adaptive=True, always=True))
    outgoing, lost = translate({"tools": [WEATHER], "tool_choice": "required"}, known=always)

    assert "toolChoice" not in outgoing.document["toolConfig"]
    assert lost == ["tool_choice"]


THOUGHTS = [
    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
    {"type": "redacted_thinking", "data": PDF},
]


def test_signed_thoughts_go_back_to_claude(translate):
    turn = {
        "role": "assistant",
        "content": "yes",
        "thinking_blocks": THOUGHTS,
        "reasoning_content": "hm",
    }
    outgoing, lost = translate({"messages": [*HI, turn, *HI]})

    assert outgoing.document["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        {"reasoningContent": {"redactedContent": PDF}},
        {"text": "yes"},
    ]
    assert lost == []


@pytest.mark.parametrize(
    ("model", "block"),
    [
        (CLAUDE, {"type": "thinking", "thinking": "unsigned"}),
        (CLAUDE, {"type": "redacted_thinking", "data": "no base64!"}),
        (CLAUDE, {"type": "reasoning", "id": "r", "encrypted_content": "x"}),
        (GPT_OSS, THOUGHTS[0]),
        (LLAMA, THOUGHTS[0]),
    ],
)
def test_thoughts_of_other_models_are_left_out(translate, model, block):
    turn = {"role": "assistant", "content": "yes", "thinking_blocks": [block]}
    outgoing, lost = translate({"messages": [*HI, turn, *HI]}, model=model)

    assert outgoing.document["messages"][1]["content"] == [{"text": "yes"}]
    assert lost == ["messages.thinking_blocks"]


def test_unsigned_thoughts_go_back_to_models_that_sign_none(body_of):
    turn = {"role": "assistant", "thinking_blocks": [{"type": "thinking", "thinking": "hm"}]}
    body = body_of({"messages": [*HI, {**turn, "content": "yes"}, *HI]}, model=GPT_OSS)

    thought = {"reasoningContent": {"reasoningText": {"text": "hm"}}}
    assert body["messages"][1]["content"] == [thought, {"text": "yes"}]


# --- caching
def test_cache_markers_are_cache_points(translate):
    outgoing, lost = translate(
        {
            "tools": [{**WEATHER, "cache_control": CACHED}],
            "messages": [
                {"role": "system", "content": [{"text": "long", "cache_control": CACHED}]},
                {"role": "user", "content": "hi", "cache_control": {"type": "ephemeral"}},
            ],
        }
    )
    body = outgoing.document
    hour = {"cachePoint": {"type": "default", "ttl": "1h"}}

    assert body["toolConfig"]["tools"][1:] == [hour]
    assert body["system"] == [{"text": "long"}, hour]
    assert body["messages"][0]["content"] == [{"text": "hi"}, {"cachePoint": {"type": "default"}}]
    assert lost == []


def test_a_cache_marker_in_a_result_stands_after_it(body_of):
    results = [
        {**RESULTS[0], "content": [{"type": "text", "text": "sun", "cache_control": CACHED}]},
        {**RESULTS[1], "cache_control": CACHED},
    ]
    content = body_of({"tools": [WEATHER], "messages": [*HI, CALLED, *results]})["messages"][2]

    kinds = [next(iter(block)) for block in content["content"]]
    assert kinds == ["toolResult", "cachePoint", "toolResult", "cachePoint"]


@pytest.mark.parametrize(
    ("model", "lost"),
    [
        (NOVA, ["tools.cache_control"]),
        (LLAMA, ["messages.content.cache_control", "tools.cache_control"]),
    ],
)
def test_models_without_caching_get_no_cache_points(translate, model, lost):
    question = {"role": "user", "content": [{"text": "hi", "cache_control": CACHED}]}
    asked = {"tools": [{**WEATHER, "cache_control": CACHED}], "messages": [question]}
    outgoing, reported = translate(asked, model=model)

    assert outgoing.document["toolConfig"] == {"tools": [{"toolSpec": SPEC}]}
    assert reported == lost


# --- counting
def test_tokens_are_counted_by_the_model_itself(translate):
    outgoing, lost = translate(
        {"tools": [WEATHER], "temperature": 0.5, "max_completion_tokens": 3},
        operation="count_tokens",
    )

    assert outgoing.path == f"/model/{CLAUDE[3:-2]}%3A0/count-tokens"
    assert outgoing.document["input"]["converse"].keys() == {"messages", "toolConfig"}
    assert lost == []


# --- names of models
@pytest.mark.parametrize(
    ("model", "base", "vendor"),
    [
        (CLAUDE, CLAUDE.removeprefix("us."), "anthropic"),
        ("global.anthropic.claude-x", "anthropic.claude-x", "anthropic"),
        ("qwen.qwen3-32b-v1:0", "qwen.qwen3-32b-v1:0", "qwen"),
        (GPT_OSS, GPT_OSS, "openai"),
        (PROFILE, "abc123", ""),
        (
            "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.meta.llama4",
            "meta.llama4",
            "meta",
        ),
    ],
)
def test_the_vendor_is_in_the_name(model, base, vendor):
    assert (base_model(model), vendor_of(model).name) == (base, vendor)


# --- anything
texts = st.text(max_size=12)
parts = st.lists(
    st.one_of(
        texts.map(lambda text: {"type": "text", "text": text}),
        st.just({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}),
        texts.map(lambda name: {"type": "file", "file": {"filename": name, "file_data": PDF}}),
    ),
    max_size=4,
)
turns = st.lists(
    st.one_of(
        st.builds(lambda c: {"role": "user", "content": c}, st.one_of(texts, parts)),
        st.builds(lambda c: {"role": "assistant", "content": c}, texts),
        st.builds(lambda c: {"role": "system", "content": c}, texts),
    ),
    max_size=6,
)


@given(turns)
def test_any_conversation_becomes_a_valid_one(given_turns):
    document = {"messages": [*given_turns, {"role": "user", "content": "so?"}]}
    outgoing = BedrockUpstream(BedrockOptions()).request(
        CanonicalCall("chat", document, CLAUDE), Loss()
    )

    check_path_and_body(outgoing.path, outgoing.document)


def test_a_model_that_does_not_go_on_from_an_answer_is_asked_to(translate):
    turn = {"role": "assistant", "content": "Well, "}

    outgoing, lost = translate({"messages": [*HI, turn]}, known=UNASKED)

    roles = [one["role"] for one in outgoing.document["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert lost == ["messages.role"]


def test_what_a_client_says_in_converses_own_words_is_converses(translate):
    asked = {
        "additionalModelRequestFields": {"top_k": 5, "odd": 1},
        "performanceConfig": {"latency": "optimized"},
        "guardrailConfig": {"guardrailIdentifier": "theirs", "guardrailVersion": "1"},
    }
    ours = BedrockOptions(guardrail_id="ours", guardrail_version="2")

    free, lost = translate(asked)
    guarded, _ = translate(asked, options=ours)

    assert {name: free.document[name] for name in asked} == asked
    assert lost == []
    assert guarded.document["guardrailConfig"]["guardrailIdentifier"] == "ours"
