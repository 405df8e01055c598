"""Canonical calls as Gemini requests, each held against google-genai's types and Gemini's rules."""

from __future__ import annotations

import pytest

from pipeline.api import InvalidCall, ModelEntry
from pipeline.api.catalog import Reasoning
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.upstreams import gemini_request
from plugins.translate.upstreams.gemini import GeminiOptions, GeminiUpstream, SafetySetting
from plugins.translate.upstreams.gemini_signatures import NOT_SIGNED, packed
from plugins.translate.upstreams.gemini_vertex import VertexGeminiOptions, VertexGeminiUpstream
from tests.support.canonical_calls import HI, PNG, WEATHER, called, results
from tests.support.providers.gemini_rules import SIGNATURE, check

HI_CONTENTS = [{"role": "user", "parts": [{"text": "hi"}]}]
SCHEMA = WEATHER["function"]["parameters"]
TIME = {"type": "function", "function": {"name": "time"}}
CALLED = called(None, "weather", "time")
RESULTS = results("no clock")
SEARCH = {"type": "web_search", "web_search": {}}


def entry(**given):
    return ModelEntry(name="gemini-test", vendor="google", match=(), **given)


BUDGET = entry(max_output_tokens=65536, reasoning=Reasoning(budget=True))
PRO = entry(reasoning=Reasoning(budget=True, always=True))
LEVELS = entry(
    max_output_tokens=65536, reasoning=Reasoning(efforts=("low", "medium", "high"), always=True)
)
PLAIN = entry(max_output_tokens=8192)


@pytest.fixture
def request_of(monkeypatch):
    """Translate a document for a model; what comes out must be valid."""

    def translate(document, *, model=None, operation="chat", stream=False, vertex=None):
        monkeypatch.setattr(gemini_request, "find_model", lambda _: model)
        is_new = model is None or bool(model.reasoning and model.reasoning.efforts)
        name = "gemini-3-test" if is_new else "gemini-2.5-test"
        loss = Loss()
        call = CanonicalCall(operation, {"messages": HI, **document}, name, stream)
        upstream = GeminiUpstream(GeminiOptions())
        if vertex is not None:
            upstream = VertexGeminiUpstream(VertexGeminiOptions(**vertex))
        outgoing = upstream.request(call, loss)
        counts = operation == "count_tokens"
        body = outgoing.document
        body = body["generateContentRequest"] if counts and vertex is None else body
        check(body, model=name, is_vertex=vertex is not None, counts=counts)
        return outgoing, list(loss.names)

    return translate


def body_of(result):
    return result[0].document


def contents_of(result):
    return body_of(result)["contents"]


# --- the envelope
def test_a_call_goes_to_the_models_path(request_of):
    outgoing, lost = request_of({"model": "x", "stream_options": {"include_usage": True}})

    assert outgoing.path == "/models/gemini-3-test:generateContent"
    assert outgoing.document == {"contents": HI_CONTENTS}
    assert lost == []


def test_a_stream_is_asked_for_as_sse(request_of):
    path = request_of({}, stream=True)[0].path

    assert path == "/models/gemini-3-test:streamGenerateContent?alt=sse"


@pytest.mark.parametrize(
    ("options", "model", "path"),
    [
        (
            {"project": "p", "location": "us-east5"},
            "gemini-3-pro",
            "/projects/p/locations/us-east5/publishers/google/models/gemini-3-pro:generateContent",
        ),
        ({}, "gemini-3-pro", "/publishers/google/models/gemini-3-pro:generateContent"),
        (
            {"project": "p"},
            "endpoints/12",
            "/projects/p/locations/global/endpoints/12:generateContent",
        ),
        (
            {"project": "p"},
            "projects/q/locations/l/endpoints/1",
            "/projects/q/locations/l/endpoints/1:generateContent",
        ),
    ],
)
def test_vertex_has_models_of_a_project_and_tuned_ones(options, model, path):
    call = CanonicalCall("chat", {"messages": HI}, model)

    assert VertexGeminiUpstream(VertexGeminiOptions(**options)).request(call, Loss()).path == path


# --- messages
def test_instructions_are_the_system_instruction(request_of):
    result = request_of(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
                *HI,
            ]
        }
    )

    parts = [{"text": "Be brief."}, {"text": "Be kind."}]
    assert body_of(result)["systemInstruction"] == {"parts": parts}
    assert contents_of(result) == HI_CONTENTS
    assert result[1] == []


def test_instructions_alone_are_the_question(request_of):
    result = request_of({"messages": [{"role": "system", "content": "hi"}]})

    assert contents_of(result) == HI_CONTENTS
    assert "systemInstruction" not in body_of(result)
    assert result[1] == ["messages.role"]


@pytest.mark.parametrize(
    ("part", "sent"),
    [
        (
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
            {"inlineData": {"mimeType": "image/png", "data": PNG}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://a.b/c.webp?x=1"}},
            {"fileData": {"fileUri": "https://a.b/c.webp?x=1", "mimeType": "image/webp"}},
        ),
        (
            {"type": "image_url", "image_url": {"url": "gs://a/b"}},
            {"fileData": {"fileUri": "gs://a/b", "mimeType": "image/jpeg"}},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": PNG, "format": "mp3"}},
            {"inlineData": {"mimeType": "audio/mp3", "data": PNG}},
        ),
        (
            {"type": "file", "file": {"file_data": PNG, "filename": "a.csv"}},
            {"inlineData": {"mimeType": "text/csv", "data": PNG}},
        ),
        (
            {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PNG}"}},
            {"inlineData": {"mimeType": "application/pdf", "data": PNG}},
        ),
        (
            {"type": "file", "file": {"file_url": "https://a.b/c"}},
            {"fileData": {"fileUri": "https://a.b/c", "mimeType": "application/pdf"}},
        ),
        (
            {"type": "video_url", "video_url": {"url": "https://www.youtube.com/watch?v=1"}},
            {
                "fileData": {
                    "fileUri": "https://www.youtube.com/watch?v=1",
                    "mimeType": "video/mp4",
                }
            },
        ),
        (
            {"type": "file", "file": {"file_id": "https://g.co/v1beta/files/1"}},
            {"fileData": {"fileUri": "https://g.co/v1beta/files/1", "mimeType": "application/pdf"}},
        ),
    ],
)
def test_media_are_inline_data_or_files_by_uri(request_of, part, sent):
    result = request_of({"messages": [{"role": "user", "content": [part]}]})

    assert contents_of(result) == [{"role": "user", "parts": [sent]}]
    assert result[1] == []


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "file", "file": {"file_id": "file-1"}}, "messages.content.file.file_id"),
        ({"type": "hologram"}, "messages.content.type"),
        ({"type": "file", "file": {}}, "messages.content.file"),
        ({"type": "image_url", "image_url": {}}, "messages.content.image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:x"}}, "messages.content.image_url.url"),
    ],
)
def test_content_that_cannot_be_carried_is_refused(request_of, part, param):
    with pytest.raises(InvalidCall) as error:
        request_of({"messages": [{"role": "user", "content": [part]}]})

    assert error.value.param == param


def test_the_detail_of_an_image_and_the_title_of_a_file_are_reported(request_of):
    image = {"url": f"data:image/png;base64,{PNG}", "detail": "high"}
    file = {"file_data": PNG, "title": "T"}
    parts = [{"type": "image_url", "image_url": image}, {"type": "file", "file": file}]

    lost = request_of({"messages": [{"role": "user", "content": parts}]})[1]

    assert lost == ["messages.content.image_url.detail", "messages.content.file.title"]


# --- tools
def test_tools_are_function_declarations(request_of):
    result = request_of({"tools": [WEATHER, TIME]})

    declared = [
        {"name": "weather", "description": "The weather.", "parametersJsonSchema": SCHEMA},
        {"name": "time"},
    ]
    assert body_of(result)["tools"] == [{"functionDeclarations": declared}]
    assert "toolConfig" not in body_of(result)


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "time"}},
            {"mode": "ANY", "allowedFunctionNames": ["time"]},
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TIME]}},
            {"mode": "ANY"},
        ),
    ],
)
def test_tool_choice_is_a_calling_mode(request_of, choice, config):
    result = request_of({"tools": [WEATHER, TIME], "tool_choice": choice})

    assert body_of(result)["toolConfig"] == {"functionCallingConfig": config}
    assert result[1] == []


def test_allowed_tools_are_the_only_ones_declared(request_of):
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TIME]}}

    result = request_of({"tools": [WEATHER, TIME], "tool_choice": choice})

    assert body_of(result)["tools"] == [{"functionDeclarations": [{"name": "time"}]}]


def test_strict_tools_are_validated(request_of):
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}

    result = request_of({"tools": [strict]})

    assert body_of(result)["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert result[1] == []


def test_calls_one_at_a_time_cannot_be_asked_for(request_of):
    assert request_of({"tools": [TIME], "parallel_tool_calls": False})[1] == ["parallel_tool_calls"]


@pytest.mark.parametrize("model", [LEVELS, BUDGET, PLAIN])
def test_results_answer_their_calls_in_one_turn(request_of, model):
    result = request_of({"messages": [*HI, CALLED, *RESULTS, *HI]}, model=model)

    _, called, answered, asked = contents_of(result)
    assert [part["functionCall"] for part in called["parts"]] == [
        {"name": "weather", "args": {"city": 1}, "id": "a"},
        {"name": "time", "args": {}, "id": "b"},
    ]
    assert answered == {
        "role": "user",
        "parts": [
            {"functionResponse": {"name": "weather", "response": {"output": "sun"}, "id": "a"}},
            {"functionResponse": {"name": "time", "response": {"error": "no clock"}, "id": "b"}},
        ],
    }
    assert asked == HI_CONTENTS[0]
    assert result[1] == []


@pytest.mark.parametrize(("model", "is_within"), [(LEVELS, True), (BUDGET, False)])
def test_images_of_a_result_are_within_it_where_the_model_takes_them(request_of, model, is_within):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    blob = {"inlineData": {"mimeType": "image/png", "data": PNG}}
    called = {**CALLED, "tool_calls": CALLED["tool_calls"][:1]}
    shown = {**RESULTS[0], "content": [{"type": "text", "text": "sun"}, image]}

    first, *rest = contents_of(request_of({"messages": [*HI, called, shown]}, model=model))[2][
        "parts"
    ]

    assert first["functionResponse"]["response"] == {"output": "sun"}
    assert first["functionResponse"].get("parts") == ([blob] if is_within else None)
    assert rest == ([] if is_within else [blob])


def test_a_web_search_is_googles(request_of):
    search = {"type": "web_search", "web_search": {"blocked_domains": ["a.b"], "max_uses": 2}}

    studio, vertex = request_of({"tools": [search]}), request_of({"tools": [search]}, vertex={})

    assert body_of(studio)["tools"] == [{"googleSearch": {}}]
    assert studio[1] == ["tools.web_search.blocked_domains", "tools.web_search.max_uses"]
    assert body_of(vertex)["tools"] == [{"googleSearch": {"excludeDomains": ["a.b"]}}]
    assert vertex[1] == ["tools.web_search.max_uses"]


def test_functions_come_before_a_search_where_only_one_can_be(request_of):
    result = request_of({"tools": [SEARCH, TIME]})

    assert body_of(result)["tools"] == [{"functionDeclarations": [{"name": "time"}]}]
    assert result[1] == ["tools.web_search"]


def test_googles_own_tools_pass_and_others_are_reported(request_of):
    own = [{"type": "code_execution"}, {"urlContext": {}}]

    result = request_of({"tools": [*own, {"type": "bash_20250124", "name": "bash"}]})

    assert body_of(result)["tools"] == [{"codeExecution": {}}, {"urlContext": {}}]
    assert result[1] == ["tools.type"]


# --- signatures
def signed(*blocks, calls=CALLED["tool_calls"], content=None):
    return {**CALLED, "content": content, "tool_calls": calls, "thinking_blocks": list(blocks)}


def thinking(text, signature=""):
    return {"type": "thinking", "thinking": text, "signature": signature}


@pytest.mark.parametrize(
    "block",
    [
        thinking("Hm.", packed("call0", f"{SIGNATURE}Y2Fs")),
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "Hm."}],
            "encrypted_content": packed("call0", f"{SIGNATURE}Y2Fs"),
        },
    ],
)
def test_a_signature_goes_back_to_its_call(request_of, block):
    message = signed(block)

    called = contents_of(request_of({"messages": [*HI, message, *RESULTS]}))[1]["parts"]

    assert called[0] == {"text": "Hm.", "thought": True}
    assert called[1]["thoughtSignature"] == f"{SIGNATURE}Y2Fs"
    assert "thoughtSignature" not in called[2]


def test_a_signature_may_come_in_the_calls_extra_content(request_of):
    extra = {"extra_content": {"google": {"thought_signature": f"{SIGNATURE}Y2Fs"}}}
    first, second = CALLED["tool_calls"]
    message = {**CALLED, "tool_calls": [{**first, **extra}, second]}

    result = request_of({"messages": [*HI, message, *RESULTS]})

    assert contents_of(result)[1]["parts"][0]["thoughtSignature"] == f"{SIGNATURE}Y2Fs"
    assert result[1] == []


def test_a_signature_goes_back_to_the_last_text(request_of):
    message = {
        "role": "assistant",
        "content": "Yes.",
        "thinking_blocks": [thinking("", packed("text", f"{SIGNATURE}dGV4"))],
    }

    said = contents_of(request_of({"messages": [*HI, message, *HI]}))[1]["parts"]

    assert said == [{"text": "Yes.", "thoughtSignature": f"{SIGNATURE}dGV4"}]


def test_a_call_without_its_signature_says_so_to_models_that_want_one(request_of):
    new = contents_of(request_of({"messages": [*HI, CALLED, *RESULTS]}, model=LEVELS))[1]["parts"]
    old = contents_of(request_of({"messages": [*HI, CALLED, *RESULTS]}, model=BUDGET))[1]["parts"]

    assert [part.get("thoughtSignature") for part in new] == [NOT_SIGNED, None]
    assert [part.get("thoughtSignature") for part in old] == [None, None]


def test_other_models_thoughts_are_left_out_and_reported(request_of):
    foreign = [thinking("Hm.", "EpABCk"), {"type": "redacted_thinking", "data": "x"}]
    message = {"role": "assistant", "content": "Yes.", "thinking_blocks": foreign}

    result = request_of({"messages": [*HI, message, *HI]})

    assert contents_of(result)[1]["parts"] == [{"text": "Yes."}]
    assert result[1] == ["messages.thinking_blocks"]


# --- generation
def test_sampling_and_limits_are_the_generation_config(request_of):
    result = request_of(
        {
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 40,
            "n": 2,
            "max_completion_tokens": 10,
            "stop": ["a", "b"],
            "seed": 7,
            "presence_penalty": 0.1,
            "frequency_penalty": 0.2,
            "logprobs": True,
            "top_logprobs": 3,
        }
    )

    assert body_of(result)["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "candidateCount": 2,
        "maxOutputTokens": 10,
        "stopSequences": ["a", "b"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseLogprobs": True,
        "logprobs": 3,
    }
    assert result[1] == []


def test_what_gemini_has_no_place_for_is_reported(request_of):
    result = request_of(
        {
            "stop": list("abcdef"),
            "seed": 2**40,
            "user": "u",
            "logit_bias": {"1": 2},
            "metadata": {"team": "a"},
            "logprobs": True,
            "max_completion_tokens": 10_000,
        },
        model=PLAIN,
    )

    assert result[1] == [
        "max_completion_tokens",
        "stop",
        "seed",
        "logprobs",
        "metadata",
        "user",
        "logit_bias",
    ]
    assert body_of(result)["generationConfig"] == {
        "maxOutputTokens": 8192,
        "stopSequences": list("abcde"),
    }


def test_vertex_takes_metadata_as_labels(request_of):
    result = request_of({"metadata": {"team": "a", "Bad Key": "x", "long": "A"}}, vertex={})

    assert body_of(result)["labels"] == {"team": "a"}
    assert result[1] == ["metadata"]


@pytest.mark.parametrize(
    ("asked", "model", "sent", "lost"),
    [
        ({"effort": "high"}, LEVELS, {"thinkingLevel": "HIGH", "includeThoughts": True}, []),
        ({"effort": "max"}, LEVELS, {"thinkingLevel": "HIGH", "includeThoughts": True}, []),
        ({"effort": "none"}, LEVELS, {"thinkingLevel": "LOW"}, ["reasoning.effort"]),
        (
            {"budget_tokens": 65000},
            LEVELS,
            {"thinkingLevel": "HIGH", "includeThoughts": True},
            [],
        ),
        ({"effort": "medium"}, BUDGET, {"thinkingBudget": 8192, "includeThoughts": True}, []),
        ({"budget_tokens": 2000}, BUDGET, {"thinkingBudget": 2000, "includeThoughts": True}, []),
        (
            {"budget_tokens": 99999},
            BUDGET,
            {"thinkingBudget": 24576, "includeThoughts": True},
            ["reasoning.budget_tokens"],
        ),
        ({"effort": "none"}, BUDGET, {"thinkingBudget": 0}, []),
        ({"effort": "none"}, PRO, None, ["reasoning.effort"]),
        ({"summary": "auto"}, BUDGET, {"includeThoughts": True}, []),
        ({"effort": "low"}, None, {"thinkingLevel": "LOW", "includeThoughts": True}, []),
        ({"budget_tokens": 512}, None, {"thinkingBudget": 512, "includeThoughts": True}, []),
        ({"effort": "high"}, PLAIN, None, ["reasoning"]),
        ({"effort": "none"}, PLAIN, None, []),
    ],
)
def test_reasoning_is_a_level_or_a_budget(request_of, asked, model, sent, lost):
    result = request_of({"reasoning": asked}, model=model)

    assert body_of(result).get("generationConfig", {}).get("thinkingConfig") == sent
    assert result[1] == lost


def test_json_and_choices_are_a_mime_type_and_a_schema(request_of):
    shape = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}

    by_schema = body_of(request_of({"response_format": shape}))["generationConfig"]
    guided = body_of(request_of({"guided_json": SCHEMA}))["generationConfig"]
    free = body_of(request_of({"response_format": {"type": "json_object"}}))["generationConfig"]
    words = body_of(request_of({"guided_choice": ["a", "b"]}))["generationConfig"]

    json_type = {"responseMimeType": "application/json"}
    assert by_schema == guided == {**json_type, "responseJsonSchema": SCHEMA}
    assert free == json_type
    assert words["responseSchema"] == {"type": "STRING", "enum": ["a", "b"]}


def test_references_are_put_in_their_place_and_unknown_keywords_reported(request_of):
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "home": {"$ref": "#/$defs/Place", "description": "Where."},
            "kind": {"const": "a"},
            "size": {"oneOf": [{"type": "integer"}, {"type": "null"}], "default": None},
            "name": {"type": "string", "pattern": "^a"},
            "next": {"$ref": "#/$defs/Node"},
        },
        "$defs": {
            "Place": {"type": "string"},
            "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}},
        },
    }
    shape = {"type": "json_schema", "json_schema": {"schema": schema}}

    result = request_of({"response_format": shape})

    sent = body_of(result)["generationConfig"]["responseJsonSchema"]["properties"]
    assert sent == {
        "home": {"type": "string", "description": "Where."},
        "kind": {"enum": ["a"]},
        "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "name": {"type": "string"},
        "next": {"type": "object", "properties": {"next": {"type": "object"}}},
    }
    path = "response_format.json_schema.schema"
    assert result[1] == [f"{path}.pattern", f"{path}.$ref"]


def test_references_that_double_at_each_level_stay_bounded(request_of):
    levels = {
        f"l{n}": {"properties": {side: {"$ref": f"#/$defs/l{n + 1}"} for side in "ab"}}
        for n in range(40)
    }
    schema = {"$ref": "#/$defs/l0", "$defs": {**levels, "l40": {"type": "string"}}}

    result = request_of({"guided_json": schema})

    assert len(str(body_of(result))) < 500_000
    assert result[1] == ["guided_json.schema.$ref"]


def test_a_schema_without_a_bottom_in_reach_is_refused(request_of):
    schema = {"type": "string"}
    for _ in range(2000):
        schema = {"type": "array", "items": schema}

    with pytest.raises(InvalidCall) as error:
        request_of({"guided_json": schema})

    assert error.value.param == "guided_json.schema"


def test_a_format_beside_functions_is_for_newer_models(request_of):
    asked = {"tools": [TIME], "response_format": {"type": "json_object"}}

    assert request_of(asked, model=LEVELS)[1] == []
    assert request_of(asked, model=BUDGET)[1] == ["response_format"]


def test_images_and_tiers_can_be_asked_for(request_of):
    body = body_of(request_of({"modalities": ["text", "image"], "service_tier": "flex"}))

    assert body["generationConfig"] == {"responseModalities": ["TEXT", "IMAGE"]}
    assert body["serviceTier"] == "flex"


def test_googles_own_fields_may_come_with_a_call(request_of):
    google = {"thinking_config": {"thinkingBudget": 9}, "cached_content": "cachedContents/1"}

    result = request_of(
        {
            "messages": [{"role": "system", "content": "Be brief."}, *HI],
            "safety_settings": [
                {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
            ],
            "extra_body": {"google": google},
        }
    )

    body = body_of(result)
    assert body["cachedContent"] == "cachedContents/1"
    assert "systemInstruction" not in body
    assert body["generationConfig"]["thinkingConfig"] == {"thinkingBudget": 9}
    assert body["safetySettings"][0]["threshold"] == "BLOCK_NONE"
    assert result[1] == ["messages.role"]


def test_a_backend_has_safety_settings_of_its_own():
    setting = SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="OFF")
    upstream = GeminiUpstream(GeminiOptions(safety_settings=(setting,), cached_content="c/1"))

    body = upstream.request(CanonicalCall("chat", {"messages": HI}, "gemini-3"), Loss()).document

    assert body["safetySettings"] == [setting.model_dump()]
    assert body["cachedContent"] == "c/1"


# --- other operations
def test_a_count_leaves_out_what_does_not_count(request_of):
    asked = {"temperature": 1, "tools": [TIME]}

    studio = request_of(asked, operation="count_tokens")[0]
    vertex = request_of(asked, operation="count_tokens", vertex={"project": "p"})[0]

    counted = {"contents": HI_CONTENTS, "tools": [{"functionDeclarations": [{"name": "time"}]}]}
    assert studio.path == "/models/gemini-3-test:countTokens"
    assert studio.document["generateContentRequest"] == {
        "model": "models/gemini-3-test",
        **counted,
    }
    assert vertex.path.endswith("/gemini-3-test:countTokens")
    assert vertex.document == counted


def test_vertex_counts_without_a_choice_of_tools(request_of):
    asked = {"tools": [TIME], "tool_choice": "required"}

    studio = request_of(asked, operation="count_tokens")[0]
    vertex = request_of(asked, operation="count_tokens", vertex={"project": "p"})[0]

    assert "toolConfig" in studio.document["generateContentRequest"]
    assert vertex.document.keys() == {"contents", "tools"}


def test_what_a_client_says_in_geminis_own_words_is_geminis(request_of):
    settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    asked = {
        "temperature": 0.5,
        "generationConfig": {"temperature": 0.9, "mediaResolution": "MEDIA_RESOLUTION_LOW"},
        "safetySettings": settings,
        "cachedContent": "cachedContents/c",
    }

    result = request_of(asked)

    assert body_of(result)["generationConfig"] == asked["generationConfig"]
    assert body_of(result)["safetySettings"] == settings
    assert body_of(result)["cachedContent"] == "cachedContents/c"
    assert result[1] == []
