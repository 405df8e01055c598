"""Canonical calls as OpenAI's requests, checked against OpenAI's own types."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.api import InvalidCall
from pipeline.api.catalog import ModelEntry, Reasoning
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.clients.messages import MessagesClient
from plugins.translate.upstreams.openai import OpenAIUpstream
from plugins.translate.upstreams.openai_reasoning import reasoning_fields
from plugins.translate.upstreams.presets import preset_quirks
from plugins.translate.upstreams.quirks import OPENAI, Quirks, without_field
from tests.support.providers.openai import check_chat
from tests.support.providers.typed import Mismatch

MODEL = "some-unknown-model"
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}
CACHED = {"cache_control": {"type": "ephemeral"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
BLOCKS = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}


def sent(document, quirks=OPENAI, *, stream=False, model=MODEL, extra=frozenset()):
    loss = Loss()
    upstream = OpenAIUpstream(quirks)
    outgoing = upstream.request(CanonicalCall("chat", document, model, stream), loss)
    assert outgoing.path == "/chat/completions"
    check_chat(outgoing.document, extra)
    return outgoing.document, loss.names


def said(*messages, **fields):
    return {"messages": list(messages), **fields}


def user(content="hi"):
    return {"role": "user", "content": content}


def refused(document, quirks=OPENAI):
    with pytest.raises(InvalidCall) as caught:
        sent(document, quirks)
    assert caught.value.code == "unsupported_by_backend"
    return caught.value.param


def test_what_both_forms_have_in_common_stays():
    same = {
        "temperature": 0.5,
        "top_p": 0.9,
        "n": 2,
        "seed": 1,
        "logprobs": True,
        "top_logprobs": 2,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "service_tier": "flex",
        "response_format": SCHEMA,
        "max_completion_tokens": 9,
        "stop": ["a"],
        "metadata": {"a": "b"},
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
        "parallel_tool_calls": False,
    }
    body, lost = sent(said(user(), **same))

    assert same.items() <= body.items()
    assert body["model"] == MODEL
    assert lost == ()


def test_a_field_that_nobody_knows_goes_on():
    body, lost = sent(said(user(), brand_new=1), extra=frozenset({"brand_new"}))

    assert (body["brand_new"], lost) == (1, ())


def test_usage_is_asked_for_in_every_stream_and_nothing_of_streams_elsewhere():
    asked = said(user(), stream=True, stream_options={"include_usage": False})

    assert sent(asked, stream=True)[0]["stream_options"] == {"include_usage": True}
    assert not {"stream", "stream_options"} & sent(asked)[0].keys()


@pytest.mark.parametrize("name", ["top_k", "cache_control", "input_type"])
def test_canonical_fields_that_openai_refuses_are_reported(name):
    body, lost = sent(said(user(), **{name: 5}))

    assert name not in body
    assert lost == (name,)


def test_too_many_stop_sequences_are_cut_and_reported():
    body, lost = sent(said(user(), stop=list("abcde")))

    assert body["stop"] == list("abcd")
    assert lost == ("stop",)


def test_cache_marks_go_everywhere_without_loss_where_caching_is_automatic():
    document = said(
        {"role": "system", "content": [{"type": "text", "text": "a", **CACHED}], **CACHED},
        user([{**PNG, **CACHED}]),
        tools=[{**TOOL, **CACHED}],
    )
    body, lost = sent(document)

    assert body["messages"][0] == {"role": "system", "content": [{"type": "text", "text": "a"}]}
    assert body["messages"][1]["content"] == [PNG]
    assert body["tools"] == [TOOL]
    assert lost == ()


def test_cache_marks_stay_where_they_mean_something():
    body, _ = _openrouter(said(user([{"type": "text", "text": "a", **CACHED}])))

    assert body["messages"][0]["content"] == [{"type": "text", "text": "a", **CACHED}]


def test_thinking_is_reported_where_openai_has_no_place_for_it():
    message = {"role": "assistant", "content": "a", "thinking_blocks": BLOCKS}
    body, lost = sent(said(user(), {**message, "reasoning_content": "hm"}, user()))

    assert body["messages"][1] == {"role": "assistant", "content": "a"}
    assert lost == ("messages.thinking_blocks",)


@pytest.mark.parametrize(
    ("preset", "field"), [("deepseek", "reasoning_content"), ("vllm", "reasoning")]
)
def test_thinking_goes_back_as_text_where_there_is_a_field(preset, field):
    message = {"role": "assistant", "content": "a", "thinking_blocks": BLOCKS}
    upstream, loss = OpenAIUpstream(preset_quirks(preset)), Loss()
    body = upstream.request(CanonicalCall("chat", said(user(), message, user()), "m"), loss)

    assert body.document["messages"][1] == {"role": "assistant", "content": "a", field: "hm"}
    assert loss.names == ()


def test_openrouter_gets_thinking_with_signatures_and_redacted_blocks():
    blocks = [*BLOCKS, {"type": "redacted_thinking", "data": "xx"}]
    body, lost = _openrouter(
        said(user(), {"role": "assistant", "content": "a", "thinking_blocks": blocks}, user())
    )

    assert body["messages"][1]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "signature": "s"},
        {"type": "reasoning.encrypted", "data": "xx"},
    ]
    assert lost == ()


def _openrouter(document):
    loss = Loss()
    call = CanonicalCall("chat", document, "m")
    return OpenAIUpstream(preset_quirks("openrouter")).request(call, loss).document, loss.names


def test_pictures_of_a_tool_follow_in_a_users_message_after_all_results():
    second = {**CALL, "id": "call_2"}
    document = said(
        user(),
        {"role": "assistant", "content": None, "tool_calls": [CALL, second]},
        {"role": "tool", "tool_call_id": "call_1", "content": [PNG]},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "b"}]},
        user("and?"),
    )
    body, lost = sent(document)
    *_, first, other, shown, last = body["messages"]

    assert first["content"] == "(see below)"
    assert other["content"] == "b"
    assert shown["role"] == "user"
    assert shown["content"] == [{"type": "text", "text": "Result of tool call call_1:"}, PNG]
    assert last == user("and?")
    assert lost == ()


@pytest.mark.parametrize(
    ("text", "told"), [("no such city", "Error: no such city"), ("ERROR 5", "ERROR 5")]
)
def test_a_tools_failure_is_told_in_words(text, told):
    result = {"role": "tool", "tool_call_id": "call_1", "content": text, "is_error": True}
    body, lost = sent(said(user(), {"role": "assistant", "tool_calls": [CALL]}, result))

    assert body["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": told}
    assert lost == ()


def test_files_are_pdfs_with_names_and_texts_are_text():
    text = "data:text/plain;base64," + base64.b64encode("é".encode()).decode()
    pdf = "data:application/pdf;base64,aGk="
    parts = [
        {"type": "file", "file": {"file_data": pdf, "title": "A", "citations": True}},
        {"type": "file", "file": {"file_data": text, "title": "B", "context": "c"}},
        {"type": "file", "file": {"file_id": "f-1"}},
    ]
    body, lost = sent(said(user(parts)))

    assert body["messages"][0]["content"] == [
        {"type": "file", "file": {"file_data": pdf, "filename": "A"}},
        {"type": "text", "text": "B\n\né"},
        {"type": "file", "file": {"file_id": "f-1"}},
    ]
    assert lost == ("messages.content.file.citations", "messages.content.file.context")


def test_what_cannot_be_read_by_the_backend_is_refused_by_name():
    file = {"type": "file", "file": {"file_url": "https://a.example/a.pdf"}}
    audio = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
    broken = {"type": "file", "file": {"file_data": "data:text/plain;base64,a"}}

    assert refused(said(user([file]))) == "messages.content.file.file_url"
    assert refused(said(user([audio])), preset_quirks("groq")) == "messages.content.input_audio"
    with pytest.raises(InvalidCall, match="base64"):
        sent(said(user([broken])))


def test_a_web_search_becomes_options_and_says_what_it_cannot_keep():
    place = {"city": "Oslo", "country": "NO"}
    search = {"user_location": place, "max_uses": 2, "allowed_domains": ["a.example"]}
    tool = {"type": "web_search", "web_search": {**search, "search_context_size": "low"}}
    body, lost = sent(said(user(), tools=[tool], tool_choice="auto"))

    assert body["web_search_options"] == {
        "search_context_size": "low",
        "user_location": {"type": "approximate", "approximate": place},
    }
    assert not {"tools", "tool_choice"} & body.keys()
    assert lost == ("tools.web_search.allowed_domains", "tools.web_search.max_uses")


def test_a_providers_own_tool_is_reported():
    body, lost = sent(said(user(), tools=[TOOL, {"type": "computer_20250124", "name": "c"}]))

    assert body["tools"] == [TOOL]
    assert lost == ("tools.computer_20250124",)


def test_guided_decoding_is_a_schema_for_openai_and_the_rest_is_reported():
    body, lost = sent(said(user(), guided_json={"type": "object"}, guided_regex="a+"))

    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert lost == ("guided_regex",)


def test_guided_decoding_is_vllms_own_for_vllm_and_a_grammar_for_llama_cpp():
    guides = {"guided_json": {}, "guided_choice": ["a"], "guided_grammar": "g"}
    loss = Loss()
    bodies = [
        OpenAIUpstream(preset_quirks(name))
        .request(CanonicalCall("chat", said(user(), **guides), "m"), loss)
        .document
        for name in ("vllm", "llama_cpp")
    ]

    assert bodies[0]["structured_outputs"] == {"json": {}, "choice": ["a"], "grammar": "g"}
    assert bodies[1]["grammar"] == "g"
    assert loss.names == ("guided_choice",)


def test_a_schema_is_said_in_words_where_there_is_only_json():
    upstream, loss = OpenAIUpstream(preset_quirks("deepseek")), Loss()
    call = CanonicalCall("chat", said(user(), response_format=SCHEMA), "m")
    body = upstream.request(call, loss).document

    assert body["response_format"] == {"type": "json_object"}
    assert '{"type": "object"}' in body["messages"][0]["content"]
    assert "JSON" in body["messages"][0]["content"]
    assert loss.names == ("response_format.json_schema",)


THINKER = ModelEntry("t", "v", (), reasoning=Reasoning(efforts=("low", "high")))
PLAIN = ModelEntry("p", "v", ())


@pytest.mark.parametrize(
    ("asked", "style", "model", "fields", "lost"),
    [
        ({"effort": "high"}, "effort", None, {"reasoning_effort": "high"}, ()),
        ({"budget_tokens": 5000}, "effort", None, {"reasoning_effort": "low"}, ()),
        ({"effort": "max"}, "effort", THINKER, {"reasoning_effort": "high"}, ("reasoning.effort",)),
        ({"effort": "high"}, "effort", PLAIN, {}, ("reasoning",)),
        ({"effort": "none"}, "effort", PLAIN, {}, ()),
        ({"effort": "high"}, "none", None, {}, ("reasoning",)),
        ({"budget_tokens": 9}, "object", None, {"reasoning": {"max_tokens": 9}}, ()),
        ({"effort": "low"}, "object", None, {"reasoning": {"effort": "low"}}, ()),
        ({"effort": "none"}, "thinking", None, {"thinking": {"type": "disabled"}}, ()),
        ({"effort": "low"}, "thinking", None, {"thinking": {"type": "enabled"}}, ()),
        ({"effort": "none"}, "enable_thinking", None, {"enable_thinking": False}, ()),
        (
            {"budget_tokens": 9},
            "enable_thinking",
            None,
            {"enable_thinking": True, "thinking_budget": 9},
            (),
        ),
        ({"summary": "auto"}, "effort", None, {}, ()),
    ],
)
def test_reasoning_is_asked_for_in_each_servers_way(asked, style, model, fields, lost):
    loss = Loss()

    assert reasoning_fields(asked, None, loss, Quirks(reasoning=style), model) == fields
    assert loss.names == lost


def test_groq_is_spared_what_it_refuses_but_not_blamed_for_what_says_nothing():
    document = said({**user(), "name": "Ann"}, n=1, logprobs=True, temperature=1)
    body, lost = sent(document, preset_quirks("groq"))

    assert body == {"model": MODEL, "messages": [user()], "temperature": 1}
    assert lost == ("logprobs", "messages.name")


def test_a_message_of_another_client_fits_openai_whole():
    use = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "x"}
    document = {
        "model": "m",
        "max_tokens": 9000,
        "system": [{"type": "text", "text": "Be brief.", **CACHED}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": "aGk="},
                    },
                ],
            },
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ],
        "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
    }
    loss = Loss()
    body, lost = sent(MessagesClient().canonical(document, loss))

    assert (*loss.names, *lost) == ()
    assert body["tool_choice"] == "required"
    assert body["parallel_tool_calls"] is False


NAMES = st.sampled_from(["a", "b", "c"])
VALUES = st.recursive(
    st.integers() | st.text(max_size=2),
    lambda inner: st.dictionaries(NAMES, inner) | st.lists(inner, max_size=3),
    max_leaves=8,
)


@given(document=st.dictionaries(NAMES, VALUES), path=st.lists(NAMES, min_size=1, max_size=3))
def test_a_field_that_is_taken_out_is_gone_and_the_document_stays_as_it_was(document, path):
    before = repr(document)
    after, found = without_field(document, tuple(path))

    assert repr(document) == before
    assert found is (after != document)
    assert without_field(after, tuple(path)) == (after, False)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [user()], "model": "m", "top_k": 1},
        {"messages": [{"role": "user", "content": "a", "cache_control": {}}], "model": "m"},
        {"messages": [{"role": "tool", "tool_call_id": "x", "content": "a"}], "model": "m"},
        {"messages": [user()], "model": "m", "stop": list("abcde")},
        {"messages": [user()], "model": "m", "tool_choice": "auto"},
        {"messages": [user()], "model": "m", "response_format": {"type": "json_object"}},
    ],
)
def test_the_simulator_refuses_what_openai_refuses(body):
    with pytest.raises(Mismatch):
        check_chat(body)


# --- what the catalog knows
@pytest.mark.parametrize(
    ("model", "limit", "lost"),
    [
        ("gpt-4o", 16384, ("max_completion_tokens",)),
        (MODEL, 32000, ()),
        ("llama-3.3-70b", 32000, ()),
    ],
)
def test_a_limit_over_the_models_own_is_the_models(model, limit, lost):
    body, found = sent(said(user(), max_completion_tokens=32000), model=model)

    assert (body["max_completion_tokens"], found) == (limit, lost)


@pytest.mark.parametrize(
    ("model", "searches"), [("gpt-5", False), ("gpt-5-search-api", True), (MODEL, True)]
)
def test_only_models_that_search_are_asked_to(model, searches):
    search = {"type": "web_search", "web_search": {"search_context_size": "low"}}

    body, lost = sent(said(user(), tools=[search]), model=model)

    assert ("web_search_options" in body) is searches
    assert lost == (() if searches else ("tools.web_search",))


def test_ids_of_calls_that_are_too_long_for_openai_are_shortened_alike():
    long = "functions.weather:" + "0" * 40
    turn = {"role": "assistant", "content": None, "tool_calls": [{**CALL, "id": long}, CALL]}
    results = [{"role": "tool", "tool_call_id": one, "content": "x"} for one in (long, "call_1")]

    body, _ = sent(said(user(), turn, *results))

    asked, answered = body["messages"][1]["tool_calls"], body["messages"][2:]
    assert [one["id"] for one in asked] == [one["tool_call_id"] for one in answered]
    assert len(asked[0]["id"]) <= 40
    assert asked[1]["id"] == "call_1"
