"""Claude at Anthropic, on Vertex AI and on Bedrock: every host against its strict simulator."""

from __future__ import annotations

import json
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import TestClient, TestServer
from anthropic.types import Message, RawMessageStreamEvent
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter, ValidationError

from pipeline.api import Backend, FrameDecoder, Headers, InvalidCall
from plugins.translate.canonical import CanonicalCall, Loss
from plugins.translate.clients.chat import ChatClient
from plugins.translate.clients.messages import MessagesClient
from plugins.translate.credentials.contract import Unsigned
from plugins.translate.formats import Fault
from plugins.translate.translation import make_cut
from plugins.translate.upstreams import anthropic, bedrock_invoke, vertex_claude
from tests.support.folding import comparable, fold
from tests.support.providers.anthropic import COUNTED, app

EVENT = TypeAdapter(RawMessageStreamEvent)
VERTEX_OPTIONS = vertex_claude.VertexClaudeOptions(project="p-1", location="us-east5")
BEDROCK_OPTIONS = bedrock_invoke.BedrockInvokeOptions(region="us-east-1")


def now_s():
    return 7.0


HOSTS = {
    "anthropic": anthropic.AnthropicUpstream(anthropic.AnthropicOptions(), now_s),
    "vertex": vertex_claude.VertexClaudeUpstream(VERTEX_OPTIONS, now_s),
    "bedrock": bedrock_invoke.BedrockInvokeUpstream(BEDROCK_OPTIONS, now_s),
}
BASES = {"anthropic": "/v1", "vertex": "/v1", "bedrock": ""}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CHAT = {"model": "sim-x", "tools": [TOOL], "reasoning_effort": "low"}
MESSAGES = {
    "model": "sim-x",
    "max_tokens": 9000,
    "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
    "thinking": {"type": "enabled", "budget_tokens": 2000},
}


@pytest.fixture
async def simulator():
    application, seen = app()
    async with TestClient(TestServer(application)) as client:
        client.seen = seen
        yield client


async def sent(simulator, host, call):
    """Send a canonical call to a host; return the status, the headers and the body."""
    upstream = HOSTS[host]
    outgoing = upstream.request(call, Loss())
    headers = {"content-type": "application/json", **outgoing.headers}
    async with simulator.post(
        BASES[host] + outgoing.path, json=outgoing.document, headers=headers
    ) as response:
        return response.status, Headers(), await response.read()


def chat_call(question, *, stream=False, operation="chat"):
    document = {**CHAT, "messages": [{"role": "user", "content": question}]}
    return CanonicalCall(operation, ChatClient().canonical(document, Loss()), "sim-x", stream)


async def streamed(simulator, host, call):
    status, _, raw = await sent(simulator, host, call)
    assert status == 200, raw
    upstream = HOSTS[host]
    decoder, cut = upstream.decoder(call), make_cut(upstream.framing)
    found = []
    for at in range(0, len(raw), 100):
        for name, data in cut.feed(raw[at : at + 100]):
            found += decoder.event(name, data)
    return [*found, *decoder.end()]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("question", ["hello", "use a tool", "redacted", "refuse", "search"])
async def test_a_chat_is_answered_the_same_whole_and_streamed(simulator, host, question):
    status, _, raw = await sent(simulator, host, chat_call(question))
    assert status == 200, raw
    whole = HOSTS[host].answer(json.loads(raw), chat_call(question))

    chunks = await streamed(simulator, host, chat_call(question, stream=True))

    ChatCompletion.model_validate(ChatClient().answer(whole, CHAT), strict=True)
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    assert comparable(fold(chunks)) == comparable(whole)
    assert whole["model"] == "sim-x"


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("question", ["hello", "use a tool", "redacted"])
async def test_a_messages_client_is_answered_by_another_host(simulator, host, question):
    client = MessagesClient()
    document = {**MESSAGES, "messages": [{"role": "user", "content": question}]}
    canonical = client.canonical(document, Loss())
    call = CanonicalCall("chat", canonical, "sim-x", stream=True)
    encoder = client.encoder(document)

    chunks = await streamed(simulator, host, call)
    raw = b"".join(encoder.chunk(chunk) for chunk in chunks) + encoder.end()

    kinds = []
    for frame in FrameDecoder(2**20).feed(raw):
        kinds.append(frame.name)
        if frame.name != "ping":
            EVENT.validate_json(frame.data, strict=True)
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    _, _, whole = await sent(simulator, host, CanonicalCall("chat", canonical, "sim-x"))
    answer = client.answer(HOSTS[host].answer(json.loads(whole), call), document)
    Message.model_validate(answer, strict=True)
    assert answer["content"][0]["signature"] == "sig-1"


@pytest.mark.parametrize("host", HOSTS)
async def test_a_conversation_with_thoughts_and_tools_goes_on(simulator, host):
    messages = [{"role": "user", "content": "use a tool, redacted"}]
    call = CanonicalCall(
        "chat", {**CHAT, "messages": messages, "reasoning": {"budget_tokens": 2000}}, "sim-x"
    )
    _, _, raw = await sent(simulator, host, call)
    said = HOSTS[host].answer(json.loads(raw), call)["choices"][0]["message"]
    called = said["tool_calls"][0]["id"]
    messages += [said, {"role": "tool", "tool_call_id": called, "content": "the result: sun"}]

    status, _, raw = await sent(simulator, host, call)

    assert status == 200, raw
    replayed = simulator.seen[-1].body["messages"][1]["content"]
    assert [block["type"] for block in replayed] == [
        "thinking",
        "redacted_thinking",
        "text",
        "tool_use",
    ]


@pytest.mark.parametrize("host", HOSTS)
async def test_tokens_are_counted(simulator, host):
    call = chat_call("hello", operation="count_tokens")

    status, _, raw = await sent(simulator, host, call)

    assert status == 200, raw
    assert HOSTS[host].answer(json.loads(raw), call) == {"input_tokens": COUNTED}


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("status", [429, 500, 529])
async def test_an_error_before_the_answer_keeps_its_status(simulator, host, status):
    got, headers, raw = await sent(simulator, host, chat_call(f"error {status}", stream=True))

    fault = HOSTS[host].fault(got, headers, raw)

    assert (fault.status, fault.message) == (status, "as you asked")


@pytest.mark.parametrize("host", HOSTS)
async def test_an_error_page_is_no_message_for_people(simulator, host):
    fault = HOSTS[host].fault(*await sent(simulator, host, chat_call("html")))

    assert (fault.status, fault.message) == (502, "the provider answered 502")


@pytest.mark.parametrize(
    ("host", "status", "code"),
    [
        ("anthropic", 529, "overloaded_error"),
        ("vertex", 529, "overloaded_error"),
        ("bedrock", 429, "throttlingException"),
    ],
)
async def test_an_error_inside_the_stream_is_a_fault(simulator, host, status, code):
    chunks = await streamed(simulator, host, chat_call("broken stream", stream=True))

    fault = next(one for one in chunks if isinstance(one, Fault))
    assert (fault.status, fault.code) == (status, code)


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("modelTimeoutException", '{"message": "slow"}', 504),
        ("InternalServerException", "", 500),
        ("brandNewException", "[]", 502),
    ],
)
def test_every_exception_of_aws_is_a_fault(name, data, status):
    (fault,) = HOSTS["bedrock"].decoder(chat_call("hello")).event(name, data)

    assert (fault.status, fault.code) == (status, name)


@pytest.mark.parametrize("host", HOSTS)
async def test_a_stream_that_is_cut_is_a_fault(simulator, host):
    chunks = await streamed(simulator, host, chat_call("cut", stream=True))

    assert chunks[-1].code == "upstream_stream_cut"


# --- native calls
def native(document, dialect="anthropic.messages"):
    return SimpleNamespace(
        document=document,
        dialect=SimpleNamespace(name=dialect),
        stream=document.get("stream") is True,
    )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("host", ["vertex", "bedrock"])
async def test_a_native_call_is_what_the_host_wants(simulator, host, stream):
    document = {
        "model": "asked",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        **({"stream": True} if stream else {}),
    }
    wrap = HOSTS[host].native["anthropic.messages"].wrap

    outgoing = wrap(native(document), "sim-x", Headers(), Loss())

    path = BASES[host] + outgoing.path
    async with simulator.post(path, json=outgoing.document) as response:
        assert response.status == 200, await response.text()
        is_json = response.content_type == "application/json"
        assert is_json is not stream
    assert document["model"] == "asked"


async def test_vertex_counts_a_native_call(simulator):
    document = {"model": "asked", "messages": [{"role": "user", "content": "hi"}]}
    wrap = HOSTS["vertex"].native[anthropic.COUNT_DIALECT].wrap

    outgoing = wrap(native(document, anthropic.COUNT_DIALECT), "sim-x", Headers(), Loss())

    path = BASES["vertex"] + outgoing.path
    async with simulator.post(path, json=outgoing.document) as response:
        assert await response.json() == {"input_tokens": COUNTED}
    assert outgoing.document["model"] == "sim-x"


def test_only_anthropic_takes_native_calls_as_they_are():
    wrapped = {name for name, host in HOSTS.items() if host.native["anthropic.messages"].wrap}

    assert wrapped == {"vertex", "bedrock"}
    assert "anthropic.count_tokens" not in HOSTS["bedrock"].native


# --- where and how
def path_of(upstream, model, **call):
    document = {"messages": [{"role": "user", "content": "hi"}]}
    return upstream.request(CanonicalCall("chat", document, model, **call), Loss())


def test_vertex_has_project_location_and_model_in_the_path():
    outgoing = path_of(HOSTS["vertex"], "sim-x@20250929", stream=True)

    prefix = "/projects/p-1/locations/us-east5/publishers/anthropic/models/"
    assert outgoing.path == prefix + "sim-x@20250929:streamRawPredict"
    assert outgoing.document["anthropic_version"] == "vertex-2023-10-16"


def test_bedrock_quotes_the_arn_of_a_profile():
    arn = "arn:aws:bedrock:us-east-1:1:inference-profile/us.claude"

    outgoing = path_of(HOSTS["bedrock"], arn)

    assert (
        outgoing.path
        == "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.claude/invoke"
    )


def test_bedrock_takes_beta_features_in_the_body():
    options = bedrock_invoke.BedrockInvokeOptions(region="us-east-1", anthropic_beta=("a", "b"))

    outgoing = path_of(bedrock_invoke.BedrockInvokeUpstream(options), "m")

    assert outgoing.document["anthropic_beta"] == ["a", "b"]
    assert outgoing.headers == {}


@pytest.mark.parametrize("host", ["vertex", "bedrock"])
@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
        {"type": "file", "file": {"file_url": "https://x/a.pdf"}},
        {"type": "file", "file": {"file_id": "f"}},
    ],
)
def test_hosts_that_fetch_nothing_refuse_content_by_reference(host, part):
    call = CanonicalCall("chat", {"messages": [{"role": "user", "content": [part]}]}, "m")

    with pytest.raises(InvalidCall) as refused:
        HOSTS[host].request(call, Loss())

    assert refused.value.code == "unsupported_by_backend"


def test_bedrock_reports_what_it_cannot_run():
    loss = Loss()
    document = {
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "web_search", "web_search": {}}],
        "service_tier": "priority",
    }

    HOSTS["bedrock"].request(CanonicalCall("chat", document, "m"), loss)

    assert set(loss.names) == {"tools.web_search", "service_tier"}


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("global", "https://aiplatform.googleapis.com/v1"),
        ("eu", "https://aiplatform.eu.rep.googleapis.com/v1"),
        ("us-east5", "https://us-east5-aiplatform.googleapis.com/v1"),
    ],
)
def test_the_url_of_vertex_follows_its_location(location, url):
    options = vertex_claude.VertexClaudeOptions(project="p", location=location)

    assert vertex_claude.SPEC.default_url(options) == url


def backend(spec, options):
    url = urlsplit(spec.default_url(options))
    return Backend("b", spec.name, url, api_key="k-1", options=options)


@pytest.mark.parametrize(
    ("spec", "options", "kind"),
    [
        (anthropic.SPEC, anthropic.AnthropicOptions(), anthropic.AnthropicUpstream),
        (vertex_claude.SPEC, VERTEX_OPTIONS, vertex_claude.VertexClaudeUpstream),
        (bedrock_invoke.SPEC, BEDROCK_OPTIONS, bedrock_invoke.BedrockInvokeUpstream),
    ],
)
def test_a_spec_makes_its_format_for_a_backend(spec, options, kind):
    assert isinstance(spec.upstream(backend(spec, options)), kind)


def test_anthropics_key_has_a_header_of_its_own():
    made = backend(anthropic.SPEC, anthropic.AnthropicOptions())

    signed = anthropic.SPEC.credential(made).sign(Unsigned("POST", "h", "/", {}, b""))

    assert signed.headers == {"x-api-key": "k-1"}


@pytest.mark.parametrize("key", ["", "sk-ant-api03-ours"])
def test_an_accounts_token_is_a_bearer(key):
    token = "sk-ant-oat01-theirs"
    credential = anthropic.AnthropicKey(key)

    signed = credential.sign(Unsigned("POST", "h", "/", {}, b"", client_key=token))

    assert signed.headers == {"authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("us-east-1", "https://bedrock-runtime.us-east-1.amazonaws.com"),
        ("cn-north-1", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ("", ""),
    ],
)
def test_the_url_of_bedrock_follows_its_region(region, url):
    options = bedrock_invoke.BedrockInvokeOptions(region=region)

    assert bedrock_invoke.SPEC.default_url(options) == url


def test_the_url_of_anthropic_is_known():
    url = anthropic.SPEC.default_url(anthropic.AnthropicOptions())

    assert url == "https://api.anthropic.com/v1"


def test_vertex_wants_a_project():
    with pytest.raises(ValidationError):
        vertex_claude.VertexClaudeOptions()


# --- the simulator itself
async def test_the_simulator_takes_only_its_key():
    application, _ = app(key="k1")
    body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    async with TestClient(TestServer(application)) as client:
        statuses = []
        for given in ({"x-api-key": "k2"}, {"x-api-key": "k1"}, {"authorization": "Bearer k1"}):
            headers = {"anthropic-version": "2023-06-01", **given}
            async with client.post("/v1/messages", json=body, headers=headers) as response:
                statuses.append(response.status)

    assert statuses == [401, 200, 200]


@pytest.mark.parametrize(
    "change",
    [
        {"max_tokens": None},
        {"new_field": 1},
        {"messages": []},
        {"messages": [{"role": "assistant", "content": "x"}]},
        {"messages": [{"role": "user", "content": " "}]},
        {"temperature": 2},
        {"tool_choice": {"type": "any"}},
        {"thinking": {"type": "enabled", "budget_tokens": 5}},
        {"thinking": {"type": "adaptive"}, "temperature": 0.5},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x"}]}]},
        {"system": [{"type": "text", "text": "x", "cache_control": {"type": "eternal"}}]},
    ],
)
async def test_the_simulator_refuses_what_anthropic_refuses(simulator, change):
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        **change,
    }
    body = {name: value for name, value in body.items() if value is not None}
    headers = {"anthropic-version": "2023-06-01"}

    async with simulator.post("/v1/messages", json=body, headers=headers) as response:
        assert response.status == 400
        assert (await response.json())["error"]["type"] == "invalid_request_error"
