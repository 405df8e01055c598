"""Calls to a provider of the client's own API: what goes on as it is, and what does not."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from pipeline.api import Attempt, Backend, Call, Headers, InvalidCall, Request
from plugins.translate.clients import CLIENTS
from plugins.translate.connection import ProviderConnection
from plugins.translate.credentials.aws import AwsOptions, aws_credential
from plugins.translate.formats import ProviderSpec
from plugins.translate.upstreams import SPECS
from plugins.translate.upstreams.openai import OpenAIUpstream
from tests.support.providers import bedrock
from tests.support.providers.bedrock_rules import Refused, check_signature
from tests.support.translate_matrix import DIALECTS, Key

SPEC = {spec.name: spec for spec in SPECS}
SITES = {"project": "p", "location": "us-east5", "region": "us-east-1", "resource": "r"}
CLAUDE_HOSTS = ("anthropic", "vertex_claude", "aws_bedrock_invoke")
SIGNED = {"type": "thinking", "thinking": "mine", "signature": "c2lnbmVk"}
UNSIGNED = {"type": "thinking", "thinking": "deep", "signature": ""}
GEMINI = {"type": "thinking", "thinking": "g", "signature": "gemini:thought:c2ln"}
REDACTED = {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="}
TEXT = {"type": "text", "text": "a"}
USE = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
ASKED = {"role": "user", "content": "hi"}


def connected(provider, **given):
    spec = SPEC[provider]
    own = {k: v for k, v in SITES.items() if k in spec.options.model_fields}
    options = spec.options(**{**own, **given.pop("options", {})})
    url = urlsplit(spec.default_url(options))
    backend = Backend("b", provider, url, api_key="k", options=options, **given)
    return ProviderConnection(backend, replace(spec, credential=lambda _: Key()), CLIENTS)


def attempted(connection, dialect, document, headers=None):
    spoken = DIALECTS[dialect]
    given = Headers((name, value.encode()) for name, value in (headers or {}).items())
    call = Call(spoken, document, json.dumps(document).encode())
    made = connection.prepare(Request("POST", spoken.paths[0], "", "gateway", given), call)
    assert isinstance(made, Attempt)
    return made


def message(*turns, **more):
    return {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [ASKED, *turns], **more}


def says(*content):
    return {"role": "assistant", "content": list(content)}


def answers(*content):
    return {"role": "user", "content": list(content)}


# --- headers of the client's API
FEATURES = ["context-1m-2025-08-07", "interleaved-thinking-2025-05-14"]
BETAS = {"anthropic-version": "2023-06-01", "anthropic-beta": ", ".join(FEATURES)}


def test_a_wrapped_calls_beta_features_are_in_bedrocks_body():
    connection = connected("aws_bedrock_invoke", options={"anthropic_beta": ("zero", "one")})

    attempt = attempted(connection, "anthropic.messages", message(anthropic_beta=["three"]), BETAS)

    sent = json.loads(attempt.body)
    assert sent["anthropic_beta"] == ["zero", "one", *FEATURES, "three"]
    assert {"anthropic-beta", "anthropic-version"} <= attempt.headers.remove


def test_a_wrapped_calls_beta_features_are_in_vertexs_header():
    connection = connected("vertex_claude", options={"anthropic_beta": ("zero",)})

    attempt = attempted(connection, "anthropic.messages", message(), BETAS)

    assert attempt.headers.set["anthropic-beta"] == ",".join(["zero", *FEATURES])
    assert "anthropic-version" in attempt.headers.remove
    assert "anthropic_beta" not in json.loads(attempt.body)


OF_AN_AGENT = (
    "claude-code-20250219,context-1m-2025-08-07,prompt-caching-scope-2026-01-05,"
    "advanced-tool-use-2025-11-20"
)


@pytest.mark.parametrize("more", ["", ",fast-mode-2026-02-01"])
@pytest.mark.parametrize("provider", ["aws_bedrock_invoke", "vertex_claude"])
def test_a_host_is_not_told_of_features_that_it_would_refuse(provider, more):
    asked = {"anthropic-beta": OF_AN_AGENT + more}

    attempt = attempted(connected(provider), "anthropic.messages", message(), asked)

    told = attempt.headers.set.get("anthropic-beta", "").split(",")
    told = json.loads(attempt.body).get("anthropic_beta", told)
    assert told == ["context-1m-2025-08-07", "tool-search-tool-2025-10-19"]
    assert attempt.dropped == (("anthropic_beta",) if more else ())


@pytest.mark.parametrize("provider", ["aws_bedrock_invoke", "vertex_claude"])
def test_a_feature_that_the_config_names_is_told_whatever_is_known_of_it(provider):
    connection = connected(provider, options={"anthropic_beta": ("fast-mode-2026-02-01",)})
    asked = {"anthropic-beta": "fast-mode-2026-02-01"}

    attempt = attempted(connection, "anthropic.messages", message(), asked)

    assert b"fast-mode" in attempt.body or attempt.headers.set["anthropic-beta"]
    assert attempt.dropped == ()


def test_vertexs_count_is_told_of_no_feature():
    connection = connected("vertex_claude", options={"anthropic_beta": ("zero",)})

    attempt = attempted(connection, "anthropic.count_tokens", message(), BETAS)

    assert "anthropic-beta" in attempt.headers.remove


def test_anthropic_gets_its_own_clients_headers_as_they_are():
    attempt = attempted(connected("anthropic"), "anthropic.messages", message(), BETAS)

    assert not {*BETAS} & {*attempt.headers.set, *attempt.headers.remove}


@pytest.mark.parametrize("is_call", [True, False])
def test_anthropic_is_told_a_version_where_the_client_names_none(is_call):
    connection = connected("anthropic", options={"anthropic_version": "2026-10-21"})
    if is_call:
        attempt = attempted(connection, "anthropic.messages", message())
    else:
        attempt = connection.prepare(Request("GET", "/v1/files", "", "g", Headers()), None)

    assert attempt.headers.set["anthropic-version"] == "2026-10-21"


@pytest.mark.parametrize(
    ("provider", "model", "where"),
    [
        ("anthropic", "m", lambda sent, headers: headers["anthropic-beta"].split(",")),
        ("vertex_claude", "m", lambda sent, headers: headers["anthropic-beta"].split(",")),
        ("aws_bedrock_invoke", "m", lambda sent, headers: sent["anthropic_beta"]),
        (
            "aws_bedrock",
            "anthropic.claude-sonnet-4-5-20250929-v1:0",
            lambda sent, headers: sent["additionalModelRequestFields"]["anthropic_beta"],
        ),
    ],
)
@pytest.mark.parametrize("dialect", ["openai.chat", "openai.responses"])
def test_a_translated_call_keeps_the_beta_features_that_it_asks_for(
    dialect, provider, model, where
):
    asked = {"messages": [ASKED]} if dialect == "openai.chat" else {"input": "hi"}
    connection = connected(provider, options={"anthropic_beta": ("zero",)})

    attempt = attempted(connection, dialect, {"model": model, **asked}, BETAS)

    found = where(json.loads(attempt.body), attempt.headers.set)
    assert found == ["zero", *FEATURES]
    assert attempt.dropped == ()


@pytest.mark.parametrize(
    "provider",
    [name for name in SPEC if name not in (*CLAUDE_HOSTS, "aws_bedrock")],
)
def test_beta_features_that_a_provider_knows_nothing_of_are_reported(provider):
    connection = connected(provider)
    if "anthropic.messages" in connection._upstream.native:
        return

    attempt = attempted(connection, "anthropic.messages", message(), BETAS)

    assert attempt.dropped == ("anthropic_beta",)
    assert b"context-1m" not in attempt.body


FOREIGN = {
    "anthropic-version": "2023-06-01",
    "anthropic-dangerous-direct-browser-access": "true",
    "openai-organization": "org-theirs",
    "x-stainless-lang": "python",
    "x-request-id": "r-1",
}


@pytest.mark.parametrize(
    ("provider", "dialect"),
    [
        ("openai", "anthropic.messages"),
        ("gemini", "anthropic.messages"),
        ("aws_bedrock", "openai.chat"),
        ("cohere", "openai.responses"),
    ],
)
def test_headers_of_the_clients_api_go_to_no_other_providers(provider, dialect):
    document = {"openai.chat": {"model": "m", "messages": [ASKED]}}
    document["anthropic.messages"] = message()
    document["openai.responses"] = {"model": "m", "input": "hi"}

    attempt = attempted(connected(provider), dialect, document[dialect], FOREIGN)

    assert FOREIGN.keys() - {"x-request-id"} <= attempt.headers.remove
    assert "x-request-id" not in attempt.headers.remove


def test_headers_of_the_clients_api_stay_where_it_is_the_providers():
    headers = {**FOREIGN, "openai-beta": "b"}
    document = {"model": "m", "messages": [ASKED]}

    attempt = attempted(connected("openai"), "openai.chat", document, headers)

    assert not headers.keys() & {*attempt.headers.set, *attempt.headers.remove}


def test_a_configured_organization_is_the_one_that_pays_for_native_calls_too():
    connection = connected("openai", options={"organization": "org-ours"})

    attempt = attempted(connection, "openai.chat", {"model": "m", "messages": [ASKED]}, FOREIGN)

    assert attempt.headers.set["openai-organization"] == "org-ours"


# --- what others said in earlier turns
@pytest.mark.parametrize("provider", CLAUDE_HOSTS)
@pytest.mark.parametrize("foreign", [UNSIGNED, GEMINI, {**REDACTED, "data": "gemini:x:y"}])
def test_claude_is_not_shown_thoughts_that_it_has_not_signed(provider, foreign):
    turns = says(foreign, TEXT), answers(TEXT), says(SIGNED, REDACTED, TEXT), answers(TEXT)

    attempt = attempted(connected(provider), "anthropic.messages", message(*turns))

    assert json.loads(attempt.body)["messages"] == [ASKED, says(TEXT), *turns[1:]]
    assert attempt.dropped == ("messages.thinking_blocks",)


def test_counts_are_cleaned_as_calls_are():
    document = {"model": "m", "messages": [ASKED, says(UNSIGNED, TEXT), answers(TEXT)]}

    attempt = attempted(connected("anthropic"), "anthropic.count_tokens", document)

    assert "deep" not in attempt.body.decode()


@pytest.mark.parametrize(
    "document",
    [
        message(says(SIGNED, REDACTED, TEXT), answers(TEXT)),
        message(says(TEXT), answers(TEXT), thinking={"type": "enabled", "budget_tokens": 2000}),
        message({"role": "assistant", "content": "said"}, answers(TEXT)),
    ],
)
def test_a_call_without_others_thoughts_goes_on_byte_for_byte(document):
    attempt = attempted(connected("anthropic"), "anthropic.messages", document)

    assert (attempt.body, attempt.dropped) == (None, ())


def test_a_turn_of_nothing_but_others_thoughts_goes():
    document = message(says(UNSIGNED), answers(TEXT))

    attempt = attempted(connected("anthropic"), "anthropic.messages", document)

    assert json.loads(attempt.body)["messages"] == [ASKED, answers(TEXT)]


@pytest.mark.parametrize(
    ("thoughts", "thinking", "goes"),
    [
        ((UNSIGNED,), {"type": "enabled", "budget_tokens": 2000}, True),
        ((UNSIGNED, SIGNED), {"type": "enabled", "budget_tokens": 2000}, False),
        ((UNSIGNED,), {"type": "adaptive"}, False),
    ],
)
def test_a_budget_goes_with_the_thoughts_before_a_tool_call(thoughts, thinking, goes):
    document = message(says(*thoughts, USE), answers(RESULT), thinking=thinking)

    attempt = attempted(connected("anthropic"), "anthropic.messages", document)

    assert ("thinking" in json.loads(attempt.body)) is not goes
    assert ("thinking" in attempt.dropped) is goes


def test_nothing_but_others_thoughts_leaves_nothing():
    document = {**message(thinking={"type": "enabled", "budget_tokens": 2000})}
    document["messages"] = [says(UNSIGNED)]

    attempt = attempted(connected("anthropic"), "anthropic.messages", document)

    assert json.loads(attempt.body)["messages"] == []


@pytest.mark.parametrize("provider", CLAUDE_HOSTS)
def test_claude_is_not_told_of_searches_that_it_has_not_made(provider):
    page = {"type": "web_search_result_location", "url": "https://a", "cited_text": "c"}
    theirs, own = {**page, "encrypted_index": ""}, {**page, "encrypted_index": "Eo8"}
    turns = says({**TEXT, "citations": [theirs, own]}, {**TEXT, "citations": [theirs]})

    attempt = attempted(connected(provider), "anthropic.messages", message(turns, answers(TEXT)))

    said = json.loads(attempt.body)["messages"][1]["content"]
    assert [block["citations"] for block in said] == [[own], None]
    assert attempt.dropped == ("messages.citations",)


@pytest.mark.parametrize("provider", CLAUDE_HOSTS)
def test_ids_of_others_calls_are_written_as_claude_takes_them(provider):
    use, result = {**USE, "id": "functions.f:0"}, {**RESULT, "tool_use_id": "functions.f:0"}
    asked = message(says(use), answers(result), thinking={"type": "enabled", "budget_tokens": 2000})

    attempt = attempted(connected(provider), "anthropic.messages", asked)

    sent = json.loads(attempt.body)
    [said], [answered] = (turn["content"] for turn in sent["messages"][1:])
    assert said["id"] == answered["tool_use_id"] == "functions_f_0"
    assert sent["thinking"] == asked["thinking"]
    assert attempt.dropped == ()


def test_a_server_whose_models_sign_nothing_keeps_their_thoughts():
    document = {**message(says(UNSIGNED, TEXT), answers(TEXT)), "model": "deepseek-chat"}

    attempt = attempted(connected("anthropic"), "anthropic.messages", document)

    assert (attempt.body, attempt.dropped) == (None, ())


def test_a_strict_backend_refuses_what_it_would_have_to_clean():
    connection = connected("anthropic", strict=True)

    with pytest.raises(InvalidCall, match="thinking_blocks") as refused:
        attempted(connection, "anthropic.messages", message(says(UNSIGNED, TEXT), answers(TEXT)))

    assert refused.value.code == "lossy_translation"


@pytest.mark.parametrize("dialect", ["openai.responses", "openai.input_tokens"])
@pytest.mark.parametrize("provider", ["openai", "azure_openai", "vllm", "groq"])
def test_openai_is_not_shown_reasoning_that_others_signed(provider, dialect):
    connection = connected(provider)
    if dialect not in connection._upstream.native:
        return
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    others = {**own, "encrypted_content": "dragoman:thinking:gemini:thought:c2ln"}

    attempt = attempted(
        connection, dialect, {"model": "m", "input": [own, others, {"role": "user", **TEXT}]}
    )

    assert json.loads(attempt.body)["input"] == [own, {"role": "user", **TEXT}]
    assert attempt.dropped == ("input.reasoning",)


TRANSLATED = {
    "role": "assistant",
    "content": "a",
    "thinking_blocks": [UNSIGNED],
    "reasoning_content": "deep",
    "tool_calls": [
        {
            "id": "c",
            "type": "function",
            "function": {"name": "f", "arguments": "{}"},
            "extra_content": {"google": {"thought_signature": "s"}},
        }
    ],
}


def test_openais_models_are_not_shown_what_others_chats_have_beyond_theirs():
    document = {"model": "gpt-5", "messages": [ASKED, TRANSLATED]}

    attempt = attempted(connected("openai"), "openai.chat", document)

    said = json.loads(attempt.body)["messages"][1]
    assert said.keys() == {"role", "content", "tool_calls"}
    assert said["tool_calls"][0].keys() == {"id", "type", "function"}
    assert attempt.dropped == ("messages.thinking_blocks",)


def test_ids_of_others_calls_are_as_long_as_openai_takes_them():
    long = "chatcmpl-tool-" + 32 * "a"
    call = {"id": long, "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": long, "content": "r"}
    document = {"model": "gpt-5", "messages": [ASKED, said, result]}

    attempt = attempted(connected("openai"), "openai.chat", document)

    _, said, result = json.loads(attempt.body)["messages"]
    assert said["tool_calls"][0]["id"] == result["tool_call_id"]
    assert len(result["tool_call_id"]) <= 40
    assert attempt.dropped == ()


@pytest.mark.parametrize(("provider", "model"), [("openai", "some-model"), ("vllm", "gpt-oss-20b")])
def test_servers_that_are_like_openai_keep_them(provider, model):
    document = {"model": model, "messages": [ASKED, TRANSLATED]}

    attempt = attempted(connected(provider), "openai.chat", document)

    assert (attempt.body, attempt.dropped) == (None, ())


# --- whether a body must be seen
@pytest.mark.parametrize(
    ("provider", "dialect"),
    [("anthropic", "anthropic.messages"), ("openai", "openai.responses"), ("vllm", "openai.chat")],
)
@pytest.mark.parametrize("beside", [(), ("itself",), ("itself", "gemini")])
def test_bodies_are_seen_only_where_others_may_have_answered(provider, dialect, beside):
    names = frozenset(provider if name == "itself" else name for name in beside)
    connection = connected(provider, beside=names)

    assert connection.passes(dialect) is ("gemini" not in beside)
    assert connection.keeps_answers(dialect)


def test_embeddings_pass_whoever_is_beside():
    assert connected("openai", beside=frozenset({"gemini"})).passes("openai.embeddings")


# --- signatures
SIGNED_SPEC = ProviderSpec(
    name="signed",
    options=AwsOptions,
    default_url=lambda _: f"https://bedrock-runtime.{bedrock.REGION}.amazonaws.com/openai/v1",
    upstream=lambda _: OpenAIUpstream(),
    credential=aws_credential,
    passes_other=True,
)


@pytest.fixture
async def signing():
    keys = bedrock.KEYS
    options = AwsOptions(
        access_key_id=keys.access_key,
        secret_access_key=keys.secret_key,
        session_token=keys.token,
        region=bedrock.REGION,
    )
    url = urlsplit(SIGNED_SPEC.default_url(options))
    backend = Backend("b", "signed", url, models={"renamed": "m"}, options=options)
    connection = ProviderConnection(backend, SIGNED_SPEC, CLIENTS)
    await connection.start()
    yield connection
    await connection.close()


async def recomputed(attempt, body, method="POST"):
    attempt = await attempt if inspect.isawaitable(attempt) else attempt
    sent = dict(attempt.headers.set)
    host = f"bedrock-runtime.{bedrock.REGION}.amazonaws.com"
    check_signature(
        bedrock.KEYS,
        region=bedrock.REGION,
        method=method,
        path=sent.pop(":path"),
        headers={"host": host, **sent},
        body=body if attempt.body is None else attempt.body,
    )
    return attempt


@pytest.mark.parametrize("model", ["m", "renamed"])
async def test_a_native_calls_signature_covers_its_body(signing, model):
    raw = b'{"model": "%b",  "messages": [{"role": "user", "content": "hi"}]}' % model.encode()
    call = Call(DIALECTS["openai.chat"], json.loads(raw), raw)
    request = Request("POST", "/v1/chat/completions", "", "gateway", Headers())

    assert not signing.passes("openai.chat")
    attempt = await recomputed(signing.prepare(request, call), raw)

    assert (attempt.body is None) is (model == "m")
    with pytest.raises(Refused):
        await recomputed(replace(attempt, body=None), b"")


async def test_a_request_without_a_body_is_signed_as_it_is(signing):
    request = Request("GET", "/v1/models", "", "gateway", Headers())

    await recomputed(signing.prepare(request, None), b"", "GET")


@pytest.mark.parametrize("framing", [("content-length", b"7"), ("transfer-encoding", b"chunked")])
async def test_a_body_that_is_not_shown_is_not_signed(signing, framing):
    request = Request("POST", "/v1/files", "", "gateway", Headers([framing]))

    with pytest.raises(InvalidCall) as refused:
        signing.prepare(request, None)

    assert refused.value.code == "unsupported_by_backend"
