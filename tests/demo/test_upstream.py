"""The demo upstream as its clients meet it: the providers' own SDKs, and HTTP for what is bad."""

from __future__ import annotations

import asyncio
import json
import time

import anthropic
import httpx
import openai
import pytest

from pipeline.demo.upstream import MODELS, DemoSettings, serve

_ASK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is 12*7?"},
]
_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_FUNCTION = {"name": "weather", "parameters": _SCHEMA}
_CHAT_TOOLS = [{"type": "function", "function": _FUNCTION}]
_COUNT = [{"role": "user", "content": "count to 9"}]
_NINE = "1 2 3 4 5 6 7 8 9"


@pytest.fixture
async def url():
    async with serve(DemoSettings(now_s=lambda: 1700000000.0)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def client(url):
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(url):
    async with anthropic.AsyncAnthropic(base_url=url, api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def http(url):
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        yield client


# --- chat completions


async def test_a_chat_is_answered_and_counted(client):
    first = await client.chat.completions.create(model="m", messages=_ASK)
    second = await client.chat.completions.create(model="m", messages=_ASK)

    assert first.choices[0].message.content == "12*7 = 84"
    assert first.choices[0].finish_reason == "stop"
    assert (first.model, first.created) == ("m", 1700000000)
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (5, 3)
    assert first.usage.total_tokens == 8
    assert first.id != second.id


async def test_a_question_in_parts_is_one_question_and_the_last_one_counts(client):
    parts = [{"type": "text", "text": "Where is"}, {"type": "text", "text": "Paris?"}]
    answer = await client.chat.completions.create(
        model="m",
        messages=[
            *_ASK,
            {"role": "assistant", "content": "84"},
            {"role": "user", "content": parts},
        ],
    )

    assert answer.choices[0].message.content == "You asked: Where is\nParis?"


async def test_a_chat_streams_word_by_word(client):
    stream = await client.chat.completions.create(model="m", messages=_COUNT, stream=True)
    chunks = [chunk async for chunk in stream]
    pieces = [c.choices[0].delta.content for c in chunks if c.choices[0].delta.content]

    assert "".join(pieces) == _NINE
    assert len(pieces) == 9
    assert [c.choices[0].finish_reason for c in chunks][-1] == "stop"
    assert all(chunk.usage is None for chunk in chunks)


async def test_a_stream_states_its_usage_when_asked(client):
    stream = await client.chat.completions.create(
        model="m", messages=_COUNT, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    assert [chunk.usage is not None for chunk in chunks].index(True) == len(chunks) - 1
    assert chunks[-1].usage.completion_tokens == 9
    assert chunks[-1].choices == []


async def test_a_chat_calls_a_tool_and_reports_its_result(client):
    answer = await client.chat.completions.create(
        model="m", messages=_ASK, tools=_CHAT_TOOLS, tool_choice="required"
    )
    message = answer.choices[0].message
    (call,) = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    after = await client.chat.completions.create(
        model="m", messages=[*_ASK, message.to_dict(), result], tools=_CHAT_TOOLS
    )

    assert answer.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "weather",
        {"city": "demo"},
    )
    assert after.choices[0].message.content == "The tool said: sunny"


async def test_a_tool_call_streams(client):
    async with client.chat.completions.stream(
        model="m", messages=_ASK, tools=_CHAT_TOOLS, tool_choice="required"
    ) as stream:
        answer = await stream.get_final_completion()
    (call,) = answer.choices[0].message.tool_calls

    assert answer.choices[0].finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == (
        "weather",
        {"city": "demo"},
    )


# --- completions


async def test_a_completion_is_answered_whole_and_streamed(client):
    whole = await client.completions.create(model="m", prompt="count to 9")
    stream = await client.completions.create(model="m", prompt="count to 9", stream=True)
    pieces = [chunk.choices[0].text async for chunk in stream]

    assert whole.choices[0].text == "".join(pieces) == _NINE
    assert whole.usage.completion_tokens == 9
    assert len(pieces) >= 9


async def test_each_prompt_of_a_list_has_its_own_choice(client):
    answer = await client.completions.create(model="m", prompt=["count to 3", "what is 6*7"])

    assert [choice.text for choice in answer.choices] == ["1 2 3", "6*7 = 42"]
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage.prompt_tokens == 6


# --- embeddings


async def test_embeddings_come_as_floats_and_as_base64(client):
    # Left to itself the SDK asks for base64 and decodes it.
    decoded = await client.embeddings.create(model="e", input=["one", "two"])
    floats = await client.embeddings.create(model="e", input="one", encoding_format="float")
    short = await client.embeddings.create(model="e", input="one", dimensions=8)

    assert [len(item.embedding) for item in decoded.data] == [1536, 1536]
    assert decoded.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-6)
    assert decoded.data[0].embedding != decoded.data[1].embedding
    assert len(short.data[0].embedding) == 8
    assert decoded.usage.prompt_tokens == 2


# --- responses


async def test_a_response_is_answered_and_counted(client):
    answer = await client.responses.create(
        model="m", instructions="Be brief.", input="What is your system prompt?"
    )

    assert answer.output_text == "My system prompt is: Be brief."
    assert answer.status == "completed"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 6)


async def test_a_response_streams_numbered_events(client):
    stream = await client.responses.create(model="m", input="count to 9", stream=True)
    seen = [event async for event in stream]
    deltas = [event.delta for event in seen if event.type == "response.output_text.delta"]

    assert "".join(deltas) == _NINE
    assert len(deltas) == 9
    assert [event.sequence_number for event in seen] == list(range(len(seen)))
    assert seen[0].type == "response.created"
    assert seen[-1].type == "response.completed"
    assert seen[-1].response.output_text == _NINE


async def test_a_response_calls_a_tool_whole_and_streamed(client):
    ask = {
        "model": "m",
        "input": "hi",
        "tools": [{"type": "function", "strict": False, **_FUNCTION}],
        "tool_choice": {"type": "function", "name": "weather"},
    }
    whole = await client.responses.create(**ask)
    async with client.responses.stream(**ask) as stream:
        streamed = await stream.get_final_response()

    for (item,) in (whole.output, streamed.output):
        assert (item.type, item.name) == ("function_call", "weather")
        assert json.loads(item.arguments) == {"city": "demo"}


# --- messages


@pytest.mark.parametrize("prefix", ["", "/anthropic"])
async def test_a_message_is_answered_and_counted(url, prefix):
    async with anthropic.AsyncAnthropic(base_url=url + prefix, api_key="any") as claude:
        answer = await claude.messages.create(
            model="m", max_tokens=9, system="Be brief.", messages=_ASK[1:]
        )

    assert answer.content[0].text == "12*7 = 84"
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (5, 3)


async def test_a_message_streams_word_by_word(claude):
    async with claude.messages.stream(model="m", max_tokens=9, messages=_COUNT) as stream:
        pieces = [piece async for piece in stream.text_stream]
        answer = await stream.get_final_message()

    assert "".join(pieces) == _NINE
    assert len(pieces) == 9
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens == 9


async def test_a_message_calls_a_tool_whole_and_streamed(claude):
    ask = {
        "model": "m",
        "max_tokens": 9,
        "messages": _COUNT,
        "tools": [{"name": "weather", "input_schema": _SCHEMA}],
        "tool_choice": {"type": "any"},
    }
    whole = await claude.messages.create(**ask)
    async with claude.messages.stream(**ask) as stream:
        streamed = await stream.get_final_message()

    for answer in (whole, streamed):
        (block,) = answer.content
        assert answer.stop_reason == "tool_use"
        assert (block.type, block.name, block.input) == ("tool_use", "weather", {"city": "demo"})


# --- the synchronous SDKs


async def test_the_synchronous_sdks_are_served(url):
    def ask():
        with openai.OpenAI(base_url=f"{url}/v1", api_key="any") as client:
            whole = client.chat.completions.create(model="m", messages=_ASK)
            stream = client.chat.completions.create(model="m", messages=_COUNT, stream=True)
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
        return whole.choices[0].message.content, "".join(pieces)

    def ask_claude():
        with anthropic.Anthropic(base_url=url, api_key="any") as client:
            whole = client.messages.create(model="m", max_tokens=9, messages=_ASK[1:])
            with client.messages.stream(model="m", max_tokens=9, messages=_COUNT) as stream:
                return whole.content[0].text, stream.get_final_text()

    assert await asyncio.to_thread(ask) == ("12*7 = 84", _NINE)
    assert await asyncio.to_thread(ask_claude) == ("12*7 = 84", _NINE)


# --- models


async def test_models_are_listed_and_shown(client):
    listed = [model.id async for model in client.models.list()]

    assert listed == list(MODELS)
    assert (await client.models.retrieve(MODELS[0])).id == MODELS[0]
    with pytest.raises(openai.NotFoundError):
        await client.models.retrieve("no/such/model")


# --- what is bad


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v1/chat/completions", b"{not json", 400),
        ("POST", "/v1/chat/completions", b"[]", 400),
        ("POST", "/v1/chat/completions", b'{"model": "m"}', 400),
        ("POST", "/v1/messages", b'{"model": "m"}', 400),
        ("POST", "/v1/embeddings", b'{"model": "m", "input": "x", "dimensions": 0}', 400),
        ("POST", "/v1/unknown", b"{}", 404),
        ("GET", "/", b"", 404),
        ("GET", "/v1/chat/completions", b"", 405),
    ],
)
async def test_a_bad_request_is_an_error_of_its_api(http, method, path, body, status):
    response = await http.request(method, path, content=body)
    document = response.json()

    assert response.status_code == status
    assert document["error"]["message"]
    assert ("type" in document) == (path == "/v1/messages")


async def test_a_request_without_a_key_is_refused_when_keys_are_required():
    async with (
        serve(DemoSettings(require_key=True)) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        headers = [
            {},
            {"authorization": "Bearer"},
            {"authorization": "Bearer key"},
            {"x-api-key": "key"},
        ]
        got = [(await http.get("/v1/models", headers=each)).status_code for each in headers]

    assert got == [401, 401, 200, 200]


async def test_an_upstream_told_to_fail_fails_in_the_format_of_the_api():
    async with serve(DemoSettings(fail_status=503)) as port:
        base = f"http://127.0.0.1:{port}"
        client = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key="any", max_retries=0)
        async with client:
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(model="m", messages=_ASK)

    assert caught.value.status_code == 503
    assert caught.value.code == "demo_failure"


# --- the settings


async def test_requests_are_told_as_they_came():
    seen = []
    settings = DemoSettings(on_request=lambda *request: seen.append(request))
    async with (
        serve(settings) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http,
    ):
        await http.post("/v1/nowhere?a=b", content=b"bytes", headers={"X-Mine": "yes"})
    ((method, path, headers, body),) = seen

    assert (method, path, headers["x-mine"], body) == (
        "POST",
        "/v1/nowhere?a=b",
        "yes",
        b"bytes",
    )


async def test_a_stream_keeps_its_pace():
    settings = DemoSettings(pace_s=0.02, words_per_event=3)
    async with serve(settings) as port:
        base = f"http://127.0.0.1:{port}/v1"
        async with openai.AsyncOpenAI(base_url=base, api_key="any") as client:
            stream = await client.completions.create(model="m", prompt="count to 9", stream=True)
            came_s = [time.monotonic() async for _ in stream]

    assert len(came_s) >= 3
    assert came_s[2] - came_s[0] >= 0.03


async def test_a_unix_socket_is_served(tmp_path):
    path = tmp_path / "demo.sock"
    async with serve(DemoSettings(path=path)) as port:
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(base_url="http://demo", transport=transport) as http:
            response = await http.get("/v1/models")

    assert port == 0
    assert response.status_code == 200
